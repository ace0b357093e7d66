/**
 * The command line: which flags exist, what each combination means, and the exit codes.
 *
 * `parse` is pure. Exit codes follow sysexits.h: 64 for wrong usage, 78 for a bad configuration.
 */
import { Either } from "effect";
import { type ServiceName, serviceNames } from "./Config.ts";

/** Exit codes of the program. */
export const exitCode = { ok: 0, unhealthy: 1, failed: 1, usage: 64, configuration: 78 } as const;

/** What `--print` can write out. */
export const printables = ["dashboard", "alerts", "openapi"] as const;
export type Printable = typeof printables[number];

/** What one start of the program is asked to do. `service` is undefined when no flag names it. */
export type Command =
  | { readonly _tag: "Run"; readonly service: ServiceName | undefined }
  | { readonly _tag: "Check"; readonly service: ServiceName | undefined }
  | { readonly _tag: "HealthCheck"; readonly service: ServiceName | undefined }
  | {
    readonly _tag: "Print";
    readonly what: Printable;
    readonly service: ServiceName | undefined;
  }
  | { readonly _tag: "Help" }
  | { readonly _tag: "Version" };

export const usage = `Usage: amicis --service=auth|routing|all [options]

  --service=NAME     auth (port 3000), routing (port 8080) or all of them in one process;
                     without it the SERVICE environment variable decides
  --check            validate the configuration, print it with secrets redacted, exit 0 or 78
  --healthcheck      ask the running service for its readiness, exit 0 or 1
  --print=WHAT       write dashboard, alerts or openapi (needs --service) to standard output
  --help             this text
  --version          the version

Everything else is set by environment variables; see the README.
`;

const isMember = <A extends string>(values: ReadonlyArray<A>, value: string): value is A =>
  values.some((known) => known === value);

/** The command these arguments ask for, or one sentence on what is wrong with them. */
export const parse = (args: ReadonlyArray<string>): Either.Either<Command, string> => {
  let service: ServiceName | undefined;
  let what: Printable | undefined;
  const switches = new Set<string>();
  for (let index = 0; index < args.length; index += 1) {
    const [flag = "", ...rest] = (args[index] ?? "").split("=");
    const hasValue = rest.length > 0;
    if (flag === "--service" || flag === "--print") {
      const value = hasValue ? rest.join("=") : args[index += 1] ?? "";
      if (flag === "--service") {
        if (!isMember(serviceNames, value)) return Either.left(`Unknown service "${value}"`);
        if (service !== undefined) return Either.left("Flag --service is given twice");
        service = value;
      } else {
        if (!isMember(printables, value)) return Either.left(`Cannot print "${value}"`);
        if (what !== undefined) return Either.left("Flag --print is given twice");
        what = value;
      }
    } else if (["--help", "--version", "--check", "--healthcheck"].includes(flag) && !hasValue) {
      switches.add(flag);
    } else {
      return Either.left(`Unknown argument "${args[index]}"`);
    }
  }
  if (switches.has("--help")) return Either.right({ _tag: "Help" });
  if (switches.has("--version")) return Either.right({ _tag: "Version" });
  if (switches.size + (what === undefined ? 0 : 1) > 1) {
    return Either.left("Choose one of --check, --healthcheck and --print");
  }
  if (what !== undefined) {
    return what === "openapi" && (service === undefined || service === "all")
      ? Either.left("Flag --print=openapi needs --service=auth or --service=routing")
      : Either.right({ _tag: "Print", what, service });
  }
  if (switches.has("--check")) return Either.right({ _tag: "Check", service });
  if (switches.has("--healthcheck")) return Either.right({ _tag: "HealthCheck", service });
  return Either.right({ _tag: "Run", service });
};

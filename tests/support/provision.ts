/**
 * Makes sure that the programs which tests start are there: `deno run -A tests/support/provision.ts`.
 * Quiet and fast when all are. What is missing comes from apt-get (as root or by sudo without a
 * password) and, for SecantusDB, from pip into an environment of its own.
 *
 * With a command after it, runs that too, ends with its exit code, and repeats in the last lines
 * which tests were left out: `provision.ts deno test tests/`. With `CI=true` anything missing is a
 * failure (exit 1) and the command is not run.
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import {
  cacheDirectory,
  findTool,
  REDOCLY_VERSION,
  redoclyMarker,
  SCHEMATHESIS_VERSION,
  schemathesisEnvironment,
  SECANTUSDB_VERSION,
  secantusEnvironment,
  type Tool,
  tools,
} from "./Tools.ts";

const packages: Readonly<Record<Tool, ReadonlyArray<string>>> = {
  setpriv: ["util-linux"],
  script: ["bsdutils"],
  "redis-server": ["redis-server"],
  secantusdb: ["python3", "python3-venv"],
  openssl: ["openssl"],
  chromium: ["chromium"],
  prometheus: ["prometheus"],
  promtool: ["prometheus"],
  redocly: [],
  schemathesis: ["python3", "python3-venv"],
};

const missingTools = (): ReadonlyArray<Tool> =>
  tools.filter((tool) => findTool(tool) === undefined);

/** Runs a program; its output is kept and shown only when it fails. */
async function run(program: string, ...args: ReadonlyArray<string>): Promise<boolean> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, {
      args: [...args],
      // RUNLEVEL keeps packages from starting the servers that they install.
      env: { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1", PIP_DISABLE_PIP_VERSION_CHECK: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    if (success) return true;
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    console.error(`${program} ${args.join(" ")}\n${text.trim().split("\n").slice(-15).join("\n")}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return false;
}

/** How this user may run apt-get, or undefined. */
async function aptGet(): Promise<ReadonlyArray<string> | undefined> {
  const options = ["-o", "DPkg::Lock::Timeout=300", "-y", "-q"];
  const found = ["/usr/bin/apt-get", "/bin/apt-get"].some((path) => exists(path));
  if (!found) return undefined;
  if (Deno.uid() === 0) return ["apt-get", ...options];
  return await succeeds("sudo", "-n", "true") ? ["sudo", "-n", "apt-get", ...options] : undefined;
}

async function succeeds(program: string, ...args: ReadonlyArray<string>): Promise<boolean> {
  try {
    const quiet = { stdin: "null", stdout: "null", stderr: "null" } as const;
    return (await new Deno.Command(program, { args: [...args], ...quiet }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

async function installPackages(names: ReadonlyArray<string>): Promise<void> {
  if (names.length === 0) return;
  const [program, ...options] = await aptGet() ?? [];
  if (program === undefined) return;
  console.error(`Installing ${names.join(", ")}`);
  const install = () => run(program, ...options, "install", "--no-install-recommends", ...names);
  await run(program, ...options, "update");
  await install();
}

/** Packages of Python whose programs tests start, each in an environment of its own. */
const pythonTools: ReadonlyMap<Tool, { readonly environment: string; readonly package: string }> =
  new Map<Tool, { readonly environment: string; readonly package: string }>([
    ["secantusdb", {
      environment: secantusEnvironment(),
      package: `SecantusDB==${SECANTUSDB_VERSION}`,
    }],
    ["schemathesis", {
      environment: schemathesisEnvironment(),
      package: `schemathesis==${SCHEMATHESIS_VERSION}`,
    }],
  ]);

async function installFromPython(tool: Tool): Promise<void> {
  const wanted = pythonTools.get(tool);
  if (wanted === undefined) return;
  const { environment } = wanted;
  console.error(`Installing ${wanted.package}`);
  // What an interrupted installation left behind.
  await Deno.remove(environment, { recursive: true }).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  });
  const venv = ["-m", "venv", environment];
  // Debian keeps the pip that a new environment needs in a package of its own.
  if (!await succeeds("python3", "-c", "import ensurepip, venv")) {
    await installPackages(packages[tool]);
  }
  if (!await run("python3", ...venv)) return;
  await run(`${environment}/bin/pip`, "install", "-q", wanted.package);
}

/** Puts the package into Deno's cache, apart from this project's own packages and lock file. */
async function cacheRedocly(): Promise<void> {
  const args = [
    "cache",
    "--quiet",
    "--no-config",
    "--no-lock",
    `npm:@redocly/cli@${REDOCLY_VERSION}`,
  ];
  if (!await run(Deno.execPath(), ...args)) return;
  await Deno.writeTextFile(redoclyMarker(), "");
}

/** Installs what is missing; gives what still is. */
async function provision(): Promise<ReadonlyArray<Tool>> {
  if (missingTools().length === 0) return [];
  await Deno.mkdir(cacheDirectory(), { recursive: true });
  using lock = await Deno.open(`${cacheDirectory()}/provision.lock`, { create: true, write: true });
  // Two runs at once install one after the other; the second finds all there.
  await lock.lock(true);
  const missing = missingTools();
  const fromApt = missing.filter((tool) => packages[tool].length > 0 && !pythonTools.has(tool));
  await installPackages(Array.from(new Set(fromApt.flatMap((tool) => packages[tool]))));
  for (const tool of missing) await installFromPython(tool);
  if (missing.includes("redocly")) await cacheRedocly();
  return missingTools();
}

async function runCommand([program = "", ...args]: ReadonlyArray<string>): Promise<number> {
  const command = program === "deno" ? Deno.execPath() : program;
  // An interrupt from the terminal reaches the command too; wait for its end.
  Deno.addSignalListener("SIGINT", () => {});
  return (await new Deno.Command(command, { args }).spawn().status).code;
}

const missing = await provision().catch((error) => {
  // No right to write to the cache directory: nothing can be installed.
  if (error instanceof Deno.errors.PermissionDenied) return missingTools();
  throw error;
});
const report = `Skipped: tests that need ${missing.join(", ")}, which cannot be installed here`;
if (missing.length > 0 && Deno.env.get("CI") === "true") {
  console.error(`Missing: ${missing.join(", ")}`);
  Deno.exit(1);
}
if (Deno.args.length === 0) {
  if (missing.length > 0) console.error(report);
} else {
  const code = await runCommand(Deno.args);
  if (missing.length > 0) console.error(`\n${report}`);
  Deno.exit(code);
}

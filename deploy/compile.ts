/**
 * Compiles the services into one binary, `dist/amicis`, with no more rights than they use.
 *
 * What is compiled is not `src/main.ts` but scripts made from it (`binary/Bundle.ts`) and the bytecode
 * of a start (`binary/Program.ts`). Milliseconds from start to ready on embedded data, medians of runs
 * in turns with an empty program, which took 28 of them to its end:
 *
 * | what is compiled | ms | MB in memory | MB on disk |
 * | --- | --- | --- | --- |
 * | `src/main.ts` and its packages, file by file | 740 | 265 | 169 |
 * | one bundle | 300 | | 97 |
 * | services and drivers loaded on demand, effect without its barrel | 180 to 220 | | |
 * | the same as a script with its bytecode | 90 | 80 | 97 |
 *
 * By now it is 60 beside 20 of an empty program, with no collection before the service is ready
 * (`binary/V8Flags.ts`) and schemas made where they are used.
 *
 * `DENO_FOR_COMPILE` names another deno to compile with, for places where `denort` must be supplied
 * by hand through `DENORT_BIN`; elsewhere the running deno fetches it by itself.
 */
import { environmentNames } from "../src/Config.ts";
import { resolve } from "node:path";
import { bundle, bytecode, scripts } from "./binary/Bundle.ts";
import { v8Flags } from "./binary/V8Flags.ts";

const permissions = [
  // Every other variable a package asks for reads as unset instead of ending the process.
  `--allow-env=${environmentNames.join(",")}`,
  "--ignore-env",
  // Databases, caches, token endpoints and key sets are settings, so hosts cannot be listed here;
  // what must never be reached can: cloud metadata services, as a second line behind the check of
  // token endpoints.
  "--allow-net",
  "--deny-net=169.254.169.254,169.254.170.2,[fd00:ec2::254],metadata.google.internal",
  // DATA_FILE and the files that connection strings name (tlsCAFile).
  "--allow-read",
  // The MongoDB handshake names the host's platform, and looks whether it is a container's: a check
  // of a file's access, for which the runtime asks who it is.
  "--allow-sys=hostname,osRelease,cpus,networkInterfaces,uid,gid",
];

/** Runs a program to its end; its standard error, or what it failed with. */
const run = async (
  program: string,
  args: ReadonlyArray<string>,
  cwd: string = Deno.cwd(),
): Promise<string> => {
  const { success, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stderr);
  if (!success) throw new Error(`${program} ${args[0]} failed:\n${text}`);
  return text;
};

/** The rights come last: what records is given all of them. */
const compile = (
  directory: string,
  main: string,
  to: string,
  options: ReadonlyArray<string>,
): Promise<string> =>
  run(
    Deno.env.get("DENO_FOR_COMPILE") ?? Deno.execPath(),
    [
      ...["compile", "--quiet", "--no-check", "--no-lock", "--no-npm", "--no-prompt"],
      // It would hold the few lines of the main module.
      "--no-code-cache",
      `--v8-flags=${v8Flags.join(",")}`,
      ...options,
      `--output=${to}`,
      main,
    ],
    directory,
  );

const output = resolve(Deno.args[0] ?? "dist/amicis");
const directory = await Deno.makeTempDir({ prefix: "amicis-compile-" });
try {
  await bundle(new URL("../", import.meta.url), directory);
  const held = scripts.map((name) => `--include=${name}`);
  await compile(directory, "record.js", `${directory}/record`, [...held, "--allow-all"]);
  await run(`${directory}/record`, [`${directory}/${bytecode}`]);
  await compile(directory, "main.js", output, [...held, `--include=${bytecode}`, ...permissions]);
  const complaint = await run(output, ["--version"]);
  if (complaint !== "") throw new Error(complaint);
} finally {
  await Deno.remove(directory, { recursive: true });
}

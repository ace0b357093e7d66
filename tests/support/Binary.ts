/**
 * The services compiled into one binary by the compile task, in a directory of its own that goes
 * with the test file. Compiling takes some seconds.
 */
const repository = new URL("../../", import.meta.url).pathname;

/** Prints where a deno and a denort are that fit together, for places that cannot fetch them. */
const provider = `${repository}../shared/tools/provide-denort`;

/** The path of the binary, or undefined where there is no denort to compile with. */
export async function compileBinary(): Promise<string | undefined> {
  const directory = await Deno.makeTempDir({ prefix: "amicis-binary-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
  const path = `${directory}/amicis`;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "compile", path],
    cwd: repository,
    env: { ...await providedDenort(), NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  if (success) return path;
  const text = new TextDecoder().decode(stderr);
  // The only thing that compiling has to fetch.
  if (/denort/.test(text)) return undefined;
  throw new Error(`Cannot compile the binary:\n${text}`);
}

/** Variables that name a deno and a denort that fit together; none where they can be fetched. */
export async function providedDenort(): Promise<Record<string, string>> {
  if (Deno.env.has("DENORT_BIN")) {
    return Object.fromEntries(["DENO_FOR_COMPILE", "DENORT_BIN"].flatMap((name) => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    }));
  }
  try {
    const { success, stdout } = await new Deno.Command(provider, { stderr: "null" }).output();
    if (!success) return {};
    const lines = new TextDecoder().decode(stdout).trim().split("\n");
    return Object.fromEntries(lines.map((line) => {
      const equals = line.indexOf("=");
      return [line.slice(0, equals), line.slice(equals + 1)];
    }));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return {};
    throw error;
  }
}

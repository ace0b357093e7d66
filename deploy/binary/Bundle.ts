/**
 * The scripts that the binary holds, made from `src` by `deno bundle` (esbuild): the program, and one
 * for each driver. Bundling leaves out what nothing uses and what resolving and loading modules costs.
 */
import { stop, transform } from "esbuild";

/** Large packages that not every start needs: scripts of their own, which `require` finds by name. */
const drivers = ["mongodb", "ioredis", "prom-client"];

/**
 * The text with `import { Effect } from "effect"` as `import * as Effect from "effect/Effect"`.
 * Through the barrel esbuild keeps a namespace object of each module, and with it all that the module
 * exports: 1.7 MB of effect and its dependencies in place of 0.8.
 */
export const withoutBarrels = (source: string): string =>
  source.replace(
    /^import (type )?\{([^}]*)\} from "(effect|@effect\/platform)";$/gm,
    (_statement, type: string | undefined, names: string, barrel: string) =>
      names.split(",").map((name) => name.trim()).filter((name) => name !== "").map((name) => {
        const isType = type !== undefined || name.startsWith("type ");
        const [exported = "", local = exported] = name.replace(/^type /, "").split(" as ");
        const keyword = isType ? "import type" : "import";
        // Modules have capitals; the few functions beside them are those of `Function`.
        return /^[a-z]/.test(exported)
          ? `${keyword} { ${exported} as ${local} } from "${barrel}/Function";`
          : `${keyword} * as ${local} from "${barrel}/${exported}";`;
      }).join(" "),
  );

/** Copies a folder, its TypeScript without barrels. */
const copy = async (from: URL, to: string): Promise<void> => {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) await copy(new URL(`${name}/`, from), `${to}/${name}`);
    else if (name.endsWith(".ts")) {
      const text = await Deno.readTextFile(new URL(name, from));
      await Deno.writeTextFile(`${to}/${name}`, withoutBarrels(text));
    } else await Deno.copyFile(new URL(name, from), `${to}/${name}`);
  }
};

const run = async (directory: string, ...args: ReadonlyArray<string>): Promise<void> => {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", ...args],
    cwd: directory,
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`Cannot bundle:\n${new TextDecoder().decode(stderr)}`);
};

/**
 * As the function that CommonJS makes of a module, without blanks but with all names: stack traces go
 * by them. A script imports no modules, so drivers are not imported either.
 */
const shorten = async (path: string): Promise<void> => {
  const text = (await Deno.readTextFile(path))
    .replace(/\bimport\(("[\w-]+")\)/g, "Promise.resolve(require($1))");
  const { code } = await transform(text, { minifyWhitespace: true, minifySyntax: true });
  await stop();
  await Deno.writeTextFile(path, `(function (module, exports, require) {${code}})`);
};

/** The files that a binary holds beside its main module. */
export const scripts: ReadonlyArray<string> = [
  "program.script",
  ...drivers.map((name) => `${name}.cjs`),
];

/** Where the recorded bytecode goes. */
export const bytecode = "program.bytecode";

/** What compiling reads of the project's settings: the runtime's own behaviour. */
const settings = async (root: URL): Promise<string> => {
  const { unstable } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  return JSON.stringify({ unstable });
};

/** Writes the scripts and the main modules `main.js` and `record.js` into an empty directory. */
export const bundle = async (root: URL, directory: string): Promise<void> => {
  const work = `${directory}/work`;
  await copy(new URL("src/", root), `${work}/src`);
  await copy(new URL("deploy/binary/", root), `${work}/deploy/binary`);
  for (const name of ["deno.json", "deno.lock"]) {
    await Deno.copyFile(new URL(name, root), `${work}/${name}`);
  }
  const external = drivers.map((name) => `--external=${name}`);
  const program = `${directory}/program.script`;
  await run(work, "--format=cjs", ...external, `--output=${program}`, "src/Launch.ts");
  await shorten(program);
  for (const name of drivers) {
    await Deno.writeTextFile(`${work}/${name}.ts`, `export * from "${name}";\n`);
    await run(work, "--format=cjs", `--output=${directory}/${name}.cjs`, `${name}.ts`);
  }
  for (const name of ["main", "record"]) {
    await run(work, `--output=${directory}/${name}.js`, `deploy/binary/${name}.ts`);
  }
  await Deno.writeTextFile(`${directory}/deno.json`, await settings(root));
  await Deno.remove(work, { recursive: true });
};

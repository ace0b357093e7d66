/**
 * The scripts that the binary holds, made from `src` by `deno bundle` (esbuild): the program, and one
 * for each driver. Bundling leaves out what nothing uses and what resolving and loading modules costs.
 */
import { stop, transform } from "esbuild";
import project from "../../deno.json" with { type: "json" };

/**
 * Large packages that not every start needs: scripts of their own, which `require` finds by name, and
 * those of their inner modules that are asked for, too.
 */
const drivers: Readonly<Record<string, ReadonlyArray<string>>> = {
  "mongodb": [],
  "ioredis": ["built/DataHandler.js"],
  "prom-client": [],
};

/** What a driver exports, and what each inner module does as an export that is named like it. */
const exportsOf = (name: string, inner: ReadonlyArray<string>): string =>
  [
    `export * from "${name}";`,
    ...inner.map((path) => `export { default as "${path}" } from "${name}/${path}";`),
  ].join("\n");

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

/** One script of an entry and all that it needs; names in it say nothing of this machine's folders. */
const bundled = async (work: string, ...args: ReadonlyArray<string>): Promise<string> => {
  await run(work, "--format=cjs", "--output=bundled.js", ...args);
  const text = await Deno.readTextFile(`${work}/bundled.js`);
  return text.replace(/(\.\.\/)+\S*?\/npm\/[^/\s]+\//g, "");
};

/**
 * As the function that CommonJS makes of a module. A script imports no modules, so drivers are not
 * imported either.
 */
const wrapped = (script: string): string =>
  `(function (module, exports, require) {${
    script.replace(/\bimport\(("[\w-]+")\)/g, "Promise.resolve(require($1))")
  }})`;

/**
 * Without blanks: each megabyte in the binary costs a start some 0.7 ms, whether it is needed or
 * not. The program keeps all its names, since stack traces go by them; drivers keep what functions
 * and classes call themselves, since errors go by it.
 */
const shortened = async (script: string, of: "program" | "driver"): Promise<string> => {
  const { code } = await transform(script, {
    minifyWhitespace: true,
    minifySyntax: true,
    ...(of === "driver" ? { minifyIdentifiers: true, keepNames: true } : {}),
  });
  return code;
};

/** The files that a binary holds beside its main module. */
export const scripts: ReadonlyArray<string> = [
  "program.script",
  ...Object.keys(drivers).map((name) => `${name}.cjs`),
];

/** Where the recorded bytecode goes. */
export const bytecode = "program.bytecode";

/** Writes the scripts and the main modules `main.js` and `record.js` into an empty directory. */
export const bundle = async (root: URL, directory: string): Promise<void> => {
  const work = `${directory}/work`;
  await copy(new URL("src/", root), `${work}/src`);
  await copy(new URL("deploy/binary/", root), `${work}/deploy/binary`);
  for (const name of ["deno.json", "deno.lock"]) {
    await Deno.copyFile(new URL(name, root), `${work}/${name}`);
  }
  const external = Object.keys(drivers).map((name) => `--external=${name}`);
  const program = await bundled(work, ...external, "src/Launch.ts");
  await Deno.writeTextFile(
    `${directory}/program.script`,
    wrapped(await shortened(program, "program")),
  );
  for (const [name, inner] of Object.entries(drivers)) {
    await Deno.writeTextFile(`${work}/${name}.ts`, exportsOf(name, inner));
    const driver = await bundled(work, `${name}.ts`);
    await Deno.writeTextFile(`${directory}/${name}.cjs`, await shortened(driver, "driver"));
  }
  await stop();
  for (const name of ["main", "record"]) {
    await run(work, `--output=${directory}/${name}.js`, `deploy/binary/${name}.ts`);
  }
  // The runtime's own behaviour is all that compiling takes from the project's settings.
  const unstable = [...project.unstable, "raw-imports"];
  await Deno.writeTextFile(`${directory}/deno.json`, JSON.stringify({ unstable }));
  await Deno.remove(work, { recursive: true });
};

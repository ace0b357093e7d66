/**
 * The program inside the binary: one script, and beside it the bytecode that V8 made of it while a
 * start was recorded (`record.ts`). So a start neither resolves a thousand modules nor compiles what
 * it runs. The runtime's own code cache could not do it: it is a file that a read-only container
 * cannot write, and holds no function that was compiled when it was first called.
 *
 * Bytecode of another V8, or for other V8 flags, is refused by V8 itself; then all is compiled anew.
 */
import { createRequire } from "node:module";
import process from "node:process";
import { Script } from "node:vm";
import type * as Launch from "../../src/Launch.ts";

const beside = (name: string): string => `${import.meta.dirname}/${name}`;

/** The program's exports, and the script that they come from. */
export interface Program {
  readonly launch: typeof Launch.launch;
  readonly script: Script;
}

/** Drivers are scripts of their own, which are loaded when something asks for them. */
const requireFrom = (require: (id: string) => unknown) => (id: string): unknown => {
  if (id.startsWith("node:")) return require(id);
  const [name = id, ...inner] = id.split("/");
  const driver = require(beside(`${name}.cjs`));
  return inner.length === 0 ? driver : Reflect.get(Object(driver), inner.join("/"));
};

/**
 * Effect asks at its load whether `process.stdout` is a terminal, for a logger that is not used here.
 * To make that stream of Node's takes 5 ms, so there is none for that moment.
 */
const withoutStream = <A>(run: () => A): A => {
  const stdout = Object.getOwnPropertyDescriptor(process, "stdout");
  if (stdout === undefined) return run();
  Object.defineProperty(process, "stdout", { value: undefined, configurable: true });
  try {
    return run();
  } finally {
    Object.defineProperty(process, "stdout", stdout);
  }
};

/** Runs the script up to its exports; nothing is launched yet. */
export const load = (bytecode: Uint8Array | undefined): Program => {
  const script = new Script(Deno.readTextFileSync(beside("program.script")), {
    filename: "amicis.js",
    ...(bytecode === undefined ? {} : { cachedData: bytecode }),
  });
  const module: { exports: Partial<typeof Launch> } = { exports: {} };
  const run = script.runInThisContext();
  withoutStream(() => run(module, module.exports, requireFrom(createRequire(import.meta.url))));
  const { launch } = module.exports;
  if (launch === undefined) throw new Error("The script does not export what launches it");
  return { launch, script };
};

/** The recorded bytecode. */
export const readBytecode = (): Uint8Array => Deno.readFileSync(beside("program.bytecode"));

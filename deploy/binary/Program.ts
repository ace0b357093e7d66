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

/**
 * Effect looks at its load whether a stack trace names one of its functions, and does the same work a
 * little differently where none does. The first trace of a program takes 1 ms.
 */
const withoutTraces = <A>(run: () => A): A => {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return run();
  } finally {
    Error.stackTraceLimit = limit;
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
  const require = requireFrom(createRequire(import.meta.url));
  withoutTraces(() => withoutStream(() => run(module, module.exports, require)));
  const { launch } = module.exports;
  if (launch === undefined) throw new Error("The script does not export what launches it");
  return { launch, script };
};

/** The recorded bytecode, as a module: reading it as a file makes a copy, which takes 0.8 ms. */
export const readBytecode = async (): Promise<Uint8Array> => {
  const { default: bytes }: { readonly default: unknown } = await import(
    beside("program.bytecode"),
    { with: { type: "bytes" } }
  );
  if (!(bytes instanceof Uint8Array)) throw new Error("The bytecode is not read as bytes");
  return bytes;
};

/**
 * The services as they are, but for one thing: at SIGUSR2 they collect their garbage and say on
 * standard error what they still hold, in bytes. Run with `--expose-gc` (see `Held.ts`).
 */
// deno-lint-ignore-file no-console -- standard output is the services' log

const collect: () => void = Reflect.get(globalThis, "gc");

Deno.addSignalListener("SIGUSR2", () => {
  collect();
  // What finalizers let go of is garbage only now.
  setTimeout(() => {
    collect();
    const { heapUsed, external } = Deno.memoryUsage();
    console.error(JSON.stringify({ held: { heapUsed, external } }));
  }, 0);
});

await import("../../src/main.ts");

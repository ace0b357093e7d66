/**
 * In front of the services in a binary that is compiled with `--expose-gc` (see `Held.ts`): at SIGUSR2
 * they collect their garbage and say on standard error what they still hold, in bytes.
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

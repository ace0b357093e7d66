/** Launch only: arguments and environment in, exit code out. */

// The rest takes some tenths of a second to load, and as PID 1 a process without a listener ignores
// the signal: nothing has begun, so there is nothing to finish. A check that was not made is none.
const stop = () => Deno.exit(Deno.args.includes("--healthcheck") ? 1 : 0);
const signals = ["SIGTERM", "SIGINT"] as const;
for (const signal of signals) Deno.addSignalListener(signal, stop);

const { launch } = await import("./Launch.ts");

Deno.exit(
  await launch(Deno.args, () => {
    for (const signal of signals) Deno.removeSignalListener(signal, stop);
  }),
);

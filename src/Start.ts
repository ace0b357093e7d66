/** The process while the program is being loaded, and its end. */
import type * as Launch from "./Launch.ts";

/**
 * Loads the program, launches it and ends the process with its exit code. As PID 1 a process without
 * a listener ignores the signals that stop it, so there is one before anything is loaded: nothing has
 * begun, so there is nothing to finish. A check that was not made is none.
 */
export const start = async (load: () => Promise<Pick<typeof Launch, "launch">>): Promise<never> => {
  const stop = () => Deno.exit(Deno.args.includes("--healthcheck") ? 1 : 0);
  const signals = ["SIGTERM", "SIGINT"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, stop);
  const { launch } = await load();
  return Deno.exit(
    await launch(Deno.args, () => {
      for (const signal of signals) Deno.removeSignalListener(signal, stop);
    }),
  );
};

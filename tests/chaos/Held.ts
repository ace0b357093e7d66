/**
 * What the services hold once their garbage is collected. Seen from outside a process grows and
 * shrinks with its garbage: V8 lets a heap grow to a multiple of what is live before it collects,
 * which takes minutes under much load and an hour under little. What grows here is held by somebody.
 */
import { v8Flags } from "../../deploy/binary/V8Flags.ts";
import type { Amicis } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { look } from "./Resources.ts";

/** What is left after a collection, in MiB. */
export interface Held {
  /** Seconds since the begin of the run. */
  readonly seconds: number;
  readonly heap: number;
  /** Buffers and what else objects keep outside of the heap. */
  readonly external: number;
  /** Resident memory of its own, that of the runtime and its libraries with it. */
  readonly memory: number;
}

export type HeldMeasure = Exclude<keyof Held, "seconds">;

export const heldMeasures: ReadonlyArray<HeldMeasure> = ["heap", "external", "memory"];

/**
 * The services in a form that can be told to collect, on the very runtime that is pinned: a binary
 * has that of the denort it was made with. One of 2.6 was seen to keep buffers of 300 KiB for each
 * fault that this one does not.
 */
export const collecting: ReadonlyArray<string> = [
  Deno.execPath(),
  ...["run", "-A", "--no-check", `--v8-flags=${["--expose-gc", ...v8Flags]}`],
  new URL("collecting.ts", import.meta.url).pathname,
];

/** True for the line in which the services tell what they hold. */
export const isHeldLine = (line: string): boolean => line.startsWith('{"held":');

/** Has the garbage of services that were started as {@link collecting} collected. */
export const collect = async (services: Amicis, seconds: number): Promise<Held> => {
  const lines = () => services.stderr.split("\n").slice(0, -1).filter(isHeldLine);
  const before = lines().length;
  services.signal("SIGUSR2");
  const { heapUsed, external } = await eventually(() => {
    const line = lines()[before];
    return line !== undefined && JSON.parse(line).held;
  });
  const mebibyte = 2 ** 20;
  return {
    seconds,
    heap: heapUsed / mebibyte,
    external: external / mebibyte,
    memory: look(services.pid, seconds).memory,
  };
};

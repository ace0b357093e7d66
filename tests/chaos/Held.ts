/**
 * What the services hold once their garbage is collected. Seen from outside a process grows and
 * shrinks with its garbage: V8 lets a heap grow to a multiple of what is live before it collects,
 * which takes minutes under much load and an hour under little. What grows here is held by somebody.
 */
import type { Amicis } from "../support/Amicis.ts";
import { compileBinary } from "../support/Binary.ts";
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

/** The services in a form that can be told to collect; undefined where there is no denort. */
export const compileCollecting = (): Promise<string | undefined> =>
  compileBinary("tests/chaos/collecting.ts", "--expose-gc");

/** True for the line in which the services tell what they hold. */
export const isHeldLine = (line: string): boolean => line.startsWith('{"held":');

/** Has the garbage of {@link compileCollecting}'s services collected. */
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

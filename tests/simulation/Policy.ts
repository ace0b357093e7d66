/** What the simulator asks of a policy: to admit calls, and to be told how they ended. */
import type { Random } from "./Random.ts";

export type State = "closed" | "open" | "half-open";

/** A place given to a call; only the policy that gave it can read it. */
export interface Admission {
  readonly epoch: number;
  readonly trial: number;
}

/** One breaker (or other guard) of one replica for one dependency or tenant. Times are in ms. */
export interface Instance {
  /** A place, a refusal (`undefined`), or "wait" until the trials have decided (cockatiel's way). */
  readonly ask: (now: number) => Admission | "wait" | undefined;
  readonly settle: (admission: Admission, ok: boolean, elapsed: number, now: number) => void;
  readonly state: (now: number) => State;
  /** When it next probes by itself; `Infinity` when it does not. Asked after every event. */
  readonly probeAt?: () => number;
  readonly probed?: (ok: boolean, now: number) => void;
}

export interface Policy {
  readonly name: string;
  /** What it is and with which settings, for the report. */
  readonly about: string;
  readonly make: (random: Random) => Instance;
}

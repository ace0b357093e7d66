/**
 * What stands between a client and a dependency, as the simulation sees it. A policy knows the time
 * only by what it is told, in milliseconds, and is told it in order.
 */
import type { Rng } from "./Rng.ts";

/** The call is not made. */
export const refused = -1;

/** The call waits until {@link Policy.isHolding} is false, first come first served, and asks again then. */
export const held = -2;

/** One client's policy for one dependency. */
export interface Policy {
  /**
   * A ticket of 0 or more for a call that is to be made, {@link refused} or {@link held}. `waiting` are
   * the calls that are held already.
   */
  readonly ask: (now: number, waiting: number) => number;
  /** Tells how a call ended that had a ticket. `elapsed` is milliseconds. */
  readonly settle: (ticket: number, succeeded: boolean, now: number, elapsed: number) => void;
  /** Milliseconds after which a refused caller is told to come again. */
  readonly retryAfter: (now: number) => number;
  readonly state: () => "closed" | "open" | "half-open";
  readonly isHolding?: () => boolean;
}

/** What a policy may use of the world around it. */
export interface Surroundings {
  readonly random: Rng;
  /** Calls `run` at a time to come. */
  readonly schedule: (at: number, run: (now: number) => void) => void;
  /** Asks the dependency for a sign of life, which is not a user's request. */
  readonly probe: (now: number) => boolean;
  /** To be told of each change of state. */
  readonly onChange: (from: State, to: State, now: number) => void;
}

export type State = ReturnType<Policy["state"]>;

/** A way to make policies, one for each client and dependency. */
export interface Contender {
  readonly name: string;
  readonly description: string;
  readonly make: (surroundings: Surroundings) => Policy;
}

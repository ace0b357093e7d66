/**
 * What a breaker remembers beyond successes: made with the first result that is none, the first
 * refusal or the first change, as most breakers of a large registry never see one.
 */
import type { Exit } from "effect";
import type { CircuitOpen } from "./BreakerContract.ts";
import type { Outcome, State } from "./BreakerState.ts";
import * as TransitionCounts from "./TransitionCounts.ts";

/** A refusal, and the very state and moment that it speaks of. */
export interface Rejection {
  readonly state: State;
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly error: CircuitOpen;
  readonly exit: Exit.Exit<never, CircuitOpen>;
}

/** Counts since the breaker was made, as in `Totals`. */
export class Trouble {
  failures = 0;
  neutral = 0;
  timeouts = 0;
  rejected = 0;
  transitions: TransitionCounts.TransitionCounts | undefined;
  lastRejection: Rejection | undefined;

  count(outcome: Exclude<Outcome, "success">, timedOut: boolean): void {
    if (outcome === "neutral") this.neutral += 1;
    else this.failures += 1;
    if (outcome === "failure" && timedOut) this.timeouts += 1;
  }

  change(from: State["_tag"], to: State["_tag"]): void {
    this.transitions = TransitionCounts.counted(this.transitions, from, to);
  }
}

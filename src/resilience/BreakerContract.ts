/**
 * The public surface of a circuit breaker: what it offers, what it tells and how it refuses.
 * `CircuitBreaker.ts` makes one and exports all of this again.
 */
import { type Clock, Data, type Duration, type Effect, type Exit, type Stream } from "effect";
import type { Trip, View } from "./AdaptiveThreshold.ts";
import type { Action, Counts, Mode, Outcome, State } from "./BreakerState.ts";

/** The dependency is being rested and the call was not run. Not retryable: back off instead. */
export class CircuitOpen extends Data.TaggedError("CircuitOpen")<{
  readonly breaker: string;
  readonly reason: "open" | "half-open" | "forced";
  /** Time to the next trial; the open time itself when forced, the lease's rest when half-open. */
  readonly retryAfter: Duration.Duration;
}> {
  /** Marks an error of a guard that never reached the dependency: neutral to breakers around it. */
  readonly refused = true;
  override get message(): string {
    const state = this.reason === "forced" ? "forced open" : this.reason;
    return `Circuit breaker "${this.breaker}" is ${state}`;
  }
}

/** What a breaker looks like at one moment. Times are wall-clock epoch milliseconds. */
export interface Snapshot {
  readonly name: string;
  /** As the last call left it: an opening that is over reads `open` until a call is its trial. */
  readonly state: State["_tag"];
  /** What an operator has set [auto]. */
  readonly mode: Mode;
  /** The rolling window's; while open those that tripped it; while half-open the trials'. */
  readonly counts: Counts;
  /** Failures per request, or `null` below the minimum of requests. */
  readonly failureRate: number | null;
  /** Calls turned away since creation; never reset. */
  readonly rejected: number;
  /** When it last changed its state, or was made. */
  readonly stateChangedAt: number;
  /** When a call is admitted again; `null` when not open, or forced open. */
  readonly openUntil: number | null;
  /** Only of an adaptive breaker. */
  readonly adaptive?: View;
}

/** One change of state. `counts` are those of the state that was left, its last result included. */
export interface StateChange {
  readonly breaker: string;
  readonly from: State["_tag"];
  readonly to: State["_tag"];
  /** Wall-clock epoch milliseconds. */
  readonly at: number;
  readonly counts: Counts;
  /** True when an operator caused it. */
  readonly manual: boolean;
  /** True when it only would have happened (mode `observe`). */
  readonly observed?: boolean;
  /** Why an adaptive breaker opened, or would have. */
  readonly trip?: Trip;
}

/** Everything a breaker has seen since it was made, late results included; never reset. */
export interface Totals {
  readonly successes: number;
  readonly failures: number;
  /** Calls that said nothing about the dependency: interrupted, or refused by an inner guard. */
  readonly neutral: number;
  /** Those of the failures whose typed error has `timedOut: true`. */
  readonly timeouts: number;
  /** Calls turned away; among no others of these. */
  readonly rejected: number;
  /** In the order of their first occurrence; those that never happened are left out. */
  readonly transitions: ReadonlyArray<Transition>;
}

/** How often one state followed another. */
export interface Transition {
  readonly from: State["_tag"];
  readonly to: State["_tag"];
  readonly count: number;
}

/** A place taken by {@link CircuitBreaker.acquire}. */
export interface Permit {
  /**
   * Says how the call ended. Only the first counts. A trial that is never settled loses its place
   * at the end of its lease; while closed, not settling costs nothing.
   */
  readonly settle: (outcome: Outcome) => Effect.Effect<void>;
}

/** One admission: the epoch it belongs to, its trial's place and when it began. */
export interface Admission {
  readonly epoch: number;
  readonly trial: number;
  readonly startedAt: number;
}

/**
 * Keeps calls away from a dependency that fails, and finds out when it is well again. The states are
 * Nygard's (Release It!); admissions carry an epoch as gobreaker's generation.
 */
export interface CircuitBreaker {
  readonly name: string;
  /**
   * Runs `self`, or fails with {@link CircuitOpen} without running it. The call's exit passes
   * unchanged. Without `classify` any typed failure or defect is a failure, and a refusal by an
   * inner guard is neutral. If `classify` throws, its defect passes and the call is a failure.
   *
   * Interruption reaches the call and is neutral whatever `classify` says; an error or defect beside
   * it is a failure. A closed breaker sees of an interrupted fiber only what that ends with: a typed
   * error after the interruption is lost there, and the defect of a finalizer outside counts.
   */
  readonly protect: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    classify?: (exit: Exit.Exit<A, E>) => Outcome,
  ) => Effect.Effect<A, E | CircuitOpen, R>;
  /** Two-step use, for calls that are not one effect: whoever acquires must settle. */
  readonly acquire: Effect.Effect<Permit, CircuitOpen>;
  /** Reading changes nothing, except that what has left the window is not shown. */
  readonly snapshot: Effect.Effect<Snapshot>;
  /** What a call turned away now would be told; zero when a call would be admitted. */
  readonly retryAfter: Effect.Effect<Duration.Duration>;
  /** Counters for metrics. */
  readonly totals: Effect.Effect<Totals>;
  /** Does what an operator asks for; see {@link Action}. */
  readonly control: (action: Action) => Effect.Effect<void>;
  /**
   * Makes an opening due, so that the next call is a trial; a Retry-After that came with it is kept.
   * Closes nothing, touches no forced opening, makes no change. False when nothing was hastened.
   */
  readonly hasten: Effect.Effect<boolean>;
  /** Changes from the moment of subscription on; a slow reader loses the oldest beyond 1,024. */
  readonly changes: Stream.Stream<StateChange>;
  /** Calls `listener`, which must not throw, at once on each change; the answer takes it off again. */
  readonly unsafeOnChange: (listener: (change: StateChange) => void) => () => void;
  /** The state as in a snapshot, without one. */
  readonly unsafeState: () => State["_tag"];
  /** Admits a call that runs outside of a fiber, but only while closed; else `undefined`. */
  readonly unsafeAdmit: (clock: Clock.Clock) => Admission | undefined;
  /** Settles what {@link unsafeAdmit} admitted, exactly once and as `protect` would. */
  readonly unsafeSettle: <A, E>(
    clock: Clock.Clock,
    admission: Admission,
    exit: Exit.Exit<A, E>,
    classify: (exit: Exit.Exit<A, E>) => Outcome,
  ) => void;
  /** Turns a call away that would be refused at this moment, and counts that; else `undefined`. */
  readonly unsafeRefuse: (clock: Clock.Clock) => CircuitOpen | undefined;
}

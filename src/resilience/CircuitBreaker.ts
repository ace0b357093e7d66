/**
 * Circuit breaker: one `Ref`-held state machine around the calls to one dependency.
 *
 * `BreakerState.step` is the whole policy; here the clock is read, the state committed and the call
 * run. A call through a closed breaker forks no fiber, arms no timer and changes no runtime flag:
 * its result is settled by `matchCauseEffect`, and only an interruption, which skips that handler,
 * is settled by an observer of the fiber instead. A half-open trial pays for a real mask, because
 * its place must be given back at once.
 */
import {
  Cause,
  Clock,
  Duration,
  Effect,
  Exit,
  type MutableRef,
  Random,
  Ref,
  type Stream,
} from "effect";
import { decode, type InvalidSettings, type Rules, type Settings } from "./BreakerSettings.ts";
import {
  counted,
  countsAt,
  type Event,
  initial,
  type Outcome,
  type State,
  step,
  uniform,
  withResult,
} from "./BreakerState.ts";
import type { CircuitBreaker, Permit, Snapshot, StateChange, Totals } from "./BreakerContract.ts";
import { CircuitOpen } from "./BreakerContract.ts";
import { classifyExit, type Hints, hintsOf, noHints } from "./Classification.ts";
import { tripOf } from "./BreakerExplanation.ts";
import { snapshotOf } from "./BreakerSnapshot.ts";
import { clockOf, monotonicMillis, recentMillis } from "./Monotonic.ts";
import { refusalOf, restOf } from "./BreakerRefusal.ts";
import { cellOf } from "./RefCell.ts";
import { fromSubscribe } from "./StateChanges.ts";
import * as TransitionCounts from "./TransitionCounts.ts";

export { InvalidSettings, type Settings } from "./BreakerSettings.ts";
export * from "./BreakerContract.ts";
export type { Action, Counts, Mode, Outcome } from "./BreakerState.ts";
export { classifyExit } from "./Classification.ts";

/** One admission: the epoch it belongs to, its trial's place and when it began. */
interface Admission {
  readonly epoch: number;
  readonly trial: number;
  readonly startedAt: number;
}

type Listener = (change: StateChange) => void;

/** A list is copied when it changes: most breakers have one listener, and a `Set` takes 150 bytes. */
const noListeners: ReadonlyArray<Listener> = [];

type Refusal = Exit.Exit<never, CircuitOpen>;

const ask: Event = { _tag: "Ask" };
const hasten: Event = { _tag: "Hasten" };

class Breaker implements CircuitBreaker {
  readonly #cell: MutableRef.MutableRef<State>;
  readonly #next: (state: State, event: Event, now: number) => State;
  readonly #rules: Rules;
  readonly #seed: number;
  readonly #timesCalls: boolean;
  #stateChangedAt: number;
  #successes = 0;
  #failures = 0;
  #neutral = 0;
  #timeouts = 0;
  #rejected = 0;
  #transitions: TransitionCounts.TransitionCounts | undefined;
  #lastRejection:
    | { readonly state: State; readonly at: number; readonly refusal: Refusal }
    | undefined;
  #listeners: ReadonlyArray<Listener> = noListeners;

  constructor(
    readonly name: string,
    ref: Ref.Ref<State>,
    rules: Rules,
    next: (state: State, event: Event, now: number) => State,
    seed: number,
    now: number,
  ) {
    this.#cell = cellOf(ref);
    this.#rules = rules;
    this.#next = next;
    this.#seed = seed;
    this.#timesCalls = rules.slowCallDuration !== Infinity;
    this.#stateChangedAt = now;
  }

  readonly protect: CircuitBreaker["protect"] = (self, classify = classifyExit) =>
    Effect.withFiberRuntime((fiber) => {
      const state = this.#cell.current;
      const clock = clockOf(fiber);
      if (state._tag !== "closed") return this.#protectTrial(clock, self, classify);
      if (state.mode === "disabled") return self;
      const admission: Admission = {
        epoch: state.epoch,
        trial: 0,
        startedAt: this.#timesCalls ? monotonicMillis(clock) : 0,
      };
      // Runs only if the fiber ends without a handler below having run: it was interrupted. What the
      // fiber ends with then stands for what the call did; a mask would tell exactly, and double the
      // cost of every call.
      const onInterrupt = (exit: Exit.Exit<unknown, unknown>) => {
        const isMixed = Exit.isFailure(exit) && Cause.isInterrupted(exit.cause) &&
          !Cause.isInterruptedOnly(exit.cause);
        this.#settle(clock, admission, isMixed ? "failure" : "neutral", noHints);
      };
      fiber.addObserver(onInterrupt);
      return Effect.matchCauseEffect(self, {
        onSuccess: (value) => {
          fiber.removeObserver(onInterrupt);
          const exit = Exit.succeed(value);
          if (classify === classifyExit && !this.#timesCalls) this.#succeed(clock, admission);
          else this.#judge(clock, admission, exit, classify);
          return exit;
        },
        onFailure: (cause) => {
          fiber.removeObserver(onInterrupt);
          const exit = Exit.failCause(cause);
          this.#judge(clock, admission, exit, classify);
          return exit;
        },
      });
    });

  /** The slow path, taken while open or half-open: masked, so that no trial can get lost. */
  #protectTrial<A, E, R>(
    clock: Clock.Clock,
    self: Effect.Effect<A, E, R>,
    classify: (exit: Exit.Exit<A, E>) => Outcome,
  ): Effect.Effect<A, E | CircuitOpen, R> {
    const state = this.#cell.current;
    const now = recentMillis(clock);
    // Most calls here are refused, and need no mask. The reading is at most 1 ms behind, so whoever
    // would be refused 1 ms after it is refused now; the others are judged by an exact one below.
    if (this.#next(state, ask, now + 1) === state) return this.#reject(state, now);
    return Effect.uninterruptibleMask<A, E | CircuitOpen, R>((restore) => {
      const admission = this.#admit(clock);
      if (Exit.isExit(admission)) return admission;
      return Effect.matchCauseEffect(restore(self), {
        onSuccess: (value) => {
          const exit = Exit.succeed(value);
          this.#judge(clock, admission, exit, classify);
          return exit;
        },
        onFailure: (cause) => {
          const exit = Exit.failCause(cause);
          this.#judge(clock, admission, exit, classify);
          return exit;
        },
      });
    });
  }

  get acquire(): Effect.Effect<Permit, CircuitOpen> {
    return Effect.clockWith((clock) => {
      const admission = this.#admit(clock);
      if (Exit.isExit(admission)) return admission;
      // A disabled breaker records nothing, just as `protect` does not.
      let isSettled = this.#cell.current.mode === "disabled";
      return Effect.succeed({
        settle: (outcome: Outcome) =>
          Effect.clockWith((clock) => {
            if (!isSettled) this.#settle(clock, admission, outcome, noHints);
            isSettled = true;
            return Effect.void;
          }),
      });
    });
  }

  get snapshot(): Effect.Effect<Snapshot> {
    return Effect.clockWith((clock) =>
      Effect.succeed({
        ...snapshotOf(
          this.#rules,
          this.#cell.current,
          monotonicMillis(clock),
          clock.unsafeCurrentTimeMillis(),
        ),
        name: this.name,
        rejected: this.#rejected,
        stateChangedAt: this.#stateChangedAt,
      })
    );
  }

  get retryAfter(): Effect.Effect<Duration.Duration> {
    return Effect.clockWith((clock) => {
      const state = this.#cell.current;
      const now = monotonicMillis(clock);
      const isAdmitted = state._tag === "closed" || this.#next(state, ask, now) !== state;
      return Effect.succeed(
        isAdmitted ? Duration.zero : Duration.millis(restOf(this.#rules, state, now)),
      );
    });
  }

  get totals(): Effect.Effect<Totals> {
    return Effect.sync(() => ({
      successes: this.#successes,
      failures: this.#failures,
      neutral: this.#neutral,
      timeouts: this.#timeouts,
      rejected: this.#rejected,
      transitions: (this.#transitions ?? []).map((transition) => ({ ...transition })),
    }));
  }

  // Made when asked for: ten thousand breakers would hold a function each that hardly one needs.
  get control(): CircuitBreaker["control"] {
    return (action) =>
      Effect.clockWith((clock) => {
        const now = monotonicMillis(clock);
        const state = this.#cell.current;
        const next = this.#next(state, { _tag: "Control", action }, now);
        this.#commit(clock, now, state, next, "control");
        return Effect.void;
      });
  }

  get hasten(): Effect.Effect<boolean> {
    return Effect.clockWith((clock) => {
      const state = this.#cell.current;
      this.#cell.current = this.#next(state, hasten, monotonicMillis(clock));
      return Effect.succeed(this.#cell.current !== state);
    });
  }

  get changes(): Stream.Stream<StateChange> {
    return fromSubscribe((listener) => this.unsafeOnChange(listener));
  }

  unsafeOnChange(listener: (change: StateChange) => void): () => void {
    if (!this.#listeners.includes(listener)) this.#listeners = [...this.#listeners, listener];
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== listener);
    };
  }

  unsafeState(): State["_tag"] {
    return this.#cell.current._tag;
  }

  #admit(clock: Clock.Clock): Admission | Refusal {
    const state = this.#cell.current;
    if (state._tag === "closed") {
      const startedAt = this.#timesCalls ? monotonicMillis(clock) : 0;
      return { epoch: state.epoch, trial: 0, startedAt };
    }
    const now = monotonicMillis(clock);
    const next = this.#next(state, ask, now);
    if (next === state || next._tag !== "half-open") return this.#reject(state, now);
    this.#commit(clock, now, state, next, "admission");
    return { epoch: next.epoch, trial: next.nextTrial - 1, startedAt: now };
  }

  /**
   * Counts a rejection. Creating an `Error` costs more than all the rest of a rejection, so those of
   * one millisecond share theirs: under load that is most of them, and none is off by more than that.
   */
  #reject(state: State, now: number): Refusal {
    this.#rejected += 1;
    const last = this.#lastRejection;
    // The same state, not only its epoch: within one, trials come and go and their leases differ.
    if (last !== undefined && last.state === state && Math.abs(now - last.at) < 1) {
      return last.refusal;
    }
    const refusal = Exit.fail(refusalOf(this.name, this.#rules, state, now));
    this.#lastRejection = { state, at: now, refusal };
    return refusal;
  }

  /**
   * Asks `classify` and settles. If it throws, its defect passes and the call is a failure. It has
   * no say in an interruption: neutral alone, a failure with an error or defect beside it.
   */
  #judge<A, E>(
    clock: Clock.Clock,
    admission: Admission,
    exit: Exit.Exit<A, E>,
    classify: (exit: Exit.Exit<A, E>) => Outcome,
  ): void {
    let outcome: Outcome = "failure";
    let hints = noHints;
    try {
      const isInterrupted = Exit.isFailure(exit) && Cause.isInterrupted(exit.cause);
      outcome = isInterrupted ? classifyExit(exit) : classify(exit);
      // An error's own getters may throw, too.
      if (outcome === "failure") hints = hintsOf(exit);
    } finally {
      this.#settle(clock, admission, outcome, hints);
    }
  }

  /** `#settle` for most calls: a success opens nothing, so its bucket is all its time decides. */
  #succeed(clock: Clock.Clock, admission: Admission): void {
    this.#successes += 1;
    const state = this.#cell.current;
    if (state._tag !== "closed" || state.epoch !== admission.epoch) return;
    this.#cell.current = counted(this.#rules, state, recentMillis(clock), false, false);
  }

  #settle(clock: Clock.Clock, admission: Admission, outcome: Outcome, hints: Hints): void {
    if (outcome === "success") this.#successes += 1;
    else if (outcome === "neutral") this.#neutral += 1;
    else {
      this.#failures += 1;
      if (hints.timedOut) this.#timeouts += 1;
    }
    const state = this.#cell.current;
    if (state.epoch !== admission.epoch) return;
    const now = monotonicMillis(clock);
    const next = this.#next(state, {
      _tag: "Settle",
      epoch: admission.epoch,
      trial: admission.trial,
      outcome,
      elapsed: this.#timesCalls ? now - admission.startedAt : 0,
      retryAfter: hints.retryAfter,
      // A slow success can open, too.
      jitter: outcome === "failure" || this.#timesCalls ? uniform(this.#seed, state.epoch) : 0,
    }, now);
    this.#commit(clock, now, state, next, outcome);
  }

  /** Writes the state back, and tells of it if it is another one. */
  #commit(
    clock: Clock.Clock,
    now: number,
    before: State,
    after: State,
    cause: Outcome | "admission" | "control",
  ): void {
    this.#cell.current = after;
    const observed = before._tag === "closed" && after._tag === "closed" &&
      after.observed && !before.observed;
    if (before._tag === after._tag && !observed) return;
    const at = clock.unsafeCurrentTimeMillis();
    const to = observed ? "open" : after._tag;
    if (!observed) {
      this.#stateChangedAt = at;
      this.#transitions = TransitionCounts.counted(this.#transitions, before._tag, after._tag);
    }
    if (this.#listeners.length === 0) return;
    const counts = countsAt(this.#rules, before, now);
    const isResult = cause === "success" || cause === "failure";
    const trip = isResult ? tripOf(this.#rules, before, after, cause) : null;
    const change: StateChange = {
      breaker: this.name,
      from: before._tag,
      to,
      at,
      counts: isResult ? withResult(counts, cause === "failure") : counts,
      manual: cause === "control",
      ...(observed ? { observed } : {}),
      ...(trip === null ? {} : { trip }),
    };
    for (const listener of this.#listeners) listener(change);
  }
}

/** A breaker that runs by already checked rules; `step` may be shared by all with the same rules. */
export const fromRules = (
  name: string,
  rules: Rules,
  next: (state: State, event: Event, now: number) => State = step(rules),
): Effect.Effect<CircuitBreaker> =>
  Effect.gen(function* () {
    const ref = yield* Ref.make<State>(initial);
    const seed = yield* Random.nextIntBetween(0, 2 ** 31);
    const now = yield* Clock.currentTimeMillis;
    return new Breaker(name, ref, rules, next, seed, now);
  });

/** Makes a closed breaker, or fails with every illegal setting at once. */
export const make = (
  name: string,
  settings: Partial<Settings> = {},
): Effect.Effect<CircuitBreaker, InvalidSettings> =>
  Effect.flatMap(decode(name, settings), (rules) => fromRules(name, rules));

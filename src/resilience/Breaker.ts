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
  type Clock,
  Duration,
  Effect,
  Exit,
  type Fiber,
  type MutableRef,
  type Ref,
  type Stream,
} from "effect";
import type { Policy } from "./BreakerPolicy.ts";
import { type Event, type Outcome, type State, uniform, withSuccesses } from "./BreakerState.ts";
import type {
  Admission,
  CircuitBreaker,
  CircuitOpen,
  Permit,
  Snapshot,
  StateChange,
  Totals,
} from "./BreakerContract.ts";
import { classifyExit, type Hints, hintsOf, noHints } from "./Classification.ts";
import { clockOf, monotonicMillis, recentMillis } from "./Monotonic.ts";
import { refusalOf, restOf } from "./BreakerRefusal.ts";
import { type ChangeCause, changeOf, isObserved } from "./BreakerChange.ts";
import { snapshotOf } from "./BreakerSnapshot.ts";
import { Trouble } from "./BreakerTrouble.ts";
import { cellOf } from "./RefCell.ts";
import { fromSubscribe } from "./StateChanges.ts";

type Listener = (change: StateChange) => void;

/** Lists are copied when they change, so breakers with the one same listener can share theirs. */
const noListeners: ReadonlyArray<Listener> = [];
let lastSingle = noListeners;
const singleOf = (listener: Listener): ReadonlyArray<Listener> =>
  lastSingle[0] === listener ? lastSingle : lastSingle = [listener];

type Refusal = Exit.Exit<never, CircuitOpen>;

const ask: Event = { _tag: "Ask" };
const hasten: Event = { _tag: "Hasten" };

/** The breaker behind `CircuitBreaker.make`. Ten thousand are to fit into 5 MB. */
export class Breaker implements CircuitBreaker {
  readonly #cell: MutableRef.MutableRef<State>;
  readonly #policy: Policy;
  readonly #seed: number;
  #stateChangedAt: number;
  #successes = 0;
  #trouble: Trouble | undefined;
  #listeners: ReadonlyArray<Listener> = noListeners;
  /** Successes in the bucket `#runIndex` that the state does not hold yet; see `#succeed`. */
  #run = 0;
  #runIndex = 0;

  constructor(
    readonly name: string,
    ref: Ref.Ref<State>,
    policy: Policy,
    seed: number,
    now: number,
  ) {
    this.#cell = cellOf(ref);
    this.#policy = policy;
    this.#seed = seed;
    this.#stateChangedAt = now;
  }

  // Made when asked for, as is `control`: ten thousand breakers would hold a function each.
  get protect(): CircuitBreaker["protect"] {
    return (self, classify = classifyExit) =>
      Effect.withFiberRuntime((fiber) => this.#protect(fiber, self, classify));
  }

  #protect<A, E, R>(
    fiber: Fiber.RuntimeFiber<unknown, unknown>,
    self: Effect.Effect<A, E, R>,
    classify: (exit: Exit.Exit<A, E>) => Outcome,
  ): Effect.Effect<A, E | CircuitOpen, R> {
    const state = this.#cell.current;
    const clock = clockOf(fiber);
    if (state._tag !== "closed") return this.#protectTrial(clock, self, classify);
    if (state.mode === "disabled") return self;
    const admission = this.#closedAdmission(state, clock);
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
        // What most calls come to needs no judgement.
        if (classify === classifyExit && this.#policy.countsRuns) this.#succeed(clock, admission);
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
  }

  /** The slow path, taken while open or half-open: masked, so that no trial can get lost. */
  #protectTrial<A, E, R>(
    clock: Clock.Clock,
    self: Effect.Effect<A, E, R>,
    classify: (exit: Exit.Exit<A, E>) => Outcome,
  ): Effect.Effect<A, E | CircuitOpen, R> {
    const state = this.#current();
    const now = recentMillis(clock);
    // Most calls here are refused, and need no mask. The reading is at most 1 ms behind, so whoever
    // would be refused 1 ms after it is refused now; the others are judged by an exact one below.
    if (this.#policy.step(state, ask, now + 1) === state) return this.#reject(state, now);
    return Effect.uninterruptibleMask<A, E | CircuitOpen, R>((restore) => {
      const admission = this.#admit(clock);
      if (Exit.isExit(admission)) return admission;
      const settle = (exit: Exit.Exit<A, E>) => {
        this.#judge(clock, admission, exit, classify);
        return exit;
      };
      return Effect.matchCauseEffect(restore(self), {
        onSuccess: (value) => settle(Exit.succeed(value)),
        onFailure: (cause) => settle(Exit.failCause(cause)),
      });
    });
  }

  get acquire(): Effect.Effect<Permit, CircuitOpen> {
    return Effect.clockWith((clock) => {
      const admission = this.#admit(clock);
      if (Exit.isExit(admission)) return admission;
      // A disabled breaker records nothing, just as `protect` does not.
      let isSettled = this.#current().mode === "disabled";
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
          this.#policy.rules,
          this.#current(),
          monotonicMillis(clock),
          clock.unsafeCurrentTimeMillis(),
        ),
        name: this.name,
        rejected: this.#trouble?.rejected ?? 0,
        stateChangedAt: this.#stateChangedAt,
      })
    );
  }

  get retryAfter(): Effect.Effect<Duration.Duration> {
    return Effect.clockWith((clock) => {
      const state = this.#current();
      const now = monotonicMillis(clock);
      const isAdmitted = state._tag === "closed" || this.#policy.step(state, ask, now) !== state;
      return Effect.succeed(
        isAdmitted ? Duration.zero : Duration.millis(restOf(this.#policy.rules, state, now)),
      );
    });
  }

  get totals(): Effect.Effect<Totals> {
    return Effect.sync(() => ({
      successes: this.#successes,
      failures: this.#trouble?.failures ?? 0,
      neutral: this.#trouble?.neutral ?? 0,
      timeouts: this.#trouble?.timeouts ?? 0,
      rejected: this.#trouble?.rejected ?? 0,
      transitions: (this.#trouble?.transitions ?? []).map((transition) => ({ ...transition })),
    }));
  }

  // Made when asked for: ten thousand breakers would hold a function each that hardly one needs.
  get control(): CircuitBreaker["control"] {
    return (action) =>
      Effect.clockWith((clock) => {
        const now = monotonicMillis(clock);
        const state = this.#current();
        const next = this.#policy.step(state, { _tag: "Control", action }, now);
        this.#commit(clock, now, state, next, "control");
        return Effect.void;
      });
  }

  get hasten(): Effect.Effect<boolean> {
    return Effect.clockWith((clock) => {
      const state = this.#current();
      this.#cell.current = this.#policy.step(state, hasten, monotonicMillis(clock));
      return Effect.succeed(this.#current() !== state);
    });
  }

  get changes(): Stream.Stream<StateChange> {
    return fromSubscribe((listener) => this.unsafeOnChange(listener));
  }

  unsafeOnChange(listener: (change: StateChange) => void): () => void {
    if (this.#listeners.length === 0) this.#listeners = singleOf(listener);
    else if (!this.#listeners.includes(listener)) this.#listeners = [...this.#listeners, listener];
    return () => {
      this.#listeners = this.#listeners.filter((other) => other !== listener);
    };
  }

  unsafeState(): State["_tag"] {
    return this.#current()._tag;
  }

  unsafeAdmit(clock: Clock.Clock): Admission | undefined {
    const state = this.#current();
    if (state._tag !== "closed" || state.mode === "disabled") return undefined;
    return this.#closedAdmission(state, clock);
  }

  #closedAdmission({ epoch }: State, clock: Clock.Clock): Admission {
    return { epoch, trial: 0, startedAt: this.#policy.timesCalls ? monotonicMillis(clock) : 0 };
  }

  unsafeSettle<A, E>(
    clock: Clock.Clock,
    admission: Admission,
    exit: Exit.Exit<A, E>,
    classify: (exit: Exit.Exit<A, E>) => Outcome,
  ): void {
    this.#judge(clock, admission, exit, classify);
  }

  unsafeRefuse(clock: Clock.Clock): CircuitOpen | undefined {
    const state = this.#current();
    if (state._tag === "closed") return undefined;
    const now = recentMillis(clock);
    // As in `#protectTrial`.
    if (this.#policy.step(state, ask, now + 1) !== state) return undefined;
    this.#reject(state, now);
    return this.#trouble?.lastRejection?.error;
  }

  #admit(clock: Clock.Clock): Admission | Refusal {
    const state = this.#current();
    if (state._tag === "closed") return this.#closedAdmission(state, clock);
    const now = monotonicMillis(clock);
    const next = this.#policy.step(state, ask, now);
    if (next === state || next._tag !== "half-open") return this.#reject(state, now);
    this.#commit(clock, now, state, next, "admission");
    return { epoch: next.epoch, trial: next.nextTrial - 1, startedAt: now };
  }

  /**
   * Counts a rejection. Creating an `Error` costs more than all the rest of a rejection, so those of
   * one millisecond share theirs: under load that is most of them, and none is off by more than that.
   */
  #reject(state: State, now: number): Refusal {
    const trouble = this.#trouble ??= new Trouble();
    trouble.rejected += 1;
    const last = trouble.lastRejection;
    // The same state, not only its epoch: within one, trials come and go and their leases differ.
    if (last !== undefined && last.state === state && Math.abs(now - last.at) < 1) return last.exit;
    const error = refusalOf(this.name, this.#policy.rules, state, now);
    const exit = Exit.fail(error);
    trouble.lastRejection = { state, at: now, error, exit };
    return exit;
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
      if (outcome === "success" && this.#policy.countsRuns) this.#succeed(clock, admission);
      else this.#settle(clock, admission, outcome, hints);
    }
  }

  /**
   * `#settle` for most calls. A success opens nothing, so those of one bucket are counted as a run,
   * in place, and become part of the state when that is next looked at (`#current`): a state a call
   * would be three quarters of what a call costs.
   */
  #succeed(clock: Clock.Clock, admission: Admission): void {
    const state = this.#cell.current;
    if (state._tag !== "closed" || state.epoch !== admission.epoch) {
      return this.#settle(clock, admission, "success", noHints);
    }
    this.#successes += 1;
    const index = Math.floor(recentMillis(clock) / this.#policy.rules.bucketWidth);
    // Time going back changes nothing: an earlier index counts as this one.
    if (index > this.#runIndex) {
      this.#current();
      this.#runIndex = index;
    }
    this.#run += 1;
  }

  /** The state, complete. Everything but the two lines of the hot path reads it here. */
  #current(): State {
    const state = this.#cell.current;
    // A run belongs to the closed state it was counted in: nothing else replaces that unread.
    if (this.#run === 0 || state._tag !== "closed") return state;
    const complete = withSuccesses(this.#policy.rules, state, this.#runIndex, this.#run);
    this.#run = 0;
    this.#cell.current = complete;
    return complete;
  }

  #settle(clock: Clock.Clock, admission: Admission, outcome: Outcome, hints: Hints): void {
    if (outcome === "success") this.#successes += 1;
    else (this.#trouble ??= new Trouble()).count(outcome, hints.timedOut);
    const state = this.#current();
    if (state.epoch !== admission.epoch) return;
    const now = monotonicMillis(clock);
    const next = this.#policy.step(state, {
      _tag: "Settle",
      epoch: admission.epoch,
      trial: admission.trial,
      outcome,
      elapsed: this.#policy.timesCalls ? now - admission.startedAt : 0,
      retryAfter: hints.retryAfter,
      // A slow success can open, too.
      jitter: outcome === "failure" || this.#policy.timesCalls
        ? uniform(this.#seed, state.epoch)
        : 0,
    }, now);
    this.#commit(clock, now, state, next, outcome);
  }

  /** Writes the state back, and tells of it if it is another one. */
  #commit(
    clock: Clock.Clock,
    now: number,
    before: State,
    after: State,
    cause: ChangeCause,
  ): void {
    this.#cell.current = after;
    const observed = isObserved(before, after);
    if (before._tag === after._tag && !observed) return;
    const at = clock.unsafeCurrentTimeMillis();
    if (!observed) {
      this.#stateChangedAt = at;
      (this.#trouble ??= new Trouble()).change(before._tag, after._tag);
    }
    if (this.#listeners.length === 0) return;
    const change = changeOf(this.name, this.#policy.rules, before, after, cause, { at, now });
    for (const listener of this.#listeners) listener(change);
  }
}

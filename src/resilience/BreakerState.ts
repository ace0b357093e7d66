/**
 * The whole policy of a circuit breaker as one pure function, `step`.
 *
 * Invariants: every change of state begins a new epoch, and a result from an older epoch changes
 * nothing; while half-open, trials in flight plus trial successes never exceed `halfOpenMax`; no
 * state needs a timer to be left. `step` returns the same object when nothing changes.
 */
import * as AdaptiveThreshold from "./AdaptiveThreshold.ts";
import type { Rules } from "./BreakerSettings.ts";
import * as RollingWindow from "./RollingWindow.ts";

/** How a finished call speaks of the dependency; `neutral` says nothing about it. */
export type Outcome = "success" | "failure" | "neutral";

/**
 * What an operator can do to a breaker by hand. `open` rejects all until another action, whatever
 * the time; `close` and `reset` begin anew with nothing counted, `close` in the mode `disabled` or
 * `observe` if that was set; `disable` admits all and records nothing; `observe` records but never
 * opens, and says once when it would have; `auto` goes back to normal, after `open` with a trial.
 */
export type Action = "open" | "close" | "reset" | "disable" | "observe" | "auto";

/** `disabled` and `observe` never reject and read as closed. */
export type Mode = "auto" | "forced-open" | "disabled" | "observe";

/** Results counted; consecutive runs are ended only by the opposite result, never by time. */
export interface Counts {
  readonly requests: number;
  readonly totalSuccesses: number;
  readonly totalFailures: number;
  readonly consecutiveSuccesses: number;
  readonly consecutiveFailures: number;
}

/** Calls are admitted and their results counted. */
export interface Closed {
  readonly _tag: "closed";
  readonly epoch: number;
  readonly mode: Exclude<Mode, "forced-open">;
  readonly window: RollingWindow.RollingWindow;
  readonly consecutiveSuccesses: number;
  readonly consecutiveFailures: number;
  /** In `observe` mode: this epoch has already said that it would have opened. */
  readonly observed: boolean;
  /** What an adaptive breaker has learned; every state carries it, only a reset forgets it. */
  readonly baseline: AdaptiveThreshold.Baseline;
}

/** Calls are turned away until it is due, or for as long as it is forced. */
export interface Open {
  readonly _tag: "open";
  readonly epoch: number;
  readonly mode: "auto" | "forced-open";
  /** Monotonic milliseconds at which a call is admitted again; not read while forced. */
  readonly until: number;
  /** The counts that tripped it, or that a forced opening found. */
  readonly counts: Counts;
  /** Before this (monotonic milliseconds) the dependency asked not to be called; not hastened. */
  readonly notBefore: number;
  /** Failed recoveries since the last close: the exponent of the opening's length. */
  readonly failedRecoveries: number;
  readonly baseline: AdaptiveThreshold.Baseline;
  /** Why an adaptive breaker left closed; `null` by the fixed rules and by hand. */
  readonly trip: AdaptiveThreshold.Trip | null;
}

/** A trial holds its place until it ends or its lease does. */
export interface Trial {
  readonly id: number;
  readonly until: number;
}

/** A few calls are let through as trials of whether the dependency is well again. */
export interface HalfOpen {
  readonly _tag: "half-open";
  readonly epoch: number;
  readonly mode: "auto";
  readonly trials: ReadonlyArray<Trial>;
  readonly successes: number;
  readonly nextTrial: number;
  readonly failedRecoveries: number;
  readonly baseline: AdaptiveThreshold.Baseline;
  readonly trip: AdaptiveThreshold.Trip | null;
}

/** All that decides about calls. Immutable: a change is another object. */
export type State = Closed | Open | HalfOpen;

/** What can happen to a breaker: a call asks, a call has ended, an operator acts. */
export type Event =
  | { readonly _tag: "Ask" }
  | {
    readonly _tag: "Settle";
    readonly epoch: number;
    /** The trial's id; not read for a call admitted while closed. */
    readonly trial: number;
    readonly outcome: Outcome;
    /** Milliseconds from admission to result; 0 when nobody measures. */
    readonly elapsed: number;
    /** Milliseconds the dependency asked to be left alone; 0 for no such hint. */
    readonly retryAfter: number;
    /** Uniform in [0, 1): the share of the jitter an opening caused by this result takes. */
    readonly jitter: number;
  }
  /** Somebody has seen the dependency live: an opening need not be waited for. */
  | { readonly _tag: "Hasten" }
  | { readonly _tag: "Control"; readonly action: Action };

/** A call has ended. */
export type Settle = Extract<Event, { readonly _tag: "Settle" }>;

/** A dependency's own hint cannot keep a breaker open for longer than this (milliseconds). */
const longestHint = 5 * 60_000;

const closed = (
  epoch: number,
  mode: Closed["mode"],
  baseline: AdaptiveThreshold.Baseline,
): Closed => ({
  _tag: "closed",
  epoch,
  mode,
  window: RollingWindow.empty,
  consecutiveSuccesses: 0,
  consecutiveFailures: 0,
  observed: false,
  baseline,
});

/** Closed, in mode `auto`, nothing counted, nothing learned. */
export const initial: State = closed(0, "auto", AdaptiveThreshold.noBaseline);

/** Counts with one more result. */
export const withResult = (counts: Counts, failed: boolean): Counts => ({
  requests: counts.requests + 1,
  totalSuccesses: counts.totalSuccesses + (failed ? 0 : 1),
  totalFailures: counts.totalFailures + (failed ? 1 : 0),
  consecutiveSuccesses: failed ? 0 : counts.consecutiveSuccesses + 1,
  consecutiveFailures: failed ? counts.consecutiveFailures + 1 : 0,
});

const closedCounts = (state: Closed, window: RollingWindow.RollingWindow): Counts => ({
  requests: window.successes + window.failures,
  totalSuccesses: window.successes,
  totalFailures: window.failures,
  consecutiveSuccesses: state.consecutiveSuccesses,
  consecutiveFailures: state.consecutiveFailures,
});

/** The counts of a state at `now`: the window's, those that tripped it, or the trials'. */
export const countsAt = (rules: Rules, state: State, now: number): Counts => {
  switch (state._tag) {
    case "closed": {
      const index = Math.floor(now / rules.bucketWidth);
      return closedCounts(state, RollingWindow.advance(state.window, index, rules.buckets));
    }
    case "open":
      return state.counts;
    case "half-open":
      return {
        requests: state.successes,
        totalSuccesses: state.successes,
        totalFailures: 0,
        consecutiveSuccesses: state.successes,
        consecutiveFailures: 0,
      };
  }
};

/**
 * How long an opening lasts, in milliseconds: doubled per failed recovery, then jittered by whole
 * milliseconds, so that it ends exactly when `openUntil` says.
 */
const openingLength = (rules: Rules, failedRecoveries: number, jitter: number): number => {
  const grown = Math.min(rules.openFor * 2 ** Math.min(failedRecoveries, 60), rules.openForMax);
  return grown + Math.floor(grown * rules.openJitter * jitter);
};

const tripped = (
  rules: Rules,
  state: Closed | HalfOpen,
  counts: Counts,
  failedRecoveries: number,
  trip: AdaptiveThreshold.Trip | null,
  cause: Settle,
  now: number,
): Open => {
  const notBefore = now + Math.min(cause.retryAfter, longestHint);
  return {
    _tag: "open",
    epoch: state.epoch + 1,
    mode: "auto",
    until: Math.max(now + openingLength(rules, failedRecoveries, cause.jitter), notBefore),
    counts,
    notBefore,
    failedRecoveries,
    baseline: state.baseline,
    trip,
  };
};

/** A closed state with one more result, whatever follows from it. */
export const counted = (
  rules: Rules,
  state: Closed,
  now: number,
  failed: boolean,
  slow: boolean,
): Closed => {
  const index = Math.floor(now / rules.bucketWidth);
  const window = RollingWindow.record(state.window, index, rules.buckets, failed, slow);
  const consecutiveFailures = failed ? state.consecutiveFailures + 1 : 0;
  return {
    _tag: "closed",
    epoch: state.epoch,
    mode: state.mode,
    window,
    consecutiveSuccesses: failed ? 0 : state.consecutiveSuccesses + 1,
    consecutiveFailures,
    observed: state.observed,
    baseline: rules.adaptive === null
      ? state.baseline
      : AdaptiveThreshold.learn(rules.adaptive, state.baseline, state, {
        window,
        consecutiveFailures,
      }, failed),
  };
};

/**
 * A closed state with so many more successes in the bucket `index`, none of them slow, and nothing
 * learned from them: what {@link counted} makes of one after the other.
 */
export const withSuccesses = (
  rules: Rules,
  state: Closed,
  index: number,
  count: number,
): Closed => ({
  ...state,
  window: RollingWindow.recordSuccesses(state.window, index, rules.buckets, count),
  consecutiveSuccesses: state.consecutiveSuccesses + count,
  consecutiveFailures: 0,
});

const isTooSlow = (rules: Rules, { window }: Closed): boolean => {
  const requests = window.successes + window.failures;
  return requests >= rules.minimumRequests && window.slow / requests >= rules.slowCallRate;
};

const hasFailedTooOften = (rules: Rules, { window, consecutiveFailures }: Closed): boolean => {
  const requests = window.successes + window.failures;
  return consecutiveFailures >= rules.consecutiveFailures ||
    (requests >= rules.minimumRequests && window.failures / requests >= rules.failureRate);
};

/** Why an adaptive breaker opens after a result, the last one in `state`; `null` if it does not. */
export const tripAfter = (
  rules: Rules,
  state: Closed,
  failed: boolean,
  slow: boolean,
): AdaptiveThreshold.Trip | null => {
  const { adaptive, slowCallRate } = rules;
  if (adaptive === null) return null;
  const { baseline, window, consecutiveFailures } = state;
  const trip = failed
    ? AdaptiveThreshold.judge(adaptive, baseline, window, consecutiveFailures)
    : null;
  if (trip !== null || !slow || !isTooSlow(rules, state)) return trip;
  return AdaptiveThreshold.slowTrip(adaptive, baseline, window, slowCallRate);
};

const settleClosed = (rules: Rules, state: Closed, event: Settle, now: number): State => {
  if (event.outcome === "neutral" || state.mode === "disabled") return state;
  const failed = event.outcome === "failure";
  const slow = event.elapsed >= rules.slowCallDuration;
  const next = counted(rules, state, now, failed, slow);
  const trip = tripAfter(rules, next, failed, slow);
  const opens = rules.adaptive === null
    ? (failed && hasFailedTooOften(rules, next)) || (slow && isTooSlow(rules, next))
    : trip !== null;
  if (!opens) return next;
  return state.mode === "observe"
    ? { ...next, observed: true }
    : tripped(rules, state, closedCounts(next, next.window), 0, trip, event, now);
};

const settleHalfOpen = (rules: Rules, state: HalfOpen, event: Settle, now: number): State => {
  const trial = state.trials.find(({ id }) => id === event.trial);
  if (trial === undefined || now >= trial.until) return state;
  if (event.outcome === "failure") {
    const counts = withResult(countsAt(rules, state, now), true);
    return tripped(rules, state, counts, state.failedRecoveries + 1, state.trip, event, now);
  }
  const trials = state.trials.filter(({ id }) => id !== event.trial);
  if (event.outcome === "neutral") return { ...state, trials };
  const successes = state.successes + 1;
  return successes >= rules.halfOpenMax
    ? closed(state.epoch + 1, "auto", state.baseline)
    : { ...state, trials, successes };
};

const ask = (rules: Rules, state: State, now: number): State => {
  if (state._tag === "closed") return state;
  if (state._tag === "open") {
    if (state.mode === "forced-open" || now < state.until) return state;
    return {
      _tag: "half-open",
      epoch: state.epoch + 1,
      mode: "auto",
      trials: [{ id: 0, until: now + rules.trialLease }],
      successes: 0,
      nextTrial: 1,
      failedRecoveries: state.failedRecoveries,
      baseline: state.baseline,
      trip: state.trip,
    };
  }
  const trials = state.trials.filter(({ until }) => now < until);
  if (trials.length + state.successes >= rules.halfOpenMax) return state;
  trials.push({ id: state.nextTrial, until: now + rules.trialLease });
  return { ...state, trials, nextTrial: state.nextTrial + 1 };
};

const control = (rules: Rules, state: State, action: Action, now: number): State => {
  const epoch = state.epoch + 1;
  switch (action) {
    case "open":
      if (state.mode === "forced-open") return state;
      return {
        _tag: "open",
        epoch,
        mode: "forced-open",
        until: now,
        counts: countsAt(rules, state, now),
        notBefore: now,
        failedRecoveries: state._tag === "closed" ? 0 : state.failedRecoveries,
        baseline: state.baseline,
        trip: null,
      };
    case "close":
      return closed(epoch, state._tag === "closed" ? state.mode : "auto", state.baseline);
    case "reset":
      return closed(epoch, "auto", AdaptiveThreshold.noBaseline);
    case "disable":
      return state.mode === "disabled" ? state : closed(epoch, "disabled", state.baseline);
    case "observe":
      if (state.mode === "observe") return state;
      return state._tag === "closed" && state.mode === "auto"
        ? { ...state, mode: "observe", observed: false }
        : closed(epoch, "observe", state.baseline);
    case "auto":
      if (state.mode === "auto") return state;
      if (state._tag === "open") return { ...state, mode: "auto", until: now };
      return state.mode === "disabled"
        ? closed(epoch, "auto", state.baseline)
        : { ...state, mode: "auto", observed: false };
  }
};

/** Due now, or when the dependency's own hint ends. A forced opening is its operator's alone. */
const hasten = (state: State, now: number): State => {
  if (state._tag !== "open" || state.mode !== "auto") return state;
  const until = Math.max(now, state.notBefore);
  return until < state.until ? { ...state, until } : state;
};

/** Uniform in [0, 1) from a seed and an epoch (splitmix32), so that {@link step} stays pure. */
export const uniform = (seed: number, epoch: number): number => {
  let hash = (seed + Math.imul(epoch, 0x9e3779b9)) | 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97);
  return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32;
};

/**
 * The next state. A call that asks is admitted iff it finds the breaker closed, or the state that
 * comes back is another one: then its trial is the last in the list. `now` is monotonic
 * milliseconds.
 */
export const step = (rules: Rules) => (state: State, event: Event, now: number): State => {
  switch (event._tag) {
    case "Ask":
      return ask(rules, state, now);
    case "Control":
      return control(rules, state, event.action, now);
    case "Hasten":
      return hasten(state, now);
    case "Settle":
      if (event.epoch !== state.epoch) return state;
      if (state._tag === "closed") return settleClosed(rules, state, event, now);
      return state._tag === "half-open" ? settleHalfOpen(rules, state, event, now) : state;
  }
};

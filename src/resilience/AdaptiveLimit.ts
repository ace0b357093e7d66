/**
 * A concurrency limit that follows the latency of what it protects: where answers come slower the
 * more calls are under way, the calls queue in the dependency and are better refused here.
 *
 * The update is Netflix's Gradient2 (concurrency-limits), `limit × gradient + √limit`, smoothed, and
 * no growth while less than half of the limit is used. The latency it is compared to is measured as
 * Envoy's adaptive concurrency filter does, again and again at jittered times under little load: for
 * ten answers no more calls run than a quarter of the limit. The others wait for so long, within the
 * limit, and a window that had no more calls than that anyway is a measurement by itself.
 * What is slow also then, in two measurements in a row, is taken for the dependency's own speed:
 * other rules are for that.
 */
import { Effect, Exit, Random } from "effect";
import { type Outcome, uniform } from "./BreakerState.ts";
import { classifyExit, hintsOf } from "./Classification.ts";
import * as InvalidPolicy from "./InvalidPolicy.ts";
import { clockOf, monotonicMillis } from "./Monotonic.ts";

/** What bounds the limit and how fast it moves. */
export interface Settings {
  /** Most calls at a time, and the limit at first; at least 1. There is no default. */
  readonly ceiling: number;
  /** The limit never falls below this, nor below the ceiling if that is less; at least 1 [4]. */
  readonly floor: number;
  /** So many times the least latency is still no queueing; at least 1 [1.5]. */
  readonly tolerance: number;
  /** Share of the way to each new limit that is gone; more than 0 up to 1 [0.2]. */
  readonly smoothing: number;
  /** Mean milliseconds between two measurements of the least latency, ±25 %; at least 1 [30,000]. */
  readonly measureEvery: number;
}

export const defaults: Settings = {
  ceiling: 1,
  floor: 4,
  tolerance: 1.5,
  smoothing: 0.2,
  measureEvery: 30_000,
};

const rules = {
  ceiling: InvalidPolicy.count,
  floor: InvalidPolicy.count,
  tolerance: InvalidPolicy.atLeastOne,
  smoothing: InvalidPolicy.share,
  measureEvery: InvalidPolicy.atLeastOne,
};

/** One call that reached the dependency and ended in an answer or for want of one. Milliseconds. */
export interface Sample {
  /** Monotonic time at which it began. */
  readonly startedAt: number;
  readonly latency: number;
  /** Calls under way when it began, itself included. */
  readonly inFlight: number;
}

export interface State {
  /** With its fraction: small steps add up. */
  readonly limit: number;
  /** The least latency, of medians; `Infinity` before the first. */
  readonly least: number;
  /** Latencies of this window, the latest ones if there are many. */
  readonly latencies: ReadonlyArray<number>;
  /** When this window began (monotonic milliseconds). */
  readonly since: number;
  /** Most calls in flight that a sample of this window has seen. */
  readonly busiest: number;
  /** True while the least latency is measured anew, under a quarter of the limit. */
  readonly measuring: boolean;
  /** What the last measurement found, if that was too much to be believed at once; else `Infinity`. */
  readonly suspected: number;
  /** When it is to be measured next. */
  readonly measureAt: number;
  /** Measurements so far: what the jitter is taken from. */
  readonly measured: number;
  /** The limit at the last measurement. */
  readonly limitThen: number;
  /** Windows in a row that ended at the floor, or at less than half of `limitThen`. */
  readonly doubts: number;
}

/** A window lasts at least so many milliseconds and samples: the median of few says nothing. */
const windowLength = 250;
const windowSamples = 10;

/** Latencies kept of one window. */
const maxSamples = 64;

/**
 * When the limit has fallen far for so many windows, the least latency is doubted and measured before
 * its time: perhaps nothing queues, and the dependency has become slower for all.
 */
const doubtful = 5;

/**
 * A measurement below this share of what was known has found calls queueing where none were thought
 * to, and more may be left.
 */
const surprise = 0.8;

/** Milliseconds, on average, to the next measurement after one that found what was not expected. */
const measureSoon = 1_000;

/** Below a millisecond there is nothing but noise. */
const noise = 1;

/** At the ceiling; the first full window leads to the first measurement. */
export const initial = ({ ceiling }: Settings): State => ({
  limit: ceiling,
  least: Infinity,
  latencies: [],
  since: -Infinity,
  busiest: 0,
  measuring: false,
  suspected: Infinity,
  measureAt: -Infinity,
  measured: 0,
  limitThen: ceiling,
  doubts: 0,
});

const floorOf = ({ floor, ceiling }: Settings): number => Math.min(floor, ceiling);

/** Calls under which the least latency is measured. */
const littleLoad = (settings: Settings, { limit }: State): number =>
  Math.max(floorOf(settings), Math.floor(limit / 4));

/** How many calls may be under way in this state. */
export const allowed = (settings: Settings, state: State): number =>
  state.measuring ? littleLoad(settings, state) : Math.floor(state.limit);

const medianOf = (latencies: ReadonlyArray<number>): number => {
  const sorted = latencies.toSorted((one, another) => one - another);
  return sorted[sorted.length >> 1] ?? noise;
};

const moved = (settings: Settings, limit: number, least: number, median: number): number => {
  const gradient = Math.max(0.5, Math.min(1, settings.tolerance * least / median));
  const target = limit * gradient + Math.sqrt(limit);
  const smoothed = limit + (target - limit) * settings.smoothing;
  return Math.max(floorOf(settings), Math.min(settings.ceiling, smoothed));
};

const afterWindow = (
  settings: Settings,
  state: State,
  median: number,
  now: number,
  seed: number,
): State => {
  const least = Math.min(state.least, median);
  const isUsed = state.busiest >= state.limit / 2;
  const limit = isUsed ? moved(settings, state.limit, least, median) : state.limit;
  const isLow = Math.floor(limit) <= Math.max(floorOf(settings), state.limitThen / 2);
  const doubts = isLow ? state.doubts + 1 : 0;
  const measuring = now >= state.measureAt || doubts >= doubtful;
  if (measuring && state.busiest <= littleLoad(settings, state)) {
    return afterMeasurement(settings, state, median, now, seed);
  }
  return { ...state, limit, least, doubts, measuring, latencies: [], since: now, busiest: 0 };
};

/**
 * That calls have become slower than is tolerated takes two measurements that say so: what slows calls
 * down just while the first one is made must not be taken for usual until the next.
 */
const afterMeasurement = (
  settings: Settings,
  state: State,
  median: number,
  now: number,
  seed: number,
): State => {
  const isSlower = median > settings.tolerance * state.least;
  const isSuspected = isSlower && state.suspected === Infinity;
  const isSoon = isSuspected || median < surprise * state.least;
  const wait = isSoon ? Math.min(measureSoon, settings.measureEvery) : settings.measureEvery;
  return {
    ...state,
    least: isSuspected ? state.least : Math.min(state.suspected, median),
    suspected: isSuspected ? median : Infinity,
    measuring: false,
    measured: state.measured + 1,
    measureAt: now + wait * (0.75 + uniform(seed, state.measured) / 2),
    limitThen: state.limit,
    doubts: 0,
    latencies: [],
    since: now,
    busiest: 0,
  };
};

/** The state after a sample that ended at `now`. `seed` is one limit's own, for its jitter. */
export const step = (settings: Settings, seed: number) =>
(
  state: State,
  sample: Sample,
  now: number,
): State => {
  // What began under the full load says nothing of the least latency.
  if (state.measuring && sample.startedAt < state.since) return state;
  const latencies = [...state.latencies.slice(1 - maxSamples), Math.max(noise, sample.latency)];
  const next = { ...state, latencies, busiest: Math.max(state.busiest, sample.inFlight) };
  if (latencies.length < windowSamples) return next;
  if (state.measuring) return afterMeasurement(settings, next, medianOf(latencies), now, seed);
  if (now < state.since + windowLength) return next;
  return afterWindow(settings, next, medianOf(latencies), now, seed);
};

/** A limit in use. */
export interface AdaptiveLimit {
  /** How many calls may be under way now. */
  readonly current: number;
  /** How many may be when the measurement under way is over; `current` when none is. */
  readonly whole: number;
  readonly ceiling: number;
  /** Runs a call that has its place and learns from its latency; `inFlight` counts it too. */
  readonly measure: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    inFlight: number,
  ) => Effect.Effect<A, E, R>;
}

/**
 * Makes a limit that starts at its ceiling. Samples are successes, by `classify`, and failures whose
 * error has `timedOut: true`. Refusals, interruptions and what fails in no time are none.
 */
export const make = (
  name: string,
  settings: Pick<Settings, "ceiling"> & Partial<Settings>,
  classify: (exit: Exit.Exit<unknown, unknown>) => Outcome = classifyExit,
): Effect.Effect<AdaptiveLimit, InvalidPolicy.InvalidPolicy> =>
  Effect.gen(function* () {
    const policy = `adaptive limit "${name}"`;
    const given = { ...settings, ceiling: settings.ceiling ?? NaN };
    const valid = yield* InvalidPolicy.check(policy, defaults, given, rules);
    const seed = yield* Random.nextIntBetween(0, 2 ** 31);
    return new Limit(valid, seed, classify);
  });

class Limit implements AdaptiveLimit {
  current: number;
  whole: number;
  readonly ceiling: number;
  readonly #settings: Settings;
  readonly #next: ReturnType<typeof step>;
  readonly #classify: (exit: Exit.Exit<unknown, unknown>) => Outcome;
  #state: State;

  constructor(
    settings: Settings,
    seed: number,
    classify: (exit: Exit.Exit<unknown, unknown>) => Outcome,
  ) {
    this.#settings = settings;
    this.#next = step(settings, seed);
    this.#classify = classify;
    this.#state = initial(settings);
    this.ceiling = settings.ceiling;
    this.current = settings.ceiling;
    this.whole = settings.ceiling;
  }

  measure<A, E, R>(self: Effect.Effect<A, E, R>, inFlight: number): Effect.Effect<A, E, R> {
    return Effect.withFiberRuntime((fiber) => {
      const clock = clockOf(fiber);
      const startedAt = monotonicMillis(clock);
      const settle = (exit: Exit.Exit<A, E>) => {
        if (this.#isSample(exit)) {
          const now = monotonicMillis(clock);
          this.#state = this.#next(
            this.#state,
            { startedAt, latency: now - startedAt, inFlight },
            now,
          );
          this.current = allowed(this.#settings, this.#state);
          this.whole = Math.floor(this.#state.limit);
        }
        return exit;
      };
      return Effect.matchCauseEffect(self, {
        onSuccess: (value) => settle(Exit.succeed(value)),
        onFailure: (cause) => settle(Exit.failCause(cause)),
      });
    });
  }

  #isSample(exit: Exit.Exit<unknown, unknown>): boolean {
    const outcome = this.#classify(exit);
    return outcome === "success" || (outcome === "failure" && hintsOf(exit).timedOut);
  }
}

/** One step of the adaptive limit at a time: the rule's numbers and its edges. */
import assert from "node:assert/strict";
import * as AdaptiveLimit from "../../../src/resilience/AdaptiveLimit.ts";
import { uniform } from "../../../src/resilience/BreakerState.ts";
import { describe, it } from "../../support/it.ts";

const settings: AdaptiveLimit.Settings = { ...AdaptiveLimit.defaults, ceiling: 100 };
const seed = 7;

/** At 64 calls, 10 ms at the least; the window began at 1,000 ms, and a measurement is far off. */
const usual: AdaptiveLimit.State = {
  ...AdaptiveLimit.initial(settings),
  limit: 64,
  least: 10,
  since: 1_000,
  measureAt: 60_000,
};

/** The state after samples of these latencies that all end at `now`. */
const after = (
  latencies: ReadonlyArray<number>,
  { state = usual, now = 1_250, inFlight = 64, startedAt = 1_000, ...own }: {
    readonly state?: AdaptiveLimit.State;
    readonly now?: number;
    readonly inFlight?: number;
    readonly startedAt?: number;
    readonly ceiling?: number;
    readonly floor?: number;
    readonly measureEvery?: number;
  } = {},
): AdaptiveLimit.State => {
  const step = AdaptiveLimit.step({ ...settings, ...own }, seed);
  return latencies.reduce(
    (state, latency) => step(state, { startedAt, latency, inFlight }, now),
    state,
  );
};

const ten = (latency: number) => Array.from({ length: 10 }, () => latency);

describe("AdaptiveLimit.step() at the end of a window", () => {
  it("goes a fifth of the way to limit × gradient + √limit, the gradient from a half to 1", () => {
    const limits = [10, 15, 20, 25, 30, 1_000].map((latency) => after(ten(latency)).limit);
    const expected = [1, 1, 3 / 4, 3 / 5, 1 / 2, 1 / 2].map((gradient) =>
      64 + (64 * gradient + 8 - 64) * 0.2
    );
    assert.deepEqual(limits, expected);
  });

  it("stays between floor and ceiling, and at the ceiling when that is below the floor", () => {
    assert.equal(after(ten(10), { ceiling: 65 }).limit, 65);
    assert.equal(after(ten(1_000), { floor: 63 }).limit, 63);
    const small = { ...usual, limit: 3, busiest: 3 };
    assert.equal(after(ten(1_000), { state: small, ceiling: 3 }).limit, 3);
  });

  it("is after ten samples and 250 ms, whichever comes later", () => {
    const nine = after(ten(20).slice(1));
    assert.deepEqual([nine.limit, nine.latencies.length, nine.since], [64, 9, 1_000]);
    const early = after(ten(20), { now: 1_249 });
    assert.deepEqual([early.limit, early.latencies.length], [64, 10]);
    const ended = after(ten(20));
    assert.notEqual(ended.limit, 64);
    assert.deepEqual([ended.latencies, ended.since, ended.busiest], [[], 1_250, 0]);
  });

  it("moves when any sample has seen half of the limit used, and only then", () => {
    assert.equal(after(ten(20), { inFlight: 31 }).limit, 64);
    assert.equal(after(ten(20), { inFlight: 32 }).limit, after(ten(20)).limit);
    const [first, ...rest] = ten(20);
    const busy = after([first ?? NaN], { inFlight: 40 });
    assert.equal(after(rest, { state: busy, inFlight: 1 }).limit, after(ten(20)).limit);
  });

  it("takes the upper median, and a new least latency from it at once", () => {
    const mixed = after([90, 1, 80, 2, 70, 3, 60, 4, 50, 5]);
    assert.equal(mixed.least, 10);
    assert.equal(mixed.limit, after(ten(50)).limit);
    const quick = after([8, 8, 8, 8, 8, 6, 6, 6, 6, 6]);
    assert.deepEqual([quick.least, quick.limit], [8, after(ten(10)).limit]);
  });

  it("takes all below a millisecond for one", () => {
    assert.equal(after(ten(0.1)).least, 1);
    assert.deepEqual(after([0, 1.5]).latencies, [1, 1.5]);
  });

  it("goes by the latest 64 latencies of a window", () => {
    const early = { state: { ...usual, since: 1_200 }, now: 1_210 };
    const many = after(Array.from({ length: 70 }, (_, index) => 10 + index), early);
    assert.deepEqual(many.latencies, Array.from({ length: 64 }, (_, index) => 16 + index));
  });

  it("leads to a measurement when one is due, or after five windows at which the limit is low", () => {
    assert.equal(after(ten(10), { now: 59_999 }).measuring, false);
    assert.equal(after(ten(10), { now: 60_000 }).measuring, true);
    let state: AdaptiveLimit.State = { ...usual, limit: 30, limitThen: 64 };
    for (let window = 1; window <= 5; window++) {
      state = after(ten(10), { state, now: state.since + 250, inFlight: 14 });
      assert.deepEqual([state.doubts, state.measuring], [window, window === 5]);
    }
  });

  it("doubts while the limit is at the floor or at half of what it was when last measured", () => {
    const doubts = (limit: number, limitThen: number) =>
      after(ten(10), { state: { ...usual, limit, limitThen, doubts: 2 }, inFlight: 1 }).doubts;
    assert.deepEqual([doubts(4.9, 4), doubts(5, 4)], [3, 0]);
    assert.deepEqual([doubts(32, 64), doubts(33, 64)], [3, 0]);
  });

  it("is a measurement by itself when one is due and no more calls ran than in one", () => {
    const due = { now: 60_000, state: { ...usual, limitThen: 40 } };
    const quiet = after(ten(9), { ...due, inFlight: 16 });
    assert.deepEqual([quiet.measuring, quiet.measured, quiet.limitThen], [false, 1, 64]);
    assert.deepEqual(after(ten(9), { ...due, inFlight: 17 }).measuring, true);
  });
});

describe("AdaptiveLimit.step() while it measures", () => {
  const measuring: AdaptiveLimit.State = {
    ...usual,
    measuring: true,
    measured: 3,
    limitThen: 50,
    doubts: 5,
    busiest: 9,
  };
  const jitter = 0.75 + uniform(seed, 3) / 2;

  const measured = {
    ...usual,
    measured: 4,
    measureAt: 1_001 + 30_000 * jitter,
    limitThen: 64,
    since: 1_001,
  };

  it("takes the median of ten samples for the least latency, however soon", () => {
    for (const latency of [9, 15]) {
      const next = after(ten(latency), { state: measuring, now: 1_001 });
      assert.deepEqual(next, { ...measured, least: latency });
    }
    assert.equal(after(ten(9).slice(1), { state: measuring }).measuring, true);
  });

  it("takes what is slower than tolerated for usual when a second measurement says so, too", () => {
    const suspected = after(ten(40), { state: measuring, now: 1_001 });
    const measureAt = 1_001 + 1_000 * jitter;
    assert.deepEqual(suspected, { ...measured, measureAt, suspected: 40 });
    const again = { state: { ...suspected, measuring: true }, now: measureAt, startedAt: 1_001 };
    assert.deepEqual([after(ten(50), again).least, after(ten(50), again).suspected], [
      40,
      Infinity,
    ]);
    assert.deepEqual([after(ten(12), again).least, after(ten(12), again).suspected], [
      12,
      Infinity,
    ]);
  });

  it("takes no sample that began before it", () => {
    const state = after(ten(9), { state: measuring, startedAt: 999 });
    assert.equal(state, measuring);
  });

  it("measures again in about a second after finding less than four fifths", () => {
    const next = (latency: number, measureEvery = 30_000) =>
      after(ten(latency), { state: measuring, now: 2_000, measureEvery }).measureAt - 2_000;
    assert.equal(next(8), 30_000 * jitter);
    assert.equal(next(7.99), 1_000 * jitter);
    assert.equal(next(7.99, 400), 400 * jitter);
  });
});

describe("AdaptiveLimit.allowed()", () => {
  it("is the whole limit, or a quarter of it while it measures, at least the floor", () => {
    const at = (limit: number, measuring: boolean) =>
      AdaptiveLimit.allowed(settings, { ...usual, limit, measuring });
    assert.deepEqual([at(64.9, false), at(67.9, true), at(9, true)], [64, 16, 4]);
    const small = { ...settings, ceiling: 2 };
    assert.equal(AdaptiveLimit.allowed(small, { ...usual, limit: 2, measuring: true }), 2);
  });

  it("is the ceiling at first, and the first full window leads to a measurement", () => {
    const state = AdaptiveLimit.initial(settings);
    assert.equal(AdaptiveLimit.allowed(settings, state), 100);
    const measuring = after(ten(10), { state, now: 0 });
    assert.deepEqual([measuring.measuring, measuring.least, measuring.limit], [true, 10, 100]);
  });
});

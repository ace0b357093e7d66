import assert from "node:assert/strict";
import { Clock, Effect, TestClock } from "effect";
import { clockOf, monotonicMillis, recentMillis } from "../../src/resilience/Monotonic.ts";
import { describe, it } from "../support/it.ts";

const now = Clock.clockWith((clock) => Effect.sync(() => monotonicMillis(clock)));

describe("monotonicMillis()", () => {
  it.effect("reads whole milliseconds exactly, also of a clock that stands at a date", () =>
    Effect.gen(function* () {
      const begin = Date.UTC(2025, 10, 24, 16, 0, 0);
      for (let ms = begin; ms < begin + 1_000; ms++) {
        yield* TestClock.setTime(ms);
        assert.equal(yield* now, ms);
      }
    }));

  it.effect("keeps parts of a millisecond", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(12.345);
      assert.equal(yield* now, 12.345);
    }));

  it.live("does not go back", () =>
    Effect.gen(function* () {
      const first = yield* now;
      assert.ok((yield* now) >= first);
    }));
});

const recent = Clock.clockWith((clock) => Effect.sync(() => recentMillis(clock)));

describe("recentMillis()", () => {
  it.effect("asks any other clock than the live one each time", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_000.25);
      assert.equal(yield* recent, 1_000.25);
      yield* TestClock.setTime(1_000.5);
      assert.equal(yield* recent, 1_000.5);
    }));

  it.live("is monotonicMillis() of at most a millisecond ago", () =>
    Effect.gen(function* () {
      for (let time = 0; time < 1_000; time++) {
        const before = yield* now;
        const reading = yield* recent;
        // A wall clock's millisecond need not begin with one of the other clock.
        assert.ok(reading > before - 1.5 && reading <= (yield* now));
      }
    }));

  it.live("keeps a reading for a millisecond, and no longer", () =>
    Effect.gen(function* () {
      const readings: Array<number> = [];
      const end = (yield* now) + 20;
      while ((yield* now) < end) readings.push(yield* recent);
      const different = new Set(readings).size;
      assert.ok(different < readings.length, "every reading was a new one");
      assert.ok(different > 1, "no reading was a new one");
    }));
});

describe("clockOf()", () => {
  const ofFiber = Effect.withFiberRuntime<Clock.Clock>((fiber) => Effect.succeed(clockOf(fiber)));

  it.effect("is the clock that the fiber was given", () =>
    Effect.gen(function* () {
      assert.equal(yield* ofFiber, yield* Effect.clock);
      yield* TestClock.setTime(5);
      assert.equal(monotonicMillis(yield* ofFiber), 5);
    }));

  it.live("is the live clock otherwise", () =>
    Effect.gen(function* () {
      assert.equal(yield* ofFiber, yield* Effect.clock);
    }));
});

import assert from "node:assert/strict";
import { Clock, Effect, TestClock } from "effect";
import { monotonicMillis } from "../../src/resilience/Monotonic.ts";
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

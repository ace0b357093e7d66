/** What an adaptive breaker says of itself, in numbers and in words. */
import assert from "node:assert/strict";
import { Effect, TestClock } from "effect";
import type { Trip } from "../../src/resilience/AdaptiveThreshold.ts";
import { reasonOf } from "../../src/resilience/BreakerExplanation.ts";
import { describe, it } from "../support/it.ts";
import { begin, make, record, run } from "./CircuitBreaker/support.ts";

const trip: Trip = {
  rule: "failure-rate",
  failures: 9,
  requests: 25,
  baseline: 0.005,
  threshold: 0.2,
};

describe("reasonOf()", () => {
  it("is half a sentence for each rule", () => {
    assert.deepEqual(
      ([
        trip,
        { ...trip, rule: "consecutive-failures", baseline: 0.12345 },
        { ...trip, rule: "slow-calls" },
      ] as const).map(reasonOf),
      [
        "9 of 25 failed where 0.5 % is normal",
        "9 in a row failed where 12 % is normal",
        "9 of 25 were slow",
      ],
    );
  });
});

const view = (breaker: Effect.Effect.Success<ReturnType<typeof make>>) =>
  Effect.map(breaker.snapshot, ({ adaptive }) => adaptive);

describe("the adaptive view of a snapshot", () => {
  it.effect("has, while closed, the threshold of as many results as the window holds", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ adaptive: true });
      const fresh = { baseline: 0.01, threshold: 1, trip: null };
      assert.deepEqual(yield* view(breaker), fresh);
      yield* run(breaker, "S".repeat(200));
      assert.deepEqual(yield* view(breaker), { ...fresh, threshold: 59 / 200 });
      yield* TestClock.adjust("1 hour");
      assert.deepEqual((yield* view(breaker))?.threshold, 1);
    }));

  it.effect("keeps, until it closes, why it opened", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ adaptive: true });
      const changes = yield* record(breaker);
      yield* run(breaker, "FFFFFFFF");
      const trip = changes[0]?.trip;
      assert.deepEqual(trip, {
        rule: "consecutive-failures",
        failures: 8,
        requests: 8,
        baseline: 0.01,
        threshold: 1,
      });
      const opened = { baseline: 0.01, threshold: 1, trip };
      assert.deepEqual(yield* view(breaker), opened);
      yield* TestClock.adjust("30 seconds");
      const trial = yield* begin(breaker);
      assert.deepEqual(yield* view(breaker), opened);
      yield* trial.end("failure");
      assert.deepEqual(yield* view(breaker), opened);
      yield* breaker.control("close");
      assert.equal((yield* view(breaker))?.trip, null);
      assert.deepEqual(changes.map((change) => change.trip), [
        trip,
        undefined,
        undefined,
        undefined,
      ]);
    }));

  it.effect("knows no reason for an opening by hand, and no threshold without results", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ adaptive: true });
      yield* run(breaker, "S".repeat(200));
      yield* breaker.control("open");
      assert.deepEqual(yield* view(breaker), { baseline: 0.01, threshold: 1, trip: null });
    }));

  it.effect("says in mode observe that slow calls would have opened it, successes among them", () =>
    Effect.gen(function* () {
      for (const script of ["FFFSS", "SSSSF"]) {
        const breaker = yield* make({ adaptive: true, slowCallDuration: 0 });
        yield* breaker.control("observe");
        const changes = yield* record(breaker);
        yield* run(breaker, script);
        assert.deepEqual(changes.map(({ observed, trip }) => [observed, trip]), [
          [true, { rule: "slow-calls", failures: 5, requests: 5, baseline: 0.01, threshold: 0.5 }],
        ]);
      }
    }));
});

/** Conformance B: what is counted, where, and for how long. */
import assert from "node:assert/strict";
import { Effect, Fiber } from "effect";
import * as CircuitBreaker from "../../../src/resilience/CircuitBreaker.ts";
import { describe, it } from "../../support/it.ts";
import { at, begin, counts, make, never, run, state } from "./support.ts";

describe("CircuitBreaker counts", () => {
  it.effect("B1 one success ends a run of failures and keeps the totals", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ minimumRequests: 100 });
      yield* run(breaker, "FFFFSF");
      assert.deepEqual((yield* breaker.snapshot).counts, {
        requests: 6,
        totalSuccesses: 1,
        totalFailures: 5,
        consecutiveSuccesses: 0,
        consecutiveFailures: 1,
      });
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("B3 failures at 9.9 s and 10.1 s are in one window", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ minimumRequests: 2, consecutiveFailures: null });
      yield* at(9_900);
      yield* run(breaker, "F");
      yield* at(10_100);
      yield* run(breaker, "F");
      assert.equal(yield* state(breaker), "open");
    }));

  it.effect("B4 only the oldest of ten full buckets leaves, with its successes and failures", () =>
    Effect.gen(function* () {
      const breaker = yield* make(never);
      for (let second = 0; second < 10; second++) {
        yield* at(second * 1_000);
        yield* run(breaker, second === 0 ? "SSFFF" : "SF");
      }
      assert.deepEqual(yield* counts(breaker), { requests: 23, successes: 11, failures: 12 });
      yield* at(10_000);
      assert.deepEqual(yield* counts(breaker), { requests: 18, successes: 9, failures: 9 });
    }));

  it.effect("B7 time going back changes nothing, and what ends then counts now", () =>
    Effect.gen(function* () {
      const breaker = yield* make(never);
      yield* at(5_000);
      yield* run(breaker, "F");
      yield* at(1_000);
      assert.deepEqual(yield* counts(breaker), { requests: 1, successes: 0, failures: 1 });
      yield* run(breaker, "F");
      yield* at(14_999);
      assert.deepEqual(yield* counts(breaker), { requests: 2, successes: 0, failures: 2 });
      yield* at(15_000);
      assert.deepEqual(yield* counts(breaker), { requests: 0, successes: 0, failures: 0 });
    }));

  it.effect("B7 a result counts in the bucket in which it ends", () =>
    Effect.gen(function* () {
      const breaker = yield* make(never);
      const call = yield* begin(breaker);
      yield* at(4_500);
      yield* call.end("failure");
      yield* at(13_999);
      assert.equal((yield* counts(breaker)).requests, 1);
      yield* at(14_000);
      assert.equal((yield* counts(breaker)).requests, 0);
    }));

  it.effect("B8 at exactly 10.000 s a result made at 0 s is out", () =>
    Effect.gen(function* () {
      const breaker = yield* make(never);
      yield* run(breaker, "F");
      yield* at(9_999);
      assert.equal((yield* counts(breaker)).requests, 1);
      yield* at(10_000);
      assert.equal((yield* counts(breaker)).requests, 0);
    }));

  it.effect("B10 reading alone expires: the rate falls as failures leave", () =>
    Effect.gen(function* () {
      const breaker = yield* make({
        minimumRequests: 2,
        failureRate: 1,
        consecutiveFailures: null,
      });
      yield* run(breaker, "S");
      for (let second = 0; second < 4; second++) {
        yield* at(second * 1_000);
        yield* run(breaker, "F");
      }
      yield* at(4_000);
      yield* run(breaker, "SSS");
      const rates: Array<number | null> = [];
      for (const second of [9, 10, 11, 12, 13]) {
        yield* at(second * 1_000);
        rates.push((yield* breaker.snapshot).failureRate);
      }
      assert.deepEqual(rates, [4 / 8, 3 / 6, 2 / 5, 1 / 4, 0 / 3]);
      yield* at(14_000);
      assert.equal((yield* breaker.snapshot).failureRate, null);
    }));

  it.effect("B11 counts slide second by second, and a gap of the window leaves only what is new", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ ...never, window: 5_000, buckets: 5 });
      const totals: Array<number> = [];
      yield* run(breaker, "SSS");
      for (const second of [1, 2, 3, 4, 5, 6]) {
        yield* at(second * 1_000);
        yield* run(breaker, "S");
        totals.push((yield* counts(breaker)).requests);
      }
      assert.deepEqual(totals, [4, 5, 6, 7, 5, 5]);
      yield* at(11_000);
      yield* run(breaker, "F");
      assert.deepEqual(yield* counts(breaker), { requests: 1, successes: 0, failures: 1 });
    }));

  it.effect("B13 after N failures and ten idle windows one failure makes a total of 1", () =>
    Effect.gen(function* () {
      const breaker = yield* make(never);
      yield* run(breaker, "F".repeat(17));
      yield* at(100_500);
      yield* run(breaker, "F");
      assert.deepEqual(yield* counts(breaker), { requests: 1, successes: 0, failures: 1 });
    }));

  it.effect("B13 any gap leaves exactly what is younger than the window", () =>
    Effect.gen(function* () {
      for (const gap of [9_000, 9_999, 10_000, 10_001, 19_999, 20_000, 20_001, 1e9]) {
        const breaker = yield* make(never);
        yield* at(0);
        yield* run(breaker, "FF");
        yield* at(gap);
        yield* run(breaker, "S");
        const failures = gap < 10_000 ? 2 : 0;
        assert.deepEqual(
          yield* counts(breaker),
          { requests: failures + 1, successes: 1, failures },
          `gap ${gap}`,
        );
      }
    }));

  it.effect("B16 the failure rate is null below the minimum, and 0 from it on", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const rate = Effect.map(breaker.snapshot, ({ failureRate }) => failureRate);
      assert.equal(yield* rate, null);
      yield* run(breaker, "SSSS");
      assert.equal(yield* rate, null);
      yield* run(breaker, "S");
      assert.equal(yield* rate, 0);
    }));

  it.effect("B17 rejections enter neither requests nor rate", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      const before = yield* breaker.snapshot;
      assert.equal(yield* run(breaker, "SFN"), "xxx");
      const after = yield* breaker.snapshot;
      assert.deepEqual(after, { ...before, rejected: 3 });
    }));

  it.effect("B18 calls still in flight are not in the denominator", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ consecutiveFailures: null });
      const running = yield* Effect.all(Array.from({ length: 20 }, () => begin(breaker)));
      assert.equal((yield* counts(breaker)).requests, 0);
      assert.equal(yield* run(breaker, "FFFFF"), "FFFFF");
      assert.equal(yield* state(breaker), "open");
      for (const call of running) yield* call.end("success");
    }));

  it.live("B19 totals are exact after 10 fibers made 10,000 calls each", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("busy", {
        ...never,
        window: "1 hour",
        buckets: 10,
      });
      const calls = (fiber: number) =>
        Effect.gen(function* () {
          for (let call = 0; call < 10_000; call++) {
            // Every seventh yields in the middle, so that the fibers interleave.
            const result = call % 7 === 0 ? Effect.yieldNow() : Effect.void;
            const ending = (call + fiber) % 3 === 0 ? Effect.fail("down") : Effect.void;
            yield* Effect.ignore(breaker.protect(Effect.zipRight(result, ending)));
          }
        });
      const fibers = yield* Effect.forEach(
        Array.from({ length: 10 }, (_, fiber) => fiber),
        (fiber) => Effect.fork(calls(fiber)),
      );
      yield* Effect.forEach(fibers, Fiber.join);
      const failures = Array.from({ length: 100_000 }, (_, index) => index)
        .filter((index) => (index % 10_000 + Math.floor(index / 10_000)) % 3 === 0).length;
      assert.deepEqual(yield* counts(breaker), {
        requests: 100_000,
        successes: 100_000 - failures,
        failures,
      });
      const totals = yield* breaker.totals;
      assert.deepEqual([totals.successes, totals.failures], [100_000 - failures, failures]);
    }));

  it.effect("B20 half-open counts are its own, and closing starts from zero", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "SSFFFFF");
      yield* at(30_000);
      yield* run(breaker, "SS");
      assert.deepEqual((yield* breaker.snapshot).counts, {
        requests: 2,
        totalSuccesses: 2,
        totalFailures: 0,
        consecutiveSuccesses: 2,
        consecutiveFailures: 0,
      });
      yield* run(breaker, "S");
      assert.deepEqual((yield* breaker.snapshot).counts, {
        requests: 0,
        totalSuccesses: 0,
        totalFailures: 0,
        consecutiveSuccesses: 0,
        consecutiveFailures: 0,
      });
    }));
});

/** What counts as a refusal, and what breakers make of one. */
import assert from "node:assert/strict";
import { Duration, Effect, TestClock } from "effect";
import { BulkheadFull } from "../../src/resilience/Bulkhead.ts";
import * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import { DeadlineExceeded } from "../../src/resilience/Deadline.ts";
import { RateLimited } from "../../src/resilience/RateLimiter.ts";
import * as Refusal from "../../src/resilience/Refusal.ts";
import { describe, it } from "../support/it.ts";

const retryAfter = Duration.seconds(2);
const dependency = "mongodb";
const late = (attempted: boolean) =>
  new DeadlineExceeded({ dependency, operation: "mongodb_find", attempted });

const refusals = [
  new CircuitBreaker.CircuitOpen({ breaker: "mongodb", reason: "open", retryAfter }),
  new BulkheadFull({ dependency, retryAfter }),
  new RateLimited({ dependency, retryAfter }),
  late(false),
];

describe("Refusal", () => {
  it("isRefusal() holds for every error of a call that was not made, and for no other", () => {
    for (const error of refusals) assert.equal(Refusal.isRefusal(error), true, error._tag);
    for (const error of [late(true), new Error("no"), { refused: true }, null, undefined, "no"]) {
      assert.equal(Refusal.isRefusal(error), false);
    }
  });

  it.effect("retryAfter() is what a refusal says, as that was true when it was made", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(dependency);
      yield* breaker.control("open");
      yield* breaker.control("auto");
      for (const error of refusals) {
        const said = error._tag === "DeadlineExceeded" ? Duration.seconds(1) : retryAfter;
        assert.deepEqual(yield* Refusal.retryAfter(error, breaker), said);
      }
    }));

  it.effect("retryAfter() is not before the breaker, which the failure has opened, admits a call", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make(dependency, { openJitter: 0 });
      const seconds = (failure: unknown) =>
        Effect.map(Refusal.retryAfter(failure, breaker), Duration.toSeconds);
      const hinting = (wait: Duration.DurationInput) => ({ retryAfter: Duration.decode(wait) });
      assert.equal(yield* seconds(new Error("down")), 1);
      assert.equal(yield* seconds(hinting("7 seconds")), 7);
      yield* Effect.repeatN(Effect.ignore(breaker.protect(Effect.fail("down"))), 4);
      assert.equal(yield* seconds(hinting("7 seconds")), 30);
      yield* TestClock.adjust("20 seconds");
      assert.equal(yield* seconds(late(true)), 10);
      assert.equal(yield* seconds(hinting("1 minute")), 60);
      yield* TestClock.adjust("20 seconds");
      assert.equal(yield* seconds(new Error("down")), 1);
    }));

  it("messages name whom the call was for, and hold nothing else", () => {
    for (const error of [...refusals, late(true)]) {
      assert.match(error.message, /"mongodb"/);
      assert.match(error.message, /^[A-Z].*[^.]$/);
    }
  });

  it.effect("G19 a refusal inside a breaker is neutral: neither a request nor a failure", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("g19", { consecutiveFailures: 1 });
      for (const refusal of refusals) {
        assert.equal(yield* Effect.flip(breaker.protect(Effect.fail(refusal))), refusal);
      }
      const { state, counts } = yield* breaker.snapshot;
      assert.deepEqual([state, counts.requests], ["closed", 0]);
      assert.equal((yield* breaker.totals).neutral, 4);
      yield* Effect.ignore(breaker.protect(Effect.fail(late(true))));
      assert.equal((yield* breaker.snapshot).state, "open");
      assert.equal((yield* breaker.totals).timeouts, 1);
    }));
});

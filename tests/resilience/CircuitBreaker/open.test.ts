/** Conformance D: how long it stays open, and what it says meanwhile. */
import assert from "node:assert/strict";
import { Duration, Effect, Random } from "effect";
import * as CircuitBreaker from "../../../src/resilience/CircuitBreaker.ts";
import { describe, it } from "../../support/it.ts";
import { at, begin, counts, make, rejection, run, state } from "./support.ts";

/** Opens the breaker by five failures, the last of which carries what is given. */
const tripWith = (breaker: CircuitBreaker.CircuitBreaker, retryAfter: Duration.DurationInput) =>
  Effect.gen(function* () {
    yield* run(breaker, "FFFF");
    const error = { retryAfter: Duration.decode(retryAfter) };
    assert.equal(yield* Effect.flip(breaker.protect(Effect.fail(error))), error);
  });

const openUntil = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.map(breaker.snapshot, ({ openUntil }) => openUntil);

describe("CircuitBreaker open", () => {
  it.effect("D1 is open at 29.999 s, and at 30 s the next call is admitted", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      yield* at(29_999);
      assert.equal(yield* state(breaker), "open");
      yield* rejection(breaker);
      yield* at(30_000);
      const { state: shown, openUntil } = yield* breaker.snapshot;
      assert.ok(shown === "half-open" || (shown === "open" && openUntil === 30_000));
      assert.equal(yield* run(breaker, "S"), "S");
    }));

  it.effect("D2 admits at exactly 30.000 s, wherever the opening lies in time", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* at(12_345.678);
      yield* run(breaker, "FFFFF");
      yield* at(42_345.677);
      yield* rejection(breaker);
      yield* at(42_345.678);
      assert.equal(yield* run(breaker, "S"), "S");
    }));

  it.effect("D3 rejects at 3 s, admits at 30 s, and the trial's counts start at zero", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "SFFFFF");
      yield* at(3_000);
      yield* rejection(breaker);
      yield* at(30_000);
      const trial = yield* begin(breaker);
      assert.deepEqual(yield* counts(breaker), { requests: 0, successes: 0, failures: 0 });
      yield* trial.end("success");
    }));

  it.effect("D4 a Retry-After on the opening failure lengthens it, up to 5 minutes", () =>
    Effect.gen(function* () {
      for (
        const [hint, length] of [["2 minutes", 120], ["1 second", 30], ["1 hour", 300]] as const
      ) {
        yield* at(0);
        const breaker = yield* make();
        yield* tripWith(breaker, hint);
        assert.equal(yield* openUntil(breaker), length * 1_000, hint);
        yield* at(length * 1_000 - 1);
        yield* rejection(breaker);
        yield* at(length * 1_000);
        assert.equal(yield* run(breaker, "S"), "S");
      }
    }));

  it.effect("D4 the hint counts on the opening result only, is not jittered and leaves growth", () =>
    Effect.gen(function* () {
      const early = yield* make();
      yield* Effect.ignore(early.protect(Effect.fail({ retryAfter: Duration.minutes(2) })));
      yield* run(early, "FFFF");
      assert.equal(yield* openUntil(early), 30_000);
      const jittered = yield* make({ openJitter: 1 });
      yield* tripWith(jittered, "4 minutes");
      assert.equal(yield* openUntil(jittered), 240_000);
      const growing = yield* make({ openForMax: "10 minutes" });
      yield* tripWith(growing, "4 minutes");
      yield* at(240_000);
      yield* run(growing, "F");
      assert.equal(yield* openUntil(growing), 240_000 + 60_000);
    }));

  it.effect("D4 lengthens the opening of a failed trial too", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      yield* at(30_000);
      yield* Effect.ignore(breaker.protect(Effect.fail({ retryAfter: Duration.minutes(2) })));
      assert.equal(yield* openUntil(breaker), 150_000);
    }));

  it.effect("D4 an inner breaker's CircuitOpen is neutral and gives no hint", () =>
    Effect.gen(function* () {
      const inner = yield* make({ openFor: "10 minutes" }, "inner");
      const outer = yield* make({ consecutiveFailures: 1 }, "outer");
      yield* run(inner, "FFFFF");
      const error = yield* Effect.flip(outer.protect(inner.protect(Effect.void)));
      assert.equal(error.breaker, "inner");
      assert.deepEqual(yield* counts(outer), { requests: 0, successes: 0, failures: 0 });
    }));

  it.effect("D5 openings grow 30, 60, 120, 120 s over failed recoveries and are 30 s after a close", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ openForMax: "120 seconds" });
      const length = Effect.gen(function* () {
        const { openUntil, stateChangedAt } = yield* breaker.snapshot;
        return ((openUntil ?? NaN) - stateChangedAt) / 1_000;
      });
      const lengths: Array<number> = [];
      yield* run(breaker, "FFFFF");
      for (let recovery = 0; recovery < 4; recovery++) {
        lengths.push(yield* length);
        yield* at((yield* openUntil(breaker)) ?? NaN);
        // Also when some trials of a recovery had succeeded.
        yield* run(breaker, recovery % 2 === 0 ? "F" : "SF");
      }
      assert.deepEqual(lengths, [30, 60, 120, 120]);
      yield* at((yield* openUntil(breaker)) ?? NaN);
      yield* run(breaker, "SSS FFFFF");
      assert.equal(yield* length, 30);
    }));

  it.effect("D7 huge durations are clamped and nothing overflows", () =>
    Effect.gen(function* () {
      const century = 36_500 * 86_400_000;
      for (
        const openFor of [Infinity, Number.MAX_VALUE, Duration.infinity, "99999999 days"] as const
      ) {
        const breaker = yield* make({ openFor, consecutiveFailures: 1 });
        yield* run(breaker, "F");
        const { retryAfter } = yield* rejection(breaker);
        assert.equal(Duration.toMillis(retryAfter), century);
        assert.equal(yield* openUntil(breaker), century);
      }
      const growing = yield* make({ openForMax: Infinity, openFor: 1, consecutiveFailures: 1 });
      yield* run(growing, "F");
      for (let recovery = 0; recovery < 60; recovery++) {
        yield* at((yield* openUntil(growing)) ?? NaN);
        yield* run(growing, "F");
      }
      const { retryAfter } = yield* rejection(growing);
      assert.equal(Duration.toMillis(retryAfter), century);
    }));

  it.effect("D8 a rejection carries breaker, reason and the time left", () =>
    Effect.gen(function* () {
      const breaker = yield* make({}, "mongodb");
      yield* run(breaker, "FFFFF");
      yield* at(12_000);
      const error = yield* rejection(breaker);
      assert.equal(error._tag, "CircuitOpen");
      assert.deepEqual([error.breaker, error.reason], ["mongodb", "open"]);
      assert.equal(Duration.toMillis(error.retryAfter), 18_000);
    }));

  it.effect("D10 the time left falls, is never negative, and there is none when closed", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      assert.equal(yield* openUntil(breaker), null);
      yield* run(breaker, "FFFFF");
      const left: Array<number> = [];
      for (const now of [0, 1, 15_000, 29_999]) {
        yield* at(now);
        left.push(Duration.toMillis((yield* rejection(breaker)).retryAfter));
      }
      assert.deepEqual(left, [30_000, 29_999, 15_000, 1]);
      yield* at(30_000);
      yield* run(breaker, "SSS");
      assert.equal(yield* openUntil(breaker), null);
    }));

  it.effect("D10 retryAfter tells without a call what one would be told, in every state", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ halfOpenMax: 1 });
      const seconds = Effect.map(breaker.retryAfter, Duration.toSeconds);
      assert.equal(yield* seconds, 0);
      yield* run(breaker, "FFFFF");
      yield* at(12_000);
      assert.equal(yield* seconds, 18);
      yield* at(30_000);
      assert.equal(yield* seconds, 0);
      yield* breaker.acquire;
      yield* at(34_000);
      assert.equal(yield* seconds, 6);
      yield* at(40_000);
      assert.equal(yield* seconds, 0);
      yield* breaker.control("open");
      assert.equal(yield* seconds, 30);
      assert.equal((yield* breaker.snapshot).rejected, 0);
    }));

  it.effect("D13 after two failures at once and 30 s the next call is admitted and counts", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ consecutiveFailures: 1 });
      const [one, two] = [yield* begin(breaker), yield* begin(breaker)];
      yield* one.end("failure");
      yield* two.end("failure");
      yield* at(30_000);
      assert.equal(yield* run(breaker, "S"), "S");
      assert.deepEqual(yield* counts(breaker), { requests: 1, successes: 1, failures: 0 });
    }));

  it.effect("D14 each rejection adds exactly one to rejected, which is never reset", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFFF SSS");
      assert.equal((yield* breaker.snapshot).rejected, 3);
      yield* Effect.exit(breaker.acquire);
      assert.equal((yield* breaker.snapshot).rejected, 4);
      yield* breaker.control("reset");
      yield* run(breaker, "S");
      assert.equal((yield* breaker.snapshot).rejected, 4);
    }));

  it.effect("D16 a jittered opening ends at exactly the openUntil it shows", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 50; i += 1) {
        const breaker = yield* make({ openJitter: 1 });
        yield* run(breaker, "FFFFF");
        const until = (yield* openUntil(breaker)) ?? NaN;
        yield* at(until - 1);
        yield* rejection(breaker);
        yield* at(until);
        assert.equal(yield* run(breaker, "S"), "S");
      }
    }));

  it.effect("D16 with jitter 0.1 openings lie from 30 to 33 s and differ between breakers", () =>
    Effect.gen(function* () {
      const lengths: Array<number> = [];
      for (let index = 0; index < 200; index++) {
        const breaker = yield* CircuitBreaker.make(`jitter-${index}`);
        yield* run(breaker, "FFFFF");
        lengths.push(Duration.toMillis((yield* rejection(breaker)).retryAfter));
      }
      assert.ok(Math.min(...lengths) >= 30_000 && Math.max(...lengths) <= 33_000);
      assert.ok(Math.min(...lengths) < 30_300 && Math.max(...lengths) > 32_700);
      // Of 3,000 whole milliseconds 200 draws hit 194 on average; these are the same in each run.
      assert.ok(new Set(lengths).size > 190);
    }).pipe(Effect.withRandom(Random.make("openings"))));
});

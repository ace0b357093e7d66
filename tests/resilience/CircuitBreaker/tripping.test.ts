/** Conformance C (and B5): what opens a closed breaker, and what does not. */
import assert from "node:assert/strict";
import { Effect, TestClock } from "effect";
import { describe, it } from "../../support/it.ts";
import { arrows, at, begin, literally, make, record, run, state } from "./support.ts";

describe("CircuitBreaker trips", () => {
  it.effect("B5 13 failures of 22 stay closed at rate 0.6, the 14th of 23 opens", () =>
    Effect.gen(function* () {
      const breaker = yield* make({
        minimumRequests: 3,
        failureRate: 0.6,
        consecutiveFailures: null,
      });
      // The failures come last, so that the rate only grows towards the threshold.
      yield* run(breaker, "SSSSSSSSS" + "F".repeat(13));
      assert.equal(yield* state(breaker), "closed");
      yield* run(breaker, "F");
      assert.equal(yield* state(breaker), "open");
    }));

  it.effect("C1 opens with the rate exactly at the threshold and requests exactly at the minimum", () =>
    Effect.gen(function* () {
      const settings = { minimumRequests: 4, consecutiveFailures: null };
      const exact = yield* make(settings);
      assert.equal(yield* run(exact, "SSFFS"), "SSFFx");
      const fewer = yield* make(settings);
      assert.equal(yield* run(fewer, "SFF"), "SFF");
      assert.equal(yield* state(fewer), "closed");
      const lower = yield* make(settings);
      assert.equal(yield* run(lower, "SSSFF"), "SSSFF");
      assert.equal(yield* state(lower), "closed");
    }));

  it.effect("C2 evaluates nothing on a success: F F F S S stays closed, the next failure opens", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ consecutiveFailures: null });
      assert.equal(yield* run(breaker, "FFFSS"), "FFFSS");
      assert.equal(yield* state(breaker), "closed");
      yield* run(breaker, "F");
      assert.equal(yield* state(breaker), "open");
    }));

  it.effect("C5 with minimum 3 the third failure opens", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ minimumRequests: 3, consecutiveFailures: null });
      yield* run(breaker, "FF");
      assert.equal(yield* state(breaker), "closed");
      yield* run(breaker, "F");
      assert.equal(yield* state(breaker), "open");
    }));

  it.effect("C6 one failure of a quiet tenant does not open", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "F");
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("C8 below the minimum it never opens by rate", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ consecutiveFailures: null });
      for (let window = 0; window < 10; window++) {
        yield* at(window * 10_000);
        assert.equal(yield* run(breaker, "FFFF"), "FFFF");
      }
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("C8 the fifth consecutive failure opens however far apart they are", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      for (let hour = 0; hour < 4; hour++) {
        yield* at(hour * 3_600_000);
        yield* run(breaker, "F");
      }
      assert.equal(yield* state(breaker), "closed");
      yield* at(4 * 3_600_000);
      yield* run(breaker, "F");
      assert.equal(yield* state(breaker), "open");
      assert.deepEqual((yield* breaker.snapshot).counts, {
        requests: 1,
        totalSuccesses: 0,
        totalFailures: 1,
        consecutiveSuccesses: 0,
        consecutiveFailures: 5,
      });
    }));

  it.effect("C8 a success in between begins the run anew", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ minimumRequests: 100 });
      assert.equal(yield* run(breaker, "FFFFSFFFF"), "FFFFSFFFF");
      assert.equal(yield* state(breaker), "closed");
      yield* run(breaker, "F");
      assert.equal(yield* state(breaker), "open");
    }));

  it.effect("C11 one trip makes one StateChange, however many fail at once", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const changes = yield* record(breaker);
      const calls = yield* Effect.all(Array.from({ length: 20 }, () => begin(breaker)));
      for (const call of calls) yield* call.end("failure");
      assert.deepEqual(arrows(changes), ["closed → open"]);
    }));

  it.effect("C13 a returned value that is classified a failure counts as one and is returned", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ consecutiveFailures: 2, minimumRequests: 100 });
      const call = breaker.protect(Effect.succeed("failure"), literally);
      assert.equal(yield* call, "failure");
      assert.equal(yield* call, "failure");
      assert.equal(yield* state(breaker), "open");
    }));
});

describe("CircuitBreaker slow calls", () => {
  const settings = {
    slowCallDuration: "4 seconds",
    slowCallRate: 0.5,
    consecutiveFailures: null,
    window: "1 minute",
  } as const;

  /** Calls one after the other: capital letters take 4 s, small ones 3.999 s. */
  const timed = (breaker: Parameters<typeof run>[0], script: string) =>
    Effect.gen(function* () {
      for (const letter of script) {
        const call = yield* begin(breaker);
        yield* TestClock.adjust(letter === letter.toUpperCase() ? 4_000 : 3_999);
        yield* call.end(letter.toUpperCase() === "S" ? "success" : "failure");
      }
    });

  it.effect("C9 three slow of five open, two of them successes", () =>
    Effect.gen(function* () {
      const breaker = yield* make(settings);
      yield* timed(breaker, "sSsS");
      assert.equal(yield* state(breaker), "closed");
      yield* timed(breaker, "F");
      assert.equal(yield* state(breaker), "open");
    }));

  it.effect("C9 slow successes alone open, and still count as successes", () =>
    Effect.gen(function* () {
      const breaker = yield* make(settings);
      yield* timed(breaker, "SSSSS");
      const { state, counts } = yield* breaker.snapshot;
      assert.deepEqual([state, counts.totalSuccesses, counts.totalFailures], ["open", 5, 0]);
    }));

  it.effect("C9 D16 an opening by a slow success is jittered like any other", () =>
    Effect.gen(function* () {
      const lengths = new Set<number | null>();
      for (let made = 0; made < 20; made++) {
        const slow = { ...settings, slowCallDuration: 0, minimumRequests: 1, openJitter: 0.1 };
        const breaker = yield* make(slow);
        yield* run(breaker, "S");
        lengths.add((yield* breaker.snapshot).openUntil);
      }
      for (const length of lengths) assert.ok(length !== null && length >= 30_000);
      assert.ok(lengths.size > 1);
    }));

  it.effect("C9 is evaluated after a slow result only", () =>
    Effect.gen(function* () {
      const breaker = yield* make(settings);
      yield* timed(breaker, "SSSSs");
      assert.equal(yield* state(breaker), "closed");
      yield* timed(breaker, "S");
      assert.equal(yield* state(breaker), "open");
    }));

  it.effect("C9 stays closed below the rate and below the minimum", () =>
    Effect.gen(function* () {
      const rate = yield* make(settings);
      yield* timed(rate, "sssSS");
      assert.equal(yield* state(rate), "closed");
      const minimum = yield* make(settings);
      yield* timed(minimum, "SSSS");
      assert.equal(yield* state(minimum), "closed");
    }));

  it.effect("C9 is off by default", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* timed(breaker, "SSSSSS");
      assert.equal(yield* state(breaker), "closed");
    }));
});

/** Rate limiters: a plain one, and one that follows a breaker through an outage. */
import assert from "node:assert/strict";
import { Clock, Duration, Effect, TestClock } from "effect";
import * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import { monotonicMillis } from "../../src/resilience/Monotonic.ts";
import * as RateLimiter from "../../src/resilience/RateLimiter.ts";
import { describe, it } from "../support/it.ts";

const now = Clock.clockWith((clock) => Effect.succeed(monotonicMillis(clock)));

const admittedAt = (limiter: RateLimiter.RateLimiter, calls: number, at: number) => {
  let count = 0;
  for (let call = 0; call < calls; call++) {
    if (limiter.unsafeAdmit(at) === undefined) count += 1;
  }
  return count;
};

/** How many of `calls` at this moment are admitted. */
const admitted = (limiter: RateLimiter.RateLimiter, calls: number) =>
  Effect.map(now, (at) => admittedAt(limiter, calls, at));

/** `perSecond` calls in each of so many seconds, in steps of 100 ms; how many were admitted. */
const load = (limiter: RateLimiter.RateLimiter, perSecond: number, seconds: number) =>
  Effect.gen(function* () {
    const start = yield* now;
    let count = 0;
    for (let step = 0; step < seconds * 10; step++) {
      count += admittedAt(limiter, perSecond / 10, start + step * 100);
    }
    yield* TestClock.setTime(start + seconds * 1_000);
    return count;
  });

const settings = { openJitter: 0, consecutiveFailures: 5, minimumRequests: 100_000 };

const outage = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.replicateEffect(Effect.ignore(breaker.protect(Effect.fail("down"))), 5);

/** Waits out the open time and lets three trials succeed. */
const recovery = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.gen(function* () {
    yield* TestClock.adjust("30 seconds");
    yield* Effect.replicateEffect(breaker.protect(Effect.void), 3);
    assert.equal(breaker.unsafeState(), "closed");
  });

describe("RateLimiter.make()", () => {
  it.effect("admits a burst, then the rate, and says when to come back", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.make("tenant", { rate: 2, burst: 3 });
      assert.equal(yield* admitted(limiter, 10), 3);
      let ran = false;
      const error = yield* Effect.flip(limiter.protect(Effect.sync(() => ran = true)));
      assert.ok(error instanceof RateLimiter.RateLimited);
      assert.deepEqual([error.dependency, error.refused, ran], ["tenant", true, false]);
      assert.equal(error._tag, "RateLimited");
      assert.equal(error.message, 'Too many calls of "tenant" per second');
      assert.equal(Duration.toMillis(error.retryAfter), 500);
      yield* TestClock.adjust("499 millis");
      assert.equal(yield* admitted(limiter, 10), 0);
      yield* TestClock.adjust("1 millis");
      assert.equal(yield* admitted(limiter, 10), 1);
      assert.equal(limiter.unsafeRejections(), 7 + 1 + 10 + 9);
    }));

  it.effect("names every illegal setting", () =>
    Effect.gen(function* () {
      const problemsOf = (rate: number, burst: number) =>
        Effect.map(
          Effect.flip(RateLimiter.make("tenant", { rate, burst })),
          ({ policy, problems }) => {
            assert.equal(policy, 'rate limiter "tenant"');
            return problems.map(({ setting }) => setting);
          },
        );
      assert.deepEqual(yield* problemsOf(0, 0.5), ["rate", "burst"]);
      assert.deepEqual(yield* problemsOf(NaN, Infinity), ["rate", "burst"]);
      // Untyped callers can leave one out.
      const { rate, burst } = {} as { rate: number; burst: number };
      assert.deepEqual(yield* problemsOf(rate, burst), ["rate", "burst"]);
    }));
});

describe("RateLimiter.following()", () => {
  it.effect("admits everything while the breaker has always been closed", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      assert.equal(yield* admitted(limiter, 10_000), 10_000);
    }));

  it.effect("ramps from 10 % to 100 % of the earlier rate in 30 s after a recovery", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* load(limiter, 200, 20);
      yield* outage(breaker);
      yield* recovery(breaker);
      // Five times the earlier load comes back at once; each second gets its share.
      const seconds: Array<number> = [];
      for (let second = 0; second < 30; second++) seconds.push(yield* load(limiter, 1_000, 1));
      // The first second also has the burst of one second that was waiting.
      const [first = NaN] = seconds;
      assert.ok(first >= 35 && first <= 50, `first second: ${first}`);
      seconds.forEach((count, second) => {
        const share = 0.1 + 0.9 * (second + 0.5) / 30;
        if (second > 0) assert.ok(Math.abs(count - 200 * share) <= 4, `second ${second}: ${count}`);
      });
      // Those who were turned away come again: for 90 s more there is only a little more room.
      for (let second = 0; second < 90; second++) {
        const share = 1.1 + 0.4 * ((second + 0.5) / 90) ** 2;
        const count = yield* load(limiter, 1_000, 1);
        assert.ok(Math.abs(count - 200 * share) <= 2, `held second ${second}: ${count}`);
      }
      assert.equal(yield* load(limiter, 1_000, 1), 1_000);
    }));

  it.effect("holds nothing back after the ramp when holdFor is 0", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker, { holdFor: 0 });
      yield* load(limiter, 200, 10);
      yield* outage(breaker);
      yield* recovery(breaker);
      yield* TestClock.adjust("30 seconds");
      assert.equal(yield* admitted(limiter, 1_000), 1_000);
    }));

  it.effect("lets through a load that stays within the ramp", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* load(limiter, 200, 10);
      yield* outage(breaker);
      yield* recovery(breaker);
      assert.equal(yield* load(limiter, 20, 30), 600);
    }));

  it.effect("never starves a dependency of low rate: one call at once and one a second", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      assert.equal(yield* admitted(limiter, 1), 1);
      yield* TestClock.adjust("10 minutes");
      yield* outage(breaker);
      yield* recovery(breaker);
      assert.equal(yield* admitted(limiter, 3), 1);
      const error = yield* Effect.flip(limiter.protect(Effect.void));
      assert.equal(Duration.toMillis(error.retryAfter), 1_000);
      yield* TestClock.adjust("1 second");
      assert.equal(yield* admitted(limiter, 3), 1);
    }));

  it.effect("admits the trials of a half-open breaker", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* outage(breaker);
      yield* TestClock.adjust("30 seconds");
      yield* Effect.replicateEffect(breaker.protect(limiter.protect(Effect.void)), 3);
      assert.equal(breaker.unsafeState(), "closed");
      assert.equal(limiter.unsafeRejections(), 0);
    }));

  it.effect("makes no ramp after a close by hand, and ends none that never was", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* load(limiter, 100, 10);
      yield* outage(breaker);
      yield* breaker.control("close");
      assert.equal(yield* admitted(limiter, 5_000), 5_000);
    }));

  it.effect("takes no observed opening for an outage: a ramp goes on", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* load(limiter, 200, 10);
      yield* outage(breaker);
      yield* recovery(breaker);
      yield* breaker.control("observe");
      yield* outage(breaker);
      assert.equal(yield* admitted(limiter, 1_000), 20);
    }));

  it.effect("admits everything after an observed opening", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* breaker.control("observe");
      yield* outage(breaker);
      assert.equal(yield* admitted(limiter, 100), 100);
    }));

  it.effect("keeps the rate from before the first outage when a second one ends the ramp", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* load(limiter, 200, 10);
      yield* outage(breaker);
      yield* recovery(breaker);
      yield* load(limiter, 200, 5);
      yield* outage(breaker);
      yield* recovery(breaker);
      // Half-way of a ramp twice as long: 55 % of 200, saved up for one second.
      yield* TestClock.adjust("30 seconds");
      assert.equal(yield* admitted(limiter, 1_000), 110);
    }));

  it.effect("takes twice as long after each recovery in a row that did not hold, up to 4 times", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* load(limiter, 200, 10);
      /** Calls that the second after a quarter of a ramp of so many seconds lets through. */
      const afterQuarter = (seconds: number) =>
        Effect.gen(function* () {
          yield* outage(breaker);
          yield* recovery(breaker);
          yield* load(limiter, 1_000, seconds / 4);
          return yield* load(limiter, 1_000, 1);
        });
      const quarter = 200 * (0.1 + 0.9 / 4);
      for (const seconds of [30, 60, 120, 120, 120]) {
        const count = yield* afterQuarter(seconds);
        assert.ok(Math.abs(count - quarter) < 6, `${seconds}: ${count}`);
      }
      // This one holds, so that the next outage begins anew, with the rate that there is now.
      yield* TestClock.adjust("10 minutes");
      yield* load(limiter, 200, 10);
      const count = yield* afterQuarter(30);
      assert.ok(Math.abs(count - quarter) < 6, String(count));
    }));

  it.effect("takes what fails at the very end of the hold for an outage that begins anew", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const times = { rampFor: "10 seconds", holdFor: "10 seconds" } as const;
      const limiter = yield* RateLimiter.following(breaker, times);
      yield* load(limiter, 200, 10);
      yield* outage(breaker);
      yield* recovery(breaker);
      yield* load(limiter, 200, 20);
      yield* outage(breaker);
      yield* recovery(breaker);
      // Half of the way; of a ramp twice as long it would be a quarter, with 65 calls.
      yield* TestClock.adjust("5 seconds");
      assert.ok((yield* admitted(limiter, 1_000)) > 90);
    }));

  it.effect("keeps the earlier rate when a recovery fails", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* load(limiter, 200, 10);
      yield* outage(breaker);
      yield* TestClock.adjust("30 seconds");
      yield* Effect.ignore(breaker.protect(Effect.fail("still down")));
      yield* recovery(breaker);
      assert.equal(yield* admitted(limiter, 1_000), 20);
    }));

  it.effect("measures anew after a ramp has ended, also at its very end", () =>
    Effect.gen(function* () {
      const rateAfter = () =>
        Effect.gen(function* () {
          const breaker = yield* CircuitBreaker.make("mongodb", settings);
          const limiter = yield* RateLimiter.following(breaker, { rampFor: "20 seconds" });
          yield* load(limiter, 200, 10);
          yield* outage(breaker);
          yield* recovery(breaker);
          yield* load(limiter, 10, 20);
          yield* outage(breaker);
          yield* recovery(breaker);
          // Half of the way, where the share does not fall below one call a second; twice as long.
          yield* TestClock.adjust("20 seconds");
          return yield* admitted(limiter, 1_000);
        });
      assert.equal(yield* rateAfter(), 5);
    }));

  it.effect("forgets what it measured before an outage", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", { ...settings, openFor: "1 second" });
      const ramp = { rampFor: "1 second", holdFor: 0 } as const;
      const limiter = yield* RateLimiter.following(breaker, ramp);
      yield* load(limiter, 1_000, 5);
      yield* outage(breaker);
      yield* TestClock.adjust("1 second");
      yield* Effect.replicateEffect(breaker.protect(Effect.void), 3);
      // The ramp is over; what comes now is measured from its own first call on.
      yield* TestClock.adjust("1 second");
      yield* load(limiter, 100, 2);
      yield* outage(breaker);
      yield* TestClock.adjust("1 second");
      yield* Effect.replicateEffect(breaker.protect(Effect.void), 3);
      yield* TestClock.adjust("500 millis");
      // Of 100 a second, not of the thousand: 10 at once, and 55 % for half a second.
      assert.equal(yield* admitted(limiter, 1_000), 37);
    }));

  it.effect("measures the last ten seconds, and nothing before them", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* load(limiter, 5_000, 10);
      yield* load(limiter, 200, 12);
      yield* outage(breaker);
      yield* recovery(breaker);
      assert.equal(yield* admitted(limiter, 1_000), 20);
    }));

  it.effect("measures a process younger than the window by its age", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* TestClock.adjust("1 hour");
      yield* load(limiter, 500, 2);
      yield* outage(breaker);
      yield* recovery(breaker);
      assert.equal(yield* admitted(limiter, 1_000), 50);
    }));

  it.effect("is neutral to the breaker it follows", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker);
      yield* outage(breaker);
      yield* recovery(breaker);
      yield* Effect.replicateEffect(
        Effect.ignore(breaker.protect(limiter.protect(Effect.void))),
        100,
      );
      const { counts, state } = yield* breaker.snapshot;
      assert.deepEqual([counts.requests, counts.totalFailures, state], [1, 0, "closed"]);
      assert.equal(limiter.unsafeRejections(), 99);
    }));

  it.effect("takes rampFor 0 for no ramp, and names illegal settings", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", settings);
      const limiter = yield* RateLimiter.following(breaker, { rampFor: 0 });
      yield* outage(breaker);
      yield* recovery(breaker);
      assert.equal(yield* admitted(limiter, 1_000), 1_000);
      const { policy, problems } = yield* Effect.flip(
        RateLimiter.following(breaker, { rampFor: -1, rampFrom: 0 }),
      );
      assert.equal(policy, 'rate limiter "mongodb"');
      assert.deepEqual(problems.map(({ setting }) => setting), ["rampFor", "rampFrom"]);
    }));
});

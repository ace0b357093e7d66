/** Client-side throttling: the book's formula to the letter, its bounds, and its place in a guard. */
import assert from "node:assert/strict";
import { Deferred, Duration, Effect, Either, Exit, Fiber, Random, TestClock } from "effect";
import * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import * as Guard from "../../src/resilience/Guard.ts";
import { isRefusal } from "../../src/resilience/Refusal.ts";
import * as Retry from "../../src/resilience/Retry.ts";
import * as Throttle from "../../src/resilience/Throttle.ts";
import { describe, it } from "../support/it.ts";

const failure = new TransientFailure({
  dependency: "mongodb",
  operation: "mongodb_find",
  reason: "too busy",
  timedOut: false,
  cause: null,
});

const seeded = (seed: number) => Effect.withRandom(Random.make(seed));

/** Tells the throttle of so many calls that were sent at the beginning of time. */
const seen = (throttle: Throttle.Throttle, accepted: number, failed: number) => {
  for (let call = 0; call < accepted; call += 1) throttle.unsafeSettle("success", 0);
  for (let call = 0; call < failed; call += 1) throttle.unsafeSettle("failure", 0);
};

/** Makes `calls` calls of which the dependency accepts `accepts(sent)`; tells how many were sent. */
const load = (throttle: Throttle.Throttle, calls: number, accepts: (draw: number) => boolean) =>
  Effect.gen(function* () {
    let sent = 0;
    for (let call = 0; call < calls; call += 1) {
      yield* Effect.exit(throttle.protect(Effect.gen(function* () {
        sent += 1;
        return yield* accepts(yield* Random.next) ? Effect.void : failure;
      })));
    }
    return sent;
  });

describe("Throttle.make()", () => {
  const rules: ReadonlyArray<readonly [setting: string, rule: string, values: Array<unknown>]> = [
    ["k", "a finite number of at least 1", [0.9, -1, NaN, Infinity]],
    ["count", '"asked" or "sent"', ["all", "", 1]],
    ["minimumRequests", "a whole number of at least 0", [-1, 0.5, NaN]],
    ["maximum", "more than 0 and less than 1", [0, 1, -0.1, NaN, "0.5"]],
    ["window", "a finite duration of more than 0", [0, -1, Infinity]],
    ["retryAfter", "a duration of at least 0", [-1, NaN]],
  ];
  for (const [setting, rule, values] of rules) {
    it.effect(`make() names ${setting}, its value and its rule when that is illegal`, () =>
      Effect.gen(function* () {
        for (const value of values) {
          const error = yield* Effect.flip(Throttle.make("mongodb", { [setting]: value }));
          assert.equal(
            error.message,
            `Cannot make throttle "mongodb": ${setting} is ${value} but must be ${rule}`,
          );
        }
      }));
  }

  it.effect("make() counts the calls that were asked for unless told otherwise", () =>
    Effect.gen(function* () {
      for (const settings of [{}, { count: "asked" as const }]) {
        const throttle = yield* Throttle.make("mongodb", settings);
        seen(throttle, 0, 10);
        throttle.unsafeRefuse(0);
        assert.equal(throttle.unsafeShare(0), 0.9);
        seen(throttle, 1, 0);
        assert.equal(throttle.unsafeShare(0), 10 / 13);
      }
    }));
});

describe("Throttle.unsafeShare()", () => {
  it.effect("unsafeShare() is max(0, (requests - K × accepts) / (requests + 1)), up to a bound", () =>
    Effect.gen(function* () {
      for (const [k, accepted, failed] of [[2, 40, 60], [2, 60, 40], [1.1, 70, 30], [2, 1, 9]]) {
        const throttle = yield* Throttle.make("mongodb", { k: k ?? NaN });
        seen(throttle, accepted ?? 0, failed ?? 0);
        const requests = (accepted ?? 0) + (failed ?? 0);
        const share = (requests - (k ?? 0) * (accepted ?? 0)) / (requests + 1);
        assert.equal(throttle.unsafeShare(0), Math.max(0, share));
      }
      const quiet = yield* Throttle.make("mongodb");
      seen(quiet, 0, 9);
      assert.equal(quiet.unsafeShare(0), 0);
      const dead = yield* Throttle.make("mongodb");
      seen(dead, 0, 1_000);
      assert.equal(dead.unsafeShare(0), 0.9);
    }));

  it.effect("unsafeShare() forgets calls when they leave the window", () =>
    Effect.gen(function* () {
      const throttle = yield* Throttle.make("mongodb");
      seen(throttle, 0, 100);
      assert.ok(throttle.unsafeShare(9_999) > 0.8);
      assert.equal(throttle.unsafeShare(10_000), 0);
    }));

  it.effect("unsafeShare() counts its own refusals as calls that were asked for, and not as sent", () =>
    Effect.gen(function* () {
      const asked = yield* Throttle.make("mongodb");
      const sent = yield* Throttle.make("mongodb", { count: "sent" });
      for (const throttle of [asked, sent]) {
        seen(throttle, 40, 60);
        for (let call = 0; call < 100; call += 1) throttle.unsafeRefuse(0);
      }
      assert.equal(asked.unsafeShare(0), (200 - 80) / 201);
      assert.equal(sent.unsafeShare(0), (100 - 80) / 101);
      assert.equal(asked.unsafeRejections(), 100);
    }));
});

describe("Throttle.protect()", () => {
  it.effect("protect() refuses nothing while the dependency accepts its calls", () =>
    Effect.gen(function* () {
      const throttle = yield* Throttle.make("mongodb");
      assert.equal(yield* load(throttle, 1_000, (draw) => draw > 0.2), 1_000);
      assert.equal(throttle.unsafeRejections(), 0);
    }).pipe(seeded(1)));

  it.effect("protect() always lets some through, and all again once they succeed", () =>
    Effect.gen(function* () {
      const throttle = yield* Throttle.make("mongodb");
      yield* load(throttle, 500, () => false);
      const sent = yield* load(throttle, 2_000, () => false);
      assert.ok(sent > 140 && sent < 260, `${sent} of 2,000 were sent`);
      for (let second = 0; second < 30; second += 1) {
        yield* TestClock.adjust("1 second");
        yield* load(throttle, 50, () => true);
      }
      assert.equal(yield* load(throttle, 100, () => true), 100);
    }).pipe(seeded(2)));

  it.effect("protect() settles at K times what the dependency accepts when its capacity is short", () =>
    Effect.gen(function* () {
      const throttle = yield* Throttle.make("mongodb", { k: 1.5 });
      let total = 0;
      for (let second = 0; second < 60; second += 1) {
        let accepted = 0;
        const sent = yield* load(throttle, 100, () => (accepted += 1) <= 40);
        if (second >= 30) total += sent;
        yield* TestClock.adjust("1 second");
      }
      const average = total / 30;
      assert.ok(average > 52 && average < 68, `${average} a second were sent, 60 were due`);
    }).pipe(seeded(3)));

  it.effect("protect() sheds in proportion when it counts the calls sent and a share fails", () =>
    Effect.gen(function* () {
      const throttle = yield* Throttle.make("mongodb", { k: 1.1, count: "sent" });
      yield* load(throttle, 2_000, (draw) => draw > 0.3);
      const sent = yield* load(throttle, 4_000, (draw) => draw > 0.3);
      const shed = 1 - sent / 4_000;
      assert.ok(Math.abs(shed - (1 - 1.1 * 0.7)) < 0.05, `${shed} was shed`);
    }).pipe(seeded(4)));

  it.effect("protect() refuses with when to come back, as every guard does", () =>
    Effect.gen(function* () {
      const throttle = yield* Throttle.make("mongodb", { maximum: 0.999, retryAfter: "3 seconds" });
      seen(throttle, 0, 100_000);
      const error = yield* Effect.flip(throttle.protect(Effect.dieMessage("The call was run")));
      assert.ok(error instanceof Throttle.Throttled && isRefusal(error));
      assert.equal(error._tag, "Throttled");
      assert.equal(Duration.toSeconds(error.retryAfter), 3);
      const { retryAfter } = (yield* Throttle.make("mongodb")).unsafeRefuse(0);
      assert.equal(Duration.toSeconds(retryAfter), 1);
      assert.match(error.message, /^"mongodb" accepts too few/);
    }).pipe(seeded(5)));

  it.effect("protect() refuses when the draw is below the share, and draws only when one is shed", () =>
    Effect.gen(function* () {
      const draws = () => Effect.withRandom(Effect.all([Random.next, Random.next]), Random.make(7));
      const [first, second] = yield* draws();
      const throttle = yield* Throttle.make("mongodb", { maximum: first });
      yield* throttle.protect(Effect.void);
      seen(throttle, 0, 1_000_000);
      assert.equal(throttle.unsafeShare(0), first);
      yield* throttle.protect(Effect.void);
      assert.ok(second < first);
      yield* Effect.flip(throttle.protect(Effect.void));
    }).pipe(seeded(7)));

  it.effect("protect() counts an interrupted call and a refusal of another guard as neither", () =>
    Effect.gen(function* () {
      const throttle = yield* Throttle.make("mongodb", { minimumRequests: 1 });
      const never = yield* Deferred.make<void>();
      const fiber = yield* Effect.fork(throttle.protect(Deferred.await(never)));
      yield* Effect.repeatN(Effect.yieldNow(), 5);
      yield* Fiber.interrupt(fiber);
      yield* Effect.exit(throttle.protect(Effect.fail({ refused: true })));
      assert.equal(throttle.unsafeShare(0), 0);
      yield* Effect.exit(throttle.protect(Effect.dieMessage("a defect")));
      assert.equal(throttle.unsafeShare(0), 1 / 2);
    }));
});

describe("a guard's throttle", () => {
  it.effect("is neutral to the breaker, never retried, and hears of every attempt", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("mongodb", { minimumRequests: 1_000_000 });
      const throttle = yield* Throttle.make("mongodb", { maximum: 0.999 });
      const guard = yield* Guard.make({
        dependency: "mongodb",
        breaker,
        throttle,
        retry: Either.getOrThrow(Retry.policy()),
      });
      const fiber = yield* Effect.fork(Effect.exit(guard.run("mongodb_find", failure)));
      yield* TestClock.adjust("1 second");
      yield* Fiber.join(fiber);
      seen(throttle, 0, 7);
      assert.equal(throttle.unsafeShare(1_000), 10 / 11);
      assert.equal((yield* breaker.snapshot).counts.totalFailures, 3);
      seen(throttle, 0, 100_000);
      const refused = yield* Effect.exit(guard.run("mongodb_find", Effect.dieMessage("was run")));
      assert.ok(Exit.isFailure(refused) && throttle.unsafeRejections() === 1);
      assert.equal((yield* breaker.snapshot).counts.requests, 3);
      assert.equal((yield* breaker.totals).neutral, 1);
    }).pipe(seeded(6)));
});

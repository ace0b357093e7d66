/** Hedged calls: when a second attempt begins, who wins, and what is left of the other. */
import assert from "node:assert/strict";
import { Data, Duration, Effect, Either, Exit, Fiber, TestClock } from "effect";
import * as Bulkhead from "../../src/resilience/Bulkhead.ts";
import * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import * as Guard from "../../src/resilience/Guard.ts";
import * as Hedge from "../../src/resilience/Hedge.ts";
import * as RetryBudget from "../../src/resilience/RetryBudget.ts";
import { describe, it } from "../support/it.ts";
import { settle } from "./CircuitBreaker/support.ts";

class Broken extends Data.TaggedError("Broken")<{ readonly attempt: string }> {}

/** A call that takes so many milliseconds, and whether it is under way or was interrupted. */
const slow = (
  name: string,
  length: number,
  end: Exit.Exit<string, Broken> = Exit.succeed(name),
) => {
  const seen = { begun: 0, interrupted: 0 };
  const call = Effect.sync(() => seen.begun += 1).pipe(
    Effect.zipRight(Effect.sleep(length)),
    Effect.zipRight(end),
    Effect.onInterrupt(() => Effect.sync(() => seen.interrupted += 1)),
  );
  return { seen, call };
};

const broken = (attempt: string) => Exit.fail(new Broken({ attempt }));

/** A hedge that has seen calls of 20 ms only, so that it begins second attempts after 20–22 ms. */
const trained = (settings: Partial<Hedge.Settings> = {}) =>
  Effect.gen(function* () {
    const results: Array<string> = [];
    const hedge = yield* Hedge.make({ minimumCalls: 20, ...settings }, (operation, result) => {
      results.push(`${operation} ${result}`);
    });
    const call = { operation: "find", mayBegin: () => true };
    for (let count = 0; count < 20; count++) {
      const fiber = yield* Effect.fork(hedge.run(call, Effect.sleep(20), Effect.die("no hedge")));
      yield* TestClock.adjust(20);
      yield* Fiber.join(fiber);
    }
    return { hedge, results, call };
  });

const runFor = <A, E>(effect: Effect.Effect<A, E>, milliseconds: number) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect);
    yield* TestClock.adjust(milliseconds);
    return fiber;
  });

describe("Hedge.run()", () => {
  it.effect("hedges nothing before it has seen enough calls", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ minimumCalls: 2 });
      const call = { operation: "find", mayBegin: () => true };
      assert.equal(hedge.unsafeDelay(), undefined);
      for (let count = 0; count < 2; count++) {
        const second = slow("second", 1);
        const fiber = yield* runFor(hedge.run(call, slow("first", 500).call, second.call), 500);
        assert.equal(yield* Fiber.join(fiber), "first");
        assert.equal(second.seen.begun, 0);
      }
      assert.ok(Number(hedge.unsafeDelay()) >= 500);
    }));

  it.effect("begins a second attempt when the percentile has passed, not before", () =>
    Effect.gen(function* () {
      const { hedge, call, results } = yield* trained();
      const delay = hedge.unsafeDelay() ?? NaN;
      assert.ok(delay >= 20 && delay <= 22.1);
      const second = slow("second", 10);
      const first = slow("first", 1_000);
      const fiber = yield* runFor(hedge.run(call, first.call, second.call), delay - 1);
      assert.equal(second.seen.begun, 0);
      yield* TestClock.adjust(2);
      assert.equal(second.seen.begun, 1);
      yield* TestClock.adjust(10);
      assert.equal(yield* Fiber.join(fiber), "second");
      assert.deepEqual(first.seen, { begun: 1, interrupted: 1 });
      assert.deepEqual(results, ["find won"]);
    }));

  it.effect("gives the first attempt's answer when that comes first, and ends the second", () =>
    Effect.gen(function* () {
      const { hedge, call, results } = yield* trained();
      const second = slow("second", 1_000);
      const fiber = yield* runFor(hedge.run(call, slow("first", 50).call, second.call), 50);
      assert.equal(yield* Fiber.join(fiber), "first");
      assert.deepEqual(second.seen, { begun: 1, interrupted: 1 });
      assert.deepEqual(results, ["find lost"]);
    }));

  it.effect("passes a failure on at once while there is no second attempt", () =>
    Effect.gen(function* () {
      const { hedge, call, results } = yield* trained();
      const second = slow("second", 1);
      const first = slow("first", 5, broken("first"));
      const fiber = yield* runFor(Effect.flip(hedge.run(call, first.call, second.call)), 5);
      assert.equal((yield* Fiber.join(fiber)).attempt, "first");
      yield* TestClock.adjust(1_000);
      assert.equal(second.seen.begun, 0);
      assert.deepEqual(results, []);
    }));

  it.effect("waits for the other attempt when one of the two has failed", () =>
    Effect.gen(function* () {
      const { hedge, call, results } = yield* trained();
      const cases = [
        // The first fails after the second has begun: its failure is made up for.
        [slow("first", 30, broken("first")), slow("second", 100), "second"],
        [slow("first", 200), slow("second", 10, broken("second")), "first"],
        // Both fail: it is the first's failure that counts.
        [slow("first", 100, broken("first")), slow("second", 10, broken("second")), "first"],
        [slow("first", 30, broken("first")), slow("second", 100, broken("second")), "first"],
      ] as const;
      for (const [first, second, expected] of cases) {
        const both = Effect.catchAll(
          hedge.run(call, first.call, second.call),
          ({ attempt }) => Effect.succeed(attempt),
        );
        const fiber = yield* runFor(both, 300);
        assert.equal(yield* Fiber.join(fiber), expected);
        assert.deepEqual([first.seen.interrupted, second.seen.interrupted], [0, 0]);
      }
      assert.deepEqual(results, ["find won", "find lost", "find lost", "find lost"]);
    }));

  it.effect("takes a second attempt that was refused for none, and any other end for a lost one", () =>
    Effect.gen(function* () {
      const full = new Bulkhead.BulkheadFull({ dependency: "a", retryAfter: Duration.zero });
      const ends = [
        [Effect.fail(full), "find refused"],
        [Effect.fail("down"), "find lost"],
        [Effect.die("bug"), "find lost"],
      ] as const;
      for (const [end, result] of ends) {
        const { hedge, results, call } = yield* trained();
        const both = hedge.run<string, unknown, never>(call, slow("first", 100).call, end);
        const fiber = yield* runFor(Effect.either(both), 100);
        assert.deepEqual(yield* Fiber.join(fiber), Either.right("first"));
        assert.deepEqual(results, [result]);
      }
    }));

  it.effect("learns from answers and from calls cut off, and nothing from other failures", () =>
    Effect.gen(function* () {
      const call = { operation: "find", mayBegin: () => true };
      const ends = [
        [Effect.void, 200],
        [Effect.fail({ timedOut: true }), 200],
        [Effect.fail({ timedOut: false }), undefined],
        [Effect.die("bug"), undefined],
      ] as const;
      for (const [end, least] of ends) {
        const hedge = yield* Hedge.make({ minimumCalls: 3 });
        for (let count = 0; count < 3; count++) {
          const first = Effect.zipRight(Effect.sleep(200), end);
          const both = hedge.run<void, unknown, never>(call, first, Effect.never);
          yield* Fiber.await(yield* runFor(both, 200));
        }
        const delay = hedge.unsafeDelay();
        assert.ok(least === undefined ? delay === undefined : Number(delay) >= least, `${delay}`);
      }
    }));

  it.effect("learns how long a first attempt took beside a second one that did not answer", () =>
    Effect.gen(function* () {
      for (const second of [broken("second"), Effect.never]) {
        const { hedge, call } = yield* trained();
        for (let count = 0; count < 5; count++) {
          const both = hedge.run(call, slow("first", 500).call, second);
          yield* Fiber.join(yield* runFor(both, 500));
        }
        assert.ok((hedge.unsafeDelay() ?? 0) >= 500);
      }
    }));

  it.effect("remembers as many calls as it must have seen, however many these are", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make({ minimumCalls: 1_500 });
      const call = { operation: "find", mayBegin: () => true };
      yield* Effect.repeatN(hedge.run(call, Effect.void, Effect.never), 1_498);
      assert.equal(hedge.unsafeDelay(), undefined);
      yield* hedge.run(call, Effect.void, Effect.never);
      assert.equal(hedge.unsafeDelay(), 10);
    }));

  it.effect("begins no second attempt when it may not, and asks once", () =>
    Effect.gen(function* () {
      const { hedge, results } = yield* trained();
      let asked = 0;
      const mayBegin = () => {
        asked += 1;
        return false;
      };
      const second = slow("second", 1);
      const call = { operation: "find", mayBegin };
      const fiber = yield* runFor(hedge.run(call, slow("first", 500).call, second.call), 500);
      assert.equal(yield* Fiber.join(fiber), "first");
      assert.deepEqual([asked, second.seen.begun], [1, 0]);
      assert.deepEqual(results, ["find refused"]);
    }));

  it.effect("interrupts both attempts with its caller, and ends after them", () =>
    Effect.gen(function* () {
      const { hedge, call } = yield* trained();
      const ended: Array<string> = [];
      const lingering = (name: string) =>
        Effect.onInterrupt(
          Effect.never,
          () => Effect.zipRight(settle, Effect.sync(() => ended.push(name))),
        );
      const both = hedge.run(call, lingering("first"), lingering("second"));
      const fiber = yield* runFor(both, 100);
      assert.ok(Exit.isInterrupted(yield* Fiber.interrupt(fiber)));
      assert.deepEqual(ended.toSorted(), ["first", "second"]);
    }));

  it.effect("keeps to the floor when calls are faster than that", () =>
    Effect.gen(function* () {
      const { hedge } = yield* trained({ floor: "100 millis" });
      assert.equal(hedge.unsafeDelay(), 100);
    }));

  it.effect("does not let the percentile sink by the calls that it cuts short", () =>
    Effect.gen(function* () {
      const { hedge, call } = yield* trained();
      const before = hedge.unsafeDelay() ?? NaN;
      // The dependency is slow now; each second attempt happens to be fast.
      for (let count = 0; count < 30; count++) {
        const both = hedge.run(call, slow("first", 5_000).call, slow("second", 1).call);
        const fiber = yield* runFor(both, 5_000);
        yield* Fiber.join(fiber);
      }
      assert.ok((hedge.unsafeDelay() ?? 0) > before);
    }));
});

describe("Hedge.make()", () => {
  it("names every illegal setting at once", () => {
    const made = Effect.runSync(Effect.either(
      Hedge.make({ quantile: 0, floor: -1, minimumCalls: 0 }),
    ));
    assert.ok(Either.isLeft(made));
    assert.equal(
      made.left.message,
      "Cannot make hedge: quantile is 0 but must be more than 0 and at most 1; " +
        "floor is -1 but must be a duration of at least 0; " +
        "minimumCalls is 0 but must be a whole number of at least 1",
    );
  });

  it.effect("waits for the 95th percentile of at least 50 calls, and for 10 ms, by default", () =>
    Effect.gen(function* () {
      const hedge = yield* Hedge.make();
      const call = { operation: "find", mayBegin: () => true };
      const take = (milliseconds: number) =>
        Effect.flatMap(
          runFor(hedge.run(call, Effect.sleep(milliseconds), Effect.die("no hedge")), milliseconds),
          Fiber.join,
        );
      for (let count = 0; count < 49; count++) yield* take(1);
      assert.equal(hedge.unsafeDelay(), undefined);
      yield* take(1);
      assert.equal(hedge.unsafeDelay(), 10);
      // One call in ten takes longer, so the percentile lies among these.
      for (let count = 0; count < 6; count++) yield* take(40);
      const delay = hedge.unsafeDelay() ?? NaN;
      assert.ok(delay >= 40 && delay <= 44, `${delay}`);
    }));
});

/** A guard with a trained hedge, and a call that is slow at its first attempt only. */
const guarded = (options: Partial<Guard.Options> = {}) =>
  Effect.gen(function* () {
    const { hedge, results } = yield* trained();
    const breaker = yield* CircuitBreaker.make("mongodb", { openJitter: 0 });
    const guard = yield* Guard.make({ dependency: "mongodb", breaker, hedge, ...options });
    const seen = { attempts: 0, interrupted: 0 };
    const call = Effect.suspend(() => {
      seen.attempts += 1;
      return Effect.as(Effect.sleep(seen.attempts === 1 ? 1_000 : 5), seen.attempts);
    }).pipe(Effect.onInterrupt(() => Effect.sync(() => seen.interrupted += 1)));
    return { guard, breaker, results, seen, call };
  });

describe("Guard.run() with a hedge", () => {
  it.effect("counts the winner as a success and the loser as neutral", () =>
    Effect.gen(function* () {
      const { guard, breaker, seen, call, results } = yield* guarded();
      const fiber = yield* runFor(guard.run("find", call), 100);
      assert.equal(yield* Fiber.join(fiber), 2);
      assert.deepEqual(seen, { attempts: 2, interrupted: 1 });
      const { successes, neutral, failures } = yield* breaker.totals;
      assert.deepEqual({ successes, neutral, failures }, { successes: 1, neutral: 1, failures: 0 });
      assert.deepEqual(results, ["find won"]);
    }));

  it.effect("takes each hedge from the retry budget, and hedges nothing without one left", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ ratio: 0, minimumPerSecond: 0.1 });
      const { guard, seen, call, results } = yield* guarded({ budget });
      yield* Fiber.join(yield* runFor(guard.run("find", call), 100));
      seen.attempts = 0;
      const fiber = yield* runFor(guard.run("find", call), 1_000);
      assert.equal(yield* Fiber.join(fiber), 1);
      assert.deepEqual(results, ["find won", "find refused"]);
    }));

  it.effect("hedges nothing when the breaker has opened meanwhile", () =>
    Effect.gen(function* () {
      const { guard, breaker, seen, call, results } = yield* guarded();
      const fiber = yield* runFor(guard.run("find", call), 10);
      yield* breaker.control("open");
      yield* TestClock.adjust(1_000);
      assert.equal(yield* Fiber.join(fiber), 1);
      assert.equal(seen.attempts, 1);
      assert.deepEqual(results, ["find refused"]);
    }));

  it.effect("hedges no trial of a half-open breaker", () =>
    Effect.gen(function* () {
      const { guard, breaker, seen, call, results } = yield* guarded();
      yield* breaker.control("open");
      yield* breaker.control("auto");
      const fiber = yield* runFor(guard.run("find", call), 1_000);
      assert.equal(yield* Fiber.join(fiber), 1);
      assert.deepEqual([breaker.unsafeState(), seen.attempts], ["half-open", 1]);
      assert.deepEqual(results, ["find refused"]);
    }));

  it.effect("hedges nothing when the bulkhead is full, and the first attempt goes on", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent: 1 });
      const { guard, seen, call, results } = yield* guarded({ bulkhead });
      const fiber = yield* runFor(guard.run("find", call), 1_000);
      assert.equal(yield* Fiber.join(fiber), 1);
      assert.equal(seen.attempts, 1);
      assert.equal(bulkhead.rejections, 1);
      assert.deepEqual(results, ["find refused"]);
    }));

  it.effect("gives back both places of the bulkhead, and stops both at the deadline", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent: 2 });
      const { guard } = yield* guarded({ bulkhead });
      const call = guard.run("find", Effect.never, { attemptLimit: "200 millis" });
      const fiber = yield* runFor(Effect.flip(call), 50);
      assert.equal(bulkhead.inFlight, 2);
      yield* TestClock.adjust(Duration.millis(500));
      assert.equal((yield* Fiber.join(fiber))._tag, "DeadlineExceeded");
      assert.equal(bulkhead.inFlight, 0);
    }));
});

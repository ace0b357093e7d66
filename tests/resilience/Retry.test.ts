/** Retry: when it tries again, how long it waits, and every reason to stop. */
import assert from "node:assert/strict";
import {
  Cause,
  Clock,
  Data,
  Deferred,
  Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  Random,
  Schedule,
  TestClock,
} from "effect";
import * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import * as Deadline from "../../src/resilience/Deadline.ts";
import * as Retry from "../../src/resilience/Retry.ts";
import * as RetryBudget from "../../src/resilience/RetryBudget.ts";
import { describe, it } from "../support/it.ts";

class Down extends Data.TaggedError("Down")<{ readonly retryAfter?: Duration.Duration }> {}
class Refused extends Data.TaggedError("Refused") {}

const isRetryable = (error: unknown) => error instanceof Down;
const policyOf = (settings: Partial<Retry.Settings> = {}) =>
  Either.getOrThrow(Retry.policy(settings));

/** A call that fails `failures` times, and the times (ms) at which it was made. */
const flaky = <E>(failures: number, error: () => E) => {
  const times: Array<number> = [];
  const call: Effect.Effect<string, E> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    times.push(now);
    return times.length <= failures ? Effect.fail(error()) : Effect.succeed("ok");
  });
  return { call, times };
};

/** Runs to the end, moving time as far as anybody sleeps. */
const runToEnd = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect);
    yield* TestClock.adjust("1 hour");
    return yield* Fiber.await(fiber);
  });

/** The delays (ms) a policy asks for, a list for each of so many seeds. */
const delaysOf = (settings: Partial<Retry.Settings>, seeds = 1) =>
  Effect.gen(function* () {
    const all = Array.from({ length: seeds }, (): Array<number> => []);
    const runs = all.map((delays, seed) =>
      Retry.retry(Effect.fail(new Down({})), {
        operation: "test",
        policy: policyOf(settings),
        isRetryable,
        onRetry: ({ nextDelay }) => Effect.sync(() => delays.push(Duration.toMillis(nextDelay))),
      }).pipe(Effect.withRandom(Random.make(seed)), Effect.exit)
    );
    yield* runToEnd(Effect.all(runs, { concurrency: "unbounded" }));
    return all;
  });

describe("Retry.policy()", () => {
  it.effect("waits about 100 ms and 200 ms by default, within ±20 %, and then is done", () =>
    Effect.gen(function* () {
      const all = yield* delaysOf({}, 40);
      for (const delays of all) {
        const [first = NaN, second = NaN] = delays;
        assert.equal(delays.length, 2);
        assert.ok(first >= 80 && first <= 120, `first delay ${first}`);
        assert.ok(second >= 160 && second <= 240, `second delay ${second}`);
      }
      const firsts = all.map(([first = NaN]) => first);
      assert.ok(Math.max(...firsts) - Math.min(...firsts) > 20, "delays differ");
    }));

  it.effect("never waits longer than the cap, also when the jitter would exceed it", () =>
    Effect.gen(function* () {
      const near = (yield* delaysOf({ initialDelay: "4800 millis" }, 40)).flat();
      assert.equal(Math.max(...near), 5_000);
      assert.ok(Math.min(...near) < 5_000);
      const above = (yield* delaysOf({ initialDelay: "10 seconds" }, 40)).flat();
      assert.deepEqual(new Set(above), new Set([5_000]));
    }));

  it.effect("survives growth beyond every number", () =>
    Effect.gen(function* () {
      const [delays] = yield* delaysOf(
        { maxAttempts: 20, factor: 1e300, initialDelay: 1, maxDelay: 10 },
      );
      assert.equal(delays?.length, 19);
      assert.ok(delays.every((delay) => delay <= 10));
    }));

  it.effect("takes zero as a value: no delay, no cap but zero", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* delaysOf({ initialDelay: 0 }), [[0, 0]]);
      assert.deepEqual(yield* delaysOf({ maxDelay: 0 }), [[0, 0]]);
    }));

  it("names every illegal setting and its value", () => {
    const result = Retry.policy({
      maxAttempts: 0,
      initialDelay: -1,
      maxDelay: "soon" as unknown as Duration.DurationInput,
      factor: 0.5,
    });
    const { policy, problems } = Either.getOrThrow(Either.flip(result));
    assert.equal(policy, "retry policy");
    assert.deepEqual(problems.map(({ setting, value }) => [setting, value]), [
      ["maxAttempts", 0],
      ["initialDelay", -1],
      ["maxDelay", "soon"],
      ["factor", 0.5],
    ]);
    for (const maxAttempts of [1.5, NaN, Infinity, -1]) {
      assert.ok(Either.isLeft(Retry.policy({ maxAttempts })), `maxAttempts ${maxAttempts}`);
    }
  });
});

describe("Retry.retry()", () => {
  it.effect("does not touch the schedule when the first attempt succeeds", () =>
    Effect.gen(function* () {
      const policy = Schedule.forever.pipe(
        Schedule.mapEffect(() => Effect.dieMessage("The schedule was asked")),
      );
      const { call, times } = flaky(0, () => new Down({}));
      assert.equal(yield* Retry.retry(call, { operation: "test", policy, isRetryable }), "ok");
      assert.equal(times.length, 1);
    }));

  it.effect("makes maxAttempts attempts in all and fails with the last one's error", () =>
    Effect.gen(function* () {
      const errors: Array<Down> = [];
      const { call, times } = flaky(9, () => {
        const error = new Down({});
        errors.push(error);
        return error;
      });
      const exit = yield* runToEnd(
        Retry.retry(call, { operation: "test", policy: policyOf(), isRetryable }),
      );
      assert.equal(times.length, 3);
      assert.ok(Exit.isFailure(exit) && exit.cause._tag === "Fail");
      assert.equal(exit.cause.error, errors[2]);
    }));

  it.effect("makes one attempt when maxAttempts is 1", () =>
    Effect.gen(function* () {
      const { call, times } = flaky(9, () => new Down({}));
      const policy = policyOf({ maxAttempts: 1 });
      yield* runToEnd(Retry.retry(call, { operation: "test", policy, isRetryable }));
      assert.equal(times.length, 1);
    }));

  it.effect("succeeds as soon as an attempt does", () =>
    Effect.gen(function* () {
      const { call, times } = flaky(1, () => new Down({}));
      const exit = yield* runToEnd(
        Retry.retry(call, { operation: "test", policy: policyOf(), isRetryable }),
      );
      assert.deepEqual(exit, Exit.succeed("ok"));
      assert.equal(times.length, 2);
    }));

  it.effect("can be run again from the start", () =>
    Effect.gen(function* () {
      const { call, times } = flaky(99, () => new Down({}));
      const effect = Retry.retry(call, { operation: "test", policy: policyOf(), isRetryable });
      yield* runToEnd(effect);
      yield* runToEnd(effect);
      assert.equal(times.length, 6);
    }));

  it.effect("G20 passes an error that is not retryable unchanged, after one attempt", () =>
    Effect.gen(function* () {
      const error = new Refused();
      const { call, times } = flaky(9, () => error);
      const found = yield* Effect.flip(
        Retry.retry(call, { operation: "test", policy: policyOf(), isRetryable }),
      );
      assert.equal(found, error);
      assert.equal(times.length, 1);
    }));

  it.effect("retries neither a defect nor a failure with a defect beside it", () =>
    Effect.gen(function* () {
      for (
        const cause of [Cause.die("bug"), Cause.parallel(Cause.fail(new Down({})), Cause.die(1))]
      ) {
        let runs = 0;
        const exit = yield* Effect.suspend(() => {
          runs += 1;
          return Effect.failCause(cause);
        }).pipe(
          (call) => Retry.retry(call, { operation: "test", policy: policyOf(), isRetryable }),
          runToEnd,
        );
        assert.deepEqual(exit, Exit.failCause(cause));
        assert.equal(runs, 1);
      }
    }));

  it.effect("retries several failures at once only when all of them are retryable", () =>
    Effect.gen(function* () {
      const runsOf = (cause: Cause.Cause<Down | Refused>) =>
        Effect.gen(function* () {
          let runs = 0;
          yield* runToEnd(Retry.retry(
            Effect.suspend(() => {
              runs += 1;
              return Effect.failCause(cause);
            }),
            {
              operation: "test",
              policy: policyOf(),
              isRetryable,
              onRetry: ({ error }) => Effect.sync(() => assert.equal(error, first)),
            },
          ));
          return runs;
        });
      const first = new Down({});
      const down = Cause.fail(first);
      assert.equal(yield* runsOf(Cause.parallel(down, down)), 3);
      assert.equal(yield* runsOf(Cause.sequential(down, Cause.empty)), 3);
      assert.equal(yield* runsOf(Cause.parallel(down, Cause.fail(new Refused()))), 1);
    }));

  it.effect("waits as long as a hint says when that is longer, and not less when shorter", () =>
    Effect.gen(function* () {
      const timesWith = (seconds: number) =>
        Effect.gen(function* () {
          yield* TestClock.setTime(0);
          const { call, times } = flaky(
            1,
            () => new Down({ retryAfter: Duration.seconds(seconds) }),
          );
          const policy = policyOf();
          yield* runToEnd(Retry.retry(call, { operation: "test", policy, isRetryable }));
          return times[1] ?? NaN;
        });
      assert.equal(yield* timesWith(7), 7_000);
      const soon = yield* timesWith(0.01);
      assert.ok(soon >= 80 && soon <= 121, `second attempt at ${soon}`);
    }));

  it.effect("takes the hint from an option in place of the error's own", () =>
    Effect.gen(function* () {
      const { call, times } = flaky(1, () => new Down({ retryAfter: Duration.seconds(9) }));
      const hint = () => Duration.seconds(2);
      yield* runToEnd(
        Retry.retry(call, { operation: "test", policy: policyOf(), isRetryable, hint }),
      );
      assert.equal(times[1], 2_000);
    }));

  it.effect("starts no attempt that could not end before the deadline", () =>
    Effect.gen(function* () {
      const run = (within: number, attemptTime: number) =>
        Effect.gen(function* () {
          const start = yield* Clock.currentTimeMillis;
          const error = new Down({ retryAfter: Duration.seconds(1) });
          const { call, times } = flaky(9, () => error);
          const told: Array<number> = [];
          const fiber = yield* Retry.retry(call, {
            operation: "test",
            policy: policyOf(),
            isRetryable,
            attemptTime,
            onRetry: ({ attempt }) => Effect.sync(() => told.push(attempt)),
          }).pipe(
            Deadline.within(within),
            Effect.flip,
            Effect.zip(Clock.currentTimeMillis),
            Effect.fork,
          );
          yield* TestClock.adjust("1 hour");
          const [found, end] = yield* Fiber.join(fiber);
          assert.equal(found, error);
          // It stops where it stands, not after a last delay.
          assert.equal(end, times.at(-1));
          assert.equal(told.length, times.length - 1);
          return times.map((time) => time - start);
        });
      assert.deepEqual(yield* run(2_500, 0), [0, 1_000, 2_000]);
      assert.deepEqual(yield* run(1_500, 0), [0, 1_000]);
      assert.deepEqual(yield* run(1_500, 499), [0, 1_000]);
      assert.deepEqual(yield* run(1_500, 500), [0]);
      assert.deepEqual(yield* run(1_000, 0), [0]);
    }));

  it.effect("stops at an option's deadline when that is the earlier", () =>
    Effect.gen(function* () {
      const { call, times } = flaky(9, () => new Down({ retryAfter: Duration.seconds(1) }));
      yield* runToEnd(
        Retry.retry(call, { operation: "test", policy: policyOf(), isRetryable, deadline: 1_500 })
          .pipe(Deadline.within("1 minute")),
      );
      assert.deepEqual(times, [0, 1_000]);
    }));

  it.effect("gives up on an endless hint even without a deadline", () =>
    Effect.gen(function* () {
      const { call, times } = flaky(9, () => new Down({ retryAfter: Duration.infinity }));
      yield* runToEnd(Retry.retry(call, { operation: "test", policy: policyOf(), isRetryable }));
      assert.equal(times.length, 1);
    }));

  it.effect("stops with the failure itself when the budget is used up", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ ratio: 0, minimumPerSecond: 0.1 });
      const error = new Down({});
      const { call, times } = flaky(99, () => error);
      const exit = yield* runToEnd(
        Retry.retry(call, { operation: "test", policy: policyOf(), isRetryable, budget }),
      );
      assert.equal(times.length, 2);
      assert.deepEqual(exit, Exit.fail(error));
      assert.equal(budget.unsafeRefusals(), 1);
    }));

  it.effect("takes nothing from the budget for a retry the deadline forbids", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ ratio: 0, minimumPerSecond: 1 });
      const { call } = flaky(99, () => new Down({ retryAfter: Duration.minutes(1) }));
      yield* Retry.retry(call, { operation: "test", policy: policyOf(), isRetryable, budget })
        .pipe(Deadline.within("1 second"), Effect.ignore);
      assert.equal(budget.balance(0), 10);
    }));

  it.effect("ends at once when interrupted in the middle of a delay", () =>
    Effect.gen(function* () {
      const waiting = yield* Deferred.make<void>();
      const { call, times } = flaky(99, () => new Down({ retryAfter: Duration.hours(1) }));
      const fiber = yield* Effect.fork(Retry.retry(call, {
        operation: "test",
        policy: policyOf(),
        isRetryable,
        onRetry: () => Deferred.succeed(waiting, undefined),
      }));
      yield* Deferred.await(waiting);
      yield* TestClock.adjust("1 second");
      // No time passes here: a retry that waited for its delay would hang the test.
      yield* Fiber.interrupt(fiber);
      assert.ok(Exit.isInterrupted(yield* Fiber.await(fiber)));
      assert.equal(times.length, 1);
    }));

  it.effect("hands interruption to the running attempt and starts no other", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>();
      const seen = { runs: 0, interrupted: 0 };
      const call = Effect.suspend(() => {
        seen.runs += 1;
        return Deferred.succeed(started, undefined);
      }).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Effect.sync(() => seen.interrupted += 1)),
      );
      const fiber = yield* Effect.fork(
        Retry.retry(call, { operation: "test", policy: policyOf(), isRetryable: () => true }),
      );
      yield* Deferred.await(started);
      yield* Fiber.interrupt(fiber);
      yield* TestClock.adjust("1 hour");
      assert.deepEqual(seen, { runs: 1, interrupted: 1 });
    }));

  it.effect("tells of each attempt that failed and will be followed by another", () =>
    Effect.gen(function* () {
      const told: Array<Retry.Retrying<Down>> = [];
      const { call } = flaky(99, () => new Down({ retryAfter: Duration.seconds(1) }));
      yield* runToEnd(Retry.retry(call, {
        operation: "mongodb_find",
        policy: policyOf(),
        isRetryable,
        onRetry: (retrying) => Effect.sync(() => told.push(retrying)),
      }));
      assert.deepEqual(
        told.map(({ operation, attempt, nextDelay }) => [
          operation,
          attempt,
          Duration.toMillis(nextDelay),
        ]),
        [["mongodb_find", 1, 1_000], ["mongodb_find", 2, 1_000]],
      );
      assert.ok(told.every(({ error }) => error instanceof Down));
    }));

  it.effect("D15 ends at the first CircuitOpen: 7 attempts round a breaker with consecutive 3", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("d15", {
        consecutiveFailures: 3,
        minimumRequests: 100,
      });
      const { call, times } = flaky(99, () => new Down({}));
      const exit = yield* runToEnd(Retry.retry(breaker.protect(call), {
        operation: "test",
        policy: policyOf({ maxAttempts: 7 }),
        isRetryable,
      }));
      assert.equal(times.length, 3);
      assert.ok(Exit.isFailure(exit) && exit.cause._tag === "Fail");
      assert.ok(exit.cause.error instanceof CircuitBreaker.CircuitOpen);
      assert.equal((yield* breaker.snapshot).rejected, 1);
    }));
});

/** The guard: its fixed order, what each part sees of a call, and what reaches the caller. */
import assert from "node:assert/strict";
import {
  Clock,
  Data,
  Deferred,
  Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  Random,
  TestClock,
} from "effect";
import * as Bulkhead from "../../src/resilience/Bulkhead.ts";
import * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import * as Deadline from "../../src/resilience/Deadline.ts";
import { PermanentFailure, TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import * as Guard from "../../src/resilience/Guard.ts";
import * as Immediate from "../../src/resilience/Immediate.ts";
import * as RateLimiter from "../../src/resilience/RateLimiter.ts";
import * as Retry from "../../src/resilience/Retry.ts";
import * as RetryBudget from "../../src/resilience/RetryBudget.ts";
import { describe, it } from "../support/it.ts";

const dependency = "mongodb";
const operation = "mongodb_find";
const transient = (retryAfter?: Duration.Duration) =>
  new TransientFailure({
    dependency,
    operation,
    reason: "connection reset",
    timedOut: false,
    cause: null,
    ...(retryAfter === undefined ? {} : { retryAfter }),
  });
const permanent = (answered: boolean) =>
  new PermanentFailure({ dependency, operation, reason: "refused", answered, cause: null });

const retry = Either.getOrThrow(Retry.policy());
const pause = (times: number) => Effect.repeatN(Effect.yieldNow(), times);
const settle = pause(20);

const setUp = (
  settings: Partial<CircuitBreaker.Settings> = {},
  options: Partial<Guard.Options> = {},
) =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(dependency, { openJitter: 0, ...settings });
    const guard = yield* Guard.make({ dependency, breaker, retry, ...options });
    return { breaker, guard };
  });

/** A call that counts its runs. */
const counted = <A, E>(exit: (run: number) => Exit.Exit<A, E>) => {
  const seen = { runs: 0 };
  return { seen, call: Effect.suspend(() => exit(seen.runs += 1)) };
};

const runToEnd = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(effect);
    yield* TestClock.adjust("1 hour");
    return yield* Fiber.await(fiber);
  });

describe("Guard", () => {
  it.effect("run() passes a success through, counted once by the breaker", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* setUp();
      const { call, seen } = counted(() => Exit.succeed("store"));
      assert.equal(yield* guard.run(operation, call), "store");
      assert.equal(seen.runs, 1);
      assert.equal((yield* breaker.snapshot).counts.totalSuccesses, 1);
    }));

  it.effect("run() has every attempt counted by the breaker", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* setUp();
      const { call } = counted((run) => run < 3 ? Exit.fail(transient()) : Exit.succeed(run));
      assert.deepEqual(yield* runToEnd(guard.run(operation, call)), Exit.succeed(3));
      const { successes, failures } = yield* breaker.totals;
      assert.deepEqual({ successes, failures }, { successes: 1, failures: 2 });
    }));

  it.effect("D15 run() of 7 attempts ends at the first CircuitOpen of a breaker with 3", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* setUp(
        { consecutiveFailures: 3 },
        { retry: Either.getOrThrow(Retry.policy({ maxAttempts: 7 })) },
      );
      const { call, seen } = counted(() => Exit.fail(transient()));
      const exit = yield* runToEnd(guard.run(operation, call));
      assert.ok(Exit.isFailure(exit) && exit.cause._tag === "Fail");
      assert.ok(exit.cause.error instanceof CircuitBreaker.CircuitOpen);
      assert.equal(seen.runs, 3);
      assert.equal((yield* breaker.snapshot).rejected, 1);
    }));

  it.effect("run() retries no refusal, even when told that everything is retryable", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* setUp({}, { isRetryable: () => true });
      yield* breaker.control("open");
      const exit = yield* Effect.exit(guard.run(operation, Effect.dieMessage("must not run")));
      assert.ok(Exit.isFailure(exit) && exit.cause._tag === "Fail");
      assert.equal((yield* breaker.snapshot).rejected, 1);
    }));

  it.effect("F15 run() does not run the call when any part refuses", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(dependency, { maxConcurrent: 1 });
      const limiter = yield* RateLimiter.make(dependency, { rate: 1, burst: 2 });
      const { guard } = yield* setUp({}, { bulkhead, limiter });
      const never = Effect.dieMessage("must not run");
      const holder = yield* Effect.fork(guard.run(operation, Effect.never));
      yield* settle;
      const tagOf = Effect.map(Effect.flip(guard.run(operation, never)), ({ _tag }) => _tag);
      assert.equal(yield* tagOf, "BulkheadFull");
      assert.equal(yield* tagOf, "RateLimited");
      assert.equal(yield* Deadline.within(0)(tagOf), "DeadlineExceeded");
      yield* Fiber.interrupt(holder);
    }));

  it.effect("G19 run() leaves the breaker alone when the limiter, bulkhead or deadline refuses", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(dependency, { maxConcurrent: 1 });
      const limiter = yield* RateLimiter.make(dependency, { rate: 0.001, burst: 3 });
      const { breaker, guard } = yield* setUp({ consecutiveFailures: 1 }, { bulkhead, limiter });
      const holder = yield* Effect.fork(guard.run(operation, Effect.never));
      yield* settle;
      for (let refusal = 0; refusal < 5; refusal++) {
        yield* Effect.flip(guard.run(operation, Effect.void));
        yield* Effect.flip(Deadline.within(0)(guard.run(operation, Effect.void)));
      }
      const { state, counts } = yield* breaker.snapshot;
      assert.deepEqual([state, counts.requests], ["closed", 0]);
      assert.equal((yield* breaker.totals).neutral, 10);
      assert.deepEqual([bulkhead.rejections, limiter.unsafeRejections()], [2, 3]);
      yield* Fiber.interrupt(holder);
    }));

  it.effect("run() asks the breaker before the limiter and the limiter before the bulkhead", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(dependency, { maxConcurrent: 1 });
      const limiter = yield* RateLimiter.make(dependency, { rate: 0.001, burst: 1 });
      const { breaker, guard } = yield* setUp({}, { bulkhead, limiter });
      const holder = yield* Effect.fork(guard.run(operation, Effect.never));
      yield* settle;
      const tagOf = Effect.map(Effect.flip(guard.run(operation, Effect.void)), ({ _tag }) => _tag);
      assert.equal(yield* tagOf, "RateLimited");
      assert.equal(bulkhead.rejections, 0);
      yield* breaker.control("open");
      assert.equal(yield* tagOf, "CircuitOpen");
      assert.equal(limiter.unsafeRejections(), 1);
      yield* Fiber.interrupt(holder);
    }));

  it.effect("run() holds no place of the bulkhead while it waits for the next attempt", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(dependency, { maxConcurrent: 1 });
      const { guard } = yield* setUp({}, { bulkhead });
      const { call } = counted(() => Exit.fail(transient(Duration.seconds(1))));
      const fiber = yield* Effect.fork(guard.run(operation, call));
      yield* settle;
      assert.equal(bulkhead.inFlight, 0);
      assert.equal(yield* guard.run(operation, Effect.succeed(1)), 1);
      yield* Fiber.interrupt(fiber);
    }));

  it.effect("G20 run() passes a permanent failure unchanged after one attempt", () =>
    Effect.gen(function* () {
      const { guard } = yield* setUp();
      const failure = permanent(false);
      const { call, seen } = counted(() => Exit.fail(failure));
      assert.equal(yield* Effect.flip(guard.run(operation, call)), failure);
      assert.equal(seen.runs, 1);
    }));

  it.effect("run() counts a refusal the dependency itself gave as its success", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* setUp();
      yield* Effect.flip(guard.run(operation, Effect.fail(permanent(true))));
      yield* Effect.flip(guard.run(operation, Effect.fail(permanent(false))));
      const { totalSuccesses, totalFailures } = (yield* breaker.snapshot).counts;
      assert.deepEqual({ totalSuccesses, totalFailures }, { totalSuccesses: 1, totalFailures: 1 });
    }));

  it.effect("run() lets a call have its own classification and retryable errors", () =>
    Effect.gen(function* () {
      class TooMany extends Data.TaggedError("TooMany") {}
      const { breaker, guard } = yield* setUp({ consecutiveFailures: 1 });
      const { call, seen } = counted(() => Exit.fail(new TooMany()));
      yield* runToEnd(guard.run(operation, call, {
        classify: () => "neutral",
        isRetryable: (error) => error instanceof TooMany,
      }));
      assert.equal(seen.runs, 3);
      assert.equal((yield* breaker.snapshot).counts.requests, 0);
    }));

  it.effect("run() passes a defect through, counted as a failure and not retried", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* setUp();
      const { call, seen } = counted(() => Exit.die("bug"));
      assert.deepEqual(yield* Effect.exit(guard.run(operation, call)), Exit.die("bug"));
      assert.equal(seen.runs, 1);
      assert.equal((yield* breaker.snapshot).counts.totalFailures, 1);
    }));

  it.effect("run() hands interruption to the call, neutral to the breaker, with all places back", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(dependency, { maxConcurrent: 1 });
      const { breaker, guard } = yield* setUp({}, { bulkhead });
      let interrupted = false;
      const fiber = yield* Effect.never.pipe(
        Effect.onInterrupt(() => Effect.sync(() => interrupted = true)),
        (call) => guard.run(operation, call),
        Effect.fork,
      );
      yield* settle;
      yield* Fiber.interrupt(fiber);
      assert.ok(interrupted);
      assert.equal(bulkhead.inFlight, 0);
      const { successes, failures, neutral } = yield* breaker.totals;
      assert.deepEqual({ successes, failures, neutral }, { successes: 0, failures: 0, neutral: 1 });
    }));

  it.effect("run() starts no attempt that could not end before the deadline", () =>
    Effect.gen(function* () {
      const { guard } = yield* setUp({}, { attemptTime: "500 millis" });
      const failure = transient(Duration.seconds(1));
      const { call, seen } = counted(() => Exit.fail(failure));
      const fiber = yield* Effect.fork(Deadline.within("1500 millis")(guard.run(operation, call)));
      yield* settle;
      // No time has passed: it gives up instead of waiting for the deadline.
      assert.deepEqual(yield* Fiber.await(fiber), Exit.fail(failure));
      assert.equal(seen.runs, 1);
    }));

  it.effect("run() cuts off attempts after the first at the deadline", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* setUp({}, { deadline: "1 second" });
      const seen = { runs: 0 };
      const call = Effect.suspend((): Effect.Effect<never, TransientFailure> => {
        seen.runs += 1;
        return seen.runs === 1 ? Effect.fail(transient()) : Effect.never;
      });
      const fiber = yield* Effect.fork(
        Effect.zip(Effect.flip(guard.run(operation, call)), Clock.currentTimeMillis),
      );
      yield* TestClock.adjust("1 minute");
      const [error, end] = yield* Fiber.join(fiber);
      assert.ok(error instanceof Deadline.DeadlineExceeded);
      assert.equal(error.attempted, true);
      // Jittered delays end between milliseconds, and time is read in microseconds.
      assert.deepEqual([seen.runs, Math.round(end)], [2, 1_000]);
      const { failures, timeouts } = yield* breaker.totals;
      assert.deepEqual({ failures, timeouts }, { failures: 2, timeouts: 1 });
    }));

  it.effect("run() takes an attempt that was cut off for no hint: the next comes after ~100 ms", () =>
    Effect.gen(function* () {
      const delays: Array<number> = [];
      const { breaker, guard } = yield* setUp({ consecutiveFailures: 1, openFor: 10 }, {
        attemptLimit: "2 seconds",
        onRetry: ({ nextDelay }) => Effect.sync(() => delays.push(Duration.toMillis(nextDelay))),
      });
      const fiber = yield* Effect.fork(Effect.exit(guard.run(operation, Effect.never)));
      yield* TestClock.adjust("2 seconds");
      const { openUntil } = yield* breaker.snapshot;
      assert.equal(openUntil, 2_010);
      assert.ok((delays[0] ?? NaN) <= 120, String(delays));
      yield* TestClock.adjust("1 minute");
      yield* Fiber.join(fiber);
    }));

  it.effect("run() leaves the first attempt to the driver's own deadline", () =>
    Effect.gen(function* () {
      const { guard } = yield* setUp({}, { deadline: "1 second" });
      const fiber = yield* Effect.fork(guard.run(operation, Effect.sleep("2 seconds")));
      yield* TestClock.adjust("2 seconds");
      assert.deepEqual(yield* Fiber.await(fiber), Exit.void);
    }));

  it.effect("run() with attemptLimit cuts off every attempt, and retries one that was", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* setUp({}, { attemptLimit: "1 second" });
      const seen = { runs: 0 };
      const call = Effect.suspend(() => {
        seen.runs += 1;
        return seen.runs === 1 ? Effect.never : Effect.succeed("ok");
      });
      assert.deepEqual(yield* runToEnd(guard.run(operation, call)), Exit.succeed("ok"));
      assert.equal((yield* breaker.totals).timeouts, 1);
    }));

  it.effect("run() checks the deadline again after waiting for a place", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(dependency, { maxConcurrent: 1, maxQueue: 1 });
      const { guard } = yield* setUp({}, { bulkhead });
      const end = yield* Deferred.make<void>();
      yield* Effect.fork(guard.run(operation, Deferred.await(end)));
      yield* settle;
      const waiter = yield* guard.run(operation, Effect.dieMessage("must not run")).pipe(
        Deadline.within("1 second"),
        Effect.flip,
        Effect.fork,
      );
      yield* TestClock.adjust("1 second");
      yield* Deferred.succeed(end, undefined);
      const error = yield* Fiber.join(waiter);
      assert.ok(error instanceof Deadline.DeadlineExceeded && error.refused);
    }));

  it.effect("run() feeds the budget with first attempts that were made, and heeds it", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ ratio: 0.5, minimumPerSecond: 0 });
      const { breaker, guard } = yield* setUp(
        { consecutiveFailures: null, minimumRequests: 1_000 },
        { budget },
      );
      const { call, seen } = counted(() => Exit.fail(transient()));
      for (let run = 0; run < 4; run++) yield* runToEnd(guard.run(operation, call));
      // One call an hour pays in half a retry, which is none.
      assert.equal(seen.runs, 4);
      const fibers = yield* Effect.replicateEffect(Effect.fork(guard.run(operation, call)), 10);
      yield* TestClock.adjust("1 minute");
      yield* Effect.forEach(fibers, Fiber.await);
      assert.equal(seen.runs, 4 + 10 + 5);
      yield* breaker.control("open");
      yield* Effect.replicateEffect(Effect.ignore(guard.run(operation, call)), 100);
      assert.equal(budget.balance(yield* Clock.currentTimeMillis), 0);
    }));

  it.effect("run() tells of retries and of how long calls took", () =>
    Effect.gen(function* () {
      const retries: Array<readonly [string, number, string]> = [];
      const calls: Array<readonly [string, number]> = [];
      const { guard } = yield* setUp({}, {
        onRetry: ({ operation, attempt, nextDelay }) =>
          Effect.sync(() => retries.push([operation, attempt, Duration.format(nextDelay)])),
        onCall: (operation, milliseconds) => calls.push([operation, milliseconds]),
      });
      const seen = { runs: 0 };
      const call = Effect.zipRight(
        Effect.sleep("5 millis"),
        Effect.suspend(() => {
          seen.runs += 1;
          return seen.runs === 1 ? Effect.fail(transient(Duration.seconds(2))) : Effect.succeed(1);
        }),
      );
      yield* runToEnd(guard.run(operation, call));
      const forgotten = yield* Effect.fork(guard.run(operation, Effect.never));
      yield* settle;
      yield* Fiber.interrupt(forgotten);
      assert.deepEqual(retries, [[operation, 1, "2s"]]);
      assert.deepEqual(calls, [[operation, 5], [operation, 5]]);
    }));

  it.effect("run() makes one attempt when it has no retry policy", () =>
    Effect.gen(function* () {
      const { guard } = yield* setUp({}, { retry: undefined });
      const { call, seen } = counted(() => Exit.fail(transient()));
      yield* runToEnd(guard.run(operation, call));
      assert.equal(seen.runs, 1);
    }));

  it.effect("run() can be run again: each run has its own attempts and deadline", () =>
    Effect.gen(function* () {
      const { guard } = yield* setUp(
        { consecutiveFailures: null, minimumRequests: 1_000 },
        { deadline: "10 seconds" },
      );
      const { call, seen } = counted(() => Exit.fail(transient()));
      const effect = guard.run(operation, call);
      yield* runToEnd(effect);
      yield* runToEnd(effect);
      assert.equal(seen.runs, 6);
    }));

  it.effect("run() begun outside of a fiber counts, retries and refuses as in one", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* setUp({ minimumRequests: 100, consecutiveFailures: 5 });
      const ends: Array<Exit.Exit<string, TransientFailure>> = [
        Exit.succeed("a"),
        Exit.fail(transient()),
      ];
      const call = new Immediate.Wait<string, TransientFailure, never>((resume) =>
        resume(ends.shift() ?? Exit.succeed("again"))
      );
      const run = () => Immediate.begin(guard.run(operation, call));
      // What is left of a wait is run in a fiber, as the server does when it is no result.
      assert.equal(yield* run(), "a");
      const fiber = yield* Effect.fork(run());
      yield* settle;
      yield* TestClock.adjust("200 millis");
      assert.equal(yield* Fiber.join(fiber), "again");
      const { counts } = yield* breaker.snapshot;
      assert.deepEqual([counts.totalSuccesses, counts.totalFailures], [2, 1]);
      yield* breaker.control("open");
      assert.equal((yield* Effect.flip(run()))._tag, "CircuitOpen");
      assert.equal(guard.unsafeRefuse()?._tag, "CircuitOpen");
      assert.equal((yield* breaker.snapshot).rejected, 2);
    }));

  it.effect("run() loses nothing under hundreds of fibers interrupted at random", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(dependency, { maxConcurrent: 10, maxQueue: 5 });
      const { breaker, guard } = yield* setUp(
        { consecutiveFailures: null, failureRate: 1, minimumRequests: 10_000 },
        { bulkhead, retry: undefined, budget: yield* RetryBudget.make() },
      );
      const seen = { now: 0, most: 0, ended: 0 };
      const call = Effect.acquireUseRelease(
        Effect.sync(() => seen.most = Math.max(seen.most, seen.now += 1)),
        () =>
          Effect.gen(function* () {
            const kind = yield* Random.nextIntBetween(0, 5);
            yield* pause(kind);
            seen.ended += 1;
            if (kind === 3) yield* Effect.fail(transient());
            if (kind === 4) yield* Effect.die("bug");
          }),
        () => Effect.sync(() => seen.now -= 1),
      );
      const fibers = yield* Effect.forEach(
        Array.from({ length: 600 }),
        () =>
          Random.nextIntBetween(0, 60).pipe(
            Effect.flatMap((times) => Effect.zipRight(pause(times), guard.run(operation, call))),
            Effect.fork,
          ),
      );
      yield* Effect.forEach(fibers, (fiber) =>
        Effect.gen(function* () {
          yield* pause(yield* Random.nextIntBetween(0, 2));
          if (yield* Random.nextBoolean) yield* Fiber.interruptFork(fiber);
        }));
      yield* Effect.forEach(fibers, Fiber.await);
      assert.ok(seen.most <= 10);
      assert.deepEqual([seen.now, bulkhead.inFlight, bulkhead.waiting], [0, 0, 0]);
      const { successes, failures } = yield* breaker.totals;
      assert.equal(successes + failures, seen.ended);
    }));
});

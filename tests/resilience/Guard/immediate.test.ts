/** Guarded calls without a fiber: which get none, and that nothing else is different about them. */
import assert from "node:assert/strict";
import { Clock, Duration, Effect, Either, Exit, Fiber, FiberId, TestClock } from "effect";
import * as Bulkhead from "../../../src/resilience/Bulkhead.ts";
import * as CircuitBreaker from "../../../src/resilience/CircuitBreaker.ts";
import { TransientFailure } from "../../../src/resilience/DependencyFailure.ts";
import * as Guard from "../../../src/resilience/Guard.ts";
import * as Hedge from "../../../src/resilience/Hedge.ts";
import * as Immediate from "../../../src/resilience/Immediate.ts";
import * as RateLimiter from "../../../src/resilience/RateLimiter.ts";
import * as Retry from "../../../src/resilience/Retry.ts";
import * as RetryBudget from "../../../src/resilience/RetryBudget.ts";
import * as Throttle from "../../../src/resilience/Throttle.ts";
import { describe, it } from "../../support/it.ts";

const dependency = "mongodb";
const operation = "mongodb_find";
const failure = new TransientFailure({
  dependency,
  operation,
  reason: "connection reset",
  timedOut: false,
  cause: null,
});

const guarded = (options: Partial<Guard.Options> = {}) =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(dependency, { minimumRequests: 1_000 });
    const guard = yield* Guard.make({ dependency, breaker, ...options });
    return { breaker, guard };
  });

/** A call that waits for a callback, and the callback. */
const waiting = () => {
  const ends: Array<(rest: Effect.Effect<string, TransientFailure>) => void> = [];
  const call = new Immediate.Wait<string, TransientFailure, never>((resume) => ends.push(resume));
  return { call, end: (exit: Exit.Exit<string, TransientFailure>) => ends.shift()?.(exit) };
};

/** Begins a call outside of any fiber; what is left of it when its wait is over. */
const begun = <A, E>(call: Effect.Effect<A, E>) => {
  const seen: { rest?: Effect.Effect<A, E> } = {};
  const wait = Immediate.begin(call);
  assert.ok(wait instanceof Immediate.Wait);
  // It waits for what the call is.
  (wait as Immediate.Wait<A, E, never>).start((rest) => seen.rest = rest);
  return seen;
};

describe("Guard.run() outside of a fiber", () => {
  it.effect("tells how long a call took, unless it was interrupted", () =>
    Effect.gen(function* () {
      const calls: Array<readonly [string, number]> = [];
      const { breaker, guard } = yield* guarded({ onCall: (...call) => calls.push(call) });
      const { call, end } = waiting();
      yield* TestClock.adjust("1 second");
      const seen = begun(guard.run(operation, call));
      yield* TestClock.adjust("7 millis");
      end(Exit.succeed("a"));
      assert.deepEqual(seen.rest, Exit.succeed("a"));
      const dropped = begun(guard.run(operation, call));
      end(Exit.interrupt(FiberId.none));
      assert.ok(dropped.rest !== undefined && Exit.isExit(dropped.rest));
      assert.deepEqual(calls, [[operation, 7]]);
      const { successes, neutral } = yield* breaker.totals;
      assert.deepEqual([successes, neutral], [1, 1]);
    }));

  it.effect("pays into the budget, and makes one attempt without a retry policy", () =>
    Effect.gen(function* () {
      const budget = yield* RetryBudget.make({ ratio: 0.5, minimumPerSecond: 0 });
      const { guard } = yield* guarded({ budget });
      const end = Exit.fail(failure);
      for (let run = 0; run < 4; run++) {
        assert.equal(Immediate.begin(guard.run(operation, end)), end);
      }
      assert.equal(budget.balance(yield* Clock.currentTimeMillis), 2);
    }));

  it.effect("makes and tells of further attempts in a fiber, up to the call's own deadline", () =>
    Effect.gen(function* () {
      const retries: Array<number> = [];
      const calls: Array<number> = [];
      const { guard } = yield* guarded({
        retry: Either.getOrThrow(Retry.policy({ maxAttempts: 4 })),
        deadline: "1 second",
        onRetry: ({ attempt }) => Effect.sync(() => retries.push(attempt)),
        onCall: (_, milliseconds) => calls.push(Math.round(milliseconds)),
      });
      const { call, end } = waiting();
      const seen = begun(guard.run(operation, call));
      yield* TestClock.adjust("400 millis");
      end(Exit.fail(failure));
      assert.ok(seen.rest !== undefined);
      const fiber = yield* Effect.fork(Effect.flip(seen.rest));
      yield* TestClock.adjust("150 millis");
      end(Exit.fail(failure));
      yield* TestClock.adjust("449 millis");
      assert.equal(yield* Fiber.poll(fiber).pipe(Effect.map((end) => end._tag)), "None");
      yield* TestClock.adjust("2 millis");
      // The 400 ms before there was a fiber are part of that second.
      assert.equal((yield* Fiber.join(fiber))._tag, "DeadlineExceeded");
      assert.deepEqual(retries, [1, 2]);
      // The last one was interrupted.
      assert.equal(calls.length, 2);
      assert.equal(calls[0], 400);
    }));

  it.effect("takes each call's own options, whatever the call before it had", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* guarded();
      const neutral: Guard.CallOptions = { classify: () => "neutral" };
      const success: Guard.CallOptions = { classify: () => "success" };
      for (const options of [neutral, success, undefined, neutral, neutral, success, undefined]) {
        Immediate.begin(guard.run(operation, Exit.fail(failure), options));
      }
      const totals = yield* breaker.totals;
      assert.deepEqual([totals.neutral, totals.successes, totals.failures], [3, 2, 2]);
    }));

  it.effect("is not for calls with a limit to each attempt: these can be cut off", () =>
    Effect.gen(function* () {
      const { guard } = yield* guarded();
      const call = guard.run(operation, waiting().call, { attemptLimit: "1 second" });
      const rest = Immediate.begin(call);
      assert.ok(!(rest instanceof Immediate.Wait));
      const fiber = yield* Effect.fork(Effect.flip(rest));
      yield* TestClock.adjust("1 second");
      assert.equal((yield* Fiber.join(fiber))._tag, "DeadlineExceeded");
    }));

  it.effect("is for guards of a breaker, retries and a budget alone", () =>
    Effect.gen(function* () {
      const plain = { retry: Either.getOrThrow(Retry.policy()), budget: yield* RetryBudget.make() };
      const others: ReadonlyArray<Partial<Guard.Options>> = [
        { limiter: yield* RateLimiter.make(dependency, { rate: 1, burst: 1 }) },
        { throttle: yield* Throttle.make(dependency) },
        { bulkhead: yield* Bulkhead.make(dependency, { maxConcurrent: 1 }) },
        { hedge: yield* Hedge.make() },
        { spans: (name) => ({ name, kind: "client", attributes: {} }) },
      ];
      const canBegin = (options: Partial<Guard.Options>) =>
        Effect.map(
          guarded(options),
          ({ guard }) => Immediate.canBegin(guard.run(operation, Exit.void)),
        );
      assert.equal(yield* canBegin(plain), true);
      for (const other of others) {
        assert.equal(yield* canBegin({ ...plain, ...other }), false, Object.keys(other).join());
      }
      const { guard } = yield* guarded(plain);
      assert.equal(Immediate.canBegin(guard.run(operation, Effect.yieldNow())), false);
    }));

  it.effect("unsafeRefuse() refuses what the breaker would, unless the refusal is to be a span", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* guarded();
      const traced = yield* Guard.make({
        dependency,
        breaker,
        spans: (name) => ({ name, kind: "client", attributes: {} }),
      });
      assert.equal(guard.unsafeRefuse(), undefined);
      yield* breaker.control("open");
      const refusal = guard.unsafeRefuse();
      assert.ok(refusal instanceof CircuitBreaker.CircuitOpen);
      assert.equal(Duration.toSeconds(refusal.retryAfter), 30);
      assert.equal(traced.unsafeRefuse(), undefined);
      assert.equal((yield* breaker.snapshot).rejected, 1);
    }));

  it.effect("is run in a fiber like any other when it is begun in one", () =>
    Effect.gen(function* () {
      const { breaker, guard } = yield* guarded();
      assert.equal(yield* guard.run(operation, Exit.succeed("a")), "a");
      assert.equal((yield* breaker.totals).successes, 1);
    }));
});

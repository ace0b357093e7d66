/** Deadlines: carrying, tightening, reading and enforcing them. */
import assert from "node:assert/strict";
import { Clock, Deferred, Duration, Effect, Exit, Fiber, FiberRef, TestClock } from "effect";
import * as Deadline from "../../src/resilience/Deadline.ts";
import { monotonicMillis } from "../../src/resilience/Monotonic.ts";
import { describe, it } from "../support/it.ts";

const call = { dependency: "mongodb", operation: "mongodb_find" };

describe("Deadline", () => {
  it.effect("current is infinite when nobody has set one", () =>
    Effect.gen(function* () {
      assert.equal(yield* FiberRef.get(Deadline.current), Infinity);
      assert.equal(Duration.isFinite(yield* Deadline.remaining), false);
    }));

  it.effect("within() sets monotonic milliseconds, also for forked fibers", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("3 seconds");
      const now = yield* Clock.clockWith((clock) => Effect.succeed(monotonicMillis(clock)));
      const seen = yield* Effect.fork(FiberRef.get(Deadline.current)).pipe(
        Effect.flatMap(Fiber.join),
        Deadline.within("2 seconds"),
      );
      assert.equal(seen, now + 2_000);
      assert.equal(yield* FiberRef.get(Deadline.current), Infinity);
    }));

  it.effect("within() keeps the earlier of two", () =>
    Effect.gen(function* () {
      const left = Effect.map(Deadline.remaining, Duration.toMillis);
      const inner = yield* left.pipe(Deadline.within("5 seconds"), Deadline.within("2 seconds"));
      const outer = yield* left.pipe(Deadline.within("2 seconds"), Deadline.within("5 seconds"));
      assert.deepEqual([inner, outer], [2_000, 2_000]);
    }));

  it.effect("remaining falls to zero and not below", () =>
    Effect.gen(function* () {
      const [before, after] = yield* Effect.gen(function* () {
        yield* TestClock.adjust("400 millis");
        const before = yield* Deadline.remaining;
        yield* TestClock.adjust("10 seconds");
        return [before, yield* Deadline.remaining] as const;
      }).pipe(Deadline.within("1 second"));
      assert.equal(Duration.toMillis(before), 600);
      assert.equal(Duration.toMillis(after), 0);
    }));

  it.effect("enforce() lets a call end that is in time, and is free without a deadline", () =>
    Effect.gen(function* () {
      const self = Effect.succeed(1);
      assert.equal(yield* self.pipe(Deadline.enforce(call), Deadline.within("1 second")), 1);
      assert.equal(yield* Deadline.enforce(call)(self), 1);
    }));

  it.effect("enforce() interrupts the call at the deadline and waits for its finalizers", () =>
    Effect.gen(function* () {
      let released = false;
      const fiber = yield* Effect.never.pipe(
        Effect.onInterrupt(() => Effect.sync(() => released = true)),
        Deadline.enforce(call),
        Deadline.within("1 second"),
        Effect.flip,
        Effect.fork,
      );
      yield* TestClock.adjust("999 millis");
      assert.equal(fiber.unsafePoll(), null);
      yield* TestClock.adjust("1 millis");
      const error = yield* Fiber.join(fiber);
      assert.ok(released);
      assert.ok(error instanceof Deadline.DeadlineExceeded);
      const { dependency, operation, timedOut, attempted, refused, retryAfter } = error;
      assert.deepEqual(
        { dependency, operation, timedOut, attempted, refused },
        { ...call, timedOut: true, attempted: true, refused: false },
      );
      assert.equal(retryAfter, undefined);
      assert.equal(error._tag, "DeadlineExceeded");
      assert.equal(error.message, 'No time left for mongodb_find of "mongodb"');
    }));

  it.effect("enforce() does not run the call when the deadline has been reached", () =>
    Effect.gen(function* () {
      let ran = false;
      const error = yield* Effect.sync(() => ran = true).pipe(
        Deadline.enforce(call),
        Deadline.within(0),
        Effect.flip,
      );
      assert.equal(ran, false);
      assert.equal(error.refused, true);
      assert.deepEqual([error.dependency, error.operation], ["mongodb", "mongodb_find"]);
      assert.deepEqual(error.retryAfter, Duration.seconds(1));
    }));

  it.effect("enforce() takes the earliest of limit, until and the fiber's deadline", () =>
    Effect.gen(function* () {
      const endsAfter = (options: { limit?: number; until?: number }, within: number) =>
        Effect.gen(function* () {
          const start = yield* Clock.currentTimeMillis;
          const until = options.until === undefined ? {} : { until: start + options.until };
          const fiber = yield* Effect.never.pipe(
            Deadline.enforce({ ...call, ...options, ...until }),
            Deadline.within(within),
            Effect.exit,
            Effect.zipRight(Clock.currentTimeMillis),
            Effect.fork,
          );
          yield* TestClock.adjust("1 minute");
          return (yield* Fiber.join(fiber)) - start;
        });
      assert.equal(yield* endsAfter({ limit: 300 }, 1_000), 300);
      assert.equal(yield* endsAfter({ until: 200, limit: 300 }, 1_000), 200);
      assert.equal(yield* endsAfter({ limit: 300, until: 200 }, 100), 100);
    }));

  it.effect("enforce() holds a call to its limit when the fiber has no deadline", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.never.pipe(
        Deadline.enforce({ ...call, limit: 300 }),
        Effect.flip,
        Effect.fork,
      );
      yield* TestClock.adjust("299 millis");
      assert.equal(fiber.unsafePoll(), null);
      yield* TestClock.adjust("1 millis");
      assert.equal((yield* Fiber.join(fiber)).attempted, true);
    }));

  it.effect("enforce() passes the call's own failure unchanged", () =>
    Effect.gen(function* () {
      const failure = new Error("no");
      const exit = yield* Effect.fail(failure).pipe(
        Deadline.enforce(call),
        Deadline.within("1 second"),
        Effect.exit,
      );
      assert.deepEqual(exit, Exit.fail(failure));
    }));

  it.effect("enforce() hands the caller's interruption to the call", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>();
      let interrupted = false;
      const fiber = yield* Deferred.succeed(started, undefined).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Effect.sync(() => interrupted = true)),
        Deadline.enforce(call),
        Deadline.within("1 second"),
        Effect.fork,
      );
      yield* Deferred.await(started);
      yield* Fiber.interrupt(fiber);
      assert.ok(interrupted);
    }));
});

/** Single flight: sharing, going away, and forgetting. */
import assert from "node:assert/strict";
import { Cause, Deferred, Effect, Exit, Fiber, FiberRef, Random, TestClock } from "effect";
import * as SingleFlight from "../../src/resilience/SingleFlight.ts";
import { describe, it } from "../support/it.ts";

/** Work that waits for a gate, and what happened to it. */
const gated = <A, E>(result: Exit.Exit<A, E>) =>
  Effect.gen(function* () {
    const gate = yield* Deferred.make<void>();
    const seen = { runs: 0, interrupted: 0 };
    const work = Effect.suspend(() => {
      seen.runs += 1;
      return Deferred.await(gate);
    }).pipe(
      Effect.onInterrupt(() => Effect.sync(() => seen.interrupted += 1)),
      Effect.zipRight(result),
    );
    return { work, seen, open: Deferred.succeed(gate, undefined) };
  });

/** Lets every fiber get as far as it can. */
const pause = (times: number) => Effect.repeatN(Effect.yieldNow(), times);
const settle = pause(20);

describe("SingleFlight", () => {
  it.effect("run() runs once for all who ask at the same time, and again afterwards", () =>
    Effect.gen(function* () {
      const flights = yield* SingleFlight.make<string, number, never>();
      const { work, seen, open } = yield* gated(Exit.succeed(7));
      const fibers = yield* Effect.forEach(
        Array.from({ length: 100 }),
        () => Effect.fork(flights.run("key", work)),
      );
      yield* settle;
      assert.equal(flights.unsafeSize(), 1);
      yield* open;
      const results = yield* Effect.forEach(fibers, Fiber.join);
      assert.deepEqual(new Set(results), new Set([7]));
      assert.deepEqual([seen.runs, flights.unsafeSize()], [1, 0]);
      assert.equal(yield* flights.run("key", work), 7);
      assert.equal(seen.runs, 2);
    }));

  it.effect("run() keeps keys apart", () =>
    Effect.gen(function* () {
      const flights = yield* SingleFlight.make<string, string, never>();
      const both = yield* Effect.all([
        flights.run("a", Effect.succeed("A")),
        flights.run("b", Effect.succeed("B")),
      ], { concurrency: "unbounded" });
      assert.deepEqual(both, ["A", "B"]);
    }));

  it.effect("run() shares a failure with those who wait and remembers it for nobody", () =>
    Effect.gen(function* () {
      const flights = yield* SingleFlight.make<string, number, string>();
      const { work, open } = yield* gated(Exit.fail("down"));
      const fibers = yield* Effect.replicateEffect(Effect.fork(flights.run("key", work)), 3);
      yield* settle;
      yield* open;
      for (const fiber of fibers) assert.deepEqual(yield* Fiber.await(fiber), Exit.fail("down"));
      assert.equal(yield* flights.run("key", Effect.succeed(1)), 1);
    }));

  it.effect("run() shares a defect and remembers it for nobody", () =>
    Effect.gen(function* () {
      const flights = yield* SingleFlight.make<string, number, never>();
      const { work, open } = yield* gated(Exit.die("bug"));
      const fibers = yield* Effect.replicateEffect(Effect.fork(flights.run("key", work)), 3);
      yield* settle;
      yield* open;
      for (const fiber of fibers) assert.deepEqual(yield* Fiber.await(fiber), Exit.die("bug"));
      assert.equal(flights.unsafeSize(), 0);
      assert.equal(yield* flights.run("key", Effect.succeed(1)), 1);
    }));

  it.effect("run() goes on for the others when the one that started it is interrupted", () =>
    Effect.gen(function* () {
      const flights = yield* SingleFlight.make<string, number, never>();
      const { work, seen, open } = yield* gated(Exit.succeed(7));
      const leader = yield* Effect.fork(flights.run("key", work));
      yield* settle;
      const joiner = yield* Effect.fork(flights.run("key", work));
      yield* settle;
      yield* Fiber.interrupt(leader);
      assert.ok(Exit.isInterrupted(yield* Fiber.await(leader)));
      yield* open;
      assert.equal(yield* Fiber.join(joiner), 7);
      assert.deepEqual(seen, { runs: 1, interrupted: 0 });
    }));

  it.effect("run() interrupts the work when the last one goes, and waits for its finalizers", () =>
    Effect.gen(function* () {
      const flights = yield* SingleFlight.make<string, number, never>();
      const { work, seen } = yield* gated(Exit.succeed(7));
      const fibers = yield* Effect.replicateEffect(Effect.fork(flights.run("key", work)), 3);
      yield* settle;
      for (const fiber of fibers.slice(1)) yield* Fiber.interrupt(fiber);
      assert.equal(seen.interrupted, 0);
      for (const fiber of fibers.slice(0, 1)) yield* Fiber.interrupt(fiber);
      assert.equal(seen.interrupted, 1);
      assert.equal(flights.unsafeSize(), 0);
    }));

  it.effect("run() starts anew for a caller that comes while abandoned work is dying", () =>
    Effect.gen(function* () {
      const flights = yield* SingleFlight.make<string, number, never>();
      const dying = yield* Effect.fork(
        flights.run(
          "key",
          Effect.never.pipe(Effect.onInterrupt(() => Effect.sleep("1 second"))),
        ),
      );
      yield* settle;
      yield* Effect.fork(Fiber.interrupt(dying));
      yield* settle;
      assert.equal(yield* flights.run("key", Effect.succeed(2)), 2);
      yield* TestClock.adjust("1 second");
      assert.ok(Exit.isInterrupted(yield* Fiber.await(dying)));
    }));

  it.effect("run() keeps the new work's key when the abandoned work has died at last", () =>
    Effect.gen(function* () {
      const flights = yield* SingleFlight.make<string, number, never>();
      const dying = yield* Effect.fork(
        flights.run("key", Effect.never.pipe(Effect.onInterrupt(() => Effect.sleep("1 second")))),
      );
      yield* settle;
      yield* Effect.fork(Fiber.interrupt(dying));
      yield* settle;
      const { work, seen, open } = yield* gated(Exit.succeed(7));
      const first = yield* Effect.fork(flights.run("key", work));
      yield* settle;
      yield* TestClock.adjust("1 second");
      yield* settle;
      const second = yield* Effect.fork(flights.run("key", work));
      yield* settle;
      yield* open;
      assert.deepEqual([yield* Fiber.join(first), yield* Fiber.join(second)], [7, 7]);
      assert.equal(seen.runs, 1);
    }));

  it.effect("run() leaves a joiner's fiber-local values alone", () =>
    Effect.gen(function* () {
      const local = yield* FiberRef.make("nobody");
      const flights = yield* SingleFlight.make<string, string, never>();
      const { work, open } = yield* gated(Exit.void);
      const leader = yield* work.pipe(
        Effect.zipRight(FiberRef.set(local, "changed by the work")),
        Effect.as("done"),
        (effect) => flights.run("key", effect),
        Effect.locally(local, "leader"),
        Effect.fork,
      );
      yield* settle;
      const joiner = yield* flights.run("key", Effect.succeed("own")).pipe(
        Effect.zip(FiberRef.get(local)),
        Effect.locally(local, "joiner"),
        Effect.fork,
      );
      yield* settle;
      yield* open;
      assert.deepEqual(yield* Fiber.join(joiner), ["done", "joiner"]);
      yield* Fiber.join(leader);
    }));

  it.effect("run() can be interrupted although the caller had been made uninterruptible outside", () =>
    Effect.gen(function* () {
      const flights = yield* SingleFlight.make<string, number, never>();
      const { work, seen } = yield* gated(Exit.succeed(1));
      const fiber = yield* Effect.fork(
        Effect.uninterruptibleMask((restore) => restore(flights.run("key", work))),
      );
      yield* settle;
      yield* Fiber.interrupt(fiber);
      assert.equal(seen.interrupted, 1);
    }));

  it.effect("run() leaks no key and no fiber under random interrupts", () =>
    Effect.gen(function* () {
      const flights = yield* SingleFlight.make<number, number, string>();
      let running = 0;
      const work = Effect.acquireUseRelease(
        Effect.sync(() => running += 1),
        () =>
          Effect.gen(function* () {
            yield* pause(yield* Random.nextIntBetween(0, 20));
            return (yield* Random.nextBoolean) ? 1 : yield* Effect.fail("down");
          }),
        () => Effect.sync(() => running -= 1),
      );
      const fibers = yield* Effect.forEach(
        Array.from({ length: 500 }, (_, index) => index % 7),
        (key) => Effect.fork(Effect.zipRight(pause(key), flights.run(key, work))),
      );
      const killer = yield* Effect.fork(Effect.forEach(fibers, (fiber) =>
        Effect.gen(function* () {
          if (yield* Random.nextBoolean) return;
          yield* pause(yield* Random.nextIntBetween(0, 2));
          yield* Fiber.interrupt(fiber);
        }), { discard: true }));
      yield* Fiber.join(killer);
      const exits = yield* Effect.forEach(fibers, Fiber.await);
      const unexpected = exits.filter((exit) =>
        Exit.isFailure(exit) && Cause.failureOption(exit.cause)._tag === "None" &&
        !Cause.isInterruptedOnly(exit.cause)
      );
      assert.deepEqual([running, flights.unsafeSize(), unexpected.length], [0, 0, 0]);
    }));
});

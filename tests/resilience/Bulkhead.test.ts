/** Bulkhead: never more than its places, every place back, fair and interruptible waiting. */
import assert from "node:assert/strict";
import { Deferred, Duration, Effect, Either, Exit, Fiber, Random, TestClock } from "effect";
import fc from "fast-check";
import * as Bulkhead from "../../src/resilience/Bulkhead.ts";
import { describe, it } from "../support/it.ts";

/** Lets other fibers run so many times. */
const pause = (times: number) => Effect.repeatN(Effect.yieldNow(), times);

const settle = pause(20);

const occupancy = ({ inFlight, waiting, rejections }: Bulkhead.Occupancy) => ({
  inFlight,
  waiting,
  rejections,
});

/** A call that runs until told how to end. */
const held = <A = void, E = never>() =>
  Effect.gen(function* () {
    const end = yield* Deferred.make<A, E>();
    const seen = { isRunning: false };
    const call = Effect.suspend(() => {
      seen.isRunning = true;
      return Deferred.await(end);
    }).pipe(Effect.ensuring(Effect.sync(() => seen.isRunning = false)));
    return { call, end, seen };
  });

describe("Bulkhead", () => {
  it.effect("protect() runs maxConcurrent calls and refuses the next at once, unrun", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent: 2 });
      const fibers = yield* Effect.replicateEffect(
        Effect.fork(bulkhead.protect(Effect.never)),
        2,
      );
      yield* settle;
      let ran = false;
      const error = yield* Effect.flip(bulkhead.protect(Effect.sync(() => ran = true)));
      assert.ok(error instanceof Bulkhead.BulkheadFull);
      assert.equal(error._tag, "BulkheadFull");
      assert.equal(error.dependency, "mongodb");
      assert.equal(error.message, 'Too many calls of "mongodb" at a time');
      assert.equal(error.refused, true);
      assert.equal(Duration.toMillis(error.retryAfter), 1_000);
      assert.equal(ran, false);
      assert.deepEqual(occupancy(bulkhead), { inFlight: 2, waiting: 0, rejections: 1 });
      yield* Fiber.interruptAll(fibers);
      assert.equal(yield* bulkhead.protect(Effect.succeed(1)), 1);
    }));

  it.effect("protect() gives the place back on success, failure, defect and interruption", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent: 1 });
      const ends: ReadonlyArray<Exit.Exit<number, string>> = [
        Exit.succeed(1),
        Exit.fail("down"),
        Exit.die("bug"),
        Exit.interrupt(yield* Effect.fiberId),
      ];
      for (const end of ends) {
        assert.deepEqual(yield* Effect.exit(bulkhead.protect(end)), end);
        assert.equal(bulkhead.inFlight, 0);
      }
      const thrown = new Error("thrown");
      const exit = yield* Effect.exit(bulkhead.protect(Effect.sync(() => {
        throw thrown;
      })));
      assert.deepEqual(exit, Exit.die(thrown));
      assert.equal(bulkhead.inFlight, 0);
    }));

  it.effect("protect() holds the place until the finalizers of an interrupted call have run", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent: 1 });
      const fiber = yield* Effect.never.pipe(
        Effect.onInterrupt(() => Effect.sleep("1 second")),
        bulkhead.protect,
        // What the caller does afterwards does not hold the place.
        Effect.ensuring(Effect.sleep("1 minute")),
        Effect.fork,
      );
      yield* settle;
      yield* Fiber.interruptFork(fiber);
      yield* settle;
      assert.equal(bulkhead.inFlight, 1);
      yield* TestClock.adjust("1 second");
      assert.equal(bulkhead.inFlight, 0);
      yield* TestClock.adjust("1 minute");
      yield* Fiber.await(fiber);
    }));

  it.effect("protect() lets the queue wait, first in first out, and refuses beyond it", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent: 1, maxQueue: 3 });
      const first = yield* held();
      const order: Array<number> = [];
      const holder = yield* Effect.fork(bulkhead.protect(first.call));
      yield* settle;
      const waiters: Array<Fiber.RuntimeFiber<number, Bulkhead.BulkheadFull>> = [];
      for (const index of [1, 2, 3]) {
        waiters.push(
          yield* Effect.fork(bulkhead.protect(Effect.sync(() => order.push(index)))),
        );
        yield* settle;
      }
      assert.deepEqual(occupancy(bulkhead), { inFlight: 1, waiting: 3, rejections: 0 });
      assert.ok(Exit.isFailure(yield* Effect.exit(bulkhead.protect(Effect.void))));
      yield* Deferred.succeed(first.end, undefined);
      yield* Fiber.join(holder);
      yield* Effect.forEach(waiters, Fiber.join);
      assert.deepEqual(order, [1, 2, 3]);
      assert.deepEqual(occupancy(bulkhead), { inFlight: 0, waiting: 0, rejections: 1 });
    }));

  it.effect("protect() lets no newcomer overtake those who wait", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent: 1, maxQueue: 1 });
      const [first, second] = [yield* held(), yield* held()];
      const holder = yield* Effect.fork(bulkhead.protect(first.call));
      yield* settle;
      const waiter = yield* Effect.fork(bulkhead.protect(second.call));
      yield* settle;
      yield* Deferred.succeed(first.end, undefined);
      yield* Fiber.await(holder);
      const newcomer = yield* Effect.fork(bulkhead.protect(Effect.void));
      yield* settle;
      assert.deepEqual([second.seen.isRunning, bulkhead.waiting], [true, 1]);
      yield* Deferred.succeed(second.end, undefined);
      yield* Fiber.join(waiter);
      yield* Fiber.join(newcomer);
    }));

  it.effect("protect() can be interrupted while it waits, without taking a place with it", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent: 1, maxQueue: 1 });
      const first = yield* held();
      const holder = yield* Effect.fork(bulkhead.protect(first.call));
      yield* settle;
      const waiter = yield* Effect.fork(bulkhead.protect(Effect.dieMessage("must not run")));
      yield* settle;
      yield* Fiber.interrupt(waiter);
      assert.ok(Exit.isInterrupted(yield* Fiber.await(waiter)));
      assert.deepEqual(occupancy(bulkhead), { inFlight: 1, waiting: 0, rejections: 0 });
      yield* Deferred.succeed(first.end, undefined);
      yield* Fiber.join(holder);
      assert.equal(bulkhead.inFlight, 0);
    }));

  it.effect("protect() hands on a place given to a waiter in the moment of its interruption", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent: 1, maxQueue: 2 });
      const first = yield* held();
      yield* Effect.fork(bulkhead.protect(first.call));
      yield* settle;
      const waiter = yield* Effect.fork(bulkhead.protect(Effect.void));
      yield* settle;
      const next = yield* Effect.fork(bulkhead.protect(Effect.succeed("next")));
      yield* settle;
      // Both messages reach the waiter's mailbox before it runs again.
      Deferred.unsafeDone(first.end, Exit.void);
      waiter.unsafeInterruptAsFork(yield* Effect.fiberId);
      assert.equal(yield* Fiber.join(next), "next");
      yield* Fiber.await(waiter);
      assert.deepEqual(occupancy(bulkhead), { inFlight: 0, waiting: 0, rejections: 0 });
    }));

  it.effect("make() names every illegal setting, and takes no size for granted", () =>
    Effect.gen(function* () {
      const problemsOf = (settings: Parameters<typeof Bulkhead.make>[1]) =>
        Effect.map(
          Effect.flip(Bulkhead.make("mongodb", settings)),
          ({ problems }) => problems.map(({ setting }) => setting),
        );
      assert.deepEqual(
        yield* problemsOf({ maxConcurrent: 0, maxQueue: -1, retryAfter: -5 }),
        ["maxConcurrent", "maxQueue", "retryAfter"],
      );
      assert.deepEqual(yield* problemsOf({ maxConcurrent: 1.5 }), ["maxConcurrent"]);
      // Untyped callers can leave it out.
      const nothing = {} as { maxConcurrent: number };
      assert.deepEqual(yield* problemsOf(nothing), ["maxConcurrent"]);
      const { message } = yield* Effect.flip(Bulkhead.make("mongodb", { maxConcurrent: 0 }));
      assert.equal(
        message,
        'Cannot make bulkhead "mongodb": ' +
          "maxConcurrent is 0 but must be a whole number of at least 1",
      );
      const keyed = Bulkhead.keyed("mongodb", { maxConcurrent: 1, maxKeys: 0 });
      assert.deepEqual(
        (yield* Effect.flip(keyed)).problems.map(({ setting }) => setting),
        ["maxKeys"],
      );
    }));

  it.effect("protect() gives a place to a waiter that has not begun to wait yet", () =>
    Effect.gen(function* () {
      // A fiber pauses after so many operations: one of these is between queueing and waiting.
      for (let operations = 10; operations < 40; operations++) {
        const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent: 1, maxQueue: 1 });
        const first = yield* held();
        const holder = yield* Effect.fork(bulkhead.protect(first.call));
        yield* settle;
        const waiter = yield* bulkhead.protect(Effect.succeed("ran")).pipe(
          Effect.withMaxOpsBeforeYield(operations),
          Effect.fork,
        );
        while (bulkhead.waiting === 0) yield* Effect.yieldNow();
        Deferred.unsafeDone(first.end, Exit.void);
        yield* Fiber.join(holder);
        assert.equal(yield* Fiber.join(waiter), "ran");
        assert.equal(bulkhead.inFlight, 0);
      }
    }));

  it.effect("protect() holds under hundreds of fibers interrupted at random", () =>
    Effect.gen(function* () {
      for (const maxQueue of [0, 10, 1_000]) {
        const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent: 8, maxQueue });
        const seen = { now: 0, most: 0 };
        const call = Effect.acquireUseRelease(
          Effect.sync(() => {
            seen.now += 1;
            seen.most = Math.max(seen.most, seen.now);
          }),
          () =>
            Effect.gen(function* () {
              const kind = yield* Random.nextIntBetween(0, 6);
              yield* kind === 0 ? Effect.void : pause(kind);
              if (kind === 4) yield* Effect.fail("down");
              if (kind === 5) yield* Effect.die("bug");
            }),
          () => Effect.sync(() => seen.now -= 1),
        );
        const fibers = yield* Effect.forEach(
          Array.from({ length: 400 }, (_, index) => index),
          (index) =>
            Random.nextIntBetween(0, 20).pipe(
              Effect.flatMap((times) => Effect.zipRight(pause(times), bulkhead.protect(call))),
              // Each pauses at other points, so that anything can come between any two operations.
              Effect.withMaxOpsBeforeYield(10 + index % 20),
              Effect.fork,
            ),
        );
        const killer = yield* Effect.fork(
          Effect.forEach(fibers, (fiber) =>
            Effect.gen(function* () {
              if (yield* Random.nextBoolean) return;
              if ((yield* Random.nextIntBetween(0, 10)) === 0) yield* pause(1);
              yield* Fiber.interruptFork(fiber);
            })),
        );
        yield* Fiber.join(killer);
        yield* Effect.forEach(fibers, Fiber.await);
        assert.ok(seen.most <= 8 && seen.most > 1, `most at a time: ${seen.most}`);
        assert.equal(seen.now, 0);
        const { inFlight, waiting } = bulkhead;
        assert.deepEqual({ inFlight, waiting }, { inFlight: 0, waiting: 0 });
        const all = yield* Effect.replicateEffect(
          Effect.fork(bulkhead.protect(Effect.never)),
          8,
        );
        yield* settle;
        assert.equal(bulkhead.inFlight, 8);
        yield* Fiber.interruptAll(all);
      }
    }));

  it("protect() agrees with a list of callers in any order of calls, ends and interruptions", () => {
    type Caller = { readonly fiber: Fiber.RuntimeFiber<void, unknown>; readonly end: () => void };
    const action = fc.oneof(
      fc.constant({ _tag: "call" as const, of: 0 }),
      fc.record({ _tag: fc.constant("end" as const), of: fc.nat(20) }),
      fc.record({ _tag: fc.constant("interrupt" as const), of: fc.nat(20) }),
    );
    return fc.assert(fc.asyncProperty(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 0, max: 3 }),
      fc.array(action, { maxLength: 40 }),
      (maxConcurrent, maxQueue, actions) =>
        Effect.runPromise(Effect.gen(function* () {
          const bulkhead = yield* Bulkhead.make("model", { maxConcurrent, maxQueue });
          const running: Array<Caller> = [];
          const waiting: Array<Caller> = [];
          const started: Array<Caller> = [];
          let rejections = 0;
          const gone = (list: Array<Caller>, index: number) => list.splice(index, 1)[0];
          const promote = () => {
            const next = running.length < maxConcurrent ? waiting.shift() : undefined;
            if (next !== undefined) running.push(next);
          };
          for (const { _tag, of } of actions) {
            if (_tag === "call") {
              const end = yield* Deferred.make<void>();
              const box: { caller?: Caller } = {};
              const call = Effect.suspend(() => {
                if (box.caller !== undefined) started.push(box.caller);
                return Deferred.await(end);
              });
              const fiber = yield* Effect.fork(bulkhead.protect(call));
              const caller: Caller = { fiber, end: () => Deferred.unsafeDone(end, Exit.void) };
              box.caller = caller;
              if (running.length < maxConcurrent) running.push(caller);
              else if (waiting.length < maxQueue) waiting.push(caller);
              else rejections += 1;
            } else if (_tag === "end" && running.length > 0) {
              gone(running, of % running.length)?.end();
              promote();
            } else if (_tag === "interrupt" && running.length + waiting.length > 0) {
              const index = of % (running.length + waiting.length);
              const caller = index < running.length
                ? gone(running, index)
                : gone(waiting, index - running.length);
              if (caller !== undefined) yield* Fiber.interrupt(caller.fiber);
              promote();
            }
            yield* settle;
            assert.deepEqual(occupancy(bulkhead), {
              inFlight: running.length,
              waiting: waiting.length,
              rejections,
            });
            assert.ok(running.every((caller) => started.includes(caller)));
            assert.ok(waiting.every((caller) => !started.includes(caller)));
          }
          yield* Fiber.interruptAll([...running, ...waiting].map(({ fiber }) => fiber));
          assert.equal(bulkhead.inFlight, 0);
        })),
    ));
  });
});

describe("Bulkhead.keyed()", () => {
  it.effect("at() limits each key by itself, sums up, and forgets idle keys", () =>
    Effect.gen(function* () {
      const keyed = yield* Bulkhead.keyed<string>("token-exchange", { maxConcurrent: 1 });
      const [a, b] = [yield* held(), yield* held()];
      const fibers = [
        yield* Effect.fork(keyed.at("a").protect(a.call)),
        yield* Effect.fork(keyed.at("b").protect(b.call)),
      ];
      yield* settle;
      assert.deepEqual([a.seen.isRunning, b.seen.isRunning], [true, true]);
      const error = yield* Effect.flip(keyed.at("a").protect(Effect.void));
      assert.ok(error instanceof Bulkhead.BulkheadFull);
      assert.deepEqual(occupancy(keyed), { inFlight: 2, waiting: 0, rejections: 1 });
      assert.equal(keyed.unsafeSize(), 2);
      yield* Deferred.succeed(a.end, undefined);
      yield* Deferred.succeed(b.end, undefined);
      yield* Effect.forEach(fibers, Fiber.join);
      assert.deepEqual(occupancy(keyed), { inFlight: 0, waiting: 0, rejections: 1 });
      assert.equal(keyed.unsafeSize(), 0);
    }));

  it.effect("at() refuses a new key when maxKeys keys have calls, and no known one", () =>
    Effect.gen(function* () {
      const keyed = yield* Bulkhead.keyed<number>("token-exchange", {
        maxConcurrent: 2,
        maxKeys: 1,
      });
      const place = keyed.at(1);
      const fiber = yield* Effect.fork(place.protect(Effect.never));
      yield* settle;
      assert.ok(Either.isLeft(yield* Effect.either(keyed.at(2).protect(Effect.void))));
      yield* place.protect(Effect.void);
      yield* Fiber.interrupt(fiber);
      yield* keyed.at(2).protect(Effect.void);
      assert.equal(keyed.rejections, 1);
    }));

  it.effect("at() keeps every key to its limit under random interrupts, and nothing after", () =>
    Effect.gen(function* () {
      const keyed = yield* Bulkhead.keyed<number>("token-exchange", {
        maxConcurrent: 2,
        maxQueue: 2,
      });
      const now = new Map<number, number>();
      let most = 0;
      const add = (key: number, change: number) => {
        const count = (now.get(key) ?? 0) + change;
        now.set(key, count);
        most = Math.max(most, count);
      };
      const fibers = yield* Effect.forEach(
        Array.from({ length: 500 }, (_, index) => index % 25),
        (key) =>
          Random.nextIntBetween(0, 10).pipe(
            Effect.flatMap((times) =>
              Effect.zipRight(
                pause(times),
                keyed.at(key).protect(Effect.acquireUseRelease(
                  Effect.sync(() => add(key, 1)),
                  () => pause(times % 3),
                  () => Effect.sync(() => add(key, -1)),
                )),
              )
            ),
            Effect.fork,
          ),
      );
      yield* TestClock.adjust("5 millis");
      yield* Effect.forEach(
        fibers,
        (fiber, index) => index % 3 === 0 ? Fiber.interruptFork(fiber) : Effect.void,
      );
      yield* Effect.forEach(fibers, Fiber.await);
      assert.equal(most, 2);
      assert.equal(keyed.unsafeSize(), 0);
      const { inFlight, waiting } = keyed;
      assert.deepEqual({ inFlight, waiting }, { inFlight: 0, waiting: 0 });
    }));
});

/** Health: when dependencies are asked, by a clock the test moves. */
import assert from "node:assert/strict";
import { Context, Effect, Fiber, Layer, TestClock } from "effect";
import { Lifecycle } from "../../src/http/Lifecycle.ts";
import { Health, type HealthOptions } from "../../src/operations/Health.ts";
import { Metrics } from "../../src/operations/Metrics.ts";
import { CircuitBreakers } from "../../src/resilience/CircuitBreakers.ts";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import { describe, it } from "../support/it.ts";

const failure = new TransientFailure({
  dependency: "mongodb",
  operation: "mongodb_ping",
  reason: "refused",
  timedOut: false,
  cause: null,
});

const build = (options: HealthOptions) =>
  Layer.build(
    Health.layer(options).pipe(
      Layer.provide(Metrics.layer({ service: "routing" })),
      Layer.provide(Layer.mergeAll(Lifecycle.layer, CircuitBreakers.layer())),
    ),
  );

/** A dependency that counts its pings. */
const counting = (answer: Effect.Effect<void, TransientFailure>) => {
  let pings = 0;
  const ping = Effect.suspend(() => {
    pings += 1;
    return answer;
  });
  return { dependency: { name: "mongodb", ping }, pings: () => pings };
};

describe("Health", () => {
  it.effect("layer() asks a dependency that answers once an interval, not in step", () =>
    Effect.gen(function* () {
      const { dependency, pings } = counting(Effect.void);
      yield* build({ dependencies: [dependency], interval: "5 seconds" });
      assert.equal(pings(), 1);
      yield* TestClock.adjust("4499 millis");
      assert.equal(pings(), 1);
      yield* TestClock.adjust("1001 millis");
      assert.equal(pings(), 2);
      yield* TestClock.adjust("50 seconds");
      assert.ok(pings() >= 11 && pings() <= 13, `${pings()}`);
    }));

  it.effect("limits lists the bulkheads that are shown, as they are when somebody asks", () =>
    Effect.gen(function* () {
      const { show, limits } = Context.get(yield* build({ dependencies: [] }), Health);
      assert.deepEqual(yield* limits, []);
      const bulkhead = { inFlight: 3, limit: 64, unsafeLimit: () => bulkhead.limit };
      const hide = show("mongodb", bulkhead);
      assert.deepEqual(yield* limits, [{ dependency: "mongodb", limit: 64, inFlight: 3 }]);
      Object.assign(bulkhead, { inFlight: 4, limit: 4 });
      assert.deepEqual(yield* limits, [{ dependency: "mongodb", limit: 4, inFlight: 4 }]);
      hide();
      assert.deepEqual(yield* limits, []);
    }));

  it.effect("layer() asks one that does not answer sooner, and ever less often", () =>
    Effect.gen(function* () {
      const { dependency, pings } = counting(failure);
      const building = yield* Effect.fork(build({ dependencies: [dependency] }));
      yield* TestClock.adjust("500 millis");
      yield* Fiber.join(building);
      const early = pings();
      assert.ok(early >= 4 && early <= 5, `${early} in half a second`);
      yield* TestClock.adjust("60 seconds");
      const late = pings();
      yield* TestClock.adjust("50 seconds");
      assert.ok(pings() - late >= 9 && pings() - late <= 11, `${pings() - late} in 50 s`);
    }));

  it.effect("layer() does not wait longer than startWithin for a ping that hangs", () =>
    Effect.gen(function* () {
      const { dependency } = counting(Effect.never);
      const building = yield* Effect.fork(
        build({ dependencies: [dependency], startWithin: "300 millis" }),
      );
      yield* TestClock.adjust("299 millis");
      assert.equal(yield* Fiber.poll(building).pipe(Effect.map(({ _tag }) => _tag)), "None");
      yield* TestClock.adjust("1 millis");
      yield* Fiber.join(building);
    }));

  it.effect("dependencies turn to disconnected when a ping hangs, fails or breaks", () =>
    Effect.gen(function* () {
      for (const answer of [Effect.never, failure, Effect.die(new Error("broken"))]) {
        let isBad = false;
        const ping = Effect.suspend(() => isBad ? answer : Effect.void);
        const context = yield* build({ dependencies: [{ name: "mongodb", ping }] });
        const { dependencies } = yield* Effect.provide(Health, context);
        assert.deepEqual(yield* dependencies, [{ name: "mongodb", isConnected: true }]);
        isBad = true;
        yield* TestClock.adjust("7 seconds");
        assert.deepEqual(yield* dependencies, [{ name: "mongodb", isConnected: false }]);
        isBad = false;
        yield* TestClock.adjust("7 seconds");
        assert.deepEqual(yield* dependencies, [{ name: "mongodb", isConnected: true }]);
      }
    }));
});

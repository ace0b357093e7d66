import assert from "node:assert/strict";
import { Chunk, Effect, Either, Fiber, Layer, Stream, TestClock } from "effect";
import {
  CircuitBreakers,
  type Options,
  RegistryFull,
} from "../../src/resilience/CircuitBreakers.ts";
import type { Settings } from "../../src/resilience/CircuitBreaker.ts";
import { describe, it } from "../support/it.ts";

const withRegistry = <A, E>(
  use: (registry: CircuitBreakers["Type"]) => Effect.Effect<A, E>,
  options: Options = {},
  settings: Partial<Settings> = {},
) => Effect.provide(Effect.flatMap(CircuitBreakers, use), CircuitBreakers.layer(settings, options));

const names = (registry: CircuitBreakers["Type"]) =>
  Effect.map(registry.snapshots, (snapshots) => snapshots.map(({ name }) => name));

const succeed = (registry: CircuitBreakers["Type"], name: string) =>
  Effect.flatMap(registry.get(name), (breaker) => breaker.protect(Effect.void));

const fail = (registry: CircuitBreakers["Type"], name: string, times: number) =>
  Effect.gen(function* () {
    const breaker = yield* registry.get(name);
    for (let call = 0; call < times; call += 1) {
      yield* Effect.ignore(breaker.protect(Effect.fail("down")));
    }
  });

describe("CircuitBreakers", () => {
  it.effect("get() answers the same breaker for the same name", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        const one = yield* registry.get("a");
        assert.equal(yield* registry.get("a"), one);
        assert.notEqual(yield* registry.get("b"), one);
        assert.equal(one.name, "a");
      })
    ));

  it.effect("get() isolates names: one that opens leaves the others closed", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* fail(registry, "a", 5);
        yield* succeed(registry, "b");
        const states = (yield* registry.snapshots).map(({ name, state }) => [name, state]);
        assert.deepEqual(states, [["a", "open"], ["b", "closed"]]);
      })
    ));

  it.effect("layer() fails with every illegal setting of all and of a family", () =>
    Effect.gen(function* () {
      const common = yield* Effect.flip(
        Effect.scoped(Layer.build(CircuitBreakers.layer({ failureRate: 2, buckets: 0 }))),
      );
      assert.deepEqual(common.problems.map(({ setting }) => setting), ["buckets", "failureRate"]);
      const family = yield* Effect.flip(Effect.scoped(Layer.build(
        CircuitBreakers.layer({}, { families: [{ prefix: "x-", settings: { halfOpenMax: 0 } }] }),
      )));
      assert.equal(family.breaker, "x-*");
    }));

  it.effect("get() gives a family its own settings on top of those of all", () =>
    withRegistry(
      (registry) =>
        Effect.gen(function* () {
          yield* fail(registry, "slow-a", 2);
          yield* fail(registry, "a", 2);
          const states = (yield* registry.snapshots).map(({ name, state }) => [name, state]);
          assert.deepEqual(states, [["slow-a", "open"], ["a", "closed"]]);
        }),
      { families: [{ prefix: "slow-", settings: { consecutiveFailures: 2 } }] },
      { minimumRequests: 10 },
    ));

  it.effect("G14 get() evicts the oldest closed breaker when full, never one with failures", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* fail(registry, "failed", 1);
        yield* succeed(registry, "old");
        yield* succeed(registry, "young");
        yield* succeed(registry, "new");
        assert.deepEqual(yield* names(registry), ["failed", "young", "new"]);
      }), { capacity: 3 }));

  it.effect("G14 get() refuses a name when all places are taken by open breakers", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* fail(registry, "a", 5);
        yield* fail(registry, "b", 5);
        const refused = yield* Effect.flip(registry.get("c"));
        assert.ok(refused instanceof RegistryFull);
        assert.deepEqual([refused.breaker, refused.capacity], ["c", 2]);
        yield* registry.control("a", "close");
        assert.equal((yield* registry.get("c")).name, "c");
        assert.deepEqual(yield* names(registry), ["b", "c"]);
      }), { capacity: 2 }));

  it.effect("G14 get() takes the place of an idle breaker that remembers but a run of failures", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* fail(registry, "older", 1);
        yield* fail(registry, "younger", 1);
        yield* TestClock.adjust("14 minutes");
        assert.ok(Either.isLeft(yield* Effect.either(registry.get("new"))));
        yield* TestClock.adjust("1 minute");
        // The slow outage is remembered for as long as there is room.
        assert.deepEqual(yield* names(registry), ["older", "younger"]);
        yield* registry.get("new");
        assert.deepEqual(yield* names(registry), ["younger", "new"]);
      }), { capacity: 2 }));

  it.effect("snapshots forget a breaker that was idle for 15 minutes, and no other", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* succeed(registry, "idle");
        yield* fail(registry, "failing", 1);
        const kept = yield* registry.get("kept in hand");
        yield* TestClock.adjust("10 minutes");
        yield* kept.protect(Effect.void);
        yield* TestClock.adjust("6 minutes");
        assert.deepEqual(yield* names(registry), ["failing", "kept in hand"]);
        assert.equal(yield* registry.get("kept in hand"), kept);
      })
    ));

  it.effect("snapshots never forget a permanent breaker, also without calls", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        const breaker = yield* registry.get("mongodb");
        yield* TestClock.adjust("1 day");
        assert.deepEqual(yield* names(registry), ["mongodb"]);
        yield* registry.control("mongodb", "open");
        assert.equal(breaker.unsafeState(), "open");
      }), { permanent: ["mongodb"] }));

  it.effect("control() is remembered for a name that has no breaker yet", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* registry.control("a", "open");
        yield* registry.control("b", "disable");
        yield* registry.control("c", "open");
        yield* registry.control("c", "auto");
        const modes = yield* Effect.forEach(["a", "b", "c"], (name) =>
          Effect.flatMap(registry.get(name), ({ snapshot }) =>
            Effect.map(snapshot, ({ mode }) =>
              mode)));
        assert.deepEqual(modes, ["forced-open", "disabled", "auto"]);
      })
    ));

  it.effect("control() refuses to remember more than the registry holds", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* registry.control("a", "open");
        yield* registry.control("b", "open");
        assert.ok(Either.isLeft(yield* Effect.either(registry.control("c", "open"))));
        yield* registry.control("a", "auto");
        yield* registry.control("c", "open");
        assert.equal((yield* (yield* registry.get("c")).snapshot).mode, "forced-open");
      }), { capacity: 2 }));

  it.effect("changes tell of all breakers", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        const heard = yield* Effect.fork(Stream.runCollect(Stream.take(registry.changes, 2)));
        // Starting a stream takes its fiber a few turns.
        yield* Effect.repeatN(Effect.yieldNow(), 20);
        yield* fail(registry, "a", 5);
        yield* fail(registry, "b", 5);
        const changes = Chunk.toReadonlyArray(yield* Fiber.join(heard));
        assert.deepEqual(changes.map(({ breaker, from, to }) => [breaker, from, to]), [
          ["a", "closed", "open"],
          ["b", "closed", "open"],
        ]);
      })
    ));

  it.effect("G11 a hundred registries made and closed leave no listener behind", () =>
    Effect.gen(function* () {
      let heard = 0;
      for (let cycle = 0; cycle < 100; cycle += 1) {
        const kept = yield* withRegistry((registry) =>
          Effect.gen(function* () {
            registry.unsafeOnChange(() => heard += 1);
            const breaker = yield* registry.get("a");
            yield* Effect.forkDaemon(Stream.runDrain(registry.changes));
            yield* Effect.yieldNow();
            return breaker;
          })
        );
        yield* kept.control("open");
      }
      assert.equal(heard, 0);
    }));

  it.effect("get() makes one breaker when many ask for a new name at the same time", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        for (let name = 0; name < 2_000; name += 1) yield* registry.get(`tenant-${name}`);
        const made = yield* Effect.forEach(
          Array.from({ length: 50 }, (_, index) => index),
          () => registry.get("new"),
          { concurrency: "unbounded" },
        );
        assert.equal(new Set(made).size, 1);
      }), { capacity: 2_000 }));
});

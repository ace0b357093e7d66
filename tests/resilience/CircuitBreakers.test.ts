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
      assert.equal(common.breaker, "*");
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
        assert.deepEqual([refused._tag, refused.breaker, refused.capacity], [
          "RegistryFull",
          "c",
          2,
        ]);
        assert.equal(
          refused.message,
          'Cannot make circuit breaker "c": all 2 places are in use',
        );
        // Who has a place keeps it.
        assert.equal((yield* registry.get("b")).unsafeState(), "open");
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
        yield* registry.control("d", "observe");
        const modes = yield* Effect.forEach(["a", "b", "c", "d"], (name) =>
          Effect.flatMap(registry.get(name), ({ snapshot }) =>
            Effect.map(snapshot, ({ mode }) =>
              mode)));
        assert.deepEqual(modes, ["forced-open", "disabled", "auto", "observe"]);
      })
    ));

  it.effect("control() refuses to remember more than the registry holds", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* registry.control("a", "open");
        yield* registry.control("b", "open");
        const refused = yield* Effect.flip(registry.control("c", "open"));
        assert.deepEqual([refused.breaker, refused.capacity], ["c", 2]);
        yield* registry.control("a", "auto");
        yield* registry.control("c", "open");
        assert.equal((yield* (yield* registry.get("c")).snapshot).mode, "forced-open");
        // What a breaker has been given need not be remembered any more.
        yield* registry.control("d", "open");
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
        // Looking past so many that must be kept takes longer than a fiber's turn.
        for (let name = 0; name < 799; name += 1) yield* fail(registry, `failed-${name}`, 1);
        yield* succeed(registry, "forgettable");
        const made = yield* Effect.forEach(
          Array.from({ length: 50 }, (_, index) => index),
          () => registry.get("new"),
          { concurrency: "unbounded" },
        );
        assert.equal(new Set(made).size, 1);
      }), { capacity: 800 }));

  it.effect("snapshots forget a breaker when it was idle for exactly 15 minutes, not before", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* registry.get("a");
        yield* TestClock.adjust("899999 millis");
        assert.deepEqual(yield* names(registry), ["a"]);
        yield* TestClock.adjust("1 millis");
        assert.deepEqual(yield* names(registry), []);
      })
    ));

  it.effect("snapshots take a look-up for a use, and any call, whatever became of it", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* registry.get("looked up");
        const rejecting = yield* registry.get("rejecting");
        const failing = yield* registry.get("failing");
        const interrupted = yield* registry.get("interrupted");
        yield* TestClock.adjust("10 minutes");
        yield* registry.get("looked up");
        // Uses of opposite kinds must not weigh each other out.
        yield* rejecting.protect(Effect.void);
        yield* rejecting.control("open");
        yield* Effect.ignore(rejecting.protect(Effect.void));
        yield* rejecting.control("reset");
        yield* Effect.ignore(failing.protect(Effect.fail("down")));
        yield* failing.protect(Effect.void);
        yield* interrupted.protect(Effect.void);
        yield* Effect.exit(interrupted.protect(Effect.interrupt));
        yield* TestClock.adjust("6 minutes");
        assert.deepEqual(
          (yield* names(registry)).toSorted(),
          ["failing", "interrupted", "looked up", "rejecting"],
        );
      })
    ));

  it.effect("snapshots never forget what an operator or a failure has left", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        const made = (name: string) => registry.get(name);
        yield* (yield* made("disabled")).control("disable");
        yield* (yield* made("observed")).control("observe");
        const due = yield* made("due");
        yield* due.control("open");
        // Open, though not forced any more, and without a failure.
        yield* due.control("auto");
        yield* TestClock.adjust("1 day");
        assert.deepEqual(yield* names(registry), ["disabled", "observed", "due"]);
      })
    ));

  it.effect("get() keeps a breaker with a failure in its window, also after a success", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* fail(registry, "a", 1);
        yield* succeed(registry, "a");
        yield* Effect.flip(registry.get("b"));
        assert.deepEqual(yield* names(registry), ["a"]);
      }), { capacity: 1 }));

  it.effect("get() takes no place from what an operator has set, however long ago", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* (yield* registry.get("a")).control("disable");
        yield* TestClock.adjust("1 day");
        yield* Effect.flip(registry.get("b"));
        assert.deepEqual(yield* names(registry), ["a"]);
      }), { capacity: 1 }));

  it.effect("get() looks again for room only after a second, or a change", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* fail(registry, "a", 1);
        yield* succeed(registry, "a");
        yield* TestClock.adjust("9500 millis");
        yield* Effect.flip(registry.get("b"));
        // The failure has left the window, but nobody has looked since.
        yield* TestClock.adjust("600 millis");
        yield* Effect.flip(registry.get("b"));
        yield* TestClock.adjust("400 millis");
        assert.equal((yield* registry.get("b")).name, "b");
      }), { capacity: 1 }));

  it.effect("get() makes room by looking at the eight oldest, while there are places", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        const old = yield* Effect.forEach(
          Array.from({ length: 10 }, (_, index) => `old-${index}`),
          registry.get,
        );
        yield* TestClock.adjust("16 minutes");
        yield* registry.get("new");
        assert.equal(yield* registry.get("old-9"), old[9]);
        assert.equal(yield* registry.get("old-8"), old[8]);
        assert.notEqual(yield* registry.get("old-7"), old[7]);
      })
    ));

  it.effect("get() makes a breaker the youngest, every 30 seconds at most", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        yield* TestClock.adjust("1 hour");
        for (const name of ["a", "b", "c"]) yield* registry.get(name);
        yield* TestClock.adjust("29999 millis");
        yield* registry.get("a");
        yield* registry.get("d");
        assert.deepEqual(yield* names(registry), ["b", "c", "d"]);
        yield* TestClock.adjust("1 millis");
        yield* registry.get("b");
        yield* registry.get("e");
        assert.deepEqual(yield* names(registry), ["d", "b", "e"]);
      }), { capacity: 3 }));

  it.effect("unsafeOnChange() gives what takes the listener off again", () =>
    withRegistry((registry) =>
      Effect.gen(function* () {
        let heard = 0;
        const remove = registry.unsafeOnChange(() => heard += 1);
        yield* fail(registry, "a", 5);
        remove();
        yield* fail(registry, "b", 5);
        assert.equal(heard, 1);
      })
    ));

  it.effect("layer() forgets breakers and orders when its scope closes", () =>
    Effect.gen(function* () {
      const { registry, breaker } = yield* withRegistry((registry) =>
        Effect.gen(function* () {
          yield* registry.control("ordered", "open");
          return { registry, breaker: yield* registry.get("a") };
        })
      );
      assert.notEqual(yield* registry.get("a"), breaker);
      assert.equal((yield* registry.get("ordered")).unsafeState(), "closed");
    }));
});

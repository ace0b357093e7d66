/** StoreLookup: freshness, fallbacks and the load on MongoDB, with time in the test's hand. */
import assert from "node:assert/strict";
import {
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Either,
  Fiber,
  Layer,
  Option,
  TestClock,
} from "effect";
import { Metrics } from "../../src/operations/Metrics.ts";
import { CircuitBreakers } from "../../src/resilience/CircuitBreakers.ts";
import * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import {
  type DependencyFailure,
  TransientFailure,
} from "../../src/resilience/DependencyFailure.ts";
import * as Deadline from "../../src/resilience/Deadline.ts";
import * as Guard from "../../src/resilience/Guard.ts";
import { monotonicMillis } from "../../src/resilience/Monotonic.ts";
import * as Retry from "../../src/resilience/Retry.ts";
import type { Store } from "../../src/routing/Store.ts";
import {
  type CachedStore,
  type CacheTier,
  keyOf,
  StoreCache,
} from "../../src/routing/StoreCache.ts";
import { StoreLookup, StoreNotFound, StoresUnavailable } from "../../src/routing/StoreLookup.ts";
import { StoreRepository } from "../../src/routing/StoreRepository.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";

const berlin: Store = {
  tenantId: "ikea",
  storeId: "berlin",
  name: "Berlin",
  backendUrl: "https://backend.example",
  backendContext: { region: "eu" },
};

const failed = (dependency: string, more: Partial<TransientFailure> = {}) =>
  new TransientFailure({
    dependency,
    operation: `${dependency}_call`,
    reason: "connection lost",
    timedOut: false,
    cause: null,
    ...more,
  });

type Gate = Effect.Effect<void, DependencyFailure>;

/** A cache whose entries, health and speed the test decides; `near` is this process's memory. */
class ScriptedCache {
  readonly entries = new Map<string, CachedStore>();
  readonly near = new Map<string, CachedStore>();
  readonly written: Array<CachedStore> = [];
  gets = 0;
  tier: CacheTier = "near";
  reading: Gate = Effect.void;
  writing: Gate = Effect.void;

  readonly layer = Layer.succeed(StoreCache, {
    get: (tenantId, storeId) =>
      Effect.suspend(() => {
        this.gets++;
        return Effect.as(
          this.reading,
          Option.fromNullable(this.entries.get(keyOf(tenantId, storeId))),
        );
      }),
    set: (tenantId, storeId, value) =>
      Effect.suspend(() =>
        Effect.map(this.writing, () => {
          this.written.push(value);
          this.entries.set(keyOf(tenantId, storeId), value);
        })
      ),
    peek: (tenantId, storeId) => this.near.get(keyOf(tenantId, storeId)),
    tier: () => this.tier,
  });

  /** The last entry written; entries are written in the background. */
  readonly lastWritten = eventually(Effect.suspend(() => {
    const last = this.written.at(-1);
    return last === undefined ? Effect.fail("nothing written") : Effect.succeed(last);
  }));
}

/** A repository that counts what it is asked. */
class ScriptedRepository {
  readonly stores = new Map<string, Store>([[keyOf("ikea", "berlin"), berlin]]);
  finds = 0;
  finding: Gate = Effect.void;

  readonly layer = Layer.succeed(StoreRepository, {
    find: (tenantId, storeId) =>
      Effect.suspend(() => {
        this.finds++;
        return Effect.map(
          this.finding,
          () => Option.fromNullable(this.stores.get(keyOf(tenantId, storeId))),
        );
      }),
    list: (_tenantId, { after = "", limit }) =>
      Effect.map(
        this.finding,
        () => [...this.stores.values()].filter(({ storeId }) => storeId > after).slice(0, limit),
      ),
  });
}

const retry = Either.getOrThrow(Retry.policy());

interface Setup {
  readonly cacheTtl?: Duration.DurationInput;
  readonly staleIfError?: Duration.DurationInput;
  readonly negativeTtl?: Duration.DurationInput;
}

const lookupOf = (setup: Setup = {}) =>
  Effect.gen(function* () {
    const cache = new ScriptedCache();
    const repository = new ScriptedRepository();
    const guardOf = (dependency: string) =>
      Effect.flatMap(
        CircuitBreaker.make(dependency, { openJitter: 0 }),
        (breaker) => Guard.make({ dependency, breaker, retry }),
      );
    const mongodb = yield* guardOf("mongodb");
    const redis = yield* guardOf("redis");
    const pings = { count: 0, answer: Effect.void as Gate };
    const context = yield* Layer.build(
      StoreLookup.layer({
        mongodb,
        redis,
        probe: Effect.suspend(() => {
          pings.count++;
          return pings.answer;
        }),
        cacheTimeout: Duration.millis(250),
        cacheTtl: Duration.decode(setup.cacheTtl ?? "1 hour"),
        staleIfError: Duration.decode(setup.staleIfError ?? "24 hours"),
        negativeTtl: Duration.decode(setup.negativeTtl ?? "30 seconds"),
      }).pipe(
        Layer.provide(cache.layer),
        Layer.provide(repository.layer),
        Layer.provide(Metrics.layer({ service: "routing" })),
        Layer.provide(CircuitBreakers.layer()),
      ),
    );
    const { find, list } = Context.get(context, StoreLookup);
    return { find, list, cache, repository, mongodb, redis, pings };
  });

/** Moves time until the call has ended, retries and all; gives its result. */
const settled = <A, E>(call: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(call);
    for (let step = 0; step < 400; step++) {
      if (Option.isSome(yield* Fiber.poll(fiber))) break;
      yield* TestClock.adjust("50 millis");
    }
    return yield* Fiber.join(fiber);
  });

const hour = Duration.toMillis("1 hour");

describe("StoreLookup", () => {
  it.effect("find() reads from MongoDB once and then from the cache, until it is too old", () =>
    Effect.gen(function* () {
      const { find, cache, repository } = yield* lookupOf();
      const first = yield* find("ikea", "berlin");
      assert.deepEqual(first, { store: berlin, source: "MISS" });
      yield* cache.lastWritten;
      assert.equal((yield* find("ikea", "berlin")).source, "HIT");
      assert.equal(repository.finds, 1);
      yield* TestClock.adjust(Duration.millis(hour * 1.1));
      assert.equal((yield* find("ikea", "berlin")).source, "MISS");
      assert.equal(repository.finds, 2);
    }));

  it.effect("find() keeps entries fresh for CACHE_TTL within 10 %, not all for the same time", () =>
    Effect.gen(function* () {
      const { find, cache, repository } = yield* lookupOf();
      const now = yield* Clock.currentTimeMillis;
      for (let store = 0; store < 50; store++) {
        repository.stores.set(keyOf("ikea", `s${store}`), { ...berlin, storeId: `s${store}` });
        yield* find("ikea", `s${store}`);
      }
      yield* eventually(Effect.sync(() => cache.written.length === 50));
      const lengths = cache.written.map(({ readAt, freshUntil }) => freshUntil - readAt);
      assert.ok(Math.min(...lengths) >= hour * 0.9 - 1, `${Math.min(...lengths)}`);
      assert.ok(Math.max(...lengths) <= hour * 1.1 + 1, `${Math.max(...lengths)}`);
      assert.ok(new Set(lengths).size > 25);
      for (const { readAt, freshUntil, expiresAt } of cache.written) {
        assert.equal(readAt, now);
        assert.equal(expiresAt, freshUntil + 24 * hour);
      }
    }));

  it.effect("find() takes an entry at exactly its end of freshness for too old", () =>
    Effect.gen(function* () {
      const { find, cache } = yield* lookupOf();
      yield* find("ikea", "berlin");
      const { freshUntil } = yield* cache.lastWritten;
      yield* TestClock.setTime(freshUntil - 1);
      assert.equal((yield* find("ikea", "berlin")).source, "HIT");
      yield* TestClock.setTime(freshUntil);
      assert.equal((yield* find("ikea", "berlin")).source, "MISS");
    }));

  it.effect("find() takes an entry for too old when the clock was set back since, but for skew", () =>
    Effect.gen(function* () {
      const { find, cache } = yield* lookupOf();
      yield* TestClock.setTime(2 * hour);
      yield* find("ikea", "berlin");
      const { readAt } = yield* cache.lastWritten;
      assert.equal(readAt, 2 * hour);
      yield* TestClock.setTime(2 * hour - 60_000);
      assert.equal((yield* find("ikea", "berlin")).source, "HIT");
      yield* TestClock.setTime(2 * hour - 60_001);
      assert.equal((yield* find("ikea", "berlin")).source, "MISS");
    }));

  it.effect("find() remembers that there is no store for CACHE_NEGATIVE_TTL, and no longer", () =>
    Effect.gen(function* () {
      const { find, cache, repository } = yield* lookupOf();
      const missing = Effect.flip(find("ikea", "none"));
      assert.ok((yield* missing) instanceof StoreNotFound);
      const entry = yield* cache.lastWritten;
      assert.deepEqual(entry.store, Option.none());
      assert.equal(entry.freshUntil - entry.readAt, 30_000);
      assert.equal(entry.expiresAt, entry.freshUntil);
      yield* TestClock.adjust("29999 millis");
      yield* missing;
      assert.equal(repository.finds, 1);
      yield* TestClock.adjust("1 millis");
      yield* missing;
      assert.equal(repository.finds, 2);
    }));

  it.effect("find() writes nothing when not-found is not to be remembered", () =>
    Effect.gen(function* () {
      const { find, cache, repository } = yield* lookupOf({ negativeTtl: 0 });
      yield* Effect.flip(find("ikea", "none"));
      yield* Effect.flip(find("ikea", "none"));
      assert.equal(repository.finds, 2);
      assert.equal(cache.written.length, 0);
    }));

  it.effect("find() serves an expired copy with its age while MongoDB fails, to its end", () =>
    Effect.gen(function* () {
      const { find, cache, repository } = yield* lookupOf();
      yield* find("ikea", "berlin");
      const { readAt, expiresAt } = yield* cache.lastWritten;
      repository.finding = failed("mongodb");
      yield* TestClock.setTime(readAt + 2 * hour);
      const stale = yield* settled(find("ikea", "berlin"));
      assert.equal(stale.source, "STALE");
      assert.deepEqual(stale.store, berlin);
      assert.ok((stale.ageSeconds ?? 0) >= 7200 && (stale.ageSeconds ?? 0) <= 7205);
      yield* TestClock.setTime(expiresAt - 60_000);
      assert.equal((yield* settled(find("ikea", "berlin"))).source, "STALE");
      yield* TestClock.setTime(expiresAt);
      const none = yield* settled(Effect.flip(find("ikea", "berlin")));
      assert.ok(none instanceof StoresUnavailable);
      assert.equal(cache.written.length, 1, "a fallback was written to the cache");
    }));

  it.effect("find() does not take an old not-found for an answer while MongoDB fails", () =>
    Effect.gen(function* () {
      const { find, cache, repository } = yield* lookupOf();
      yield* Effect.flip(find("ikea", "none"));
      const entry = yield* cache.lastWritten;
      // As if it were kept longer than it should be.
      cache.entries.set(keyOf("ikea", "none"), { ...entry, expiresAt: entry.expiresAt + hour });
      repository.finding = failed("mongodb");
      yield* TestClock.adjust("1 minute");
      const error = yield* settled(Effect.flip(find("ikea", "none")));
      assert.ok(error instanceof StoresUnavailable);
    }));

  it.effect("find() tells how long the breaker stays open", () =>
    Effect.gen(function* () {
      const { find, repository, mongodb } = yield* lookupOf();
      repository.finding = failed("mongodb");
      for (let call = 0; call < 2; call++) yield* settled(Effect.flip(find("ikea", "berlin")));
      assert.equal((yield* mongodb.breaker.snapshot).state, "open");
      const { finds } = repository;
      const error = yield* Effect.flip(find("ikea", "berlin"));
      assert.ok(error instanceof StoresUnavailable);
      const { openUntil } = yield* mongodb.breaker.snapshot;
      const now = yield* Clock.currentTimeMillis;
      const left = (openUntil ?? 0) - now;
      assert.ok(Math.abs(Duration.toMillis(error.retryAfter) - left) < 1, `${left} ms left`);
      assert.equal(repository.finds, finds);
    }));

  it.effect("find() makes one MongoDB read of a hundred that miss at once", () =>
    Effect.gen(function* () {
      const { find, repository, cache } = yield* lookupOf();
      const gate = yield* Deferred.make<void>();
      repository.finding = Deferred.await(gate);
      const calls = yield* Effect.fork(
        Effect.all(Array.from({ length: 100 }, () => find("ikea", "berlin")), {
          concurrency: "unbounded",
        }),
      );
      yield* eventually(Effect.sync(() => cache.gets === 100));
      yield* eventually(Effect.sync(() => repository.finds === 1));
      yield* Deferred.succeed(gate, undefined);
      const found = yield* Fiber.join(calls);
      assert.ok(found.every(({ source, store }) => source === "MISS" && store === berlin));
      assert.equal(repository.finds, 1);
      yield* cache.lastWritten;
      assert.equal(cache.written.length, 1);
    }));

  it.effect("find() keeps tenants with a store of the same name apart, also at once", () =>
    Effect.gen(function* () {
      const { find, repository } = yield* lookupOf();
      const other = { ...berlin, tenantId: "habitat", backendUrl: "https://other.example" };
      repository.stores.set(keyOf("habitat", "berlin"), other);
      const gate = yield* Deferred.make<void>();
      repository.finding = Deferred.await(gate);
      const calls = yield* Effect.fork(
        Effect.all([find("ikea", "berlin"), find("habitat", "berlin")], {
          concurrency: "unbounded",
        }),
      );
      yield* eventually(Effect.sync(() => repository.finds === 2));
      yield* Deferred.succeed(gate, undefined);
      const [one, another] = yield* Fiber.join(calls);
      assert.deepEqual([one.store, another.store], [berlin, other]);
    }));

  it.effect("find() goes past a cache that fails, and says BYPASS", () =>
    Effect.gen(function* () {
      const { find, cache, redis } = yield* lookupOf();
      cache.reading = failed("redis");
      cache.writing = failed("redis");
      for (let call = 0; call < 4; call++) {
        const found = yield* settled(find("ikea", "berlin"));
        assert.deepEqual(found, { store: berlin, source: "BYPASS" });
      }
      assert.equal((yield* redis.breaker.snapshot).state, "open");
      const { gets } = cache;
      assert.equal((yield* find("ikea", "berlin")).source, "BYPASS");
      assert.equal(cache.gets, gets, "an open breaker keeps the cache from being asked");
    }));

  it.effect("find() goes past a memory in Redis's place as well while the breaker is open", () =>
    Effect.gen(function* () {
      const { find, cache, redis } = yield* lookupOf();
      cache.tier = "memory";
      yield* find("ikea", "berlin");
      cache.near.set(keyOf("ikea", "berlin"), yield* cache.lastWritten);
      assert.equal((yield* find("ikea", "berlin")).source, "HIT");
      yield* redis.breaker.control("open");
      assert.equal((yield* find("ikea", "berlin")).source, "BYPASS");
      yield* redis.breaker.control("close");
      assert.equal((yield* find("ikea", "berlin")).source, "HIT");
    }));

  it.effect("find() waits for a slow cache no longer than its deadline, retries included", () =>
    Effect.gen(function* () {
      const { find, cache } = yield* lookupOf();
      // As the driver does: no answer within the deadline is a failure.
      cache.reading = Effect.zipRight(
        Effect.sleep("250 millis"),
        failed("redis", { timedOut: true }),
      );
      const started = yield* Clock.currentTimeMillis;
      const fiber = yield* Effect.fork(find("ikea", "berlin"));
      yield* TestClock.adjust("250 millis");
      const found = yield* Fiber.join(fiber);
      assert.equal(found.source, "BYPASS");
      assert.equal((yield* Clock.currentTimeMillis) - started, 250);
      assert.equal(cache.gets, 1);
    }));

  it.effect("find() never waits for the cache to be written, of which 256 go on at most", () =>
    Effect.gen(function* () {
      const { find, cache, repository } = yield* lookupOf();
      let writes = 0;
      const gate = yield* Deferred.make<void>();
      cache.writing = Effect.zipRight(Effect.sync(() => writes++), Deferred.await(gate));
      for (let store = 0; store < 300; store++) {
        repository.stores.set(keyOf("ikea", `s${store}`), { ...berlin, storeId: `s${store}` });
        assert.equal((yield* find("ikea", `s${store}`)).source, "MISS");
      }
      assert.equal(writes, 256);
      yield* Deferred.succeed(gate, undefined);
      yield* eventually(Effect.sync(() => cache.written.length === 256));
      yield* find("ikea", "s299");
      yield* eventually(Effect.sync(() => cache.written.length === 257));
    }));

  it.effect("find() writes with all attempts, however little time its caller has left", () =>
    Effect.gen(function* () {
      const { find, cache } = yield* lookupOf();
      let attempts = 0;
      cache.writing = Effect.suspend(() => ++attempts < 3 ? failed("redis") : Effect.void);
      // Not enough for a second attempt, which comes after 100 ms.
      const soon = monotonicMillis(yield* Effect.clock) + 50;
      const found = yield* Effect.locally(find("ikea", "berlin"), Deadline.current, soon);
      assert.equal(found.source, "MISS");
      yield* eventually(Effect.sync(() => attempts === 1));
      yield* eventually(Effect.map(TestClock.adjust("50 millis"), () => attempts === 3));
      yield* cache.lastWritten;
    }));

  it.effect("find() writes on for a caller that has gone", () =>
    Effect.gen(function* () {
      const { find, cache } = yield* lookupOf();
      const gate = yield* Deferred.make<void>();
      cache.writing = Deferred.await(gate);
      const fiber = yield* Effect.fork(find("ikea", "berlin"));
      yield* Fiber.join(fiber);
      yield* Deferred.succeed(gate, undefined);
      yield* cache.lastWritten;
    }));

  it.effect("find() answers from memory without asking the cache, and only while fresh", () =>
    Effect.gen(function* () {
      const { find, cache, repository } = yield* lookupOf();
      yield* find("ikea", "berlin");
      const entry = yield* cache.lastWritten;
      cache.near.set(keyOf("ikea", "berlin"), entry);
      const { gets } = cache;
      assert.equal((yield* find("ikea", "berlin")).source, "HIT");
      assert.equal(cache.gets, gets);
      yield* TestClock.setTime(entry.freshUntil);
      assert.equal((yield* find("ikea", "berlin")).source, "MISS");
      assert.equal(repository.finds, 2);
    }));

  it.effect("find() tries the cache for its breaker's sake when memory has all the answers", () =>
    Effect.gen(function* () {
      const { find, cache, redis, pings } = yield* lookupOf();
      yield* find("ikea", "berlin");
      cache.near.set(keyOf("ikea", "berlin"), yield* cache.lastWritten);
      const state = Effect.map(redis.breaker.snapshot, ({ state }) => state);
      const hit = Effect.gen(function* () {
        assert.equal((yield* find("ikea", "berlin")).source, "HIT");
        yield* Effect.yieldNow();
      });
      yield* hit;
      assert.equal(pings.count, 0, "while it is closed");
      for (let call = 0; call < 5; call++) {
        yield* Effect.ignore(redis.breaker.protect(failed("redis")));
      }
      assert.equal(yield* state, "open");
      const { rejected } = yield* redis.breaker.snapshot;
      yield* hit;
      assert.equal(pings.count, 0, "before it is due");
      assert.equal((yield* redis.breaker.snapshot).rejected, rejected);
      pings.answer = failed("redis");
      yield* TestClock.adjust("30 seconds");
      yield* hit;
      yield* eventually(Effect.sync(() => pings.count === 1));
      assert.equal(yield* state, "open", "the trial failed");
      pings.answer = Effect.void;
      yield* TestClock.adjust("30 seconds");
      for (const expected of ["half-open", "half-open", "closed"]) {
        yield* hit;
        yield* eventually(Effect.map(state, (state) => state === expected));
      }
      yield* hit;
      assert.equal(pings.count, 4);
    }));

  it.effect("list() tells by one store more whether there is a next page", () =>
    Effect.gen(function* () {
      const { list, repository } = yield* lookupOf();
      for (const storeId of ["a", "b", "c"]) {
        repository.stores.set(keyOf("ikea", storeId), { ...berlin, storeId });
      }
      repository.stores.delete(keyOf("ikea", "berlin"));
      const ids = (after: Option.Option<string>, limit: number) =>
        Effect.map(list("ikea", { after, limit }), ({ stores, next }) => ({
          ids: stores.map(({ storeId }) => storeId),
          next,
        }));
      assert.deepEqual(yield* ids(Option.none(), 2), { ids: ["a", "b"], next: Option.some("b") });
      assert.deepEqual(yield* ids(Option.some("b"), 2), { ids: ["c"], next: Option.none() });
      assert.deepEqual(yield* ids(Option.none(), 3), { ids: ["a", "b", "c"], next: Option.none() });
    }));

  it.effect("list() fails as unavailable when MongoDB does, with a time to come back", () =>
    Effect.gen(function* () {
      const { list, repository } = yield* lookupOf();
      repository.finding = failed("mongodb", { retryAfter: Duration.seconds(7) });
      const page = { after: Option.none(), limit: 10 };
      const error = yield* settled(Effect.flip(list("ikea", page)));
      assert.ok(error instanceof StoresUnavailable);
      assert.equal(Duration.toSeconds(error.retryAfter), 7);
      repository.finding = failed("mongodb");
      const other = yield* settled(Effect.flip(list("ikea", page)));
      assert.ok(Duration.toMillis(other.retryAfter) >= 1_000);
    }));
});

/** What every store cache does, run over each of them. */
import { Clock, Context, Effect, Layer, Option, Redacted, type Scope } from "effect";
import assert from "node:assert/strict";
import { RedisConnection } from "../../src/connections/Redis.ts";
import type { Store } from "../../src/routing/Store.ts";
import { type CachedStore, StoreCache } from "../../src/routing/StoreCache.ts";
import { layerNear } from "../../src/routing/StoreCache/Near.ts";
import * as RedisStores from "../../src/routing/StoreCache/Redis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { Redis } from "../support/servers/Redis.ts";
import { needs } from "../support/Tools.ts";

type Cache = Context.Tag.Service<StoreCache>;

const store: Store = {
  tenantId: "shop",
  storeId: "a",
  name: "Åsa's store",
  backendUrl: "https://a.example.com/x?y=1",
  backendContext: { region: "eu", list: [1, null, { deep: true }] },
  location: { lat: 59.3, lon: -18.07 },
};

/** An entry that is fresh for a minute and kept for an hour. */
const entry = (store: Store | undefined, more: Partial<CachedStore> = {}) =>
  Effect.map(Clock.currentTimeMillis, (now): CachedStore => ({
    store: Option.fromNullable(store),
    readAt: now,
    freshUntil: now + 60_000,
    expiresAt: now + 3_600_000,
    ...more,
  }));

const contract = (make: Effect.Effect<Cache, never, Scope.Scope>) => {
  it.live("get() gives none for what was never set", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      assert.deepEqual(yield* cache.get("shop", "a"), Option.none());
    }));

  it.live("get() gives what was set, with its instants", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      const value = yield* entry(store);
      yield* cache.set("shop", "a", value);
      assert.deepEqual(yield* cache.get("shop", "a"), Option.some(value));
      assert.deepEqual(yield* cache.get("shop", "a"), Option.some(value));
    }));

  it.live("get() gives a remembered not-found, which is not the same as none", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      const value = yield* entry(undefined);
      yield* cache.set("shop", "a", value);
      assert.deepEqual(yield* cache.get("shop", "a"), Option.some(value));
    }));

  for (const text of ["null", "false", "0", '""', '"text"', "[]", "{}", '{"__proto__":{"a":1}}']) {
    it.live(`get() keeps the backend context ${text}`, () =>
      Effect.gen(function* () {
        const cache = yield* make;
        const { location: _, ...placeless } = store;
        const value = yield* entry({ ...placeless, backendContext: JSON.parse(text) });
        yield* cache.set("shop", "a", value);
        const got = yield* cache.get("shop", "a");
        assert.deepEqual(got, Option.some(value));
        const context = Option.map(Option.flatten(Option.map(got, ({ store }) => store)), (store) =>
          JSON.stringify(store.backendContext));
        assert.deepEqual(context, Option.some(text));
      }));
  }

  it.live("get() tells tenants and stores apart", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      yield* cache.set("shop", "a", yield* entry(store));
      for (const [tenantId, storeId] of [["shop", "b"], ["other", "a"], ["a", "shop"]] as const) {
        assert.deepEqual(yield* cache.get(tenantId, storeId), Option.none());
      }
    }));

  it.live("set() replaces what was there, also by a not-found and back", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      for (const next of [store, undefined, { ...store, name: "new" }]) {
        const value = yield* entry(next);
        yield* cache.set("shop", "a", value);
        yield* eventually(
          Effect.tap(cache.get("shop", "a"), (got) => assert.deepEqual(got, Option.some(value))),
        );
      }
    }));

  it.live("get() gives a stale entry, for its use is not the cache's decision", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      const value = yield* entry(store, { readAt: 1, freshUntil: 2 });
      yield* cache.set("shop", "a", value);
      assert.deepEqual(yield* cache.get("shop", "a"), Option.some(value));
    }));

  it.live("get() gives none once the entry has expired", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      const now = yield* Clock.currentTimeMillis;
      yield* cache.set("shop", "a", yield* entry(store, { expiresAt: now + 300 }));
      yield* eventually(
        Effect.map(cache.get("shop", "a"), Option.isNone),
      );
    }));

  it.live("set() keeps nothing that has expired already", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      const now = yield* Clock.currentTimeMillis;
      for (const expiresAt of [now, now - 1, 0, -1]) {
        yield* cache.set("shop", "a", yield* entry(store, { expiresAt }));
        assert.deepEqual(yield* cache.get("shop", "a"), Option.none());
      }
    }));

  it.live("peek() gives what get() gave, or undefined, and never anything else", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      assert.equal(cache.peek("shop", "a"), undefined);
      const value = yield* entry(store);
      yield* cache.set("shop", "a", value);
      // A near cache keeps it once it has heard of its own write.
      yield* eventually(
        Effect.map(
          cache.get("shop", "a"),
          () => cache.tier() === "redis" || cache.peek("shop", "a") !== undefined,
        ),
      );
      const peeked = cache.peek("shop", "a");
      if (cache.tier() === "redis") assert.equal(peeked, undefined);
      else assert.deepEqual(peeked, value);
      assert.equal(cache.peek("other", "a"), undefined);
    }));
};

describe("StoreCache.layerMemory", () => {
  const make = (options?: { readonly size: number }) =>
    Layer.build(StoreCache.layerMemory(options)).pipe(Effect.map(Context.get(StoreCache)));
  contract(make());

  it.live("layerMemory holds no more entries than its size", () =>
    Effect.gen(function* () {
      const cache = yield* make({ size: 10 });
      const value = yield* entry(store);
      for (let index = 0; index < 1_000; index++) yield* cache.set("shop", `${index}`, value);
      const kept = Array.from({ length: 1_000 }, (_, index) => cache.peek("shop", `${index}`))
        .filter((value) => value !== undefined);
      assert.equal(kept.length, 10);
      assert.equal(cache.tier(), "memory");
    }));
});

describe("StoreCache with Redis", needs("redis-server"), () => {
  let server: Redis;
  beforeAll(async () => {
    server = await Redis.start();
  });
  afterAll(() => server.stop());

  const connected = (
    layer: Layer.Layer<StoreCache, never, RedisConnection>,
    isUp: (cache: Cache) => boolean,
  ) =>
    Effect.gen(function* () {
      yield* Effect.promise(() => server.command("FLUSHALL"));
      const connection = RedisConnection.layer({ url: Redacted.make(server.url) });
      const context = yield* Effect.orDie(
        Layer.build(
          Layer.provideMerge(layer, connection),
        ),
      );
      const cache = Context.get(context, StoreCache);
      yield* Effect.orDie(eventually(Context.get(context, RedisConnection).ping));
      yield* Effect.orDie(eventually(Effect.sync(() => isUp(cache))));
      return cache;
    });

  describe("StoreCache/Redis", () => {
    contract(connected(RedisStores.layer, () => true));
  });

  describe("StoreCache/Near", () => {
    contract(
      connected(
        Layer.provide(layerNear({ size: 100 }), RedisStores.layer),
        (cache) => cache.tier() === "near",
      ),
    );
  });
});

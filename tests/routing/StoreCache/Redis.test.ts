/** What only the Redis store cache does: its values as others see them, and others' values. */
import { Clock, Context, Effect, Layer, Option, Redacted } from "effect";
import assert from "node:assert/strict";
import { RedisConnection } from "../../../src/connections/Redis.ts";
import { type CachedStore, StoreCache } from "../../../src/routing/StoreCache.ts";
import * as RedisStores from "../../../src/routing/StoreCache/Redis.ts";
import { eventually } from "../../support/eventually.ts";
import { describe, it } from "../../support/it.ts";
import { Redis } from "../../support/servers/Redis.ts";
import { needs } from "../../support/Tools.ts";

const connect = Effect.fnUntraced(function* (server: Redis) {
  const context = yield* Layer.build(
    Layer.provideMerge(
      RedisStores.layer,
      RedisConnection.layer({ url: Redacted.make(server.url) }),
    ),
  );
  yield* eventually(Context.get(context, RedisConnection).ping);
  return Context.get(context, StoreCache);
});

const entry = Effect.map(Clock.currentTimeMillis, (now): CachedStore => ({
  store: Option.some({
    tenantId: "shop",
    storeId: "a",
    name: "Store",
    backendUrl: "https://a.example.com",
    backendContext: { region: "eu" },
  }),
  readAt: now,
  freshUntil: now + 60_000,
  expiresAt: now + 120_000,
}));

const command = (server: Redis, ...words: ReadonlyArray<string>) =>
  Effect.promise(() => server.command(...words));

describe("StoreCache/Redis", needs("redis-server"), () => {
  it.live("set() writes JSON under store:{tenantId}:{storeId} that Redis forgets by itself", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      const value = yield* entry;
      yield* cache.set("shop", "a", value);
      const text = yield* command(server, "GET", "store:shop:a");
      assert.ok(typeof text === "string");
      assert.equal(JSON.parse(text).readAt, value.readAt);
      const rest = yield* command(server, "PTTL", "store:shop:a");
      assert.ok(typeof rest === "number" && rest > 60_000 && rest <= 120_000, String(rest));
    }));

  it.live("get() takes a damaged or foreign value for none, and set() replaces it", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      const value = yield* entry;
      yield* cache.set("shop", "a", value);
      const text = String(yield* command(server, "GET", "store:shop:a"));
      const parsed = JSON.parse(text);
      const variants: ReadonlyArray<unknown> = [
        { ...parsed, tenantId: "other" },
        { ...parsed, storeId: "b" },
        { ...parsed, tenantId: undefined },
        { ...parsed, readAt: "1" },
        { ...parsed, freshUntil: null },
        { ...parsed, expiresAt: undefined },
        { ...parsed, expiresAt: value.readAt - 1 },
        { ...parsed, store: undefined },
        { ...parsed, store: [] },
        { ...parsed, store: { ...parsed.store, name: undefined } },
        { ...parsed, store: { ...parsed.store, backendUrl: 7 } },
        { ...parsed, store: { ...parsed.store, backendUrl: "" } },
        { ...parsed, store: { ...parsed.store, backendContext: undefined } },
        { ...parsed, store: { ...parsed.store, location: null } },
        { ...parsed, store: { ...parsed.store, location: { lat: 1 } } },
        parsed.store,
        [parsed],
        null,
        7,
      ];
      const texts = [
        ...variants.map((variant) => JSON.stringify(variant)),
        text.slice(0, -1),
        "",
        "not JSON",
        "\u0000\u0001",
      ];
      for (const damaged of texts) {
        yield* command(server, "SET", "store:shop:a", damaged);
        assert.deepEqual(yield* cache.get("shop", "a"), Option.none(), damaged);
        yield* cache.set("shop", "a", value);
        assert.deepEqual(yield* cache.get("shop", "a"), Option.some(value), damaged);
      }
    }));

  it.live("get() takes a key of another type for none, and set() replaces it", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      yield* command(server, "LPUSH", "store:shop:a", "x");
      assert.deepEqual(yield* cache.get("shop", "a"), Option.none());
      const value = yield* entry;
      yield* cache.set("shop", "a", value);
      assert.deepEqual(yield* cache.get("shop", "a"), Option.some(value));
    }));

  it.live("get() takes a value copied from another tenant's key for none", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      yield* cache.set("shop", "a", yield* entry);
      yield* command(server, "COPY", "store:shop:a", "store:other:a");
      assert.deepEqual(yield* cache.get("other", "a"), Option.none());
    }));

  it.live("get() and set() fail with a typed failure when Redis is down or full", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      const value = yield* entry;
      yield* command(server, "CONFIG", "SET", "maxmemory", "1");
      const full = yield* Effect.flip(cache.set("shop", "a", value));
      assert.deepEqual([full._tag, full.operation, full.reason], [
        "TransientFailure",
        "redis_set",
        "OOM",
      ]);
      yield* Effect.promise(() => server.kill());
      const down = yield* eventually(Effect.flip(cache.get("shop", "a")));
      assert.deepEqual([down._tag, down.operation], ["TransientFailure", "redis_get"]);
    }));
});

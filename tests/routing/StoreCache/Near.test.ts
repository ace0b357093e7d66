/** The near cache on a real Redis: several instances, changes behind its back, lost connections. */
import { Clock, Context, Deferred, Effect, Fiber, Layer, Option, Redacted } from "effect";
import assert from "node:assert/strict";
import { RedisConnection } from "../../../src/connections/Redis.ts";
import { type CachedStore, StoreCache } from "../../../src/routing/StoreCache.ts";
import { layerNear, type NearOptions } from "../../../src/routing/StoreCache/Near.ts";
import * as RedisStores from "../../../src/routing/StoreCache/Redis.ts";
import { eventually } from "../../support/eventually.ts";
import { describe, it } from "../../support/it.ts";
import { Redis } from "../../support/servers/Redis.ts";
import { TcpProxy } from "../../support/servers/TcpProxy.ts";
import { needs } from "../../support/Tools.ts";

type Cache = Context.Tag.Service<StoreCache>;
type Connection = Context.Tag.Service<RedisConnection>;

interface Setup extends Partial<NearOptions> {
  readonly url?: string;
  /** Something between the near cache and the real one behind it. */
  readonly between?: (far: Cache) => Cache;
  /** Something between the near cache and its connection. */
  readonly through?: (redis: Connection) => Connection;
}

/** One instance of the service: a near cache in front of Redis. */
const instance = Effect.fnUntraced(function* (server: Redis, setup: Setup = {}) {
  const { url = server.url, between = (far) => far, through = (redis) => redis } = setup;
  const connection = Layer.provide(
    Layer.effect(RedisConnection, Effect.map(RedisConnection, through)),
    RedisConnection.layer({ url: Redacted.make(url) }),
  );
  const far = Layer.provide(
    Layer.effect(StoreCache, Effect.map(StoreCache, between)),
    RedisStores.layer,
  );
  const near = layerNear({ size: 100, heartbeat: "100 millis", ...setup });
  const context = yield* Layer.build(
    Layer.provideMerge(Layer.provide(near, far), connection),
  );
  yield* eventually(Context.get(context, RedisConnection).ping);
  return Context.get(context, StoreCache);
});

const tracking = (cache: Cache) => eventually(Effect.sync(() => cache.tier() === "near"));
const bypassed = (cache: Cache) => eventually(Effect.sync(() => cache.tier() === "redis"));

const entry = (name: string) =>
  Effect.map(Clock.currentTimeMillis, (now): CachedStore => ({
    store: Option.some({
      tenantId: "shop",
      storeId: "a",
      name,
      backendUrl: "https://a.example.com",
      backendContext: {},
    }),
    readAt: now,
    freshUntil: now + 60_000,
    expiresAt: now + 120_000,
  }));

const nameOf = (value: Option.Option<CachedStore>) =>
  Option.getOrUndefined(Option.flatMap(value, ({ store }) => store))?.name;

/** Looks a store up until the near cache holds it. */
const warm = (cache: Cache, storeId = "a") =>
  eventually(
    Effect.map(cache.get("shop", storeId), () => cache.peek("shop", storeId) !== undefined),
  );

const gone = (cache: Cache, storeId = "a") =>
  eventually(Effect.sync(() => cache.peek("shop", storeId) === undefined));

/**
 * Waits until every change made so far has been announced, the near cache's own writes included:
 * announcements come in order, so the last one's is waited for.
 */
const settle = Effect.fnUntraced(function* (cache: Cache, server: Redis) {
  yield* cache.set("shop", "settled", yield* entry("settled"));
  yield* warm(cache, "settled");
  yield* command(server, "DEL", "store:shop:settled");
  yield* gone(cache, "settled");
});

const command = (server: Redis, ...words: ReadonlyArray<string>) =>
  Effect.promise(() => server.command(...words));

describe("StoreCache/Near", needs("redis-server"), () => {
  it.live("get() answers without Redis once it has seen the value", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      let lookups = 0;
      const cache = yield* instance(server, {
        between: (far) => ({
          ...far,
          get: (...names) => Effect.suspend(() => (lookups++, far.get(...names))),
        }),
      });
      yield* tracking(cache);
      yield* cache.set("shop", "a", yield* entry("one"));
      yield* settle(cache, server);
      yield* warm(cache);
      const before = lookups;
      for (let index = 0; index < 10; index++) {
        assert.equal(nameOf(yield* cache.get("shop", "a")), "one");
      }
      assert.equal(lookups, before);
    }));

  it.live("set() by one instance is seen by the other and by itself", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const [one, two] = [yield* instance(server), yield* instance(server)];
      yield* Effect.all([tracking(one), tracking(two)]);
      for (const [writer, name] of [[one, "1"], [two, "2"], [one, "3"]] as const) {
        yield* writer.set("shop", "a", yield* entry(name));
        yield* eventually(
          Effect.gen(function* () {
            assert.equal(nameOf(yield* one.get("shop", "a")), name);
            assert.equal(nameOf(yield* two.get("shop", "a")), name);
          }),
        );
        yield* Effect.all([warm(one), warm(two)]);
      }
    }));

  const changes: Readonly<Record<string, ReadonlyArray<string>>> = {
    "is deleted": ["DEL", "store:shop:a"],
    "is unlinked": ["UNLINK", "store:shop:a"],
    "is overwritten": ["SET", "store:shop:a", "other"],
    "is renamed": ["RENAME", "store:shop:a", "store:shop:b"],
    "expires": ["PEXPIRE", "store:shop:a", "1"],
    "goes with FLUSHALL": ["FLUSHALL"],
    "goes with FLUSHDB": ["FLUSHDB"],
    "is changed by a script": ["EVAL", "redis.call('DEL', KEYS[1])", "1", "store:shop:a"],
    "is changed with many others": ["MSET", "store:a:1", "1", "store:shop:a", "2", "y", "3"],
  };
  for (const [what, change] of Object.entries(changes)) {
    it.live(`peek() and get() give none after the key ${what} behind its back`, () =>
      Effect.gen(function* () {
        const server = yield* Redis.scoped();
        const cache = yield* instance(server);
        yield* tracking(cache);
        yield* cache.set("shop", "a", yield* entry("one"));
        yield* warm(cache);
        yield* command(server, ...change);
        yield* gone(cache);
        // PEXPIRE itself is a change; the millisecond that it leaves may not be over yet.
        yield* eventually(Effect.map(cache.get("shop", "a"), Option.isNone));
        yield* gone(cache);
        assert.equal(cache.tier(), "near");
      }));
  }

  it.live("peek() keeps what did not change", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* instance(server);
      yield* tracking(cache);
      const value = yield* entry("one");
      for (const storeId of ["a", "b"]) yield* cache.set("shop", storeId, value);
      yield* settle(cache, server);
      for (const storeId of ["a", "b"]) yield* warm(cache, storeId);
      yield* command(server, "SET", "elsewhere:shop:a", "x");
      yield* command(server, "DEL", "store:shop:b");
      yield* gone(cache, "b");
      assert.notEqual(cache.peek("shop", "a"), undefined);
    }));

  it.live("get() does not keep a value whose key changed while it was on its way", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const gate = yield* Deferred.make<void>();
      const read = yield* Deferred.make<void>();
      let isHeld = false;
      const cache = yield* instance(server, {
        between: (far) => ({
          ...far,
          // The real answer, held back between Redis and the near cache.
          get: (...names) =>
            Effect.tap(
              far.get(...names),
              () =>
                isHeld
                  ? Effect.zipRight(Deferred.succeed(read, undefined), Deferred.await(gate))
                  : Effect.void,
            ),
        }),
      });
      yield* tracking(cache);
      yield* cache.set("shop", "a", yield* entry("old"));
      yield* cache.set("shop", "marker", yield* entry("marker"));
      yield* settle(cache, server);
      yield* warm(cache, "marker");
      isHeld = true;
      const late = yield* Effect.fork(cache.get("shop", "a"));
      yield* Deferred.await(read);
      isHeld = false;
      yield* command(server, "DEL", "store:shop:a");
      // Invalidations come in order: once the marker's is here, so is the one before it.
      yield* command(server, "DEL", "store:shop:marker");
      yield* gone(cache, "marker");
      yield* Deferred.succeed(gate, undefined);
      assert.equal(nameOf(yield* Fiber.join(late)), "old");
      assert.equal(cache.peek("shop", "a"), undefined);
      assert.deepEqual(yield* cache.get("shop", "a"), Option.none());
    }));

  it.live("get() never gives an old value for good under many writes and reads", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const caches = [yield* instance(server), yield* instance(server), yield* instance(server)];
      yield* Effect.forEach(caches, tracking);
      const [writer] = caches;
      assert.ok(writer !== undefined);
      const readers = yield* Effect.forEach(caches, (cache) =>
        Effect.forkScoped(Effect.forever(
          Effect.zipRight(cache.get("shop", "a"), Effect.yieldNow()),
        )));
      for (let round = 0; round < 300; round++) {
        yield* writer.set("shop", "a", yield* entry(`${round}`));
      }
      yield* Effect.forEach(caches, (cache) =>
        eventually(
          Effect.tap(cache.get("shop", "a"), (value) => assert.equal(nameOf(value), "299")),
        ));
      yield* Effect.forEach(readers, Fiber.interrupt);
      for (const cache of caches) assert.equal(nameOf(yield* cache.get("shop", "a")), "299");
    }));

  it.live("peek() is bypassed while the listening connection is killed, and comes back", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* instance(server, { heartbeat: "1 minute" });
      yield* tracking(cache);
      yield* cache.set("shop", "a", yield* entry("one"));
      yield* warm(cache);
      // No one to tell from here on; only pub/sub connections are killed, the other stays.
      assert.equal(yield* command(server, "CLIENT", "KILL", "TYPE", "pubsub"), 1);
      yield* gone(cache);
      yield* command(server, "DEL", "store:shop:a");
      assert.deepEqual(yield* cache.get("shop", "a"), Option.none());
      yield* tracking(cache);
      yield* cache.set("shop", "a", yield* entry("two"));
      yield* warm(cache);
      yield* command(server, "DEL", "store:shop:a");
      yield* gone(cache);
    }));

  it.live("get() fails while Redis is killed, holds nothing, and works after its return", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* instance(server);
      yield* tracking(cache);
      yield* cache.set("shop", "a", yield* entry("one"));
      yield* warm(cache);
      yield* Effect.promise(() => server.kill());
      yield* bypassed(cache);
      assert.equal(cache.peek("shop", "a"), undefined);
      assert.equal((yield* Effect.flip(cache.get("shop", "a")))._tag, "TransientFailure");
      yield* Effect.promise(() => server.restart());
      yield* tracking(cache);
      yield* eventually(
        Effect.map(cache.get("shop", "a"), Option.isNone),
      );
      yield* cache.set("shop", "a", yield* entry("two"));
      yield* warm(cache);
      assert.equal(nameOf(yield* cache.get("shop", "a")), "two");
    }));

  it.live("peek() is bypassed when the listening connection falls silent, and comes back", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const proxy = yield* TcpProxy.scoped({ port: server.port });
      const cache = yield* instance(server, {
        // Only the listening connection goes through the proxy.
        through: (redis) => ({
          ...redis,
          open: (overrides) => redis.open({ ...overrides, port: proxy.port }),
        }),
      });
      yield* tracking(cache);
      yield* cache.set("shop", "a", yield* entry("one"));
      yield* warm(cache);
      yield* Effect.promise(() => proxy.mode("silent"));
      yield* bypassed(cache);
      assert.equal(cache.peek("shop", "a"), undefined);
      assert.equal(nameOf(yield* cache.get("shop", "a")), "one");
      assert.equal(cache.peek("shop", "a"), undefined);
      yield* Effect.promise(() => proxy.mode("pass"));
      yield* tracking(cache);
      yield* warm(cache);
    }));

  it.live("get() does not keep a value that was on its way when the connection was lost", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const gate = yield* Deferred.make<void>();
      const read = yield* Deferred.make<void>();
      const cache = yield* instance(server, {
        between: (far) => ({
          ...far,
          get: (...names) =>
            Effect.tap(
              far.get(...names),
              () => Effect.zipRight(Deferred.succeed(read, undefined), Deferred.await(gate)),
            ),
        }),
      });
      yield* tracking(cache);
      yield* cache.set("shop", "a", yield* entry("old"));
      const late = yield* Effect.fork(cache.get("shop", "a"));
      yield* Deferred.await(read);
      yield* command(server, "CLIENT", "KILL", "TYPE", "pubsub");
      yield* bypassed(cache);
      // Changed while nobody listened.
      yield* command(server, "DEL", "store:shop:a");
      yield* tracking(cache);
      yield* Deferred.succeed(gate, undefined);
      yield* Fiber.join(late);
      assert.equal(cache.peek("shop", "a"), undefined);
    }));

  it.live("get() goes to Redis for good when the user may not track", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const rules = ["on", ">secret", "~*", "&*", "+@all", "-client|tracking"];
      yield* command(server, "ACL", "SETUSER", "limited", ...rules);
      const url = server.url.replace("redis://", "redis://limited:secret@");
      const cache = yield* instance(server, { url });
      yield* cache.set("shop", "a", yield* entry("one"));
      for (let index = 0; index < 3; index++) {
        assert.equal(nameOf(yield* cache.get("shop", "a")), "one");
        assert.equal(cache.tier(), "redis");
        assert.equal(cache.peek("shop", "a"), undefined);
      }
    }));

  it.live("get() gives none for what has expired, though no word of it came", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* instance(server, {
        // A value that Redis does not hold at all: nothing will be announced.
        between: (far) => ({
          ...far,
          get: () =>
            Effect.flatMap(
              Clock.currentTimeMillis,
              (now) =>
                Effect.map(entry("short"), (value) =>
                  now < deadline ? Option.some({ ...value, expiresAt: deadline }) : Option.none()),
            ),
        }),
      });
      const deadline = (yield* Clock.currentTimeMillis) + 400;
      yield* tracking(cache);
      assert.equal(nameOf(yield* cache.get("shop", "a")), "short");
      assert.notEqual(cache.peek("shop", "a"), undefined);
      yield* eventually(
        Effect.map(cache.get("shop", "a"), Option.isNone),
      );
    }));

  it.live("get() keeps no more entries than the size", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* instance(server, { size: 5 });
      yield* tracking(cache);
      const value = yield* entry("one");
      const names = Array.from({ length: 50 }, (_, index) => `${index}`);
      for (const name of names) yield* cache.set("shop", name, value);
      for (const name of names) yield* cache.get("shop", name);
      const kept = names.filter((name) => cache.peek("shop", name) !== undefined);
      assert.ok(kept.length <= 5, String(kept));
    }));

  it.live("layerNear is the cache behind it when the size is 0", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* instance(server, { size: 0 });
      yield* cache.set("shop", "a", yield* entry("one"));
      assert.equal(nameOf(yield* cache.get("shop", "a")), "one");
      assert.equal(cache.tier(), "redis");
      assert.equal(yield* command(server, "CLIENT", "LIST", "TYPE", "pubsub"), "");
    }));
});

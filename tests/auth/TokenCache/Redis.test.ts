/** What only the Redis token cache does: what others can see of its values, and do to them. */
import { Clock, Context, Effect, Layer, Option, Redacted } from "effect";
import assert from "node:assert/strict";
import { type CachedToken, keyOf, TokenCache } from "../../../src/auth/TokenCache.ts";
import type { TokenKeys } from "../../../src/auth/TokenKeys.ts";
import * as RedisTokens from "../../../src/auth/TokenCache/Redis.ts";
import { RedisConnection } from "../../../src/connections/Redis.ts";
import { eventually } from "../../support/eventually.ts";
import { describe, it } from "../../support/it.ts";
import { Redis } from "../../support/servers/Redis.ts";
import { needs } from "../../support/Tools.ts";

const newKey = () => Redacted.make(crypto.getRandomValues(new Uint8Array(32)));

const connect = Effect.fnUntraced(function* (server: Redis, keys: TokenKeys = [newKey()]) {
  const context = yield* Layer.build(
    Layer.provideMerge(
      RedisTokens.layer({ keys }),
      RedisConnection.layer({ url: Redacted.make(server.url) }),
    ),
  );
  yield* eventually(Context.get(context, RedisConnection).ping);
  return Context.get(context, TokenCache);
});

const shopper = Redacted.make("shopper's token");
const key = keyOf("shop", shopper);

const issued = Effect.map(Clock.currentTimeMillis, (now): CachedToken => ({
  accessToken: Redacted.make("very secret"),
  issuedAt: now,
  expiresAt: now + 60_000,
  validUntil: now + 360_000,
}));

const textOf = (value: Option.Option<CachedToken>) =>
  Option.getOrUndefined(Option.map(value, ({ accessToken }) => Redacted.value(accessToken)));

const command = (server: Redis, ...words: ReadonlyArray<string>) =>
  Effect.promise(() => server.command(...words));

describe("TokenCache/Redis", needs("redis-server"), () => {
  it.live("set() writes nothing readable, under a hash, that Redis forgets by itself", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      yield* cache.set("shop", shopper, yield* issued);
      assert.deepEqual(yield* command(server, "KEYS", "*"), [key]);
      const text = String(yield* command(server, "GET", key));
      assert.match(text, /^[0-9a-f]{12}\.[A-Za-z0-9+/]+=*$/);
      const bytes = atob(text.slice(text.indexOf(".") + 1));
      assert.doesNotMatch(bytes, /secret|accessToken|shop/);
      const rest = yield* command(server, "PTTL", key);
      assert.ok(typeof rest === "number" && rest > 30_000 && rest <= 60_000, String(rest));
    }));

  it.live("set() writes the same token differently each time", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      const value = yield* issued;
      const texts = new Set<unknown>();
      for (let index = 0; index < 20; index++) {
        yield* cache.set("shop", shopper, value);
        texts.add(yield* command(server, "GET", key));
      }
      assert.equal(texts.size, 20);
    }));

  it.live("get() takes a value with any changed, missing or added part for none", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      const value = yield* issued;
      yield* cache.set("shop", shopper, value);
      const text = String(yield* command(server, "GET", key));
      const dot = text.indexOf(".");
      const bytes = Uint8Array.from(atob(text.slice(dot + 1)), (one) => one.charCodeAt(0));
      const flipped = Array.from(bytes, (_, index) => {
        const copy = bytes.slice();
        copy[index] = (copy[index] ?? 0) ^ 1;
        return text.slice(0, dot + 1) + btoa(String.fromCharCode(...copy));
      });
      const damaged = [
        ...flipped,
        text.slice(0, dot + 1),
        text.slice(dot),
        text.slice(dot + 1),
        text.slice(0, dot + 1) + btoa(String.fromCharCode(...bytes.slice(0, 27))),
        text.slice(0, dot + 1) + btoa(String.fromCharCode(...bytes, 0)),
        `000000000000${text.slice(dot)}`,
        `${text.slice(0, dot)}.${text}`,
        "",
        ".",
        "{}",
      ];
      for (const one of damaged) {
        yield* command(server, "SET", key, one);
        assert.deepEqual(yield* cache.get("shop", shopper), Option.none(), one);
      }
      yield* cache.set("shop", shopper, value);
      assert.equal(textOf(yield* cache.get("shop", shopper)), "very secret");
    }));

  it.live("get() takes a value moved from another key for none", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      yield* cache.set("shop", shopper, yield* issued);
      yield* command(server, "COPY", key, keyOf("other", shopper));
      assert.deepEqual(yield* cache.get("other", shopper), Option.none());
      assert.equal(textOf(yield* cache.get("shop", shopper)), "very secret");
    }));

  it.live("get() takes a key of another type for none, and set() replaces it", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      yield* command(server, "HSET", key, "a", "b");
      assert.deepEqual(yield* cache.get("shop", shopper), Option.none());
      yield* cache.set("shop", shopper, yield* issued);
      assert.equal(textOf(yield* cache.get("shop", shopper)), "very secret");
    }));

  it.live("get() gives none for an expired token whose key outlived it", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      const now = yield* Clock.currentTimeMillis;
      yield* cache.set("shop", shopper, { ...yield* issued, expiresAt: now + 300 });
      yield* command(server, "PERSIST", key);
      yield* eventually(Effect.map(cache.get("shop", shopper), Option.isNone));
      assert.equal(yield* command(server, "EXISTS", key), 1);
    }));

  it.live("get() reads what an older key sealed, and set() seals with the first", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const [oldKey, nextKey] = [newKey(), newKey()];
      const before = yield* connect(server, [oldKey]);
      const during = yield* connect(server, [nextKey, oldKey]);
      const after = yield* connect(server, [nextKey]);
      yield* before.set("shop", shopper, yield* issued);
      assert.equal(textOf(yield* during.get("shop", shopper)), "very secret");
      assert.deepEqual(yield* after.get("shop", shopper), Option.none());
      yield* during.set("shop", shopper, yield* issued);
      assert.equal(textOf(yield* after.get("shop", shopper)), "very secret");
      assert.deepEqual(yield* before.get("shop", shopper), Option.none());
    }));

  it.live("get() and set() fail with a typed failure when Redis is killed", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const cache = yield* connect(server);
      yield* Effect.promise(() => server.kill());
      const get = yield* eventually(Effect.flip(cache.get("shop", shopper)));
      const set = yield* Effect.flip(cache.set("shop", shopper, yield* issued));
      assert.deepEqual([get._tag, get.operation], ["TransientFailure", "redis_get"]);
      assert.deepEqual([set._tag, set.operation], ["TransientFailure", "redis_set"]);
    }));
});

/** What every token cache does, run over each of them. */
import { Clock, Context, Effect, Layer, Option, Redacted, type Scope } from "effect";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type CachedToken, keyOf, TokenCache } from "../../src/auth/TokenCache.ts";
import * as RedisTokens from "../../src/auth/TokenCache/Redis.ts";
import { RedisConnection } from "../../src/connections/Redis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { Redis } from "../support/servers/Redis.ts";
import { needs } from "../support/Tools.ts";

type Cache = Context.Tag.Service<TokenCache>;

const shopper = Redacted.make("shopper's token");

const issued = (accessToken: string, lifetime = 60_000) =>
  Effect.map(Clock.currentTimeMillis, (now): CachedToken => ({
    accessToken: Redacted.make(accessToken),
    issuedAt: now,
    expiresAt: now + lifetime,
    validUntil: now + lifetime + 300_000,
  }));

/** A token's plain fields, for comparison. */
const plain = (value: Option.Option<CachedToken>) =>
  Option.getOrUndefined(Option.map(value, ({ accessToken, ...instants }) => ({
    accessToken: Redacted.value(accessToken),
    ...instants,
  })));

const contract = (make: Effect.Effect<Cache, never, Scope.Scope>) => {
  it.live("get() gives none for what was never set", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      assert.deepEqual(yield* cache.get("shop", shopper), Option.none());
    }));

  for (const text of ["token", "ünïcode ✓ \u0000", "x".repeat(60_000)]) {
    it.live(`get() gives the ${text.length} characters that were set`, () =>
      Effect.gen(function* () {
        const cache = yield* make;
        const value = yield* issued(text);
        yield* cache.set("shop", shopper, value);
        for (let again = 0; again < 2; again++) {
          const got = plain(yield* cache.get("shop", shopper));
          assert.deepEqual(got, plain(Option.some(value)));
        }
      }));
  }

  it.live("get() tells tenants and tokens apart", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      yield* cache.set("shop", shopper, yield* issued("own"));
      assert.deepEqual(yield* cache.get("other", shopper), Option.none());
      assert.deepEqual(yield* cache.get("shop", Redacted.make("another")), Option.none());
    }));

  it.live("set() replaces what was there", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      yield* cache.set("shop", shopper, yield* issued("old"));
      yield* cache.set("shop", shopper, yield* issued("new"));
      assert.equal(plain(yield* cache.get("shop", shopper))?.accessToken, "new");
    }));

  it.live("get() gives none once the token has expired", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      yield* cache.set("shop", shopper, yield* issued("token", 300));
      yield* eventually(Effect.map(cache.get("shop", shopper), Option.isNone));
    }));

  it.live("get() gives none for a token that had expired when it was set", () =>
    Effect.gen(function* () {
      const cache = yield* make;
      for (const lifetime of [0, -1, -1e12]) {
        yield* cache.set("shop", shopper, yield* issued("token", lifetime));
        assert.deepEqual(yield* cache.get("shop", shopper), Option.none());
      }
    }));
};

describe("keyOf()", () => {
  it("keyOf() is the SHA-256 of tenant and token in hex", () => {
    const hash = createHash("sha256").update("shop:a:b").digest("hex");
    assert.equal(keyOf("shop", Redacted.make("a:b")), `token:${hash}`);
  });
});

describe("TokenCache.layerMemory", () => {
  const make = (options?: { readonly size?: number; readonly characters?: number }) =>
    Layer.build(TokenCache.layerMemory(options)).pipe(Effect.map(Context.get(TokenCache)));
  contract(make());

  /** Those of the names that are kept, looked up in their order. */
  const kept = (cache: Cache, names: ReadonlyArray<string>) =>
    Effect.map(
      Effect.forEach(names, (name) => cache.get("shop", Redacted.make(name))),
      (values) => names.filter((_, index) => Option.isSome(values[index] ?? Option.none())),
    );

  it.effect("layerMemory forgets the least recently used token beyond its size", () =>
    Effect.gen(function* () {
      const cache = yield* make({ size: 2 });
      const value = yield* issued("token");
      yield* cache.set("shop", Redacted.make("a"), value);
      yield* cache.set("shop", Redacted.make("b"), value);
      yield* cache.get("shop", Redacted.make("a"));
      yield* cache.set("shop", Redacted.make("c"), value);
      assert.deepEqual(yield* kept(cache, ["a", "b", "c"]), ["a", "c"]);
    }));

  it.effect("layerMemory holds no more characters than it may, and no token beyond them", () =>
    Effect.gen(function* () {
      const cache = yield* make({ characters: 25 });
      const set = (name: string, length: number) =>
        Effect.flatMap(
          issued("x".repeat(length)),
          (value) => cache.set("shop", Redacted.make(name), value),
        );
      yield* set("a", 10);
      yield* set("b", 10);
      yield* set("b", 15);
      assert.deepEqual(yield* kept(cache, ["a", "b"]), ["a", "b"]);
      yield* set("c", 10);
      assert.deepEqual(yield* kept(cache, ["a", "b", "c"]), ["b", "c"]);
      yield* set("huge", 26);
      assert.deepEqual(yield* kept(cache, ["a", "b", "c", "huge"]), []);
      yield* set("d", 25);
      assert.deepEqual(yield* kept(cache, ["d"]), ["d"]);
    }));
});

describe("TokenCache/Redis", needs("redis-server"), () => {
  let server: Redis;
  beforeAll(async () => {
    server = await Redis.start();
  });
  afterAll(() => server.stop());

  contract(Effect.gen(function* () {
    yield* Effect.promise(() => server.command("FLUSHALL"));
    const keys = [Redacted.make(crypto.getRandomValues(new Uint8Array(32)))] as const;
    const context = yield* Effect.orDie(
      Layer.build(
        Layer.provideMerge(
          RedisTokens.layer({ keys }),
          RedisConnection.layer({ url: Redacted.make(server.url) }),
        ),
      ),
    );
    yield* Effect.orDie(eventually(Context.get(context, RedisConnection).ping));
    return Context.get(context, TokenCache);
  }));
});

/** Values that somebody else may have put into Redis under our keys. */
import assert from "node:assert/strict";
import { Effect, Exit, Layer, Option, Redacted } from "effect";
import * as fc from "fast-check";
import type { Redis } from "ioredis";
import { Buffer } from "node:buffer";
import { makeSeal } from "../../../src/auth/TokenCache/SealedToken.ts";
import { RedisConnection } from "../../../src/connections/Redis.ts";
import { TransientFailure } from "../../../src/resilience/DependencyFailure.ts";
import { type CachedStore, StoreCache } from "../../../src/routing/StoreCache.ts";
import * as RedisStores from "../../../src/routing/StoreCache/Redis.ts";
import { byMutation, byProperty, type Target, together } from "../Target.ts";

/** One value under every key: what a GET finds, and what the last SET left. */
class OneValue {
  text: string | null = null;
  readonly layer: Layer.Layer<RedisConnection>;

  constructor() {
    const client = {
      get: () => Promise.resolve(this.text),
      set: (_key: string, text: string) => {
        this.text = text;
        return Promise.resolve("OK");
      },
    } as unknown as Redis;
    this.layer = Layer.succeed(RedisConnection, {
      client,
      run: (operation, call) =>
        Effect.tryPromise({
          try: () => call(client),
          catch: (cause) =>
            new TransientFailure({
              dependency: "redis",
              operation,
              reason: "thrown",
              timedOut: false,
              cause,
            }),
        }),
      ping: Effect.void,
      status: Effect.succeed("connected" as const),
      open: () => Effect.succeed(client),
    });
  }
}

const tenantId = "ikea";
const storeId = "berlin-01";

const isPlain = (value: unknown) => typeof value === "string";

/** What is given out is a store of exactly this key, with every field of its type. */
const assertStore = ({ store, readAt, freshUntil, expiresAt }: CachedStore): string => {
  for (const instant of [readAt, freshUntil, expiresAt]) assert.equal(typeof instant, "number");
  assert.ok(expiresAt > Date.now() - 60_000);
  if (Option.isNone(store)) return "remembered as unknown";
  const { value } = store;
  assert.deepEqual([value.tenantId, value.storeId], [tenantId, storeId]);
  assert.ok(isPlain(value.name) && isPlain(value.backendUrl) && value.backendUrl !== "");
  assert.notEqual(value.backendContext, undefined);
  if (value.location !== undefined) {
    assert.deepEqual(Object.values(value.location).map((degrees) => typeof degrees), [
      "number",
      "number",
    ]);
  }
  return "store";
};

const decoder = new TextDecoder();

export const storeCache: Target = {
  name: "store cache",
  weight: 20,
  promise: "whatever is under a key is a miss, or a store of exactly that key",
  open: async () => {
    const redis = new OneValue();
    const cache = await Effect.runPromise(
      Effect.provide(StoreCache, Layer.provide(RedisStores.layer, redis.layer)),
    );
    const read = async () => {
      const exit = await Effect.runPromiseExit(cache.get(tenantId, storeId));
      assert.ok(Exit.isSuccess(exit), String(exit));
      return exit.value;
    };
    const later = Date.now() + 3_600_000_000;
    const instants = fc.record({
      readAt: fc.integer({ min: 0, max: later }),
      freshUntil: fc.integer({ min: 0, max: later }),
      expiresAt: fc.constant(later),
    });
    const store = fc.record({
      tenantId: fc.constant(tenantId),
      storeId: fc.constant(storeId),
      name: fc.string({ unit: "binary" }),
      backendUrl: fc.webUrl(),
      backendContext: fc.jsonValue({ noUnicodeString: false }),
      location: fc.record({
        lat: fc.double({ noNaN: true, noDefaultInfinity: true }),
        lon: fc.double({ noNaN: true, noDefaultInfinity: true }),
      }),
    }, { requiredKeys: ["tenantId", "storeId", "name", "backendUrl", "backendContext"] });
    return {
      run: together(
        [
          4,
          await byMutation({
            corpus: "store-cache",
            dictionary: [
              ...['"tenantId":', '"storeId":', '"store":', '"expiresAt":', '"location":', "null"],
              ...[
                '"__proto__":',
                "1e999",
                "-0",
                "{}",
                "[]",
                "9007199254740993",
                '"ikea"',
                "\\u0000",
              ],
            ],
            check: async (bytes) => {
              redis.text = decoder.decode(bytes);
              return Option.match(await read(), { onNone: () => "miss", onSome: assertStore });
            },
          }),
        ],
        [
          1,
          byProperty(
            fc.record({ value: instants, store: fc.option(store) }),
            async ({ value, store }) => {
              const kept = { ...value, store: Option.fromNullable(store) };
              await Effect.runPromise(cache.set(tenantId, storeId, kept));
              const found = Option.getOrThrow(await read());
              // As JSON keeps it: -0 is 0 there.
              assert.deepEqual(
                JSON.parse(JSON.stringify(found)),
                JSON.parse(JSON.stringify(kept)),
              );
              return "read back";
            },
          ),
        ],
      ),
    };
  },
};

const cacheKey = "token:0f3c";
const token = {
  accessToken: Redacted.make("t0k3n"),
  issuedAt: 0,
  expiresAt: 5e12,
  validUntil: 6e12,
};

export const tokenCache: Target = {
  name: "token cache",
  weight: 12,
  promise: "nothing opens but what was sealed by one of our keys for this very cache key",
  open: async () => {
    const key = (byte: number) => Redacted.make(new Uint8Array(32).fill(byte));
    const seal = makeSeal([key(1), key(2)]);
    const foreign = makeSeal([key(3)]);
    const sealed = new Set([seal.seal(cacheKey, token), makeSeal([key(2)]).seal(cacheKey, token)]);
    const moved = seal.seal("token:other", token);
    const encoder = new TextEncoder();
    /** The same bytes in base64 may be written in more than one way. */
    const canonical = (text: string) => {
      const dot = text.indexOf(".");
      return text.slice(0, dot + 1) + Buffer.from(text.slice(dot + 1), "base64").toString("base64");
    };
    return {
      run: await byMutation({
        corpus: "token-cache",
        more: [...sealed, moved, foreign.seal(cacheKey, token)].map((text) => encoder.encode(text)),
        dictionary: [".", "=", "==", "-", "_", moved.slice(0, 13), "AAAAAAAAAAAAAAAA"],
        check: (bytes) => {
          const text = decoder.decode(bytes);
          const opened = seal.open(cacheKey, text);
          if (Option.isNone(opened)) return "miss";
          assert.ok(sealed.has(canonical(text)), "opened what was never sealed");
          assert.equal(Redacted.value(opened.value.accessToken), "t0k3n");
          return "token";
        },
      }),
    };
  },
};

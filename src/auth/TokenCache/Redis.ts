/**
 * Tokens in Redis, encrypted: key `token:{sha256}`, gone by themselves when they expire. A value that
 * was tampered with, moved to another key or sealed by an unknown key is a miss and is replaced.
 */
import { Clock, Effect, Layer, Option } from "effect";
import { RedisConnection } from "../../connections/Redis.ts";
import { keyOf, TokenCache } from "../TokenCache.ts";
import type { TokenKeys } from "../TokenKeys.ts";
import { makeSeal } from "./SealedToken.ts";

/** Keeps tokens in Redis, sealed with the first key; those sealed with any of them are read. */
export const layer = (
  options: { readonly keys: TokenKeys },
): Layer.Layer<TokenCache, never, RedisConnection> =>
  Layer.effect(
    TokenCache,
    Effect.map(RedisConnection, (redis) => {
      const seal = makeSeal(options.keys);
      return {
        get: (tenantId, token) =>
          Effect.suspend(() => {
            const key = keyOf(tenantId, token);
            return redis.run("redis_get", (client) => client.get(key)).pipe(
              Effect.flatMap((text) =>
                text === null ? Effect.succeedNone : Effect.map(
                  Clock.currentTimeMillis,
                  (now) => Option.filter(seal.open(key, text), ({ expiresAt }) => expiresAt > now),
                )
              ),
              Effect.catchAll((failure) =>
                // Somebody's list or hash under our key: as useless as a damaged value.
                failure.reason === "WRONGTYPE" ? Effect.succeedNone : Effect.fail(failure)
              ),
            );
          }),
        set: (tenantId, token, value) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) => {
            const rest = Math.ceil(value.expiresAt - now);
            // Redis refuses an expiry of 0; what has expired is not worth a write.
            if (!(rest >= 1)) return Effect.void;
            const key = keyOf(tenantId, token);
            const text = seal.seal(key, value);
            return redis.run("redis_set", (client) => client.set(key, text, "PX", rest));
          }),
      };
    }),
  );

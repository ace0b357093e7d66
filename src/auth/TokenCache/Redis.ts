/**
 * Tokens in Redis, encrypted: key `token:{sha256}`, gone by themselves when they expire. A value that
 * was tampered with, moved to another key or sealed by an unknown key is a miss and is replaced.
 */
import { Clock, Effect, Layer, Option } from "effect";
import { RedisConnection } from "../../connections/Redis.ts";
import { VerifiedTokens } from "../../http/VerifiedTokens.ts";
import * as Immediate from "../../resilience/Immediate.ts";
import { type CachedToken, keyOf, nameOf, TokenCache } from "../TokenCache.ts";
import type { TokenKeys } from "../TokenKeys.ts";
import { makeSeal } from "./SealedToken.ts";

/**
 * How many tokens are remembered as they were opened, for a minute at most. What is asked for again
 * needs no second hash (3 µs, most of it for what the hash leaves to the collector), and what Redis
 * gives a second time, letter by letter, no second opening (10 µs).
 */
const remembered = 2_000;

/** What became of a shopper's token: where it lives, as Redis has it, and what is in it. */
interface Opened {
  readonly key: string;
  readonly text: string;
  readonly token: CachedToken;
}

/** Keeps tokens in Redis, sealed with the first key; those sealed with any of them are read. */
export const layer = (
  options: { readonly keys: TokenKeys },
): Layer.Layer<TokenCache, never, RedisConnection> =>
  Layer.effect(
    TokenCache,
    Effect.zipWith(RedisConnection, Effect.clock, (redis, clock) => {
      const seal = makeSeal(options.keys);
      /** By {@link nameOf}. */
      const opened = new VerifiedTokens<Opened>(remembered);
      const open = (name: string, key: string, text: string): Option.Option<CachedToken> => {
        const now = clock.unsafeCurrentTimeMillis();
        const token = Option.filter(seal.open(key, text), ({ expiresAt }) => expiresAt > now);
        if (Option.isSome(token)) {
          opened.set(name, { key, text, token: token.value }, token.value.expiresAt, now);
        }
        return token;
      };
      return {
        get: (tenantId, token) =>
          Immediate.suspend(() => {
            const name = nameOf(tenantId, token);
            const known = opened.get(name, clock.unsafeCurrentTimeMillis());
            const key = known === undefined ? keyOf(tenantId, token) : known.key;
            return Immediate.flatMap(
              redis.run("redis_get", (client) => client.get(key)),
              (text) => {
                if (text === null) return Effect.succeedNone;
                if (text === known?.text) return Effect.succeedSome(known.token);
                return Effect.succeed(open(name, key, text));
              },
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

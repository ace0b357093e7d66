/**
 * Stores in Redis: key `store:{tenantId}:{storeId}`, value JSON with the instants of `CachedStore`,
 * gone by itself at `expiresAt`.
 *
 * Reading is on the hot path, so a value is parsed and looked over by hand rather than by a Schema,
 * and only when it is another one than last time.
 * What does not look right is a miss, and the next write replaces it.
 */
import { Clock, Effect, Layer, Option } from "effect";
import { RedisConnection } from "../../connections/Redis.ts";
import { RecentEntries } from "../../http/RecentEntries.ts";
import * as Immediate from "../../resilience/Immediate.ts";
import type { Store } from "../Store.ts";
import { type CachedStore, keyOf, StoreCache } from "../StoreCache.ts";

/** Keeps stores in Redis. */
export const layer: Layer.Layer<StoreCache, never, RedisConnection> = Layer.effect(
  StoreCache,
  Effect.zipWith(RedisConnection, Effect.clock, (redis, clock) => {
    const decodeOnce = makeDecoder();
    return {
      get: (tenantId, storeId) =>
        Immediate.suspend(() => {
          const key = keyOf(tenantId, storeId);
          return Immediate.flatMap(
            redis.run("redis_get", (client) => client.get(key)),
            (text) =>
              text === null ? Effect.succeedNone : Effect.succeed(Option.fromNullable(
                decodeOnce(key, text, tenantId, storeId, clock.unsafeCurrentTimeMillis()),
              )),
          );
        }),
      set: (tenantId, storeId, value) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const rest = Math.ceil(value.expiresAt - now);
          // Redis refuses an expiry of 0; what has expired is not worth a write.
          if (!(rest >= 1)) return Effect.void;
          return redis.run("redis_set", (client) =>
            client.set(keyOf(tenantId, storeId), encode(tenantId, storeId, value), "PX", rest));
        }),
      peek: () => undefined,
      tier: () => "redis",
    };
  }),
);

/** Both names are in the value, so that one copied to another key is not taken for that key's. */
const encode = (
  tenantId: string,
  storeId: string,
  { store, readAt, freshUntil, expiresAt }: CachedStore,
): string =>
  JSON.stringify({
    tenantId,
    storeId,
    readAt,
    freshUntil,
    expiresAt,
    store: Option.isNone(store) ? null : {
      name: store.value.name,
      backendUrl: store.value.backendUrl,
      backendContext: store.value.backendContext ?? null,
      location: store.value.location,
    },
  });

/** How many keys' values are remembered as they were decoded last. */
const remembered = 1_000;

/**
 * A decoder that parses what it finds under a key once, for as long as it finds the same text there:
 * an equal text means an equal entry, and comparing is a hundredth of parsing. Redis is asked each
 * time all the same, so nothing is ever believed longer than it is there.
 */
const makeDecoder = () => {
  const last = new RecentEntries<{ readonly text: string; readonly entry: CachedStore }>(
    remembered,
  );
  return (key: string, text: string, tenantId: string, storeId: string, now: number) => {
    const known = last.get(key);
    if (known?.text === text) return known.entry.expiresAt > now ? known.entry : undefined;
    const entry = decode(text, tenantId, storeId, now);
    if (entry === undefined) last.delete(key);
    else last.set(key, { text, entry });
    return entry;
  };
};

const decode = (
  text: string,
  tenantId: string,
  storeId: string,
  now: number,
): CachedStore | undefined => {
  const entry = parseRecord(text);
  if (entry === undefined || entry.tenantId !== tenantId || entry.storeId !== storeId) {
    return undefined;
  }
  const { readAt, freshUntil, expiresAt } = entry;
  if (
    typeof readAt !== "number" || typeof freshUntil !== "number" ||
    typeof expiresAt !== "number" || expiresAt <= now
  ) return undefined;
  if (entry.store === null) return { store: Option.none(), readAt, freshUntil, expiresAt };
  const store = decodeStore(entry.store, tenantId, storeId);
  return store && { store: Option.some(store), readAt, freshUntil, expiresAt };
};

const decodeStore = (input: unknown, tenantId: string, storeId: string): Store | undefined => {
  if (!isRecord(input)) return undefined;
  const { name, backendUrl, backendContext, location } = input;
  if (typeof name !== "string" || typeof backendUrl !== "string" || backendUrl === "") {
    return undefined;
  }
  if (backendContext === undefined) return undefined;
  const store = { tenantId, storeId, name, backendUrl, backendContext };
  if (location === undefined) return store;
  if (
    !isRecord(location) || typeof location.lat !== "number" || typeof location.lon !== "number"
  ) return undefined;
  return { ...store, location: { lat: location.lat, lon: location.lon } };
};

const parseRecord = (text: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
};

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

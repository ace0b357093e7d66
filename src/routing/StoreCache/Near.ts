/**
 * A bounded copy of recently read stores in this process, in front of another store cache.
 *
 * It is kept right by Redis itself (client tracking in broadcast mode): whoever changes a key under
 * `store:`, its copy here is gone within a round trip. A dedicated connection listens for that. While
 * it is not known to listen the copy is empty and every lookup goes through: an answer is never more
 * than `heartbeat` and a second behind, even when that connection hangs unnoticed.
 *
 * A lookup that was under way when its key changed is not kept, whichever of the two arrived first.
 */
import { Clock, Duration, Effect, Exit, Layer, Option, Queue, Schedule } from "effect";
import type { Redis } from "ioredis";
import { RedisConnection } from "../../connections/Redis.ts";
import { fromRedis } from "../../connections/RedisFailure.ts";
import type { DependencyFailure } from "../../resilience/DependencyFailure.ts";
import { keyOf, StoreCache } from "../StoreCache.ts";
import { NearCopy } from "./NearCopy.ts";

/** How much is kept, and how its rightness is watched. */
export interface NearOptions {
  /** The most entries to keep; 0 turns the near cache off. */
  readonly size: number;
  /** How often the listening connection is asked for a sign of life [1 second]. */
  readonly heartbeat?: Duration.DurationInput;
}

/** Puts the near cache in front of the given store cache, which must keep its values in Redis. */
export const layerNear = (
  options: NearOptions,
): Layer.Layer<StoreCache, never, StoreCache | RedisConnection> =>
  options.size < 1 ? Layer.effect(StoreCache, StoreCache) : Layer.scoped(StoreCache, make(options));

const prefix = "store:";
const channel = "__redis__:invalidate";

/**
 * Milliseconds that an answer on the listening connection may take. Longer than for data: a busy
 * moment of this process must not be taken for a hung connection and empty the copy.
 */
const listenerTimeout = 1_000;

/** How long to wait after Redis refused to track (too old, or not allowed) before asking again. */
const refusedPause = Duration.seconds(30);

const make = Effect.fnUntraced(function* ({ size, heartbeat = "1 second" }: NearOptions) {
  const far = yield* StoreCache;
  const redis = yield* RedisConnection;
  const copy = new NearCopy(size);

  const listener = yield* redis.open({
    connectionName: "amicis-near-cache",
    // RESP2, where invalidations are messages of a channel: ioredis drops RESP3's push of them.
    protocol: 2,
    enableAutoPipelining: false,
    autoResubscribe: false,
    commandTimeout: listenerTimeout,
  });
  listener.on("messageBuffer", (name: Uint8Array, keys: ReadonlyArray<unknown> | null) => {
    if (String(name) !== channel) return;
    // No list of keys means that all of them are gone (FLUSHALL, FLUSHDB).
    if (!Array.isArray(keys)) copy.clear();
    else for (const key of keys) copy.drop(String(key));
  });
  const arrivals = yield* Queue.sliding<void>(1);
  listener.on("ready", () => Queue.unsafeOffer(arrivals, undefined));
  listener.on("close", () => copy.stop());
  yield* Effect.addFinalizer(() => Effect.sync(() => copy.stop()));

  let complaint: string | undefined;
  const refused = (failure: DependencyFailure) =>
    Effect.gen(function* () {
      if (failure.reason !== complaint) {
        yield* Effect.annotateLogs(Effect.logWarning("Near cache unavailable"), {
          dependency: failure.dependency,
          reason: failure.reason,
        });
      }
      complaint = failure.reason;
      yield* Effect.sleep(refusedPause);
      yield* Queue.offer(arrivals, undefined);
    });
  yield* Queue.take(arrivals).pipe(
    Effect.zipRight(startTracking(listener, copy)),
    Effect.catchAll((failure) =>
      failure._tag === "TransientFailure"
        ? Effect.sync(() => reconnect(listener))
        : refused(failure)
    ),
    Effect.forever,
    Effect.forkScoped,
  );
  yield* checkListener(listener, copy).pipe(
    Effect.repeat(Schedule.spaced(heartbeat)),
    Effect.forkScoped,
  );

  return StoreCache.of({
    get: (tenantId, storeId) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        if (!copy.isTracked) return far.get(tenantId, storeId);
        const key = keyOf(tenantId, storeId);
        const near = copy.entries.get(key);
        if (near !== undefined && near.expiresAt > now) return Effect.succeedSome(near);
        return Effect.acquireUseRelease(
          Effect.sync(() => copy.begin(key)),
          () => far.get(tenantId, storeId),
          (fill, exit) =>
            Effect.sync(() =>
              copy.end(
                key,
                fill,
                Exit.isSuccess(exit) ? Option.getOrUndefined(exit.value) : undefined,
              )
            ),
        );
      }),
    // The new value comes in by the next lookup: kept right away, it would have to survive the
    // invalidation that its own write causes.
    set: (tenantId, storeId, value) =>
      Effect.suspend(() => {
        copy.drop(keyOf(tenantId, storeId));
        return far.set(tenantId, storeId, value);
      }),
    // Empty while it is not tracked.
    peek: (tenantId, storeId) => copy.entries.get(keyOf(tenantId, storeId)),
    tier: () => copy.isTracked ? "near" : far.tier(),
  });
});

/** Asks Redis to tell this very connection of every change. */
const startTracking = (listener: Redis, copy: NearCopy): Effect.Effect<void, DependencyFailure> =>
  Effect.suspend(() => {
    const session = copy.session;
    return Effect.tryPromise({
      try: async () => {
        const id = await listener.client("ID");
        await listener.call(
          ...["CLIENT", "TRACKING", "ON", "REDIRECT", String(id), "BCAST", "PREFIX", prefix],
        );
        await listener.subscribe(channel);
        // Only now is every later change announced; entries may come in from here on.
        if (listener.status === "ready") copy.start(session);
      },
      catch: (error) => fromRedis("redis_tracking", error),
    });
  });

/** A connection may hang without an error; then its silence means nothing. */
const checkListener = (listener: Redis, copy: NearCopy): Effect.Effect<void> =>
  Effect.suspend(() =>
    !copy.isTracked ? Effect.void : Effect.tryPromise(() => listener.ping()).pipe(
      Effect.asVoid,
      Effect.catchAll(() =>
        Effect.sync(() => {
          copy.stop();
          reconnect(listener);
        })
      ),
    )
  );

/** Hangs up and connects anew; a client that is connecting already is left to it. */
const reconnect = (listener: Redis): void => {
  if (listener.status === "ready") listener.disconnect(true);
};

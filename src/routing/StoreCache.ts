/**
 * Remembered answers of the store repository, also those that a store does not exist.
 *
 * A cache only keeps: what is fresh, stale or to be written is the use case's decision.
 */
import { Context, Effect, Layer, Option } from "effect";
import { RecentEntries } from "../http/RecentEntries.ts";
import type { DependencyFailure } from "../resilience/DependencyFailure.ts";
import * as Immediate from "../resilience/Immediate.ts";
import type { Store } from "./Store.ts";

/** One remembered answer; instants are epoch milliseconds. Shared between callers: read only. */
export interface CachedStore {
  /** None: MongoDB said at `readAt` that there is no such store. */
  readonly store: Option.Option<Store>;
  /** When it was read from MongoDB. */
  readonly readAt: number;
  /** Until then it answers requests. */
  readonly freshUntil: number;
  /** Until then it is kept, for the time when MongoDB fails; never given out by `get` later. */
  readonly expiresAt: number;
}

/** The tiers of the cache, as in the label `cache` of `cache_requests_total`. */
export type CacheTier = "near" | "redis" | "memory";

/** Keeps stores under their tenant's and their own name. */
export class StoreCache extends Context.Tag("routing/StoreCache")<StoreCache, {
  /** What is remembered and not expired. A value that is damaged or foreign counts as none. */
  readonly get: (
    tenantId: string,
    storeId: string,
  ) => Effect.Effect<Option.Option<CachedStore>, DependencyFailure>;
  /** Remembers until `expiresAt`, in place of whatever was there. */
  readonly set: (
    tenantId: string,
    storeId: string,
    value: CachedStore,
  ) => Effect.Effect<void, DependencyFailure>;
  /**
   * What this process's memory holds right now, without an effect; `undefined` where there is no
   * such memory. Compare its instants with the clock: it may be stale or expired.
   */
  readonly peek: (tenantId: string, storeId: string) => CachedStore | undefined;
  /** The tier that a lookup reaches first at this moment. */
  readonly tier: () => CacheTier;
}>() {
  /** A cache in this process's memory, of at most `size` entries [10000]. Never fails. */
  static readonly layerMemory = (
    options: { readonly size?: number } = {},
  ): Layer.Layer<StoreCache> =>
    Layer.effect(
      this,
      Effect.map(Effect.clock, (clock) => {
        const entries = new RecentEntries<CachedStore>(options.size ?? defaultSize);
        const peek = (tenantId: string, storeId: string) => entries.get(keyOf(tenantId, storeId));
        return {
          get: (tenantId, storeId) =>
            Immediate.suspend(() => {
              const value = peek(tenantId, storeId);
              if (value === undefined) return Effect.succeedNone;
              if (value.expiresAt > clock.unsafeCurrentTimeMillis()) {
                return Effect.succeedSome(value);
              }
              entries.delete(keyOf(tenantId, storeId));
              return Effect.succeedNone;
            }),
          set: (tenantId, storeId, value) =>
            Effect.sync(() => entries.set(keyOf(tenantId, storeId), value)),
          peek,
          tier: () => "memory",
        };
      }),
    );
}

const defaultSize = 10_000;

/** Where an entry lives, in every tier. A tenantId holds no `:`, so no two pairs share a key. */
export const keyOf = (tenantId: string, storeId: string): string => `store:${tenantId}:${storeId}`;

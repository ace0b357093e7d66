/**
 * Which backend serves a store: the use case behind every route of the routing service.
 *
 * The cache answers while it is fresh, MongoDB when it is not, and an expired copy when MongoDB
 * fails. A cache that is down costs latency only, and never more than its own deadline. Answers
 * given instead of MongoDB's are never written to the cache.
 */
import {
  Clock,
  Context,
  Data,
  Duration,
  Effect,
  Exit,
  FiberSet,
  Layer,
  Option,
  Random,
  type Scope,
} from "effect";
import { fallbackUsed } from "../operations/Events.ts";
import { Metrics } from "../operations/Metrics.ts";
import { errorText } from "../operations/SafeText.ts";
import { cacheSpan, inCurrentSpan, under } from "../operations/Tracing.ts";
import * as Deadline from "../resilience/Deadline.ts";
import type { DependencyFailure } from "../resilience/DependencyFailure.ts";
import type { Guard } from "../resilience/Guard.ts";
import * as Immediate from "../resilience/Immediate.ts";
import { isRefusal, type Refusal, retryAfter } from "../resilience/Refusal.ts";
import * as SingleFlight from "../resilience/SingleFlight.ts";
import type { Store } from "./Store.ts";
import { type CachedStore, StoreCache } from "./StoreCache.ts";
import { StoreRepository } from "./StoreRepository.ts";

/** Where an answer came from, as `X-Cache` says it. */
export type Source = "HIT" | "MISS" | "BYPASS" | "STALE";

/** A store and where it came from; `ageSeconds` is known for a stale copy only. */
export interface Found {
  readonly store: Store;
  readonly source: Source;
  readonly ageSeconds?: number;
  /** The cache's entry that it is from, for as long as that is fresh. */
  readonly entry?: CachedStore;
}

/** This tenant has no such store. */
export class StoreNotFound extends Data.TaggedError("StoreNotFound")<{
  readonly storeId: string;
}> {}

/** MongoDB cannot be asked and no copy may stand in for it. */
export class StoresUnavailable extends Data.TaggedError("StoresUnavailable")<{
  readonly retryAfter: Duration.Duration;
}> {}

/** One page of a tenant's stores, ordered by storeId. */
export interface Page {
  readonly stores: ReadonlyArray<Store>;
  /** The storeId to ask on from, when there are more. */
  readonly next: Option.Option<string>;
}

export interface Options {
  /** Guard of every MongoDB read. */
  readonly mongodb: Guard;
  /** Guard of every cache read and write. */
  readonly redis: Guard;
  /**
   * Asks the cache's server for a sign of life. While its breaker is not closed, answers out of this
   * process's memory make trials of it, or nothing might ever close the breaker again.
   */
  readonly probe: Effect.Effect<void, DependencyFailure>;
  /** One deadline for a cache read with its retries. */
  readonly cacheTimeout: Duration.Duration;
  readonly cacheTtl: Duration.Duration;
  readonly staleIfError: Duration.Duration;
  readonly negativeTtl: Duration.Duration;
  /** Makes a span of each look into the cache, and says in the request's how it ended [false]. */
  readonly tracing?: boolean;
}

/** Milliseconds by which another replica's clock may be ahead of this one's. */
const maxSkew = 60_000;

/** An entry from the future is not fresh: the clock was set back since, and nobody knows its age. */
const isFresh = ({ freshUntil, readAt }: CachedStore, now: number): boolean =>
  now < freshUntil && now >= readAt - maxSkew;

/** Cache fills under way at most; beyond that an answer is given without being remembered. */
const maxFills = 256;

export class StoreLookup extends Context.Tag("routing/StoreLookup")<StoreLookup, {
  /** Can be begun without a fiber (`Immediate.begin`): that is enough for what memory holds. */
  readonly find: (
    tenantId: string,
    storeId: string,
  ) => Effect.Effect<Found, StoreNotFound | StoresUnavailable>;
  readonly list: (
    tenantId: string,
    page: { readonly after: Option.Option<string>; readonly limit: number },
  ) => Effect.Effect<Page, StoresUnavailable>;
}>() {
  static readonly layer = (
    options: Options,
  ): Layer.Layer<StoreLookup, never, StoreCache | StoreRepository | Metrics> =>
    Layer.scoped(this, make(options));
}

/** What the cache said: an entry, nothing, or that it cannot be asked. */
type Cached =
  | { readonly _tag: "Entry"; readonly entry: CachedStore }
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Unavailable" };

/** As spans say it; an entry may still be too old to be used. */
const results = { Entry: "hit", Nothing: "miss", Unavailable: "unavailable" } as const;

const nothing: Cached = { _tag: "Nothing" };
const unavailable: Cached = { _tag: "Unavailable" };

const make = (
  options: Options,
): Effect.Effect<
  Context.Tag.Service<StoreLookup>,
  never,
  StoreCache | StoreRepository | Metrics | Scope.Scope
> =>
  Effect.gen(function* () {
    const cache = yield* StoreCache;
    const repository = yield* StoreRepository;
    const metrics = yield* Metrics;
    const clock = yield* Effect.clock;
    const fallback = fallbackUsed(metrics);
    const flights = yield* SingleFlight.make<string, Option.Option<Store>, ReadFailure>();
    const fills = yield* FiberSet.make<void, never>();
    const fork = yield* FiberSet.runtime(fills)<never>();

    const reading = { deadline: options.cacheTimeout };
    const askPlainly = (tenantId: string, storeId: string): Effect.Effect<Cached> =>
      Immediate.suspend(() =>
        Immediate.match(options.redis.run("redis_get", cache.get(tenantId, storeId), reading), {
          onSuccess: (found) =>
            Effect.succeed<Cached>(
              Option.isNone(found) ? nothing : { _tag: "Entry", entry: found.value },
            ),
          onFailure: () => Effect.succeed(unavailable),
        })
      );

    const inSpan = cacheSpan<Cached>(({ _tag }) => results[_tag]);
    const ask = options.tracing === true
      ? (tenantId: string, storeId: string) => inSpan(askPlainly(tenantId, storeId))
      : askPlainly;

    const remember = (tenantId: string, storeId: string, store: Option.Option<Store>) =>
      Effect.gen(function* () {
        const readAt = yield* Clock.currentTimeMillis;
        const spread = yield* Random.nextRange(0.9, 1.1);
        const isKnown = Option.isSome(store);
        const freshFor = isKnown
          ? Duration.toMillis(options.cacheTtl) * spread
          : Duration.toMillis(options.negativeTtl);
        const freshUntil = Math.round(readAt + freshFor);
        const expiresAt = isKnown
          ? freshUntil + Duration.toMillis(options.staleIfError)
          : freshUntil;
        if (expiresAt <= readAt) return;
        const entry: CachedStore = { store, readAt, freshUntil, expiresAt };
        yield* Effect.ignore(
          options.redis.run("redis_set", cache.set(tenantId, storeId, entry)),
        );
      });

    /** In the background and with no caller's deadline: nobody waits for a slow cache. */
    const fill = (tenantId: string, storeId: string, store: Option.Option<Store>) =>
      Effect.flatMap(FiberSet.size(fills), (size) =>
        size >= maxFills ? Effect.void : Effect.withFiberRuntime((fiber) => {
          const filled = remember(tenantId, storeId, store).pipe(
            Effect.locally(Deadline.current, Infinity),
            under(fiber.currentSpan),
          );
          fork(filled);
          return Effect.void;
        }));

    const read = (tenantId: string, storeId: string) =>
      flights.run(
        `${tenantId}:${storeId}`,
        Effect.tap(
          options.mongodb.run("mongodb_find", repository.find(tenantId, storeId)),
          (store) => fill(tenantId, storeId, store),
        ),
      );

    /** A trial in the background, unless the breaker would turn it away. */
    const probe = Effect.gen(function* () {
      const { state, openUntil } = yield* options.redis.breaker.snapshot;
      const now = yield* Clock.currentTimeMillis;
      if (state === "open" && (openUntil === null || now < openUntil)) {
        return;
      }
      if ((yield* FiberSet.size(fills)) >= maxFills) {
        return;
      }
      const trial = options.redis.run("redis_ping", options.probe).pipe(
        Deadline.within(options.cacheTimeout),
        Effect.ignore,
      );
      fork(Effect.locally(trial, Deadline.current, Infinity));
    });

    const answer = (
      storeId: string,
      store: Option.Option<Store>,
      source: Source,
    ): Effect.Effect<Found, StoreNotFound> =>
      Option.isSome(store)
        ? Effect.succeed({ store: store.value, source })
        : Effect.fail(new StoreNotFound({ storeId }));

    /** An expired copy in place of MongoDB's answer, or the failure when there is none. */
    const standIn = (
      cached: Cached,
      now: number,
      failure: ReadFailure,
    ): Effect.Effect<Found, StoresUnavailable> => {
      if (
        cached._tag !== "Entry" || now >= cached.entry.expiresAt ||
        Option.isNone(cached.entry.store)
      ) {
        return unavailableFor(failure);
      }
      const found: Found = {
        store: cached.entry.store.value,
        source: "STALE",
        ageSeconds: Math.max(0, Math.floor((now - cached.entry.readAt) / 1_000)),
      };
      return Effect.as(
        fallback("mongodb_find", "STALE", { error: errorText(failure) }),
        found,
      );
    };

    const miss = (
      tenantId: string,
      storeId: string,
      cached: Cached,
    ): Effect.Effect<Found, StoreNotFound | StoresUnavailable> => {
      const fail = (failure: ReadFailure) =>
        standIn(cached, clock.unsafeCurrentTimeMillis(), failure);
      // While nobody is on the way to an open MongoDB, nobody needs to set out to be turned away.
      const refusal = flights.unsafeSize() === 0 ? options.mongodb.unsafeRefuse() : undefined;
      if (refusal !== undefined) return fail(refusal);
      return Effect.matchEffect(read(tenantId, storeId), {
        onSuccess: (store) =>
          cached._tag === "Unavailable"
            ? Effect.zipRight(
              fallback("redis_get", "BYPASS"),
              answer(storeId, store, "BYPASS"),
            )
            : answer(storeId, store, "MISS"),
        onFailure: fail,
      });
    };

    const hit = (
      storeId: string,
      entry: CachedStore,
    ): Exit.Exit<Found, StoreNotFound> =>
      Option.isSome(entry.store)
        ? Exit.succeed({ store: entry.store.value, source: "HIT", entry })
        : Exit.fail(new StoreNotFound({ storeId }));

    const look = (
      tenantId: string,
      storeId: string,
    ): Effect.Effect<Found, StoreNotFound | StoresUnavailable> => {
      const now = clock.unsafeCurrentTimeMillis();
      const near = cache.peek(tenantId, storeId);
      const tier = cache.tier();
      const isClosed = options.redis.breaker.unsafeState() === "closed";
      // A memory in Redis's place is out of reach when Redis would be.
      if (near !== undefined && isFresh(near, now) && (isClosed || tier !== "memory")) {
        metrics.cacheRequest(tier, "hit");
        const found = hit(storeId, near);
        return isClosed ? found : Effect.zipRight(probe, found);
      }
      return Immediate.flatMap(ask(tenantId, storeId), (cached) => {
        if (cached._tag === "Entry" && isFresh(cached.entry, now)) {
          metrics.cacheRequest(tier, "hit");
          return hit(storeId, cached.entry);
        }
        metrics.cacheRequest(tier, "miss");
        return miss(tenantId, storeId, cached);
      });
    };

    const find = (tenantId: string, storeId: string) =>
      Immediate.suspend(() => look(tenantId, storeId));

    // Refusals of one moment are one object (an error costs several microseconds); so are these.
    let last: { readonly failure: ReadFailure; readonly exit: Unavailable } | undefined;
    const unavailableFor = (failure: ReadFailure): Effect.Effect<never, StoresUnavailable> => {
      if (last?.failure === failure) return last.exit;
      return Immediate.flatMap(retryAfter(failure, options.mongodb.breaker), (retryAfter) => {
        const exit = Exit.fail(new StoresUnavailable({ retryAfter }));
        if (isRefusal(failure)) last = { failure, exit };
        return exit;
      });
    };

    const list = (
      tenantId: string,
      page: { readonly after: Option.Option<string>; readonly limit: number },
    ) =>
      options.mongodb.run(
        "mongodb_find",
        // One more than asked for tells whether there is a next page.
        repository.list(tenantId, {
          ...(Option.isSome(page.after) ? { after: page.after.value } : {}),
          limit: page.limit + 1,
        }),
      ).pipe(
        Effect.map((stores): Page => {
          const shown = stores.slice(0, page.limit);
          const last = shown.at(-1);
          return {
            stores: shown,
            next: stores.length > page.limit && last !== undefined
              ? Option.some(last.storeId)
              : Option.none(),
          };
        }),
        Effect.catchAll((failure) => unavailableFor(failure)),
      );

    const findInSpan = (tenantId: string, storeId: string) =>
      Effect.tap(
        find(tenantId, storeId),
        ({ source }) => inCurrentSpan(() => ({ "amicis.cache": source })),
      );

    return StoreLookup.of({ find: options.tracing === true ? findInSpan : find, list });
  });

type ReadFailure = DependencyFailure | Refusal;
type Unavailable = Exit.Exit<never, StoresUnavailable>;

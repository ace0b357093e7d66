/**
 * A shopper's token for a token of the tenant's own endpoint: the use case of the auth service.
 *
 * Tenant ▸ token cache ▸ the tenant's guards ▸ endpoint. The cache can only save time: when it fails,
 * the endpoint is asked. The same token brought twice at a time is exchanged once.
 */
import {
  Clock,
  Context,
  type Duration,
  Effect,
  FiberSet,
  Layer,
  Option,
  type Redacted,
  type Scope,
} from "effect";
import { fallbackUsed } from "../operations/Events.ts";
import { cacheSpan, under } from "../operations/Tracing.ts";
import type { Keyed } from "../resilience/Bulkhead.ts";
import type { CircuitBreakers } from "../resilience/CircuitBreakers.ts";
import * as Deadline from "../resilience/Deadline.ts";
import type { DependencyFailure } from "../resilience/DependencyFailure.ts";
import type { Guard } from "../resilience/Guard.ts";
import * as Immediate from "../resilience/Immediate.ts";
import type { InvalidPolicy } from "../resilience/InvalidPolicy.ts";
import type { Refusal } from "../resilience/Refusal.ts";
import * as SingleFlight from "../resilience/SingleFlight.ts";
import {
  type AskFailure,
  type ExchangeFailure,
  ExchangeUnavailable,
  operation,
  tell,
  unavailable,
  UnknownTenant,
} from "./ExchangeFailure.ts";
import { IdentityProvider } from "./IdentityProvider.ts";
import type { Tenant } from "./Tenant.ts";
import * as TenantGuards from "./TenantGuards.ts";
import { Tenants } from "./Tenants.ts";
import { type CachedToken, keyOf, TokenCache } from "./TokenCache.ts";

/** What the caller gets. */
export interface ExchangedToken {
  readonly accessToken: Redacted.Redacted<string>;
  /** What is left of its life in whole seconds, at least 1. */
  readonly expiresIn: number;
  readonly tenant: { readonly id: string; readonly name: string };
}

export interface Options extends TenantGuards.Options {
  /** Guard of every cache read and write [none: a cache in memory needs none]. */
  readonly redis?: Guard;
  /** One deadline for a cache read with its retries [250 millis]. */
  readonly cacheTimeout?: Duration.DurationInput;
  /** Told of each look into the token cache; must not throw. */
  readonly onLookup?: (result: "hit" | "miss") => void;
  /** Told of each answer that is a 503 in place of a token; must not throw. */
  readonly onFallback?: (operation: string, fallback: string) => void;
}

export class TokenExchange extends Context.Tag("auth/TokenExchange")<TokenExchange, {
  /**
   * Exchanges the token at the tenant's endpoint. `admit` is asked once the tenant is known and
   * before anything else happens, so that whatever it counts is counted for known tenants only.
   */
  readonly exchange: <E = never>(
    tenantId: string,
    token: Redacted.Redacted<string>,
    admit?: (tenant: Tenant) => Effect.Effect<void, E>,
  ) => Effect.Effect<ExchangedToken, ExchangeFailure | E>;
  /** Exchanges under way and refused, over all tenants. */
  readonly occupancy: Keyed<string>;
}>() {
  static readonly layer = (
    options: Options = {},
  ): Layer.Layer<
    TokenExchange,
    InvalidPolicy,
    CircuitBreakers | IdentityProvider | Tenants | TokenCache
  > => Layer.scoped(this, make(options));
}

/** Cache writes under way at most; beyond that a token is given out without being remembered. */
const maxWrites = 256;

/** Milliseconds for which a token is cached: nobody must be given one that is nearly over. */
const cachedFor = (expiresIn: number): number =>
  expiresIn > 600 ? (expiresIn - 300) * 1_000 : expiresIn * 500;

/** A token and what is left of it in whole seconds. */
interface Issued {
  readonly accessToken: Redacted.Redacted<string>;
  readonly expiresIn: number;
}

/** Milliseconds by which another replica's clock may be ahead of this one's. */
const maxSkew = 60_000;

/**
 * A cached token with a second left of it at least, or nothing. One from the future is nothing: the
 * clock was set back since, and would promise more of it than there is.
 */
const usable = (
  { accessToken, issuedAt, expiresAt, validUntil }: CachedToken,
  now: number,
): Option.Option<Issued> => {
  const since = Math.max(now, issuedAt);
  const expiresIn = Math.floor((validUntil - since) / 1_000);
  return now < expiresAt && now >= issuedAt - maxSkew && expiresIn >= 1
    ? Option.some({ accessToken, expiresIn })
    : Option.none();
};

const exchanged = (
  { tenantId, name }: Tenant,
  { accessToken, expiresIn }: Issued,
): ExchangedToken => ({ accessToken, expiresIn, tenant: { id: tenantId, name } });

const make = (
  options: Options,
): Effect.Effect<
  Context.Tag.Service<TokenExchange>,
  InvalidPolicy,
  CircuitBreakers | IdentityProvider | Tenants | TokenCache | Scope.Scope
> =>
  Effect.gen(function* () {
    const provider = yield* IdentityProvider;
    const clock = yield* Effect.clock;
    const tenants = yield* Tenants;
    const cache = yield* TokenCache;
    const guards = yield* TenantGuards.make(options, provider.reach);
    const flights = yield* SingleFlight.make<string, Issued, AskFailure>();
    const writes = yield* FiberSet.make<void, never>();
    const fork = yield* FiberSet.runtime(writes)<never>();
    const { redis, onLookup, onFallback = () => {} } = options;
    const fallback = fallbackUsed({ fallback: onFallback });
    const reading = { deadline: options.cacheTimeout ?? "250 millis" };

    /** What the cache holds that can be given out now. */
    const look = (tenantId: string, token: Redacted.Redacted<string>) => {
      const get = cache.get(tenantId, token);
      return Immediate.flatMap(
        redis === undefined ? get : redis.run("redis_get", get, reading),
        (found) =>
          Effect.succeed(
            Option.flatMap(found, (token) => usable(token, clock.unsafeCurrentTimeMillis())),
          ),
      );
    };

    /** A cache that fails holds nothing. */
    const notUsed = (failure: DependencyFailure | Refusal) =>
      Effect.as(
        Effect.logDebug("Token cache not used", { error: failure.message }),
        Option.none<Issued>(),
      );

    const recallPlainly = (tenantId: string, token: Redacted.Redacted<string>) =>
      Effect.catchAll(Effect.suspend(() => look(tenantId, token)), notUsed);

    const inSpan = cacheSpan<Option.Option<Issued>>(Option.match({
      onNone: () => "miss",
      onSome: () => "hit",
    }));
    const recall = options.spans === undefined
      ? recallPlainly
      : (tenantId: string, token: Redacted.Redacted<string>) =>
        inSpan(recallPlainly(tenantId, token));

    /** In the background and with no caller's deadline: nobody waits for a slow cache. */
    const remember = (tenantId: string, token: Redacted.Redacted<string>, issued: Issued) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const set = cache.set(tenantId, token, {
          accessToken: issued.accessToken,
          issuedAt: now,
          expiresAt: now + cachedFor(issued.expiresIn),
          validUntil: now + issued.expiresIn * 1_000,
        });
        const write = (redis === undefined ? set : redis.run("redis_set", set)).pipe(
          Effect.catchAll((failure) =>
            Effect.logDebug("Token not cached", { error: failure.message })
          ),
          Effect.locally(Deadline.current, Infinity),
        );
        if (redis === undefined) return write;
        return Effect.flatMap(
          FiberSet.size(writes),
          (size) =>
            size >= maxWrites ? Effect.void : Effect.withFiberRuntime<void>((fiber) => {
              fork(under(fiber.currentSpan)(write));
              return Effect.void;
            }),
        );
      });

    /** One run for all who bring this token now, after another look at the cache. */
    const issueOnce = (
      tenant: Tenant,
      token: Redacted.Redacted<string>,
      recalled: Effect.Effect<Option.Option<Issued>>,
    ) => {
      const { tenantId } = tenant;
      return flights.run(
        keyOf(tenantId, token),
        Effect.flatMap(recalled, (found) => {
          onLookup?.(Option.isSome(found) ? "hit" : "miss");
          if (Option.isSome(found)) return Effect.succeed(found.value);
          return Effect.tap(
            guards.run(tenant, provider.exchange(tenant, token)),
            (issued) => remember(tenantId, token, issued),
          );
        }),
      );
    };

    /** Each 503 in place of a token is told of. */
    const told = <E extends ExchangeFailure>(tenantId: string, failed: Effect.Effect<never, E>) =>
      Effect.tapError(failed, (failure) =>
        failure instanceof ExchangeUnavailable
          ? fallback(operation, "503", { tenantId, error: failure.reason })
          : Effect.void);

    const issue = (
      tenant: Tenant,
      token: Redacted.Redacted<string>,
      recalled: Effect.Effect<Option.Option<Issued>>,
    ): Effect.Effect<ExchangedToken, ExchangeFailure> =>
      Effect.matchEffect(issueOnce(tenant, token, recalled), {
        onFailure: (failure) =>
          told(tenant.tenantId, tell(tenant.tenantId, failure)),
        onSuccess: (issued) =>
          Effect.succeed(exchanged(tenant, issued)),
      });

    /**
     * Most tokens are in the cache, and a look into it needs no fiber and nobody to share it with. A
     * miss looks once more inside of the shared run: the token may have been exchanged meanwhile.
     */
    const exchangeOf = (tenant: Tenant, token: Redacted.Redacted<string>) => {
      const { tenantId } = tenant;
      if (options.spans !== undefined) return issue(tenant, token, recall(tenantId, token));
      return Immediate.match(look(tenantId, token), {
        onSuccess: (found): Effect.Effect<ExchangedToken, ExchangeFailure> => {
          if (Option.isNone(found)) return issue(tenant, token, recall(tenantId, token));
          onLookup?.("hit");
          return Effect.succeed(exchanged(tenant, found.value));
        },
        onFailure: (failure) => issue(tenant, token, notUsed(failure)),
      });
    };

    return TokenExchange.of({
      occupancy: guards.occupancy,
      exchange: <E = never>(
        tenantId: string,
        token: Redacted.Redacted<string>,
        admit?: (tenant: Tenant) => Effect.Effect<void, E>,
      ) =>
        Immediate.suspend(() =>
          Immediate.match(tenants.find(tenantId), {
            onFailure: ({ message, retryAfter }) =>
              told(tenantId, unavailable(message, retryAfter)),
            onSuccess: (found): Effect.Effect<ExchangedToken, ExchangeFailure | E> => {
              if (Option.isNone(found)) return new UnknownTenant({ tenantId });
              const tenant = found.value;
              return admit === undefined
                ? exchangeOf(tenant, token)
                : Immediate.flatMap(admit(tenant), () => exchangeOf(tenant, token));
            },
          })
        ),
    });
  });

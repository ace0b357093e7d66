/** The auth service, put together from its use case and the core. */
import { Effect, Layer, Option } from "effect";
import { AuthApi, unavailableSentence } from "./auth/Api.ts";
import { authHandlers } from "./auth/Http.ts";
import { isTenantId } from "./auth/Tenant.ts";
import { breakerName, dependency as tokenExchange } from "./auth/TenantGuards.ts";
import { Tenants } from "./auth/Tenants.ts";
import { TokenExchange } from "./auth/TokenExchange.ts";
import { tokenExchange as tokenExchangeSpan } from "./CallSpans.ts";
import type { AppConfig } from "./Config.ts";
import { Guards, onRetry, retryPolicy, show, throttleOf } from "./Guards.ts";
import * as RateLimit from "./http/RateLimit.ts";
import { AuthOperations } from "./operations/Api.ts";
import * as Operations from "./operations/Http.ts";
import { Metrics } from "./operations/Metrics.ts";
import { Telemetry } from "./operations/Telemetry.ts";
import { Recovery } from "./Recovery.ts";
import * as Service from "./Service.ts";

const coreOptions: Service.CoreOptions = {
  service: "auth",
  needsOneOf: [],
  collection: "tenants",
  probed: ["mongodb", "redis", tokenExchange],
  known: {
    routes: [{
      method: "POST",
      route: "/auth/exchange",
      statuses: [200, 400, 401, 404, 408, 413, 415, 429, 502, 503],
    }],
    operations: ["mongodb_find", "redis_get", "redis_set", "token_exchange"],
    bulkheads: ["mongodb", tokenExchange],
    calls: [
      { dependency: "mongodb", operation: "mongodb_find" },
      { dependency: "redis", operation: "redis_get" },
      { dependency: "redis", operation: "redis_set" },
      { dependency: tokenExchange, operation: "token_exchange" },
    ],
    caches: ["token"],
    fallbacks: [
      { operation: "mongodb_find", fallback: "STALE" },
      { operation: "token_exchange", fallback: "503" },
    ],
  },
};

/** What the OpenAPI document says of the service. */
export const description = {
  title: "amicis auth",
  description: "Exchanges a shopper's token at the tenant's own token endpoint (RFC 8693).",
  apis: [AuthApi, AuthOperations],
};

const useCases = (settings: AppConfig) =>
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const { mongodb, redis } = yield* Guards;
      const metrics = yield* Metrics;
      const { tracing } = yield* Telemetry;
      const { watch } = yield* Recovery;
      const retry = yield* retryPolicy(settings);
      const throttle = throttleOf(settings, settings.tokenExchangeThrottle);
      const refused = { RateLimited: 0, Throttled: 0 };
      const forgetRamp = metrics.ramp(tokenExchange, () => refused.RateLimited);
      yield* Effect.addFinalizer(() => Effect.sync(forgetRamp));
      if (throttle !== undefined) {
        const forget = metrics.throttle(tokenExchange, () => refused.Throttled);
        yield* Effect.addFinalizer(() => Effect.sync(forget));
      }
      const exchange = TokenExchange.layer({
        // Without a key tokens stay in memory, which needs no guard.
        ...(settings.redisUrl === undefined || settings.tokenCacheKey === undefined
          ? {}
          : { redis }),
        cacheTimeout: settings.redisTimeout,
        maxConcurrent: settings.tokenExchangeMaxConcurrent,
        throttle,
        adaptiveConcurrency: settings.tokenExchangeAdaptiveConcurrency,
        recovery: (breaker, probe) => watch(tokenExchange, breaker, probe),
        retry,
        retryBudget: { ratio: settings.retryBudget },
        onRetry: onRetry(metrics),
        onCall: (operation, ms) => metrics.dependencyCall(tokenExchange, operation, ms),
        onRefusal: ({ _tag }) => {
          if (_tag === "RateLimited" || _tag === "Throttled") refused[_tag] += 1;
        },
        onLookup: (result) => metrics.cacheRequest("token", result),
        onFallback: metrics.fallback,
        ...(tracing ? { spans: () => tokenExchangeSpan } : {}),
      });
      return exchange.pipe(
        Layer.provideMerge(Tenants.layer({ mongodb, onFallback: metrics.fallback })),
      );
    }),
  );

const shared = new Set(["mongodb", "redis"]);

/** Serves until it is interrupted; the backends come from the surroundings. */
export const run = (settings: AppConfig, port: number) =>
  Effect.gen(function* () {
    const metrics = yield* Metrics;
    const tenants = yield* Tenants;
    const { occupancy } = yield* TokenExchange;
    yield* show(tokenExchange, occupancy, settings.tokenExchangeAdaptiveConcurrency);
    yield* Service.serve(settings, {
      ...description,
      service: "auth",
      port,
      implementation: yield* authHandlers({ onRateLimited: metrics.rateLimitRejection }),
      gates: [],
      operations: Operations.auth,
      unavailable: unavailableSentence,
      isBreakerName: (name) => {
        if (shared.has(name)) return Effect.succeed(true);
        const prefix = breakerName("");
        const tenantId = name.slice(prefix.length);
        if (!name.startsWith(prefix) || !isTenantId(tenantId)) return Effect.succeed(false);
        return tenants.find(tenantId).pipe(
          Effect.map(Option.isSome),
          // Nobody can tell now: a forced state for a tenant that may exist does no harm.
          Effect.orElseSucceed(() => true),
        );
      },
    });
    return yield* Effect.never;
  }).pipe(
    Effect.scoped,
    Effect.provide(
      useCases(settings).pipe(
        Layer.merge(
          RateLimit.RateLimiter.layer({
            rps: settings.rateLimitRps,
            burst: settings.rateLimitBurst,
          }),
        ),
        Layer.provideMerge(Service.core(settings, coreOptions)),
      ),
    ),
  );

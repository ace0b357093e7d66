/** The routing service, put together from its use case and the core. */
import { Effect, Layer, Redacted } from "effect";
import type { AppConfig } from "./Config.ts";
import { Guards } from "./Guards.ts";
import * as Authentication from "./http/Authentication.ts";
import * as Jwks from "./http/Jwks.ts";
import * as RateLimit from "./http/RateLimit.ts";
import { TokenVerifier, type WeakSecret } from "./http/TokenVerifier.ts";
import { RoutingOperations } from "./operations/Api.ts";
import * as Operations from "./operations/Http.ts";
import { Metrics } from "./operations/Metrics.ts";
import { Telemetry } from "./operations/Telemetry.ts";
import { Recovery } from "./Recovery.ts";
import { CircuitBreakers, type RegistryFull } from "./resilience/CircuitBreakers.ts";
import { RoutingApi } from "./routing/Api.ts";
import { routingHandlers } from "./routing/Http.ts";
import { StoreLookup } from "./routing/StoreLookup.ts";
import * as Service from "./Service.ts";

const statuses = [200, 400, 401, 403, 404, 429, 503];

const coreOptions: Service.CoreOptions = {
  service: "routing",
  needsOneOf: ["mongodb", "redis"],
  collection: "stores",
  probed: ["mongodb", "redis", "jwks"],
  known: {
    routes: ["/api/v1/route", "/api/v1/stores", "/api/v1/stores/:storeId"].map((route) => ({
      method: "GET",
      route,
      statuses,
    })),
    operations: ["mongodb_find", "redis_get", "redis_set"],
    bulkheads: ["mongodb"],
    calls: [
      { dependency: "mongodb", operation: "mongodb_find" },
      { dependency: "redis", operation: "redis_get" },
      { dependency: "redis", operation: "redis_set" },
    ],
    caches: ["memory", "near", "redis"],
    fallbacks: [
      { operation: "mongodb_find", fallback: "STALE" },
      { operation: "redis_get", fallback: "BYPASS" },
    ],
  },
};

/** What the OpenAPI document says of the service. */
export const description = {
  title: "amicis routing",
  description: "Tells which backend serves a store, from a cache in front of MongoDB.",
  apis: [RoutingApi, RoutingOperations],
};

const lookup = (settings: AppConfig) =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const { mongodb, redis } = yield* Guards;
      const { tracing } = yield* Telemetry;
      const dependencies = yield* Service.Dependencies;
      return StoreLookup.layer({
        mongodb,
        redis,
        tracing,
        probe: dependencies.find(({ name }) => name === "redis")?.ping ?? Effect.void,
        cacheTimeout: settings.redisTimeout,
        cacheTtl: settings.cacheTtl,
        staleIfError: settings.cacheStaleIfError,
        negativeTtl: settings.cacheNegativeTtl,
      });
    }),
  );

/** How good tokens are told from others: with a key set, or with the secret. */
const verifier = (
  settings: AppConfig,
): Layer.Layer<TokenVerifier, WeakSecret | RegistryFull, CircuitBreakers | Recovery> => {
  const claims = {
    issuer: settings.jwtIssuer,
    audience: settings.jwtAudience,
    clockTolerance: settings.jwtClockTolerance,
  };
  const { jwtJwksUrl: url, jwtSecret: secret } = settings;
  if (url === undefined) {
    // An empty secret is refused by the layer as too weak: there is no default one.
    return TokenVerifier.layerSecret({ ...claims, secret: secret ?? Redacted.make("") });
  }
  return Layer.unwrapScoped(
    Effect.gen(function* () {
      const { get } = yield* CircuitBreakers;
      const { watch } = yield* Recovery;
      const breaker = yield* get("jwks");
      yield* watch("jwks", breaker, Jwks.reach(url));
      const jwks = yield* Jwks.make({ url, breaker });
      return TokenVerifier.layerJwks({ ...claims, jwks });
    }),
  );
};

const shared = new Set(["mongodb", "redis", "jwks"]);

/** Serves until it is interrupted; the backends come from the surroundings. */
export const run = (settings: AppConfig, port: number, whenListening: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const metrics = yield* Metrics;
    const limiter = yield* RateLimit.RateLimiter;
    yield* Service.serve(settings, {
      ...description,
      service: "routing",
      port,
      implementation: yield* routingHandlers,
      gates: [
        yield* Authentication.gate(),
        RateLimit.gate(limiter, metrics.rateLimitRejection),
      ],
      operations: Operations.routing,
      unavailable: "Service temporarily unavailable",
      isBreakerName: (name) =>
        Effect.succeed(shared.has(name) && (name !== "jwks" || settings.jwtJwksUrl !== undefined)),
    });
    yield* whenListening;
    return yield* Effect.never;
  }).pipe(
    Effect.scoped,
    Effect.provide(
      lookup(settings).pipe(
        Layer.merge(verifier(settings)),
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

/**
 * The one place where layers meet: the settings choose the backends, and the services are run on
 * them. Connections to MongoDB and Redis are shared by both services; all else they have for
 * themselves.
 */
import { Effect, Layer, Option, type Redacted } from "effect";
import * as HttpIdentityProvider from "./auth/IdentityProvider/Http.ts";
import { TenantRepository } from "./auth/TenantRepository.ts";
import * as MongoTenants from "./auth/TenantRepository/Mongo.ts";
import { TokenCache } from "./auth/TokenCache.ts";
import { parseTokenKeys } from "./auth/TokenKeys.ts";
import * as RedisTokens from "./auth/TokenCache/Redis.ts";
import * as AuthService from "./AuthService.ts";
import type { AppConfig, ServiceName } from "./Config.ts";
import { MongoConnection } from "./connections/Mongo.ts";
import { RedisConnection } from "./connections/Redis.ts";
import type { Embedded } from "./EmbeddedData.ts";
import { RequestContext } from "./http/RequestContext.ts";
import { headersOf } from "./http/TraceContext.ts";
import { Fleet } from "./operations/Fleet.ts";
import * as RedisFleet from "./operations/Fleet/Redis.ts";
import type { Dependency } from "./operations/Health.ts";
import { inService, type Logging } from "./operations/Logging.ts";
import { StoreCache } from "./routing/StoreCache.ts";
import { layerNear } from "./routing/StoreCache/Near.ts";
import * as RedisStores from "./routing/StoreCache/Redis.ts";
import { StoreRepository } from "./routing/StoreRepository.ts";
import * as MongoStores from "./routing/StoreRepository/Mongo.ts";
import * as RoutingService from "./RoutingService.ts";
import { Dependencies, type Name } from "./Service.ts";

const connectMongo = (settings: AppConfig, uri: Redacted.Redacted<string>) =>
  MongoConnection.layer({
    uri,
    database: settings.mongodbDatabase,
    timeout: settings.mongodbTimeout,
    maxPoolSize: settings.mongodbMaxConcurrent,
  });

const connectRedis = (settings: AppConfig, url: Redacted.Redacted<string>) =>
  RedisConnection.layer({ url, timeout: settings.redisTimeout });

/** What is embedded always answers. */
const pingOf = (connection: Option.Option<Pick<Dependency, "ping">>): Dependency["ping"] =>
  Option.match(connection, { onNone: () => Effect.void, onSome: ({ ping }) => ping });

/** Builds the layer with what other services have built of it already: shared connections. */
const provideWith =
  <ROut, E2>(layer: Layer.Layer<ROut, E2, Logging>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>) =>
  (
    memo: Layer.MemoMap,
  ): Effect.Effect<A, E | E2, Exclude<R, ROut> | Logging> =>
    Effect.scopedWith((scope) =>
      Effect.flatMap(
        Layer.buildWithMemoMap(layer, memo, scope),
        (context) => Effect.provide(self, context),
      )
    );

/** The backends that the settings name, or what is embedded in their place. */
export const backends = (settings: AppConfig, data: Embedded) => {
  const { mongodbUri, redisUrl, tokenCacheKey } = settings;
  const mongodb = mongodbUri === undefined ? undefined : connectMongo(settings, mongodbUri);
  const redis = redisUrl === undefined ? undefined : connectRedis(settings, redisUrl);

  const stores = mongodb === undefined
    ? StoreRepository.layerMemory(data.stores)
    : Layer.provide(MongoStores.layer, mongodb);
  const tenants = mongodb === undefined
    ? TenantRepository.layerMemory(data.tenants)
    : Layer.provide(MongoTenants.layer, mongodb);

  const storeCache = redis === undefined
    ? StoreCache.layerMemory({ size: Math.max(1, settings.nearCacheSize) })
    : layerNear({ size: settings.nearCacheSize }).pipe(
      Layer.provide(RedisStores.layer),
      Layer.provide(redis),
    );
  const tokenCache = redis === undefined || tokenCacheKey === undefined
    ? TokenCache.layerMemory()
    : Layer.unwrapEffect(
      Effect.map(parseTokenKeys(tokenCacheKey), (keys) => RedisTokens.layer({ keys })),
    ).pipe(Layer.provide(redis));

  const fleet = (service: Name) =>
    redis === undefined ? Fleet.layerMemory : Layer.provide(RedisFleet.layer({ service }), redis);

  const dependencies = Layer.effect(
    Dependencies,
    Effect.gen(function* () {
      const connections = {
        mongodb: yield* Effect.serviceOption(MongoConnection),
        redis: yield* Effect.serviceOption(RedisConnection),
      };
      return [
        { name: "mongodb", ping: pingOf(connections.mongodb) },
        { name: "redis", ping: pingOf(connections.redis) },
      ];
    }),
  ).pipe(Layer.provide(mongodb ?? Layer.empty), Layer.provide(redis ?? Layer.empty));

  return { stores, tenants, storeCache, tokenCache, fleet, dependencies };
};

export type Backends = ReturnType<typeof backends>;

/** What a token endpoint is told: the span of the attempt, or without one what the caller sent. */
const traceHeaders = Effect.withFiberRuntime<Readonly<Record<string, string>>>((fiber) => {
  const span = fiber.currentSpan;
  if (span !== undefined) return Effect.succeed(headersOf(span));
  const traceparent = fiber.getFiberRef(RequestContext.current)?.traceparent;
  return Effect.succeed(traceparent === undefined ? {} : { traceparent });
});

const routing = (settings: AppConfig, port: number, backends: Backends) =>
  inService("routing")(RoutingService.run(settings, port)).pipe(provideWith(
    Layer.mergeAll(
      backends.stores,
      backends.storeCache,
      backends.dependencies,
      backends.fleet("routing"),
    ),
  ));

const auth = (settings: AppConfig, port: number, backends: Backends) =>
  inService("auth")(AuthService.run(settings, port)).pipe(provideWith(
    Layer.mergeAll(
      backends.tenants,
      backends.tokenCache,
      HttpIdentityProvider.layer({
        allowInsecure: settings.allowInsecureTokenEndpoints,
        timeout: settings.tokenExchangeTimeout,
        traceHeaders,
      }),
      backends.dependencies,
      backends.fleet("auth"),
    ),
  ));

/**
 * Runs the chosen services until interrupted; both drain at the same time then. Fails only for what
 * no restart of a dependency can cure: a bad address, a port in use, illegal settings.
 */
export const run = (service: ServiceName, settings: AppConfig, backends: Backends) =>
  Effect.gen(function* () {
    const memo = yield* Layer.makeMemoMap;
    const { port, authPort, routingPort } = settings;
    switch (service) {
      case "routing":
        return yield* routing(settings, port ?? routingPort, backends)(memo);
      case "auth":
        return yield* auth(settings, port ?? authPort, backends)(memo);
      case "all":
        return yield* Effect.all([
          auth(settings, authPort, backends)(memo),
          routing(settings, routingPort, backends)(memo),
        ], { concurrency: "unbounded", discard: true });
    }
  });

/**
 * The one place where layers meet: the settings choose the backends, and the services are run on
 * them. Connections to MongoDB and Redis are shared by both services; all else they have for
 * themselves.
 *
 * Services and backends are loaded when they are chosen: a driver that the settings do not name
 * takes no time at start. There in any case are the contracts, and what is embedded.
 */
import { Effect, Layer, Option, type Redacted } from "effect";
import { TenantRepository } from "./auth/TenantRepository.ts";
import { TokenCache } from "./auth/TokenCache.ts";
import { parseTokenKeys } from "./auth/TokenKeys.ts";
import type { AppConfig, ServiceName } from "./Config.ts";
import type { Embedded } from "./EmbeddedData.ts";
import { RequestContext } from "./http/RequestContext.ts";
import { headersOf } from "./http/TraceContext.ts";
import { Fleet } from "./operations/Fleet.ts";
import type { Dependency } from "./operations/Health.ts";
import { inService, type Logging } from "./operations/Logging.ts";
import { StoreCache } from "./routing/StoreCache.ts";
import { StoreRepository } from "./routing/StoreRepository.ts";
import { Dependencies, type Name } from "./Service.ts";

/** A layer of a module that is loaded when the layer is built. */
const lazy = <Module, ROut, E, RIn>(
  module: () => Promise<Module>,
  layer: (module: Module) => Layer.Layer<ROut, E, RIn>,
): Layer.Layer<ROut, E, RIn> => Layer.unwrapEffect(Effect.map(Effect.promise(module), layer));

const mongoConnection = () => import("./connections/Mongo.ts");
const redisConnection = () => import("./connections/Redis.ts");

const connectMongo = (settings: AppConfig, uri: Redacted.Redacted<string>) =>
  lazy(mongoConnection, ({ MongoConnection }) =>
    MongoConnection.layer({
      uri,
      database: settings.mongodbDatabase,
      timeout: settings.mongodbTimeout,
      maxPoolSize: settings.mongodbMaxConcurrent,
    }));

const connectRedis = (settings: AppConfig, url: Redacted.Redacted<string>) =>
  lazy(
    redisConnection,
    ({ RedisConnection }) => RedisConnection.layer({ url, timeout: settings.redisTimeout }),
  );

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
    : lazy(() => import("./routing/StoreRepository/Mongo.ts"), ({ layer }) => layer)
      .pipe(Layer.provide(mongodb));
  const tenants = mongodb === undefined
    ? TenantRepository.layerMemory(data.tenants)
    : lazy(() => import("./auth/TenantRepository/Mongo.ts"), ({ layer }) => layer)
      .pipe(Layer.provide(mongodb));

  const storeCache = redis === undefined
    ? StoreCache.layerMemory({ size: Math.max(1, settings.nearCacheSize) })
    : lazy(
      () => import("./routing/StoreCache/Near.ts"),
      ({ layerNear }) => layerNear({ size: settings.nearCacheSize }),
    ).pipe(
      Layer.provide(lazy(() => import("./routing/StoreCache/Redis.ts"), ({ layer }) => layer)),
      Layer.provide(redis),
    );
  const tokenCache = redis === undefined || tokenCacheKey === undefined
    ? TokenCache.layerMemory()
    : Layer.unwrapEffect(
      Effect.map(
        parseTokenKeys(tokenCacheKey),
        (keys) => lazy(() => import("./auth/TokenCache/Redis.ts"), ({ layer }) => layer({ keys })),
      ),
    ).pipe(Layer.provide(redis));

  const fleet = (service: Name) =>
    redis === undefined
      ? Fleet.layerMemory
      : lazy(() => import("./operations/Fleet/Redis.ts"), ({ layer }) => layer({ service }))
        .pipe(Layer.provide(redis));

  const dependencies = Layer.effect(
    Dependencies,
    Effect.gen(function* () {
      const connections = {
        mongodb: mongodb === undefined
          ? Option.none()
          : yield* Effect.serviceOption((yield* Effect.promise(mongoConnection)).MongoConnection),
        redis: redis === undefined
          ? Option.none()
          : yield* Effect.serviceOption((yield* Effect.promise(redisConnection)).RedisConnection),
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

const routing = (
  settings: AppConfig,
  port: number,
  backends: Backends,
  whenListening: Effect.Effect<void>,
) =>
  Effect.promise(() => import("./RoutingService.ts")).pipe(
    Effect.flatMap(({ run }) => run(settings, port, whenListening)),
    inService("routing"),
    provideWith(
      Layer.mergeAll(
        backends.stores,
        backends.storeCache,
        backends.dependencies,
        backends.fleet("routing"),
      ),
    ),
  );

const auth = (settings: AppConfig, port: number, backends: Backends) =>
  Effect.promise(() => import("./AuthService.ts")).pipe(
    Effect.flatMap(({ run }) => run(settings, port)),
    inService("auth"),
    provideWith(
      Layer.mergeAll(
        backends.tenants,
        backends.tokenCache,
        lazy(() => import("./auth/IdentityProvider/Http.ts"), ({ layer }) =>
          layer({
            allowInsecure: settings.allowInsecureTokenEndpoints,
            timeout: settings.tokenExchangeTimeout,
            traceHeaders,
          })),
        backends.dependencies,
        backends.fleet("auth"),
      ),
    ),
  );

/**
 * Runs the chosen services until interrupted; both drain at the same time then. Fails only for what
 * no restart of a dependency can cure: a bad address, a port in use, illegal settings.
 * `whenListening` is run once routing listens.
 */
export const run = (
  service: ServiceName,
  settings: AppConfig,
  backends: Backends,
  whenListening: Effect.Effect<void> = Effect.void,
) =>
  Effect.gen(function* () {
    const memo = yield* Layer.makeMemoMap;
    const { port, authPort, routingPort } = settings;
    switch (service) {
      case "routing":
        return yield* routing(settings, port ?? routingPort, backends, whenListening)(memo);
      case "auth":
        return yield* auth(settings, port ?? authPort, backends)(memo);
      case "all":
        return yield* Effect.all([
          auth(settings, authPort, backends)(memo),
          routing(settings, routingPort, backends, whenListening)(memo),
        ], { concurrency: "unbounded", discard: true });
    }
  });

/**
 * What both services are made of beside their own work: breakers, guards, metrics, health, status,
 * administration and the listener. Each service in the process has these for itself.
 */
import { Context, Effect, Layer, type Redacted, type Scope } from "effect";
import type { Described } from "./ApiDocument.ts";
import type { AppConfig } from "./Config.ts";
import { Guards } from "./Guards.ts";
import * as ApiServer from "./http/ApiServer.ts";
import type { Gate } from "./http/Gate.ts";
import type { Implementation } from "./http/Handlers.ts";
import { Lifecycle } from "./http/Lifecycle.ts";
import type { AdminOptions } from "./operations/Admin.ts";
import * as Events from "./operations/Events.ts";
import type { Fleet } from "./operations/Fleet.ts";
import type * as Operations from "./operations/Http.ts";
import { type Dependency, Health } from "./operations/Health.ts";
import { Logging } from "./operations/Logging.ts";
import { Metrics, type MetricsOptions } from "./operations/Metrics.ts";
import { StatusFeed } from "./operations/StatusFeed.ts";
import { Telemetry } from "./operations/Telemetry.ts";
import { type Kind, Recovery } from "./Recovery.ts";
import { CircuitBreakers, type RegistryFull } from "./resilience/CircuitBreakers.ts";
import { version } from "./Version.ts";

/** One of the two services. */
export type Name = "auth" | "routing";

/** How to ask MongoDB and Redis, or what is embedded in their place, for a sign of life. */
export class Dependencies
  extends Context.Tag("Dependencies")<Dependencies, ReadonlyArray<Dependency>>() {}

/** What every service is built on. */
export type Core =
  | CircuitBreakers
  | Guards
  | Health
  | Lifecycle
  | Metrics
  | Recovery
  | StatusFeed;

export interface CoreOptions {
  readonly service: Name;
  /** Readiness needs one of these; empty: it asks no dependency. */
  readonly needsOneOf: ReadonlyArray<string>;
  /** The MongoDB collection that it reads. */
  readonly collection: string;
  /** The breakers that may be probed while they are open. */
  readonly probed: ReadonlyArray<Kind>;
  /** What the metrics know beforehand. */
  readonly known: Pick<
    MetricsOptions,
    "routes" | "operations" | "bulkheads" | "calls" | "caches" | "fallbacks"
  >;
}

const families = (settings: AppConfig) => [
  { prefix: "mongodb", settings: settings.mongodbBreaker },
  { prefix: "redis", settings: settings.redisBreaker },
  { prefix: "token-exchange-", settings: settings.tokenExchangeBreaker },
  { prefix: "jwks", settings: settings.jwksBreaker },
];

/** Probes the two shared dependencies by the pings that health goes by, too. */
const watchShared = Layer.scopedDiscard(
  Effect.gen(function* () {
    const { get } = yield* CircuitBreakers;
    const { watch } = yield* Recovery;
    const dependencies = yield* Dependencies;
    for (const kind of ["mongodb", "redis"] as const) {
      const dependency = dependencies.find(({ name }) => name === kind);
      if (dependency !== undefined) yield* watch(kind, yield* get(kind), dependency.ping);
    }
  }),
);

/** The core of one service. Its state changes are logged from the first one on. */
export const core = (settings: AppConfig, options: CoreOptions) => {
  const { service } = options;
  const announced = Layer.scopedDiscard(
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers;
      const listener = Events.circuitStateChanged(yield* Logging, service);
      const remove = breakers.unsafeOnChange(listener);
      yield* Effect.addFinalizer(() => Effect.sync(remove));
      const telemetry = yield* Telemetry;
      if (!telemetry.tracing) return;
      const forget = breakers.unsafeOnChange(telemetry.stateChanged(service));
      yield* Effect.addFinalizer(() => Effect.sync(forget));
    }),
  );
  const metrics = Layer.unwrapEffect(
    Effect.map(
      Effect.all([Logging, Telemetry]),
      ([logging, telemetry]) =>
        Metrics.layer({
          service,
          version,
          logLinesDropped: logging.dropped,
          telemetryDropped: telemetry.losses,
          ...options.known,
        }),
    ),
  );
  const health = Layer.unwrapEffect(
    Effect.map(
      Dependencies,
      (dependencies) => Health.layer({ dependencies, needsOneOf: options.needsOneOf }),
    ),
  );
  const feed = StatusFeed.layer({
    service,
    version,
    hasAdmin: settings.adminToken !== undefined,
  });
  return Layer.mergeAll(Guards.layer(settings, options), feed, announced, watchShared).pipe(
    Layer.provideMerge(Layer.merge(health, Recovery.layer(settings, options.probed))),
    Layer.provideMerge(metrics),
    Layer.provideMerge(CircuitBreakers.layer(settings.breaker, {
      families: families(settings),
      permanent: ["mongodb", "redis", "jwks"],
    })),
    Layer.provideMerge(Lifecycle.layer),
  );
};

export interface ServeOptions<R> extends Described {
  readonly service: Name;
  readonly port: number;
  /** The service's own endpoints and the middleware they carry. */
  readonly implementation: Implementation<R>;
  readonly gates: ReadonlyArray<Gate>;
  /** Health, metrics and status of this service. */
  readonly operations: (
    options: Operations.OperationsOptions,
  ) => Effect.Effect<Implementation<never>, RegistryFull, Core>;
  readonly unavailable: string;
  readonly isBreakerName: (name: string) => Effect.Effect<boolean>;
}

const administration = (
  token: Redacted.Redacted<string>,
  options: AdminOptions,
): Effect.Effect<
  { readonly implementation: Implementation<never>; readonly gate: Gate },
  never,
  CircuitBreakers | Fleet | Logging | Scope.Scope
> =>
  Effect.gen(function* () {
    const Admin = yield* Effect.promise(() => import("./operations/Admin.ts"));
    const gate = Admin.gate(token, yield* Logging);
    return { implementation: yield* Admin.make(options), gate };
  });

/** Listens until the scope closes; then drains within `SHUTDOWN_GRACE`. */
export const serve = <R>(settings: AppConfig, options: ServeOptions<R>) =>
  Effect.gen(function* () {
    const { service } = options;
    const metrics = yield* Metrics;
    const logging = yield* Logging;
    const { tracing } = yield* Telemetry;
    const lifecycle = yield* Lifecycle;
    const { adminToken, managementPort } = settings;

    // Made for whoever asks first: few do, and it takes longer than all else that is served.
    const openapi = yield* Effect.cached(
      Effect.map(
        Effect.promise(() => import("./ApiDocument.ts")),
        ({ apiDocument }) => apiDocument(options, adminToken !== undefined),
      ),
    );
    const operations = yield* options.operations({ openapi });
    const admin = adminToken === undefined
      ? undefined
      : yield* administration(adminToken, { service, isBreakerName: options.isBreakerName });
    const own = [{ implementation: options.implementation, kind: "service" as const }];
    const others = [operations, ...(admin === undefined ? [] : [admin.implementation])]
      .map((implementation) => ({ implementation, kind: "operations" as const }));
    const common = {
      service,
      hostname: settings.host,
      gates: [...options.gates, ...(admin === undefined ? [] : [admin.gate])],
      corsOrigins: settings.corsAllowedOrigins,
      requestTimeout: settings.requestTimeout,
      maxBodyBytes: settings.maxBodyBytes,
      shutdownGrace: settings.shutdownGrace,
      unavailable: options.unavailable,
      tracing,
      observe: (done: ApiServer.Done) => {
        metrics.request(done.method, done.route, done.status, done.durationMs);
        logging.access(done);
      },
    };
    if (managementPort !== undefined) {
      const { port } = yield* ApiServer.serve({ ...common, port: managementPort, apis: others });
      yield* Effect.logInfo("Management listening", { port });
    }
    const { port } = yield* ApiServer.serve({
      ...common,
      port: options.port,
      apis: managementPort === undefined ? [...own, ...others] : own,
    });
    yield* lifecycle.advance("ready");
    yield* Effect.addFinalizer(() => Effect.logInfo("Service stopping"));
    yield* Effect.logInfo("Service listening", { port, version });
  });

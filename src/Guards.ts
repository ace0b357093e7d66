/**
 * The guards of the two dependencies every service shares, made from the settings.
 *
 * Redis has no bulkhead and no ramp: a cache answers or is passed by, and what would be kept from it
 * would all go to MongoDB instead.
 */
import { Context, Effect, Layer, type Scope } from "effect";
import * as CallSpans from "./CallSpans.ts";
import type { AppConfig } from "./Config.ts";
import * as Events from "./operations/Events.ts";
import { Health } from "./operations/Health.ts";
import { Metrics } from "./operations/Metrics.ts";
import { Telemetry } from "./operations/Telemetry.ts";
import * as AdaptiveLimit from "./resilience/AdaptiveLimit.ts";
import * as Bulkhead from "./resilience/Bulkhead.ts";
import { CircuitBreakers, type RegistryFull } from "./resilience/CircuitBreakers.ts";
import * as Guard from "./resilience/Guard.ts";
import * as Hedge from "./resilience/Hedge.ts";
import type { InvalidPolicy } from "./resilience/InvalidPolicy.ts";
import * as RateLimiter from "./resilience/RateLimiter.ts";
import * as Retry from "./resilience/Retry.ts";
import * as RetryBudget from "./resilience/RetryBudget.ts";
import * as Throttle from "./resilience/Throttle.ts";

/** The retry policy of all calls. */
export const retryPolicy = (settings: AppConfig) =>
  Retry.policy({
    maxAttempts: settings.retryMaxAttempts,
    initialDelay: settings.retryInitialDelay,
    maxDelay: settings.retryMaxDelay,
    factor: settings.retryFactor,
  });

/** How a dependency's calls are throttled, or `undefined` when they are not. */
export const throttleOf = (
  settings: AppConfig,
  k: number | null,
): Partial<Throttle.Settings> | undefined =>
  k === null ? undefined : { k, count: settings.throttleCount, maximum: settings.throttleMaximum };

/** Logs and counts each retry. */
export const onRetry = (metrics: Context.Tag.Service<Metrics>) =>
(
  retrying: Retry.Retrying<unknown>,
): Effect.Effect<void> => {
  metrics.retry(retrying.operation);
  return Events.retrying(retrying);
};

/**
 * Reads a second that any MongoDB can bear right after its recovery: below that there is no load to
 * bring back step by step, and a quiet installation must not answer 503 with its breaker closed.
 */
const rampFloor = 50;

/** Shows a bulkhead in metrics, and with an adaptive limit also that, there and in health. */
export const show = (
  dependency: string,
  bulkhead: Bulkhead.Occupancy & Bulkhead.Limited,
  isAdaptive: boolean,
): Effect.Effect<void, never, Health | Metrics | Scope.Scope> =>
  Effect.gen(function* () {
    const metrics = yield* Metrics;
    const health = yield* Health;
    const shown = [metrics.bulkhead(dependency, bulkhead)];
    if (isAdaptive) {
      shown.push(metrics.optional.bulkheadLimit(dependency, bulkhead.unsafeLimit));
      shown.push(health.show(dependency, bulkhead));
    }
    yield* Effect.addFinalizer(() => Effect.sync(() => shown.forEach((hide) => hide())));
  });

/** A hedge of MongoDB's reads, when it is on. */
const hedgeOf = (settings: AppConfig, metrics: Context.Tag.Service<Metrics>) => {
  if (!settings.mongodbHedge) return Effect.succeed(undefined);
  const count = metrics.optional.hedges("mongodb_find");
  return Hedge.make({}, (_, result) => count(result));
};

export interface Options {
  /** The MongoDB collection that this service reads. */
  readonly collection: string;
}

/** What stands around every call to MongoDB and to Redis. */
export class Guards extends Context.Tag("Guards")<Guards, {
  readonly mongodb: Guard.Guard;
  readonly redis: Guard.Guard;
}>() {
  static readonly layer = (
    settings: AppConfig,
    options: Options,
  ): Layer.Layer<
    Guards,
    InvalidPolicy | RegistryFull,
    CircuitBreakers | Health | Metrics | Telemetry
  > =>
    Layer.scoped(
      this,
      Effect.gen(function* () {
        const breakers = yield* CircuitBreakers;
        const metrics = yield* Metrics;
        const spans = (yield* Telemetry).tracing ? CallSpans.make(settings, options) : undefined;
        const retry = yield* retryPolicy(settings);
        const budget = { ratio: settings.retryBudget };

        const mongodb = yield* breakers.get("mongodb");
        const { mongodbMaxConcurrent: maxConcurrent, mongodbAdaptiveConcurrency } = settings;
        const adaptive = mongodbAdaptiveConcurrency
          ? yield* AdaptiveLimit.make("mongodb", { ceiling: maxConcurrent }, Guard.classify)
          : undefined;
        const bulkhead = yield* Bulkhead.make("mongodb", { maxConcurrent }, adaptive);
        yield* show("mongodb", bulkhead, mongodbAdaptiveConcurrency);

        const throttling = throttleOf(settings, settings.mongodbThrottle);
        const throttle = throttling === undefined
          ? undefined
          : yield* Throttle.make("mongodb", throttling);
        if (throttle !== undefined) {
          const forget = metrics.throttle("mongodb", throttle.unsafeRejections);
          yield* Effect.addFinalizer(() => Effect.sync(forget));
        }

        const ramp = yield* RateLimiter.following(mongodb, { rampFloor });
        const forgetRamp = metrics.ramp("mongodb", ramp.unsafeRejections);
        yield* Effect.addFinalizer(() => Effect.sync(forgetRamp));

        const redis = yield* breakers.get("redis");
        return {
          mongodb: yield* Guard.make({
            dependency: "mongodb",
            breaker: mongodb,
            retry,
            budget: yield* RetryBudget.make(budget),
            limiter: ramp,
            throttle,
            bulkhead,
            hedge: yield* hedgeOf(settings, metrics),
            attemptLimit: settings.mongodbTimeout,
            onRetry: onRetry(metrics),
            onCall: (operation, ms) => metrics.dependencyCall("mongodb", operation, ms),
            spans: spans?.mongodb,
          }),
          redis: yield* Guard.make({
            dependency: "redis",
            breaker: redis,
            retry,
            budget: yield* RetryBudget.make(budget),
            onRetry: onRetry(metrics),
            onCall: (operation, ms) => metrics.dependencyCall("redis", operation, ms),
            spans: spans?.redis,
          }),
        };
      }),
    );
}

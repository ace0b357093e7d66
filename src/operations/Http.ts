/**
 * The operations of a service on the wire: each handler looks at what is known already and waits
 * for nothing, so that health, metrics and status answer fast while everything else fails.
 */
import { type Context, Effect } from "effect";
import * as Answer from "../http/Answer.ts";
import { handlers, type Implementation } from "../http/Handlers.ts";
import * as Header from "../http/Header.ts";
import { ServiceUnavailable } from "../http/Problem.ts";
import type { CircuitBreaker } from "../resilience/CircuitBreaker.ts";
import { CircuitBreakers, type RegistryFull } from "../resilience/CircuitBreakers.ts";
import { AuthOperations, eventStreamType, RoutingOperations } from "./Api.ts";
import { Health, type Readiness } from "./Health.ts";
import * as HealthReport from "./HealthReport.ts";
import { contentType as metricsType, Metrics } from "./Metrics.ts";
import { StatusFeed } from "./StatusFeed.ts";

export interface OperationsOptions {
  /** The OpenAPI document of the service, as JSON; asked for at each request. */
  readonly openapi: Effect.Effect<string>;
}

type Services = CircuitBreakers | Health | Metrics | StatusFeed;

/** What each state short of ready means to whoever asks. */
const reasons: Readonly<Record<Exclude<Readiness, "ready">, string>> = {
  starting: "The service is still starting.",
  draining: "The service is stopping and finishes what is in flight.",
  unusable:
    "Neither the store nor the cache can be used: each is away, or its circuit breaker is open.",
};

const readyAnswer = ({ readiness }: Context.Tag.Service<Health>) =>
  Effect.flatMap(
    readiness,
    (readiness) =>
      readiness === "ready"
        ? Effect.succeed(Answer.of({ status: "ready" as const }, Answer.noStore))
        : new ServiceUnavailable({ error: "Not ready", detail: reasons[readiness] }),
  );

const liveAnswer = ({ isAlive }: Context.Tag.Service<Health>) =>
  Effect.flatMap(
    isAlive,
    (isAlive) =>
      isAlive
        ? Effect.succeed(Answer.of({ status: "alive" as const }, Answer.noStore))
        : new ServiceUnavailable({ error: "Not alive", detail: "The service has stopped." }),
  );

const factsOf = (
  health: Context.Tag.Service<Health>,
  { breakers }: Context.Tag.Service<CircuitBreakers>,
): Effect.Effect<HealthReport.Facts> =>
  Effect.all({ dependencies: health.dependencies, breakers, limits: health.limits });

/** The handlers that do not differ between the services. */
const common = ({ openapi }: OperationsOptions) =>
  Effect.gen(function* () {
    const health = yield* Health;
    const metrics = yield* Metrics;
    const feed = yield* StatusFeed;
    return {
      live: () => liveAnswer(health),
      ready: () => readyAnswer(health),
      metrics: () =>
        Effect.map(metrics.page, (page) => Answer.bytes(page, metricsType, Answer.noStore)),
      openapi: () => Effect.map(openapi, (json) => Answer.bytes(json, "application/json")),
      // Put together when the first viewer comes.
      status: () =>
        Effect.map(
          Effect.promise(() => import("./StatusPage.ts")),
          ({ headers, html }) => Answer.bytes(html, "text/html; charset=utf-8", { headers }),
        ),
      statusEvents: () =>
        Effect.flatMap(feed.open, (stream) =>
          stream === undefined
            ? new ServiceUnavailable({
              error: "Too many viewers",
              detail: "As many people as may are looking at the status page already.",
            })
            : Effect.succeed(
              Answer.stream(stream, eventStreamType, {
                // Asks nginx and its like not to hold the events back.
                headers: [Header.noStore, Header.make("x-accel-buffering", "no")],
              }),
            )),
    };
  });

/** Handlers of {@link RoutingOperations}. Makes the two shared breakers if they are not yet. */
export const routing = (
  options: OperationsOptions,
): Effect.Effect<Implementation<never>, RegistryFull, Services> =>
  Effect.gen(function* () {
    const registry = yield* CircuitBreakers;
    const health = yield* Health;
    const made = {
      mongodb: yield* registry.get("mongodb"),
      redis: yield* registry.get("redis"),
    };
    return handlers(RoutingOperations, {
      operations: {
        ...(yield* common(options)),
        health: () =>
          Effect.gen(function* () {
            const facts = yield* factsOf(health, registry);
            const named = (breaker: CircuitBreaker) =>
              facts.breakers.find(({ name }) => name === breaker.name) ?? breaker;
            const shared = { mongodb: named(made.mongodb), redis: named(made.redis) };
            return Answer.of(yield* HealthReport.routing(facts, shared), Answer.noStore);
          }),
      },
    });
  });

/** Handlers of {@link AuthOperations}. */
export const auth = (
  options: OperationsOptions,
): Effect.Effect<Implementation<never>, RegistryFull, Services> =>
  Effect.gen(function* () {
    const registry = yield* CircuitBreakers;
    const health = yield* Health;
    yield* registry.get("mongodb");
    yield* registry.get("redis");
    return handlers(AuthOperations, {
      operations: {
        ...(yield* common(options)),
        health: () =>
          Effect.map(
            Effect.flatMap(factsOf(health, registry), HealthReport.auth),
            (report) => Answer.of(report, Answer.noStore),
          ),
      },
    });
  });

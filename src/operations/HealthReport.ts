/**
 * The bodies of `GET /health`, by service, as monitors and on-call people read them.
 *
 * `degraded` means: some dependency does not answer, or some breaker is not closed, so some requests
 * get a fallback or a 503. It is a hint where to look and never the reason to restart or to take a
 * replica out, which is what `/health/live` and `/health/ready` are for. A breaker that nobody has
 * called since it opened stays `open` here, as only a call can close it.
 */
import { Effect, Schema } from "effect";
import { retryAfterSeconds } from "../http/Problem.ts";
import { reasonOf } from "../resilience/BreakerExplanation.ts";
import type { CircuitBreaker, Snapshot } from "../resilience/CircuitBreaker.ts";
import type { DependencyState, LimitState } from "./Health.ts";

/** Most breakers listed; those that are not closed come first. */
const maxListed = 1_000;

const Timestamp = Schema.String.annotations({ description: "ISO 8601, UTC" });

const State = Schema.Literal("closed", "open", "half-open");

const Count = Schema.NonNegativeInt;

/** The rolling window's counts; while open, those that tripped it. */
const Counts = Schema.Struct({
  requests: Count,
  totalSuccesses: Count,
  totalFailures: Count,
  consecutiveSuccesses: Count,
  consecutiveFailures: Count,
});

/** How an adaptive breaker stands; absent while the fixed rules decide. */
const Adaptive = Schema.Struct({
  threshold: Schema.Number.annotations({
    description: "Share of failures that opens; 1 while there are too few calls to tell",
  }),
  baseline: Schema.Number.annotations({ description: "Share of failures that is normal" }),
  reason: Schema.optionalWith(Schema.String, { exact: true })
    .annotations({ description: "Why it opened" }),
});

const adaptive = Schema.optionalWith(Adaptive, { exact: true });

/** A breaker in front of a dependency that all tenants share. */
export const SharedBreaker = Schema.Struct({
  state: State,
  counts: Counts,
  stateChangedAt: Timestamp,
  retryAfterSeconds: Schema.optionalWith(Schema.Int.pipe(Schema.positive()), { exact: true })
    .annotations({ description: "While open: what callers are told to wait" }),
  adaptive,
});

/** A tenant's breaker: `fires` are all calls with rejects, `timeouts` are among the failures. */
export const TenantBreaker = Schema.Struct({
  state: State,
  stats: Schema.Struct({
    fires: Count,
    successes: Count,
    failures: Count,
    rejects: Count,
    timeouts: Count,
  }),
  stateChangedAt: Timestamp,
  adaptive,
});

/** By dependency; of `token-exchange` the lowest limit of a tenant with calls, and all calls. */
const limits = Schema.optionalWith(
  Schema.Record({
    key: Schema.String,
    value: Schema.Struct({ limit: Count, inFlight: Count }),
  }),
  { exact: true },
).annotations({ description: "Adaptive limits of calls at a time; absent while none is on" });

const Connection = Schema.Literal("connected", "disconnected");

/** `GET /health` of routing. */
export const RoutingHealth = Schema.Struct({
  status: Schema.Literal("healthy", "degraded"),
  timestamp: Timestamp,
  dependencies: Schema.Struct({ mongodb: Connection, redis: Connection }),
  circuitBreakers: Schema.Struct({ mongodb: SharedBreaker, redis: SharedBreaker }),
  concurrencyLimits: limits,
}).annotations({ identifier: "RoutingHealth" });

/** `GET /health` of routing. */
export type RoutingHealth = typeof RoutingHealth.Type;

const Indicator = Schema.Struct({ status: Schema.Literal("up", "down") });

/** `GET /health` of auth. */
export const AuthHealth = Schema.Struct({
  status: Schema.Literal("ok", "degraded"),
  info: Schema.Struct({ database: Indicator, redis: Indicator }),
  circuitBreakers: Schema.Record({
    key: Schema.String,
    value: Schema.Union(SharedBreaker, TenantBreaker),
  }),
  concurrencyLimits: limits,
}).annotations({ identifier: "AuthHealth" });

/** `GET /health` of auth. */
export type AuthHealth = typeof AuthHealth.Type;

/** What both reports are made from. */
export interface Facts {
  readonly dependencies: ReadonlyArray<DependencyState>;
  readonly breakers: ReadonlyArray<CircuitBreaker>;
  readonly limits: ReadonlyArray<LimitState>;
}

const isHealthy = ({ dependencies, breakers }: Facts): boolean =>
  dependencies.every(({ isConnected }) => isConnected) &&
  breakers.every((breaker) => breaker.unsafeState() === "closed");

const isConnected = ({ dependencies }: Facts, dependency: string): boolean =>
  dependencies.some((known) => known.name === dependency && known.isConnected);

/** The part of a report that is only there while an adaptive limit is on. */
const limitsOf = ({ limits }: Facts): Pick<RoutingHealth, "concurrencyLimits"> =>
  limits.length === 0 ? {} : {
    concurrencyLimits: Object.fromEntries(
      limits.map(({ dependency, limit, inFlight }) => [dependency, { limit, inFlight }]),
    ),
  };

const iso = (at: number): string => new Date(at).toISOString();

/** The part of a report that only an adaptive breaker has. */
const adaptiveOf = (
  { adaptive }: Snapshot,
): { readonly adaptive?: typeof Adaptive.Type } => {
  if (adaptive === undefined) return {};
  const { threshold, baseline, trip } = adaptive;
  const reason = trip === null ? {} : { reason: reasonOf(trip) };
  return { adaptive: { threshold, baseline, ...reason } };
};

const sharedBreaker = (breaker: CircuitBreaker): Effect.Effect<typeof SharedBreaker.Type> =>
  Effect.gen(function* () {
    const snapshot = yield* breaker.snapshot;
    const { state, counts, stateChangedAt } = snapshot;
    const common = {
      state,
      counts: {
        requests: counts.requests,
        totalSuccesses: counts.totalSuccesses,
        totalFailures: counts.totalFailures,
        consecutiveSuccesses: counts.consecutiveSuccesses,
        consecutiveFailures: counts.consecutiveFailures,
      },
      stateChangedAt: iso(stateChangedAt),
      ...adaptiveOf(snapshot),
    };
    return state === "open"
      ? { ...common, retryAfterSeconds: retryAfterSeconds(yield* breaker.retryAfter) }
      : common;
  });

const tenantBreaker = (breaker: CircuitBreaker): Effect.Effect<typeof TenantBreaker.Type> =>
  Effect.gen(function* () {
    const snapshot = yield* breaker.snapshot;
    const { state, stateChangedAt } = snapshot;
    const { successes, failures, neutral, rejected, timeouts } = yield* breaker.totals;
    const fires = successes + failures + neutral + rejected;
    const stats = { fires, successes, failures, rejects: rejected, timeouts };
    return { state, stats, stateChangedAt: iso(stateChangedAt), ...adaptiveOf(snapshot) };
  });

/** Of routing, whose two breakers are passed by name as they always exist. */
export const routing = (
  facts: Facts,
  shared: { readonly mongodb: CircuitBreaker; readonly redis: CircuitBreaker },
): Effect.Effect<RoutingHealth> =>
  Effect.gen(function* () {
    const connection = (name: string) => isConnected(facts, name) ? "connected" : "disconnected";
    return {
      status: isHealthy(facts) ? "healthy" : "degraded",
      timestamp: iso(yield* Effect.clockWith((clock) => clock.currentTimeMillis)),
      dependencies: { mongodb: connection("mongodb"), redis: connection("redis") },
      circuitBreakers: {
        mongodb: yield* sharedBreaker(shared.mongodb),
        redis: yield* sharedBreaker(shared.redis),
      },
      ...limitsOf(facts),
    };
  });

/** Of auth: breakers named `token-exchange-…` are a tenant's, all others are shared ones. */
export const auth = (facts: Facts): Effect.Effect<AuthHealth> =>
  Effect.gen(function* () {
    const indicator = (name: string) =>
      ({ status: isConnected(facts, name) ? "up" : "down" }) as const;
    const isTenants = ({ name }: CircuitBreaker) => name.startsWith("token-exchange-");
    const rank = (breaker: CircuitBreaker) =>
      !isTenants(breaker) ? 0 : breaker.unsafeState() === "closed" ? 2 : 1;
    const listed = facts.breakers.length <= maxListed ? facts.breakers : facts.breakers
      .toSorted((one, another) => rank(one) - rank(another))
      .slice(0, maxListed);
    const circuitBreakers: Record<string, AuthHealth["circuitBreakers"][string]> = {};
    for (const breaker of listed) {
      circuitBreakers[breaker.name] = isTenants(breaker)
        ? yield* tenantBreaker(breaker)
        : yield* sharedBreaker(breaker);
    }
    return {
      status: isHealthy(facts) ? "ok" : "degraded",
      info: { database: indicator("mongodb"), redis: indicator("redis") },
      circuitBreakers,
      ...limitsOf(facts),
    };
  });

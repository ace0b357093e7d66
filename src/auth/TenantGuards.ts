/**
 * Every tenant's own breaker, bulkhead and retry budget around the calls of its endpoint, so that
 * one dead endpoint takes nothing from the others.
 *
 * They are made on first use, for tenants that are known, and hang on the breaker: the registry
 * bounds how many there are, and what it drops takes its guard with it.
 */
import { Effect } from "effect";
import * as AdaptiveLimit from "../resilience/AdaptiveLimit.ts";
import * as Bulkhead from "../resilience/Bulkhead.ts";
import type { CircuitBreaker } from "../resilience/CircuitBreaker.ts";
import { CircuitBreakers, type RegistryFull } from "../resilience/CircuitBreakers.ts";
import * as Guard from "../resilience/Guard.ts";
import type { InvalidPolicy } from "../resilience/InvalidPolicy.ts";
import { isRefusal, type Refusal } from "../resilience/Refusal.ts";
import * as RateLimiter from "../resilience/RateLimiter.ts";
import type { Policy, Retrying } from "../resilience/Retry.ts";
import * as RetryBudget from "../resilience/RetryBudget.ts";
import * as Throttle from "../resilience/Throttle.ts";
import { type AskFailure, operation, Unanswered } from "./ExchangeFailure.ts";
import { classify, type IdentityFailure, isRetryable } from "./IdentityProvider.ts";
import type { Tenant } from "./Tenant.ts";

/** Limits of one tenant's calls, and who is told of them; hooks must not throw. */
export interface Options {
  /** Exchanges at a time for one tenant [32]. */
  readonly maxConcurrent?: number;
  /** Sheds a share of a tenant's calls while its endpoint accepts too few [none]. */
  readonly throttle?: Partial<Throttle.Settings> | undefined;
  /** Lets each tenant's limit follow its endpoint's latency, up to `maxConcurrent` [false]. */
  readonly adaptiveConcurrency?: boolean;
  /** Keeps an eye on an open breaker by asking its endpoint for a sign of life [nobody does]. */
  readonly recovery?: (
    breaker: CircuitBreaker,
    probe: Effect.Effect<void, IdentityFailure>,
  ) => Effect.Effect<void>;
  /** Delays between attempts, from `Retry.policy` [no retrying]. */
  readonly retry?: Policy;
  /** How much of a tenant's calls may be retried [as `RetryBudget` has it]. */
  readonly retryBudget?: Partial<RetryBudget.Settings>;
  /** Told of each attempt that failed and will be followed by another. */
  readonly onRetry?: (retrying: Retrying<unknown>) => Effect.Effect<void>;
  /** Told how long each attempt took, in milliseconds. */
  readonly onCall?: (operation: string, milliseconds: number) => void;
  /** Makes a span of each attempt of a traced request [none]. */
  readonly spans?: Guard.Options["spans"];
  /** Told of each call that never reached its endpoint. */
  readonly onRefusal?: (refusal: Refusal) => void;
}

/** Runs calls under their tenant's guards. */
export interface TenantGuards {
  readonly run: <A>(
    tenant: Tenant,
    call: Effect.Effect<A, IdentityFailure>,
  ) => Effect.Effect<A, AskFailure>;
  /** Calls under way and refused, over all tenants. */
  readonly occupancy: Bulkhead.Keyed<string>;
}

/** A tenant's guard, and the tenant as its last call knew it. */
interface Guarded {
  readonly guard: Guard.Guard;
  tenant: Tenant;
}

/** All endpoints together, as one dependency in metrics. */
export const dependency = "token-exchange" as const;

/** Exchanges a second that any endpoint can bear right after its recovery. */
const rampFloor = 10;

/** The name of a tenant's breaker. */
export const breakerName = (tenantId: string): string => `${dependency}-${tenantId}`;

/** `reach` connects to a tenant's endpoint and sends nothing. */
export const make = (
  options: Options,
  reach: (tenant: Tenant) => Effect.Effect<void, IdentityFailure>,
): Effect.Effect<TenantGuards, InvalidPolicy, CircuitBreakers> =>
  Effect.gen(function* () {
    const breakers = yield* CircuitBreakers;
    const { maxConcurrent = 32, retry, retryBudget, recovery, onRetry, onCall, spans } = options;
    const bulkheads = yield* Bulkhead.keyed<string>(dependency, { maxConcurrent });
    // Made only to have the settings checked here; a tenant's own come with its guard.
    yield* RetryBudget.make(retryBudget);
    yield* Throttle.make(dependency, options.throttle);
    const guards = new WeakMap<CircuitBreaker, Guarded>();

    const guardOf = (tenant: Tenant, breaker: CircuitBreaker): Effect.Effect<Guard.Guard> => {
      const known = guards.get(breaker);
      if (known !== undefined) {
        known.tenant = tenant;
        return Effect.succeed(known.guard);
      }
      return Effect.gen(function* () {
        const adaptive = options.adaptiveConcurrency === true
          ? yield* Effect.orDie( // legal above
            AdaptiveLimit.make(breaker.name, { ceiling: maxConcurrent }, classify),
          )
          : undefined;
        const guard = yield* Guard.make({
          dependency,
          breaker,
          retry,
          budget: yield* Effect.orDie(RetryBudget.make(retryBudget)), // legal above, so legal here
          bulkhead: bulkheads.at(tenant.tenantId, adaptive),
          limiter: yield* Effect.orDie(RateLimiter.following(breaker, { rampFloor })), // legal
          throttle: options.throttle === undefined
            ? undefined
            : yield* Effect.orDie(Throttle.make(dependency, options.throttle)), // legal above
          classify,
          isRetryable,
          onRetry,
          onCall,
          spans,
        });
        // Another fiber may have come first meanwhile.
        const other = guards.get(breaker);
        if (other !== undefined) return other.guard;
        const guarded: Guarded = { guard, tenant };
        guards.set(breaker, guarded);
        yield* recovery?.(breaker, Effect.suspend(() => reach(guarded.tenant))) ?? Effect.void;
        return guard;
      });
    };

    const failed =
      (breaker?: CircuitBreaker) =>
      (failure: IdentityFailure | Refusal | RegistryFull): AskFailure => {
        if (failure._tag === "TokenRejected" || failure._tag === "InvalidAnswer") return failure;
        if (isRefusal(failure)) options.onRefusal?.(failure);
        return new Unanswered({ failure, breaker });
      };

    return {
      occupancy: bulkheads,
      run: (tenant, call) =>
        Effect.matchEffect(breakers.get(breakerName(tenant.tenantId)), {
          onFailure: (full) => Effect.fail(failed()(full)),
          onSuccess: (breaker) =>
            guardOf(tenant, breaker).pipe(
              Effect.flatMap((guard) => guard.run(operation, call)),
              Effect.mapError(failed(breaker)),
            ),
        }),
    };
  });

/**
 * Every tenant's own breaker, bulkhead and retry budget around the calls of its endpoint, so that
 * one dead endpoint takes nothing from the others.
 *
 * They are made on first use, for tenants that are known, and hang on the breaker: the registry
 * bounds how many there are, and what it drops takes its guard with it.
 */
import { Effect } from "effect";
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

/** Limits of one tenant's calls, and who is told of them; hooks must not throw. */
export interface Options {
  /** Exchanges at a time for one tenant [32]. */
  readonly maxConcurrent?: number;
  /** Sheds a share of a tenant's calls while its endpoint accepts too few [none]. */
  readonly throttle?: Partial<Throttle.Settings> | undefined;
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
    tenantId: string,
    call: Effect.Effect<A, IdentityFailure>,
  ) => Effect.Effect<A, AskFailure>;
  /** Calls under way and refused, over all tenants. */
  readonly occupancy: Bulkhead.Occupancy;
}

/** All endpoints together, as one dependency in metrics. */
export const dependency = "token-exchange";

/** Exchanges a second that any endpoint can bear right after its recovery. */
const rampFloor = 10;

/** The name of a tenant's breaker. */
export const breakerName = (tenantId: string): string => `${dependency}-${tenantId}`;

export const make = (
  options: Options,
): Effect.Effect<TenantGuards, InvalidPolicy, CircuitBreakers> =>
  Effect.gen(function* () {
    const breakers = yield* CircuitBreakers;
    const { retry, retryBudget, onRetry, onCall, spans } = options;
    const bulkheads = yield* Bulkhead.keyed<string>(dependency, {
      maxConcurrent: options.maxConcurrent ?? 32,
    });
    // Made only to have the settings checked here; a tenant's own come with its guard.
    yield* RetryBudget.make(retryBudget);
    yield* Throttle.make(dependency, options.throttle);
    const guards = new WeakMap<CircuitBreaker, Guard.Guard>();

    const guardOf = (tenantId: string, breaker: CircuitBreaker): Effect.Effect<Guard.Guard> => {
      const known = guards.get(breaker);
      if (known !== undefined) return Effect.succeed(known);
      return Effect.gen(function* () {
        const guard = yield* Guard.make({
          dependency,
          breaker,
          retry,
          budget: yield* Effect.orDie(RetryBudget.make(retryBudget)), // legal above, so legal here
          bulkhead: bulkheads.at(tenantId),
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
        guards.set(breaker, guard);
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
      run: (tenantId, call) =>
        Effect.matchEffect(breakers.get(breakerName(tenantId)), {
          onFailure: (full) => Effect.fail(failed()(full)),
          onSuccess: (breaker) =>
            guardOf(tenantId, breaker).pipe(
              Effect.flatMap((guard) => guard.run(operation, call)),
              Effect.mapError(failed(breaker)),
            ),
        }),
    };
  });

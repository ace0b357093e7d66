/**
 * The log lines whose wording is a contract, each in one place: alerts and searches go by them.
 *
 * Field names and messages are those of the design; every caller passes facts, never text.
 */
import { type Context, Duration, Effect } from "effect";
import { reasonOf } from "../resilience/BreakerExplanation.ts";
import type { StateChange } from "../resilience/CircuitBreaker.ts";
import type { Retrying } from "../resilience/Retry.ts";
import type { Fields, Logging } from "./Logging.ts";
import type { Metrics } from "./Metrics.ts";
import { errorText } from "./SafeText.ts";

/**
 * A listener for `CircuitBreakers.unsafeOnChange`: one info line a change. A change that only would
 * have happened (mode `observe`) is another event, so that nobody takes it for a change.
 */
export const circuitStateChanged =
  (logging: Context.Tag.Service<Logging>, service: string) => (change: StateChange): void => {
    const { breaker, from, to, counts, manual, observed, trip } = change;
    const msg = observed === true
      ? "Circuit breaker would have opened"
      : "Circuit breaker state changed";
    const fields = {
      breaker,
      from,
      to,
      requests: counts.requests,
      failures: counts.totalFailures,
      consecutiveFailures: counts.consecutiveFailures,
      manual,
      observed,
      ...(trip === undefined ? {} : {
        reason: reasonOf(trip),
        threshold: trip.threshold,
        baseline: trip.baseline,
      }),
    };
    logging.log("info", msg, fields, { service });
  };

/** One failed attempt that will be followed by another. */
export const retrying = <E>(retrying: Retrying<E>): Effect.Effect<void> =>
  Effect.logWarning("Retrying operation", {
    operation: retrying.operation,
    attempt: retrying.attempt,
    error: errorText(retrying.error),
    nextDelay: `${Math.round(Duration.toMillis(retrying.nextDelay))}ms`,
  });

/** A dependency has answered while its breaker was open: the next call is the trial. */
export const recoveryForetold = (breaker: string): Effect.Effect<void> =>
  Effect.logInfo("Recovery probe answered", { breaker });

/**
 * A caller got less than it asked for because a dependency failed: an answer past the cache
 * (`BYPASS`), an expired copy (`STALE`), or a 503. Logged and counted.
 */
export const fallbackUsed =
  (metrics: Pick<Context.Tag.Service<Metrics>, "fallback">) =>
  (operation: string, fallback: string, fields: Fields = {}): Effect.Effect<void> =>
    Effect.suspend(() => {
      metrics.fallback(operation, fallback);
      return Effect.logWarning("Fallback used", { operation, fallback, ...fields });
    });

/**
 * What a guard says when it turns a call away without making it.
 *
 * A refusal is never retried, is neutral to the breakers around it (they look for the property
 * `refused: true`) and always tells when to come back.
 */
import { Duration, Effect } from "effect";
import { type CircuitBreaker, CircuitOpen } from "./BreakerContract.ts";
import { BulkheadFull } from "./Bulkhead.ts";
import { DeadlineExceeded } from "./Deadline.ts";
import { RateLimited } from "./RateLimiter.ts";
import { retryAfterOf } from "./RetryAfter.ts";
import { Throttled } from "./Throttle.ts";

/** Every way a guard can say no; `DeadlineExceeded` is one only while `attempted` is false. */
export type Refusal = CircuitOpen | BulkheadFull | RateLimited | Throttled | DeadlineExceeded;

/** True for errors of a call that never reached its dependency. */
export const isRefusal = (error: unknown): error is Refusal =>
  error instanceof CircuitOpen || error instanceof BulkheadFull || error instanceof RateLimited ||
  error instanceof Throttled ||
  error instanceof DeadlineExceeded && error.refused;

/**
 * When a call under `breaker` that ended in `failure` may be made again: as a refusal says; else
 * what the failure asks for [1 second], but not before the breaker, which it may just have opened,
 * admits a call.
 */
export const retryAfter = (
  failure: unknown,
  breaker: Pick<CircuitBreaker, "retryAfter">,
): Effect.Effect<Duration.Duration> => {
  const hint = retryAfterOf(failure) ?? Duration.seconds(1);
  return isRefusal(failure)
    ? Effect.succeed(hint)
    : Effect.map(breaker.retryAfter, (rest) => Duration.max(hint, rest));
};

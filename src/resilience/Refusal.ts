/**
 * What a guard says when it turns a call away without making it.
 *
 * A refusal is never retried, is neutral to the breakers around it (they look for the property
 * `refused: true`) and always tells when to come back.
 */
import { CircuitOpen } from "./BreakerContract.ts";
import { BulkheadFull } from "./Bulkhead.ts";
import { DeadlineExceeded } from "./Deadline.ts";
import { RateLimited } from "./RateLimiter.ts";

export { retryAfterOf } from "./RetryAfter.ts";

/** Every way a guard can say no; `DeadlineExceeded` is one only while `attempted` is false. */
export type Refusal = CircuitOpen | BulkheadFull | RateLimited | DeadlineExceeded;

/** True for errors of a call that never reached its dependency. */
export const isRefusal = (error: unknown): error is Refusal =>
  error instanceof CircuitOpen || error instanceof BulkheadFull || error instanceof RateLimited ||
  error instanceof DeadlineExceeded && error.refused;

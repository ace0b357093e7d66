/**
 * What a call to a dependency can fail with, split by what the caller may do about it.
 *
 * A backend converts its driver's errors into these two classes exactly at the driver call; nobody
 * above it ever sees a driver error. `Retry` retries the first class and never the second.
 */
import { Data, type Duration } from "effect";

/** The dependency may well answer if asked again: network trouble, overload, fail-over, a timeout. */
export class TransientFailure extends Data.TaggedError("TransientFailure")<{
  /** Who failed, as in logs and metrics: `mongodb`, `redis`, … */
  readonly dependency: string;
  /** What was asked of it: `mongodb_find`, `redis_get`, … */
  readonly operation: string;
  /** One short phrase for the log. Never holds a host, a key or a credential. */
  readonly reason: string;
  /** True when no answer came in time; counted apart from other failures. */
  readonly timedOut: boolean;
  /** When the dependency itself said how long to stay away. */
  readonly retryAfter?: Duration.Duration;
  readonly cause: unknown;
}> {
  override get message(): string {
    return `${this.operation} failed: ${this.reason}`;
  }
}

/** Asking again cannot help: refused credentials, a malformed answer, a broken rule. */
export class PermanentFailure extends Data.TaggedError("PermanentFailure")<{
  readonly dependency: string;
  readonly operation: string;
  readonly reason: string;
  /** True when the dependency is alive and refused just this call: a success for its breaker. */
  readonly answered: boolean;
  readonly cause: unknown;
}> {
  override get message(): string {
    return `${this.operation} failed: ${this.reason}`;
  }
}

/** Everything a guarded dependency call itself can fail with. */
export type DependencyFailure = TransientFailure | PermanentFailure;

/** True for errors worth another attempt. Unknown errors and refusals by a guard are not. */
export const isRetryable = (error: unknown): error is TransientFailure =>
  error instanceof TransientFailure;

/**
 * How the exit of a call speaks of its dependency, and what else a typed error can tell a breaker.
 *
 * Errors are recognised by their properties, so that a caller's own classes can carry them:
 * `refused: true` (a guard turned the call away), `timedOut: true`, `retryAfter: Duration`.
 */
import { Cause, Chunk, Duration, Exit } from "effect";
import type { Outcome } from "./BreakerState.ts";

/** Neutral for interruption alone and for refusals by an inner guard; else what the exit says. */
export const classifyExit = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return "success";
  const { cause } = exit;
  return Cause.isInterruptedOnly(cause) || isRefusedOnly(cause) ? "neutral" : "failure";
};

/** Of calls made side by side all may be refused, or one may be and the others be interrupted. */
const isRefusedOnly = (cause: Cause.Cause<unknown>): boolean =>
  Cause.isFailure(cause) && !Cause.isDie(cause) &&
  Chunk.every(Cause.failures(cause), (error) => flag(error, "refused"));

const flag = (error: unknown, name: "refused" | "timedOut"): boolean =>
  typeof error === "object" && error !== null && Reflect.get(error, name) === true;

/** What a failed result says beside being one. */
export interface Hints {
  /** Milliseconds; 0 for none. */
  readonly retryAfter: number;
  readonly timedOut: boolean;
}

/** Of a result that says no more than that it failed, or did not. */
export const noHints: Hints = { retryAfter: 0, timedOut: false };

/** What the typed error of a failed result says; of several the leftmost. */
export const hintsOf = (exit: Exit.Exit<unknown, unknown>): Hints => {
  if (Exit.isSuccess(exit)) return noHints;
  const failure = Cause.failureOption(exit.cause);
  if (failure._tag === "None" || typeof failure.value !== "object" || failure.value === null) {
    return noHints;
  }
  const error = failure.value;
  const hint: unknown = flag(error, "refused") ? undefined : Reflect.get(error, "retryAfter");
  return {
    retryAfter: Duration.isDuration(hint) ? Duration.toMillis(hint) : 0,
    timedOut: flag(error, "timedOut"),
  };
};

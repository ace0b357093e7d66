/**
 * Trying again after a failure that may pass, and knowing when not to.
 *
 * The first attempt costs one handler on the fiber's stack: the schedule is only touched after a
 * failure. Retrying ends, with the last failure unchanged, when the error is not retryable, the
 * attempts or the budget are used up, or the next attempt could not end before the deadline.
 * Interruption ends it at once, also in the middle of a delay.
 */
import {
  Cause,
  Chunk,
  Duration,
  Effect,
  Either,
  Option,
  Schedule,
  ScheduleDecision,
  ScheduleIntervals,
} from "effect";
import * as Deadline from "./Deadline.ts";
import * as InvalidPolicy from "./InvalidPolicy.ts";
import { clockOf, monotonicMillis } from "./Monotonic.ts";
import { retryAfterOf } from "./RetryAfter.ts";
import type { RetryBudget } from "./RetryBudget.ts";

/** How often and how fast to try again. */
export interface Settings {
  /** Attempts in all, the first included; a whole number of at least 1 [3]. */
  readonly maxAttempts: number;
  /** Delay before the second attempt, before jitter [100 ms]. */
  readonly initialDelay: Duration.DurationInput;
  /** No delay is longer than this, jitter included; only a hint can be [5 seconds]. */
  readonly maxDelay: Duration.DurationInput;
  /** Each delay is so many times the one before, at least 1 [2]. */
  readonly factor: number;
}

/** Attempt 2 after about 100 ms, attempt 3 after about 200 ms more, then no other. */
export const defaults: Settings = {
  maxAttempts: 3,
  initialDelay: "100 millis",
  maxDelay: "5 seconds",
  factor: 2,
};

/** Delays between attempts; it is done when the attempts are used up. */
export type Policy = Schedule.Schedule<unknown>;

/**
 * Exponential delays, jittered by ±20 % so that callers do not come back in step, then capped (in
 * this order, or the jitter would exceed the cap), for `maxAttempts` attempts in all.
 */
export const policy = (
  settings: Partial<Settings> = {},
): Either.Either<Policy, InvalidPolicy.InvalidPolicy> =>
  InvalidPolicy.check("retry policy", defaults, settings, {
    maxAttempts: InvalidPolicy.count,
    initialDelay: InvalidPolicy.duration,
    maxDelay: InvalidPolicy.duration,
    factor: InvalidPolicy.atLeastOne,
  }).pipe(Either.map(({ maxAttempts, initialDelay, maxDelay, factor }) => {
    const cap = Duration.millis(InvalidPolicy.toMillis(maxDelay));
    return Schedule.exponential(InvalidPolicy.toMillis(initialDelay), factor).pipe(
      Schedule.jittered,
      Schedule.modifyDelay((_, delay) => Duration.min(delay, cap)),
      Schedule.intersect(Schedule.recurs(maxAttempts - 1)),
    );
  }));

/** One attempt that failed and will be followed by another. */
export interface Retrying<E> {
  readonly operation: string;
  /** The attempt that failed: 1 for the first. */
  readonly attempt: number;
  readonly error: E;
  readonly nextDelay: Duration.Duration;
}

/** What to retry, how, and whom to tell. */
export interface Options<E> {
  /** What is being done, as in logs and metrics. */
  readonly operation: string;
  /** When to try again; see {@link policy}. */
  readonly policy: Policy;
  /** True for errors worth another attempt; defects and interruptions never are. */
  readonly isRetryable: (error: E) => boolean;
  /** A dependency's own wish, which replaces a shorter delay [the error's `retryAfter`]. */
  readonly hint?: (error: E) => Duration.Duration | undefined;
  /** Asked before each retry; whoever makes the first attempt tells it of that. */
  readonly budget?: RetryBudget | undefined;
  /** Milliseconds an attempt needs: none begins that has not more than this left [0]. */
  readonly attemptTime?: number;
  /** Monotonic milliseconds at which nobody waits any more, if earlier than the fiber's own. */
  readonly deadline?: number;
  /** Runs before each delay. */
  readonly onRetry?: ((retrying: Retrying<E>) => Effect.Effect<void>) | undefined;
}

/** Runs `self` again for as long as `options` allow, and fails with the last attempt's failure. */
export const retry = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  options: Options<E>,
): Effect.Effect<A, E, R> => Effect.catchAllCause(self, (cause) => resume(cause, self, options));

/**
 * What follows a first attempt that the caller has made itself and that ended in `cause`: more
 * attempts by `again`, or that cause.
 */
export const resume = <A, E, R>(
  cause: Cause.Cause<E>,
  again: Effect.Effect<A, E, R>,
  options: Options<E>,
): Effect.Effect<A, E, R> => afterFailure(cause, again, options, 1, options.policy.initial);

/** The error to go by, or `undefined` when any part of the cause must not be retried. */
const retryableError = <E>(
  cause: Cause.Cause<E>,
  isRetryable: (error: E) => boolean,
): { readonly error: E } | undefined => {
  if (cause._tag === "Fail") return isRetryable(cause.error) ? { error: cause.error } : undefined;
  if (Chunk.isNonEmpty(Cause.defects(cause))) return undefined;
  const errors = Chunk.toReadonlyArray(Cause.failures(cause));
  if (!errors.every(isRetryable)) return undefined;
  return Option.match(Cause.failureOption(cause), {
    onNone: () => undefined,
    onSome: (error) => ({ error }),
  });
};

const afterFailure = <A, E, R>(
  cause: Cause.Cause<E>,
  again: Effect.Effect<A, E, R>,
  options: Options<E>,
  attempt: number,
  state: unknown,
): Effect.Effect<A, E, R> => {
  const failed = retryableError(cause, options.isRetryable);
  if (failed === undefined) return Effect.failCause(cause);
  const { error } = failed;
  // Asked at time 0, the schedule answers with the delay itself.
  return Effect.flatMap(options.policy.step(0, error, state), ([nextState, , decision]) => {
    if (ScheduleDecision.isDone(decision)) return Effect.failCause(cause);
    const hint = (options.hint ?? retryAfterOf)(error);
    const delay = Math.max(
      ScheduleIntervals.start(decision.intervals),
      hint === undefined ? 0 : Duration.toMillis(hint),
    );
    return Effect.withFiberRuntime<A, E, R>((fiber) => {
      const now = monotonicMillis(clockOf(fiber));
      const deadline = Math.min(fiber.getFiberRef(Deadline.current), options.deadline ?? Infinity);
      const isTooLate = now + delay + (options.attemptTime ?? 0) >= deadline;
      // The budget is asked last: a retry that does not happen must not use it up.
      if (isTooLate || options.budget?.withdraw(now) === false) return Effect.failCause(cause);
      const nextDelay = Duration.millis(delay);
      const pause = options.onRetry === undefined ? Effect.sleep(nextDelay) : Effect.zipRight(
        options.onRetry({ operation: options.operation, attempt, error, nextDelay }),
        Effect.sleep(nextDelay),
      );
      return Effect.zipRight(
        pause,
        Effect.catchAllCause(
          again,
          (failure) => afterFailure(failure, again, options, attempt + 1, nextState),
        ),
      );
    });
  });
};

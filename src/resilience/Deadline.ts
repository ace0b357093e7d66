/**
 * The instant after which nobody waits for the answer any more, carried by the fiber.
 *
 * A deadline is monotonic milliseconds, so setting the wall clock does not move it, and forked
 * fibers inherit it. Carrying and reading it costs a map look-up; cutting a call off at it costs a
 * race of two fibers (20–35 µs), so that is for calls whose driver has no deadline of its own.
 */
import { Data, Duration, Effect, FiberRef } from "effect";
import { clockOf, monotonicMillis } from "./Monotonic.ts";

/** No answer came before the deadline, or the deadline had passed before the call was made. */
export class DeadlineExceeded extends Data.TaggedError("DeadlineExceeded")<{
  readonly dependency: string;
  readonly operation: string;
  /** False when the call was never made. */
  readonly attempted: boolean;
}> {
  /** Counted with the driver's own timeouts. */
  readonly timedOut = true;
  /** True when the call was never made, so that it says nothing about the dependency. */
  get refused(): boolean {
    return !this.attempted;
  }
  /**
   * 1 second when the call was never made, as every refusal says when to come back. Else nothing:
   * no answer is no hint, and must not delay another attempt or lengthen an opening.
   */
  get retryAfter(): Duration.Duration | undefined {
    return this.attempted ? undefined : Duration.seconds(1);
  }
  override get message(): string {
    return `No time left for ${this.operation} of "${this.dependency}"`;
  }
}

/** This fiber's deadline in monotonic milliseconds (`monotonicMillis`); `Infinity` when none. */
export const current: FiberRef.FiberRef<number> = FiberRef.unsafeMake(Infinity);

/** Gives `self` a deadline this far from now; an earlier one that is already set stays. */
export const within =
  (duration: Duration.DurationInput) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.withFiberRuntime((fiber) => {
      const deadline = monotonicMillis(clockOf(fiber)) + Duration.toMillis(duration);
      return deadline < fiber.getFiberRef(current) ? Effect.locally(self, current, deadline) : self;
    });

/** Time left before this fiber's deadline: never negative, infinite when it has none. */
export const remaining: Effect.Effect<Duration.Duration> = Effect.withFiberRuntime((fiber) => {
  const deadline = fiber.getFiberRef(current);
  return Effect.succeed(
    deadline === Infinity
      ? Duration.infinity
      : Duration.millis(Math.max(0, deadline - monotonicMillis(clockOf(fiber)))),
  );
});

/** Whose call it is, as in logs and metrics. */
export interface Call {
  readonly dependency: string;
  readonly operation: string;
  /** Most milliseconds this call may take, if they end before the fiber's deadline [no limit]. */
  readonly limit?: number;
  /** Monotonic milliseconds at which it must end, if earlier than the fiber's deadline [never]. */
  readonly until?: number;
}

/**
 * Interrupts `self` at the deadline and fails with {@link DeadlineExceeded}, after its finalizers
 * have run; with the deadline already reached `self` is not run at all. Free without a deadline.
 */
export const enforce =
  ({ dependency, operation, limit = Infinity, until = Infinity }: Call) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | DeadlineExceeded, R> =>
    Effect.withFiberRuntime((fiber) => {
      const deadline = Math.min(fiber.getFiberRef(current), until);
      if (deadline === Infinity && limit === Infinity) return self;
      const left = Math.min(deadline - monotonicMillis(clockOf(fiber)), limit);
      if (left <= 0) {
        return new DeadlineExceeded({ dependency, operation, attempted: false });
      }
      return Effect.timeoutFail(self, {
        duration: Duration.millis(left),
        onTimeout: () => new DeadlineExceeded({ dependency, operation, attempted: true }),
      });
    });

/**
 * Everything that stands between a use case and a dependency, in the one order that works:
 * retry ▸ hedge ▸ breaker ▸ rate limit of the breaker's state ▸ throttle ▸ bulkhead ▸ deadline ▸
 * call.
 *
 * So every attempt is counted by the breaker, an open breaker ends the retrying, and what the inner
 * guards refuse is neutral to the breaker. Healthy calls fork nothing and arm no timer; with a
 * bulkhead they pay for one mask. A call that needs no fiber (see `Immediate`) gets none either while
 * its breaker is closed and no other guard stands inside that.
 */
import { Cause, Duration, Effect, Exit } from "effect";
import { inSpan, type SpanForm } from "./AttemptSpan.ts";
import type { CircuitBreaker } from "./BreakerContract.ts";
import type { Outcome } from "./BreakerState.ts";
import type { Place } from "./Bulkhead.ts";
import { classifyExit } from "./Classification.ts";
import * as Deadline from "./Deadline.ts";
import * as DependencyFailure from "./DependencyFailure.ts";
import type { Hedge } from "./Hedge.ts";
import * as Immediate from "./Immediate.ts";
import { clockOf, monotonicMillis } from "./Monotonic.ts";
import type { RateLimiter } from "./RateLimiter.ts";
import { isRefusal, type Refusal } from "./Refusal.ts";
import * as Retry from "./Retry.ts";
import type { RetryBudget } from "./RetryBudget.ts";
import type { Throttle } from "./Throttle.ts";

/** How one guarded call differs from the others of its guard. */
export interface CallOptions {
  /** How an attempt's exit speaks of the dependency [{@link classify}]. */
  readonly classify?: ((exit: Exit.Exit<unknown, unknown>) => Outcome) | undefined;
  /** Which failures are worth another attempt; a refusal never is [{@link isRetryable}]. */
  readonly isRetryable?: ((error: unknown) => boolean) | undefined;
  /** Time for the call with all its attempts and delays [only the fiber's own deadline]. */
  readonly deadline?: Duration.DurationInput | undefined;
  /**
   * Time for one attempt, when the call has no deadline of its own; costs 20–35 µs a call [none].
   * Attempts after the first are always cut off at the deadline.
   */
  readonly attemptLimit?: Duration.DurationInput | undefined;
  /** Time an attempt needs: none after the first begins that has less before it [0]. */
  readonly attemptTime?: Duration.DurationInput | undefined;
}

/** What a guard is made of. Only the breaker is required. */
export interface Options extends CallOptions {
  /** Whom the calls go to, as in errors and metrics. */
  readonly dependency: string;
  readonly breaker: CircuitBreaker;
  /** Delays between attempts, from `Retry.policy` [no retrying]. */
  readonly retry?: Retry.Policy | undefined;
  /** Limits retries to a share of calls [no limit]. */
  readonly budget?: RetryBudget | undefined;
  /** Mostly `RateLimiter.following(breaker)` [none]. */
  readonly limiter?: RateLimiter | undefined;
  /** Sheds a share of the calls while too few are accepted [none]. */
  readonly throttle?: Throttle | undefined;
  /** A `Bulkhead`, or one key's place in a keyed one [none]. */
  readonly bulkhead?: Place | undefined;
  /** Makes a second attempt beside a first one that takes long; for reads only [none]. */
  readonly hedge?: Hedge | undefined;
  /** Told of each attempt that failed and will be followed by another. */
  readonly onRetry?: ((retrying: Retry.Retrying<unknown>) => Effect.Effect<void>) | undefined;
  /**
   * Told how long an attempt took that reached the dependency and was not interrupted. Synchronous;
   * must not throw.
   */
  readonly onCall?: ((operation: string, milliseconds: number) => void) | undefined;
  /** Makes a span of each attempt of a traced request [none, and then it costs nothing]. */
  readonly spans?: ((operation: string) => SpanForm) | undefined;
}

/** Calls one dependency. Make one for each breaker and keep it. */
export interface Guard {
  readonly dependency: string;
  readonly breaker: CircuitBreaker;
  /** Runs `call` under every guard; `operation` names it in logs, metrics and errors. */
  readonly run: <A, E, R>(
    operation: string,
    call: Effect.Effect<A, E, R>,
    options?: CallOptions,
  ) => Effect.Effect<A, E | Refusal, R>;
  /** Turns a call away at once that its breaker would refuse now; else `undefined`. */
  readonly unsafeRefuse: () => Refusal | undefined;
}

/** As `classifyExit`, and an answer that refuses just this call shows that the dependency lives. */
export const classify = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return "success";
  const { cause } = exit;
  const isAnswer = cause._tag === "Fail" &&
    cause.error instanceof DependencyFailure.PermanentFailure && cause.error.answered;
  return isAnswer ? "success" : classifyExit(exit);
};

/** Transient failures, and attempts that were cut off. */
export const isRetryable = (error: unknown): boolean =>
  DependencyFailure.isRetryable(error) ||
  (error instanceof Deadline.DeadlineExceeded && error.attempted);

/** Options with durations as milliseconds, `Infinity` when there is no limit. */
interface Rules {
  readonly classify: (exit: Exit.Exit<unknown, unknown>) => Outcome;
  readonly isRetryable: (error: unknown) => boolean;
  readonly deadline: number;
  readonly attemptLimit: number;
  readonly attemptTime: number;
}

const rulesOf = (options: CallOptions, otherwise: Rules): Rules => ({
  classify: options.classify ?? otherwise.classify,
  isRetryable: options.isRetryable ?? otherwise.isRetryable,
  deadline: millisOr(options.deadline, otherwise.deadline),
  attemptLimit: millisOr(options.attemptLimit, otherwise.attemptLimit),
  attemptTime: millisOr(options.attemptTime, otherwise.attemptTime),
});

const millisOr = (duration: Duration.DurationInput | undefined, otherwise: number): number =>
  duration === undefined ? otherwise : Duration.toMillis(duration);

const defaults: Rules = {
  classify,
  isRetryable,
  deadline: Infinity,
  attemptLimit: Infinity,
  attemptTime: 0,
};

/** Tells how long a call took, unless it was interrupted. */
const observed = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  operation: string,
  onCall: (operation: string, milliseconds: number) => void,
): Effect.Effect<A, E, R> =>
  Effect.withFiberRuntime((fiber) => {
    const clock = clockOf(fiber);
    const startedAt = monotonicMillis(clock);
    const tell = () => onCall(operation, monotonicMillis(clock) - startedAt);
    return Effect.matchCauseEffect(self, {
      onSuccess: (value) => {
        tell();
        return Effect.succeed(value);
      },
      onFailure: (cause) => {
        if (!Cause.isInterruptedOnly(cause)) tell();
        return Effect.failCause(cause);
      },
    });
  });

/** One guarded call with all its attempts; `deadline` is monotonic milliseconds. */
interface Run {
  readonly operation: string;
  readonly rules: Rules;
  readonly deadline: number;
}

/** Puts the guards together; everything in `options` may be shared except the limiter. */
export const make = (options: Options): Effect.Effect<Guard> =>
  Effect.map(Effect.clock, (clock) => {
    const {
      dependency,
      breaker,
      retry,
      budget,
      limiter,
      throttle,
      bulkhead,
      hedge,
      onRetry,
      onCall,
      spans,
    } = options;
    const ownRules = rulesOf(options, defaults);

    /** Everything from the breaker inwards. `now` is when the attempt begins; the first is 1. */
    const attempt = <A, E, R>(
      call: Effect.Effect<A, E, R>,
      { operation, rules, deadline }: Run,
      now: number,
      number: number,
    ): Effect.Effect<A, E | Refusal, R> => {
      const isFirst = number === 1;
      const tooLate = () =>
        new Deadline.DeadlineExceeded({ dependency, operation, attempted: false });
      const isCutOff = rules.attemptLimit !== Infinity || (!isFirst && deadline !== Infinity);
      const limited: Effect.Effect<A, E | Deadline.DeadlineExceeded, R> = isCutOff
        ? Deadline.enforce({
          dependency,
          operation,
          limit: rules.attemptLimit,
          until: deadline,
        })(call)
        : call;
      const begin = () => {
        if (isFirst) budget?.deposit(now);
        return limited;
      };
      const placed = (): Effect.Effect<A, E | Refusal, R> => {
        if (bulkhead === undefined) return begin();
        return bulkhead.protect(Effect.withFiberRuntime((fiber) =>
          // It may have waited for its place.
          deadline !== Infinity && monotonicMillis(clockOf(fiber)) >= deadline ? tooLate() : begin()
        ));
      };
      const inner = Effect.suspend((): Effect.Effect<A, E | Refusal, R> => {
        if (now >= deadline) return tooLate();
        const refused = limiter?.unsafeAdmit(now);
        if (refused !== undefined) return refused;
        return throttle === undefined
          ? placed()
          : throttle.protect(Effect.suspend(placed), rules.classify);
      });
      const guarded = breaker.protect(inner, rules.classify);
      return spans === undefined ? guarded : inSpan(guarded, spans(operation), breaker, number);
    };

    // Trials are for finding out, not for hedging: a second attempt needs a closed breaker.
    const mayHedge = (now: number) =>
      breaker.unsafeState() === "closed" && (budget === undefined || budget.withdraw(now));

    const timed = <A, E, R>(operation: string, call: Effect.Effect<A, E, R>) =>
      onCall === undefined ? call : observed(call, operation, onCall);

    /** What follows a first attempt that has failed; `again` makes another one. */
    const afterFailure = <A, E, R>(
      cause: Cause.Cause<E>,
      again: Effect.Effect<A, E, R>,
      { operation, rules, deadline }: Run,
      policy: Retry.Policy,
    ) =>
      Retry.resume(cause, again, {
        operation,
        policy,
        isRetryable: (error) => !isRefusal(error) && rules.isRetryable(error),
        budget,
        attemptTime: rules.attemptTime,
        deadline,
        onRetry,
      });

    const inFiber = <A, E, R>(
      operation: string,
      given: Effect.Effect<A, E, R>,
      rules: Rules,
    ): Effect.Effect<A, E | Refusal, R> => {
      const call = timed(operation, given);
      return Effect.withFiberRuntime((fiber) => {
        const clock = clockOf(fiber);
        const startedAt = monotonicMillis(clock);
        const deadline = Math.min(
          fiber.getFiberRef(Deadline.current),
          startedAt + rules.deadline,
        );
        const all = { operation, rules, deadline };
        const plain = attempt(call, all, startedAt, 1);
        const first = hedge === undefined ? plain : hedge.run(
          { operation, mayBegin: mayHedge },
          plain,
          Effect.suspend(() => attempt(call, all, monotonicMillis(clock), 2)),
        );
        if (retry === undefined) return first;
        return Effect.catchAllCause(first, (cause) => {
          let made = 1;
          const again = Effect.suspend(() => attempt(call, all, monotonicMillis(clock), ++made));
          return afterFailure(cause, again, all, retry);
        });
      });
    };

    const isPlain = limiter === undefined && throttle === undefined && bulkhead === undefined &&
      hedge === undefined && spans === undefined;

    /** The first attempt without a fiber, and what follows if it fails; only while closed. */
    const direct = <A, E, R>(
      operation: string,
      call: Effect.Effect<A, E, R>,
      rules: Rules,
    ): Effect.Effect<A, E | Refusal, R> | undefined => {
      if (rules.attemptLimit !== Infinity) return undefined;
      const admission = breaker.unsafeAdmit(clock);
      if (admission === undefined) return undefined;
      const startedAt = monotonicMillis(clock);
      budget?.deposit(startedAt);
      return Immediate.andThen(call, (exit): Effect.Effect<A, E | Refusal, R> => {
        if (!Immediate.isInterruption(exit)) {
          onCall?.(operation, monotonicMillis(clock) - startedAt);
        }
        breaker.unsafeSettle(clock, admission, exit, rules.classify);
        if (exit._tag === "Success" || retry === undefined) return exit;
        const all = { operation, rules, deadline: startedAt + rules.deadline };
        const again = timed(operation, call);
        let made = 1;
        return afterFailure<A, E | Refusal, R>(
          exit.cause,
          Effect.suspend(() => attempt(again, all, monotonicMillis(clock), ++made)),
          all,
          retry,
        );
      });
    };

    // Callers keep their options, so the last ones are mostly those of this call.
    let lastOptions: CallOptions | undefined;
    let lastRules = ownRules;
    const rulesFor = (callOptions: CallOptions | undefined): Rules => {
      if (callOptions === undefined) return ownRules;
      if (callOptions !== lastOptions) {
        lastOptions = callOptions;
        lastRules = rulesOf(callOptions, ownRules);
      }
      return lastRules;
    };

    return {
      dependency,
      breaker,
      unsafeRefuse: () => spans === undefined ? breaker.unsafeRefuse(clock) : undefined,
      run: <A, E, R>(
        operation: string,
        call: Effect.Effect<A, E, R>,
        callOptions?: CallOptions,
      ): Effect.Effect<A, E | Refusal, R> => {
        const rules = rulesFor(callOptions);
        return isPlain && Immediate.canBegin(call)
          ? Immediate.suspend(
            () => direct(operation, call, rules) ?? inFiber(operation, call, rules),
            () => inFiber(operation, call, rules),
          )
          : inFiber(operation, call, rules);
      },
    };
  });

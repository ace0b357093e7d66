/**
 * Client-side throttling: while a dependency refuses part of what it is asked, a share of the calls
 * is turned away here, so that it need not spend its rest on refusing. Unlike an open breaker it
 * sheds a share instead of all, and some calls always get through.
 *
 * The rule is that of Google's SRE book, chapter "Handling Overload": a call is refused with the
 * probability max(0, (requests − K × accepts) / (requests + 1)), both counted over a window. By the
 * book `requests` are all calls that were asked for, also those refused here. Where the dependency
 * accepts a number of calls a second, that settles at K times this number; where it fails a share of
 * whatever comes, more than 1 − 1/K of it, that sheds as much as `maximum` allows. With
 * `count: "sent"` they are only the calls that were sent, as in Envoy's admission control filter:
 * then a share of failures f sheds the share 1 − K × (1 − f).
 */
import { Data, Duration, Effect, type Exit, Random } from "effect";
import type { Outcome } from "./BreakerState.ts";
import { classifyExit } from "./Classification.ts";
import * as InvalidPolicy from "./InvalidPolicy.ts";
import { clockOf, monotonicMillis } from "./Monotonic.ts";
import { RollingCount } from "./RollingCount.ts";

/** Turned away because the dependency accepts too few calls; the call was not made. */
export class Throttled extends Data.TaggedError("Throttled")<{
  readonly dependency: string;
  readonly retryAfter: Duration.Duration;
}> {
  /** Neutral to the breakers around it: it says nothing about the dependency. */
  readonly refused = true;
  override get message(): string {
    return `"${this.dependency}" accepts too few of its calls`;
  }
}

/** When and how much to turn away. */
export interface Settings {
  /** Calls per accepted one from which on a share is refused; at least 1 [2, as in the book]. */
  readonly k: number;
  /** Which calls are `requests`: all that were asked for, or those that were sent [asked]. */
  readonly count: "asked" | "sent";
  /** Calls the window must hold before any is refused, as Envoy has it; the book has none [10]. */
  readonly minimumRequests: number;
  /** Largest share refused, more than 0 and less than 1: the rest always gets through [0.9]. */
  readonly maximum: number;
  /** How long a call counts. Finite, more than 0 [10 seconds]. */
  readonly window: Duration.DurationInput;
  /** What a refusal tells the caller to wait [1 second]. */
  readonly retryAfter: Duration.DurationInput;
}

export const defaults: Settings = {
  k: 2,
  count: "asked",
  minimumRequests: 10,
  maximum: 0.9,
  window: "10 seconds",
  retryAfter: "1 second",
};

const rules = {
  k: InvalidPolicy.atLeastOne,
  count: {
    holds: (value: unknown) => value === "asked" || value === "sent",
    rule: 'must be "asked" or "sent"',
  },
  minimumRequests: InvalidPolicy.countOrZero,
  maximum: {
    holds: (value: unknown) => typeof value === "number" && value > 0 && value < 1,
    rule: "must be more than 0 and less than 1",
  },
  window: InvalidPolicy.positiveDuration,
  retryAfter: InvalidPolicy.duration,
};

/** One dependency's throttle; `now` is monotonic milliseconds. */
export interface Throttle {
  /**
   * Sends `self` or refuses it. A success by `classify` is an accepted call, a failure one that was
   * not, and a neutral outcome counts as neither. Costs no random number while nothing is shed.
   */
  readonly protect: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    classify?: (exit: Exit.Exit<unknown, unknown>) => Outcome,
  ) => Effect.Effect<A, E | Throttled, R>;
  /** The probability with which a call is refused now, from 0 to `maximum`. */
  readonly unsafeShare: (now: number) => number;
  /** Refuses one call, which counts as asked for. */
  readonly unsafeRefuse: (now: number) => Throttled;
  /** Counts the result of a call that was sent. */
  readonly unsafeSettle: (outcome: Outcome, now: number) => void;
  /** Calls refused since creation. */
  readonly unsafeRejections: () => number;
}

/** Makes a throttle that has seen nothing and so refuses nothing. */
export const make = (
  dependency: string,
  settings: Partial<Settings> = {},
): Effect.Effect<Throttle, InvalidPolicy.InvalidPolicy> =>
  Effect.suspend(() => InvalidPolicy.check(`throttle "${dependency}"`, defaults, settings, rules))
    .pipe(Effect.map((checked) => fromChecked(dependency, checked)));

const buckets = 10;

const fromChecked = (
  dependency: string,
  { k, count, minimumRequests, maximum, window, retryAfter }: Settings,
): Throttle => {
  const width = InvalidPolicy.toMillis(window) / buckets;
  const requests = new RollingCount(width, buckets);
  const accepts = new RollingCount(width, buckets);
  const wait = Duration.millis(InvalidPolicy.toMillis(retryAfter));
  let rejections = 0;

  const unsafeShare = (now: number): number => {
    const asked = requests.total(now);
    if (asked < minimumRequests) return 0;
    return Math.min(maximum, Math.max(0, (asked - k * accepts.total(now)) / (asked + 1)));
  };
  const unsafeRefuse = (now: number): Throttled => {
    rejections += 1;
    if (count === "asked") requests.add(now);
    return new Throttled({ dependency, retryAfter: wait });
  };
  const unsafeSettle = (outcome: Outcome, now: number): void => {
    if (outcome === "neutral") return;
    requests.add(now);
    if (outcome === "success") accepts.add(now);
  };

  const protect = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    classify: (exit: Exit.Exit<unknown, unknown>) => Outcome = classifyExit,
  ): Effect.Effect<A, E | Throttled, R> =>
    Effect.withFiberRuntime((fiber) => {
      const clock = clockOf(fiber);
      // Skipped when the fiber is interrupted, which is neutral.
      const settle = (exit: Exit.Exit<A, E>): Exit.Exit<A, E> => {
        unsafeSettle(classify(exit), monotonicMillis(clock));
        return exit;
      };
      const sent = Effect.flatMap(Effect.exit(self), settle);
      const now = monotonicMillis(clock);
      const share = unsafeShare(now);
      if (share === 0) return sent;
      return Effect.flatMap(
        Random.next,
        (draw): Effect.Effect<A, E | Throttled, R> => draw < share ? unsafeRefuse(now) : sent,
      );
    });

  return { protect, unsafeShare, unsafeRefuse, unsafeSettle, unsafeRejections: () => rejections };
};

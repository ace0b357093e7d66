/**
 * Limits that refuse a call at once instead of queueing it: a plain token bucket, and one that
 * follows a circuit breaker.
 *
 * The second lets everything through while the breaker is closed and only counts; after an outage it
 * lets the load come back over `rampFor` instead of all at once, from `rampFrom` of the rate seen
 * before the outage to all of it, and holds it there until the herd of those who were turned away has
 * passed. While half-open the breaker itself admits only trials.
 */
import { Data, Duration, Effect } from "effect";
import type { CircuitBreaker, StateChange } from "./BreakerContract.ts";
import * as InvalidPolicy from "./InvalidPolicy.ts";
import { clockOf, monotonicMillis } from "./Monotonic.ts";
import { RollingCount } from "./RollingCount.ts";
import * as TokenBucket from "./TokenBucket.ts";

/** More calls than the limit allows now; the call was not made. */
export class RateLimited extends Data.TaggedError("RateLimited")<{
  readonly dependency: string;
  /** Time to the next free token. */
  readonly retryAfter: Duration.Duration;
}> {
  /** Neutral to the breakers around it: it says nothing about the dependency. */
  readonly refused = true;
  override get message(): string {
    return `Too many calls of "${this.dependency}" per second`;
  }
}

/** Keeps calls away beyond a rate, without waiting. */
export interface RateLimiter {
  /** Admits one call at `now` (monotonic milliseconds), or says why not. */
  readonly unsafeAdmit: (now: number) => RateLimited | undefined;
  /** Runs `self` unless the limit is reached. */
  readonly protect: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | RateLimited, R>;
  /** Calls refused since creation. */
  readonly unsafeRejections: () => number;
}

/** Size of a plain token bucket. Both have no default. */
export interface Settings {
  /** Calls per second in the long run, more than 0. */
  readonly rate: number;
  /** Calls at once after a rest, at least 1. */
  readonly burst: number;
}

/** How load comes back after an outage. */
export interface RampSettings {
  /** Length of the ramp, doubled after each recovery in a row that failed; 0 for none [30 seconds]. */
  readonly rampFor: Duration.DurationInput;
  /**
   * How long after the ramp the rate is held to little more than the earlier one: those who were
   * turned away during the outage come again, all on top of the usual calls [90 seconds].
   */
  readonly holdFor: Duration.DurationInput;
  /** Share of the earlier rate allowed at first, more than 0 up to 1 [0.1]. */
  readonly rampFrom: number;
  /** Calls a second, and at once, that a ramp allows whatever the rate was; at least 1 [1]. */
  readonly rampFloor: number;
}

/** From a tenth of the earlier rate to all of it within 30 s. */
export const defaultRamp: RampSettings = {
  rampFor: "30 seconds",
  holdFor: "90 seconds",
  rampFrom: 0.1,
  rampFloor: 1,
};

/**
 * What is held to after a ramp, as multiples of the earlier rate, at first and at the end: room for
 * more, not for a herd. In between it grows with the square of the time, so that where the earlier
 * rate was measured too low nobody is left to come all at once when the hold ends.
 */
const hold = { from: 1.1, to: 1.5 };

/**
 * A ramp is at most so many times as long as the first. What collapses again and again under the load
 * that comes back takes longer to warm up; to what merely flaps, a long ramp is a loss.
 */
const maxStretch = 4;

/** The rate before an outage is measured over these milliseconds. */
const window = 10_000;
const buckets = 10;

const fromAdmit = (
  dependency: string,
  /** Milliseconds until the next call may come, 0 when this one is admitted. */
  admit: (now: number) => number,
): RateLimiter => {
  let rejections = 0;
  const unsafeAdmit = (now: number) => {
    const wait = admit(now);
    if (wait === 0) return undefined;
    rejections += 1;
    return new RateLimited({ dependency, retryAfter: Duration.millis(wait) });
  };
  return {
    unsafeAdmit,
    unsafeRejections: () => rejections,
    protect: <A, E, R>(self: Effect.Effect<A, E, R>) =>
      Effect.withFiberRuntime<A, E | RateLimited, R>((fiber) =>
        unsafeAdmit(monotonicMillis(clockOf(fiber))) ?? self
      ),
  };
};

/** Stands where others have defaults; no legal settings. */
const noLimits: Settings = { rate: NaN, burst: NaN };

/** A token bucket of `burst` tokens, full at first, into which `rate` flow per second. */
export const make = (
  dependency: string,
  settings: Settings,
): Effect.Effect<RateLimiter, InvalidPolicy.InvalidPolicy> =>
  Effect.suspend(() =>
    InvalidPolicy.check(`rate limiter "${dependency}"`, noLimits, {
      // A caller from untyped code must not get a limiter that admits nothing, ever.
      rate: settings.rate ?? NaN,
      burst: settings.burst ?? NaN,
    }, { rate: InvalidPolicy.positive, burst: InvalidPolicy.atLeastOne })
  ).pipe(Effect.map((limits) => {
    let state: TokenBucket.State | undefined;
    return fromAdmit(dependency, (now) => {
      const next = TokenBucket.refill(limits, state ?? TokenBucket.full(limits, now), now);
      const admitted = TokenBucket.hasToken(next);
      state = admitted ? TokenBucket.take(next) : next;
      return admitted ? 0 : TokenBucket.untilNext(limits, next);
    });
  }));

/**
 * A limiter that follows `breaker` for as long as that lives; make one for each breaker.
 *
 * Closing by hand makes no ramp: whoever does that says that the dependency can bear the load. An
 * outage during a ramp keeps the rate from before the first one, because what was seen since then
 * is the ramp's own doing.
 */
export const following = (
  breaker: Pick<CircuitBreaker, "name" | "unsafeOnChange">,
  settings: Partial<RampSettings> = {},
): Effect.Effect<RateLimiter, InvalidPolicy.InvalidPolicy> =>
  Effect.suspend(() =>
    InvalidPolicy.check(`rate limiter "${breaker.name}"`, defaultRamp, settings, {
      rampFor: InvalidPolicy.duration,
      holdFor: InvalidPolicy.duration,
      rampFrom: InvalidPolicy.share,
      rampFloor: InvalidPolicy.atLeastOne,
    })
  ).pipe(Effect.flatMap((valid) =>
    Effect.withFiberRuntime((fiber) => {
      const clock = clockOf(fiber);
      const ramp = new Ramp(
        InvalidPolicy.toMillis(valid.rampFor),
        InvalidPolicy.toMillis(valid.holdFor),
        valid.rampFrom,
        valid.rampFloor,
      );
      breaker.unsafeOnChange((change) => ramp.follow(change, monotonicMillis(clock)));
      return Effect.succeed(fromAdmit(breaker.name, (now) => ramp.admit(now)));
    })
  ));

/** The state behind {@link following}. */
class Ramp {
  readonly #count = new RollingCount(window / buckets, buckets);
  #firstAt: number | undefined;
  /** Calls per second before the outage. */
  #before = 0;
  /** When the ramp began; `undefined` when there is none. */
  #from: number | undefined;
  /** How many times as long as the first this ramp is. */
  #stretch = 1;
  #tokens: TokenBucket.State = { tokens: 0, at: 0 };

  constructor(
    readonly rampFor: number,
    readonly holdFor: number,
    readonly rampFrom: number,
    readonly rampFloor: number,
  ) {}

  follow(change: StateChange, now: number): void {
    if (change.observed === true) return;
    if (change.to === "closed") {
      // Nothing is measured while open, so the rate is of this closing's own calls.
      this.#count.clear();
      this.#firstAt = undefined;
      this.#from = change.manual || this.rampFor === 0 ? undefined : now;
      this.#tokens = TokenBucket.full(this.#limits(now), now);
    } else if (change.from === "closed") {
      const since = this.#from === undefined ? Infinity : now - this.#from;
      const isRamping = since < this.#rampFor;
      this.#before = isRamping ? Math.max(this.#before, this.#rate(now)) : this.#rate(now);
      const hasFailed = since < this.#rampFor + this.holdFor;
      this.#stretch = hasFailed ? Math.min(maxStretch, 2 * this.#stretch) : 1;
      this.#from = undefined;
    }
  }

  get #rampFor(): number {
    return this.rampFor * this.#stretch;
  }

  admit(now: number): number {
    if (this.#from !== undefined) {
      if (now < this.#from + this.#rampFor + this.holdFor) {
        const limits = this.#limits(now);
        this.#tokens = TokenBucket.refill(limits, this.#tokens, now);
        if (!TokenBucket.hasToken(this.#tokens)) {
          return TokenBucket.untilNext(limits, this.#tokens);
        }
        this.#tokens = TokenBucket.take(this.#tokens);
      } else this.#from = undefined;
    }
    this.#firstAt ??= now;
    this.#count.add(now);
    return 0;
  }

  /** Calls per second over the window, or over the shorter time there has been any; at least 1 s. */
  #rate(now: number): number {
    const measuredFor = Math.min(this.#count.span(now), now - (this.#firstAt ?? now));
    return this.#count.total(now) * 1_000 / Math.max(1_000, measuredFor);
  }

  /** What the ramp allows at `now`; a burst is what comes in one second. */
  #limits(now: number): TokenBucket.Limits {
    const since = now - (this.#from ?? now);
    const share = since < this.#rampFor
      ? this.rampFrom + (1 - this.rampFrom) * Math.max(0, since / this.#rampFor)
      : hold.from + (hold.to - hold.from) * ((since - this.#rampFor) / this.holdFor) ** 2;
    const rate = Math.max(this.rampFloor, this.#before * share);
    return { rate, burst: rate };
  }
}

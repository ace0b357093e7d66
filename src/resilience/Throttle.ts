/**
 * Client-side throttling: sheds the share of calls that a failing dependency would not have taken,
 * instead of all of them, and always lets some through.
 *
 * The rule is the SRE book's ("Handling Overload"): a call is refused with the probability
 * (requests − K × accepts) / (requests + 1), where requests are all calls wanted, also the refused
 * ones. It suits failures that load causes, where shedding cures. Failures that come whatever the
 * load make it shed more and more, up to `mostShed`: that is the breaker's business.
 */
import { Duration, Effect, Random } from "effect";
import * as InvalidPolicy from "./InvalidPolicy.ts";
import { RateLimited } from "./RateLimiter.ts";
import { RollingCount } from "./RollingCount.ts";

/** How soon and how much is shed. */
export interface Settings {
  /** K: calls sent per accepted one before anything is shed, at least 1 [2: 50 % may fail]. */
  readonly ratio: number;
  /** Largest share shed, more than 0 up to 1 [0.95]. */
  readonly mostShed: number;
  /** How long a call counts; more than 0 [10 seconds; the book has 2 minutes]. */
  readonly window: Duration.DurationInput;
}

export const defaults: Settings = { ratio: 2, mostShed: 0.95, window: "10 seconds" };

/** What a refused caller is told to wait. */
const retryAfter = Duration.seconds(1);

const buckets = 10;

/** Synchronous, as it is asked on every call; `now` is monotonic milliseconds. */
export interface Throttle {
  /** Counts a wanted call and admits it, or says why not. */
  readonly unsafeAdmit: (now: number) => RateLimited | undefined;
  /** Tells of an admitted call that the dependency took. */
  readonly unsafeAccepted: (now: number) => void;
  /** Share of calls shed at `now`. */
  readonly unsafeShare: (now: number) => number;
  /** Calls refused since creation. */
  readonly unsafeRejections: () => number;
}

/** Makes a throttle that sheds nothing yet; `random` gives numbers in [0, 1) [Effect's Random]. */
export const make = (
  dependency: string,
  settings: Partial<Settings> = {},
  random?: () => number,
): Effect.Effect<Throttle, InvalidPolicy.InvalidPolicy> =>
  Effect.gen(function* () {
    const valid = yield* InvalidPolicy.check(`throttle "${dependency}"`, defaults, settings, {
      ratio: InvalidPolicy.atLeastOne,
      mostShed: InvalidPolicy.share,
      window: InvalidPolicy.positiveDuration,
    });
    const draw = random ?? drawing(yield* Random.nextIntBetween(1, 2 ** 31));
    const width = InvalidPolicy.toMillis(valid.window) / buckets;
    const requests = new RollingCount(width, buckets);
    const accepts = new RollingCount(width, buckets);
    const refused = new RateLimited({ dependency, retryAfter });
    let rejections = 0;

    const share = (now: number): number => {
      const wanted = requests.total(now);
      const excess = (wanted - valid.ratio * accepts.total(now)) / (wanted + 1);
      return Math.min(valid.mostShed, Math.max(0, excess));
    };
    return {
      unsafeAdmit: (now) => {
        const shed = share(now);
        requests.add(now);
        if (shed === 0 || draw() >= shed) return undefined;
        rejections += 1;
        return refused;
      },
      unsafeAccepted: (now) => accepts.add(now),
      unsafeShare: share,
      unsafeRejections: () => rejections,
    };
  });

/** Uniform in [0, 1) (xorshift32): an effect per call would cost more than the throttle itself. */
const drawing = (seed: number) => {
  let state = seed | 0;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
};

/**
 * A limit on retries that grows with the calls themselves, so that retrying can never multiply the
 * load on a dependency that is already down.
 *
 * Retries may be `ratio` of the calls of the last 10 s, plus `minimumPerSecond` so that a quiet
 * dependency is retried at all. The rule is Finagle's (20 %, a floor, a 10 s window), linkerd's and
 * that of the SRE book's "Handling Overload"; unused allowance is lost when its window ends, so no
 * burst can be saved up.
 */
import { Effect } from "effect";
import * as InvalidPolicy from "./InvalidPolicy.ts";
import { RollingCount } from "./RollingCount.ts";

/** Limits of one dependency's retries. */
export interface Settings {
  /** Retries allowed per call, 0 or more [0.2]. */
  readonly ratio: number;
  /** Retries allowed per second however few calls there are, 0 or more [3]. */
  readonly minimumPerSecond: number;
}

/** A fifth of the calls, and 3 retries a second in any case. */
export const defaults: Settings = { ratio: 0.2, minimumPerSecond: 3 };

/** The length over which calls and retries are compared, in milliseconds. */
const window = 10_000;
const buckets = 10;

/** Synchronous, because it is asked between two attempts; `now` is monotonic milliseconds. */
export interface RetryBudget {
  /** Tells of one call, first attempts only. */
  readonly deposit: (now: number) => void;
  /** Takes one retry, or says that there is none left. */
  readonly withdraw: (now: number) => boolean;
  /** Whole retries left at `now`. */
  readonly balance: (now: number) => number;
  /** Retries refused since creation. */
  readonly unsafeRefusals: () => number;
}

/** Makes a budget with its full minimum to spend: 30 retries by default. */
export const make = (
  settings: Partial<Settings> = {},
): Effect.Effect<RetryBudget, InvalidPolicy.InvalidPolicy> =>
  Effect.suspend(() =>
    InvalidPolicy.check("retry budget", defaults, settings, {
      ratio: InvalidPolicy.finite,
      minimumPerSecond: InvalidPolicy.finite,
    })
  ).pipe(Effect.map(fromChecked));

const fromChecked = ({ ratio, minimumPerSecond }: Settings): RetryBudget => {
  const calls = new RollingCount(window / buckets, buckets);
  const retries = new RollingCount(window / buckets, buckets);
  const reserve = minimumPerSecond * (window / 1_000);
  let refusals = 0;
  const balance = (now: number) =>
    // The allowance is rounded to 1e-9 so that 0.2 × 5 calls is one retry in floating point too.
    Math.max(0, Math.floor(reserve + ratio * calls.total(now) - retries.total(now) + 1e-9));
  return {
    deposit: (now) => calls.add(now),
    withdraw: (now) => {
      if (balance(now) >= 1) {
        retries.add(now);
        return true;
      }
      refusals += 1;
      return false;
    },
    balance,
    unsafeRefusals: () => refusals,
  };
};

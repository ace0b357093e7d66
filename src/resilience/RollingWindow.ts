/**
 * Results of the last `width × buckets` milliseconds, as an immutable value.
 *
 * Buckets lie on multiples of their width. A result counts in the bucket in which it ended, so it
 * leaves between one window less a bucket and one window later. Recording into the current bucket
 * copies ten numbers; the list of past buckets is copied only when a bucket rolls, and holds only
 * those that are not empty, so an idle window costs nothing.
 */

/** What one bucket, or the whole window, has counted. */
export interface Tally {
  readonly successes: number;
  readonly failures: number;
  /** Results, of either kind, that took at least the slow-call duration. */
  readonly slow: number;
}

interface Bucket extends Tally {
  readonly index: number;
}

export interface RollingWindow extends Tally {
  /** Number of the current bucket: `floor(now / width)`. */
  readonly index: number;
  readonly currentSuccesses: number;
  readonly currentFailures: number;
  readonly currentSlow: number;
  /** Earlier buckets that still count, oldest first; never empty ones. */
  readonly past: ReadonlyArray<Bucket>;
}

const noBuckets: ReadonlyArray<Bucket> = [];

/** A window that has counted nothing. */
export const empty: RollingWindow = {
  index: 0,
  successes: 0,
  failures: 0,
  slow: 0,
  currentSuccesses: 0,
  currentFailures: 0,
  currentSlow: 0,
  past: noBuckets,
};

/**
 * The window as it stands at `index`: buckets of age `buckets` or more are gone. An earlier index is
 * ignored, so time going back changes nothing; returns the same object when nothing moves.
 */
export const advance = (window: RollingWindow, index: number, buckets: number): RollingWindow => {
  if (index <= window.index) return window;
  const isCurrentEmpty = window.currentSuccesses + window.currentFailures === 0;
  if (isCurrentEmpty && window.past.length === 0) return { ...empty, index };
  let { successes, failures, slow } = window;
  const past: Array<Bucket> = [];
  for (const bucket of window.past) {
    if (bucket.index > index - buckets) {
      past.push(bucket);
    } else {
      successes -= bucket.successes;
      failures -= bucket.failures;
      slow -= bucket.slow;
    }
  }
  if (!isCurrentEmpty) {
    if (window.index > index - buckets) {
      past.push({
        index: window.index,
        successes: window.currentSuccesses,
        failures: window.currentFailures,
        slow: window.currentSlow,
      });
    } else {
      successes -= window.currentSuccesses;
      failures -= window.currentFailures;
      slow -= window.currentSlow;
    }
  }
  return {
    index,
    successes,
    failures,
    slow,
    currentSuccesses: 0,
    currentFailures: 0,
    currentSlow: 0,
    past: past.length === 0 ? noBuckets : past,
  };
};

/** One more result, counted in the bucket `index` (or the current one, if that is later). */
export const record = (
  before: RollingWindow,
  index: number,
  buckets: number,
  failed: boolean,
  slow: boolean,
): RollingWindow => {
  const window = advance(before, index, buckets);
  const failure = failed ? 1 : 0;
  const slowness = slow ? 1 : 0;
  return {
    index: window.index,
    successes: window.successes + 1 - failure,
    failures: window.failures + failure,
    slow: window.slow + slowness,
    currentSuccesses: window.currentSuccesses + 1 - failure,
    currentFailures: window.currentFailures + failure,
    currentSlow: window.currentSlow + slowness,
    past: window.past,
  };
};

/** As many successes in the bucket `index` as {@link record} would count one by one. */
export const recordSuccesses = (
  before: RollingWindow,
  index: number,
  buckets: number,
  count: number,
): RollingWindow => {
  const window = advance(before, index, buckets);
  return {
    ...window,
    successes: window.successes + count,
    currentSuccesses: window.currentSuccesses + count,
  };
};

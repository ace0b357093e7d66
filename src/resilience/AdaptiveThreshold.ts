/**
 * A failure threshold that comes from the dependency's own long-run failure rate.
 *
 * A breaker opens when its latest results can no longer be explained by what is normal for this
 * dependency: when the likelihood ratio of "the rate has risen" against "all results have one rate"
 * exceeds `evidence`. So few calls need a larger share of failures than many do, a noisy dependency
 * a larger one than a quiet one, and no minimum of calls is set by hand. The test is the generalized
 * likelihood ratio over a limited window (Willsky and Jones 1976; Lai, "Information Bounds and Quick
 * Detection of Parameter Changes in Stochastic Systems", IEEE Transactions on Information Theory 44,
 * 1998): every span that ends now, from the current bucket alone to the whole window, is compared
 * with what was learned before it, and so is the run of failures with no success between, however
 * long it took. The ratio of two binomial samples is the G statistic; by the Chernoff bound noise
 * alone reaches `evidence` nats with a chance of at most exp(−evidence) per look.
 *
 * What is normal is learned only from results that left the window of a closed breaker, so those
 * that open it are never among them.
 */
import type { RollingWindow } from "./RollingWindow.ts";

/** What one breaker is judged by; shares are of results. */
export interface Rules {
  /** A smaller share of failures never opens: an open breaker would lose the rest. */
  readonly floor: number;
  /** With enough results a threshold is never above this, however common failures have been. */
  readonly ceiling: number;
  /** Nats: −ln of the chance that ordinary noise opens, per result. */
  readonly evidence: number;
  /** Buckets after which a result has half its weight in what is normal. */
  readonly halfLife: number;
}

/** What has been learned: weights of results, as of the bucket `index`. */
export interface Baseline {
  readonly successes: number;
  readonly failures: number;
  readonly index: number;
}

/** Nothing learned yet. */
export const noBaseline: Baseline = { successes: 0, failures: 0, index: 0 };

/** Why an adaptive breaker opened; shares are from 0 to 1. */
export interface Trip {
  readonly rule: "failure-rate" | "consecutive-failures" | "slow-calls";
  /** The results that were too many: of the newest `requests`, `failures` failed (or were slow). */
  readonly failures: number;
  readonly requests: number;
  /** The share of failures that was normal until then. */
  readonly baseline: number;
  /** The share of so many results from which on it opens. */
  readonly threshold: number;
}

/** A sample of results; not whole numbers, as old ones count for less. */
interface Sample {
  readonly failures: number;
  readonly requests: number;
}

/**
 * What is believed of a dependency of which nothing is known: 1 failure in 100. Eight failures in a
 * row open its breaker then; noise below the default floor cannot, however many results there are.
 */
const prior: Sample = { failures: 1, requests: 100 };

/** What is normal: what was learned on top of the prior, and at most half the ceiling. */
const normalOf = (rules: Rules, { successes, failures }: Baseline): Sample => {
  const requests = prior.requests + successes + failures;
  const limit = requests * rules.ceiling / 2;
  return { failures: Math.min(prior.failures + failures, limit), requests };
};

/** The failure rate that counts as normal, from 0 to half the ceiling. */
export const baselineRate = (rules: Rules, baseline: Baseline): number => {
  const { failures, requests } = normalOf(rules, baseline);
  return failures / requests;
};

/** Requests × Kullback-Leibler divergence of the rate from `rate`, in nats; of some failures. */
const divergence = ({ failures, requests }: Sample, rate: number): number => {
  const successes = requests - failures;
  return failures * Math.log(failures / (requests * rate)) +
    (successes === 0 ? 0 : successes * Math.log(successes / (requests * (1 - rate))));
};

/** Nats in favour of the newest results having a higher failure rate than is normal; 0 if lower. */
const evidenceOf = (normal: Sample, newest: Sample): number => {
  if (newest.failures * normal.requests <= normal.failures * newest.requests) return 0;
  const pooled = (normal.failures + newest.failures) / (normal.requests + newest.requests);
  return divergence(newest, pooled) + divergence(normal, pooled);
};

const isTooMany = (rules: Rules, normal: Sample, newest: Sample): boolean =>
  newest.failures >= rules.floor * newest.requests &&
  evidenceOf(normal, newest) >= rules.evidence;

/** The least number of failures among `requests` that opens; `Infinity` when not even all do. */
const leastFailures = (rules: Rules, normal: Sample, requests: number): number => {
  if (!isTooMany(rules, normal, { failures: requests, requests })) return Infinity;
  // Failures are more telling the more there are: bisection finds where they begin to be.
  let low = 0;
  let high = requests;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (isTooMany(rules, normal, { failures: middle, requests })) high = middle;
    else low = middle;
  }
  return high;
};

/** The share of `requests` results from which on the breaker opens; 1 when there are too few. */
export const thresholdAt = (rules: Rules, baseline: Baseline, requests: number): number =>
  Math.min(1, leastFailures(rules, normalOf(rules, baseline), requests) / Math.max(1, requests));

const tripOf = (rules: Rules, baseline: Baseline, rule: Trip["rule"], sample: Sample): Trip => ({
  rule,
  failures: sample.failures,
  requests: sample.requests,
  baseline: baselineRate(rules, baseline),
  threshold: thresholdAt(rules, baseline, sample.requests),
});

/**
 * Why a failure that has just been counted in `window` opens the breaker, or `null` when it does
 * not; `run` are the failures since the last success. Costs a few logarithms per bucket.
 */
export const judge = (
  rules: Rules,
  baseline: Baseline,
  window: RollingWindow,
  run: number,
): Trip | null => {
  const normal = normalOf(rules, baseline);
  const ofRun: Sample = { failures: run, requests: run };
  if (isTooMany(rules, normal, ofRun)) {
    return tripOf(rules, baseline, "consecutive-failures", ofRun);
  }
  let failures = window.currentFailures;
  let requests = failures + window.currentSuccesses;
  for (let older = window.past.length - 1;; older--) {
    const newest: Sample = { failures, requests };
    if (isTooMany(rules, normal, newest)) return tripOf(rules, baseline, "failure-rate", newest);
    const bucket = window.past[older];
    if (bucket === undefined) return null;
    failures += bucket.failures;
    requests += bucket.failures + bucket.successes;
  }
};

/** How an adaptive breaker stands: what is normal, what opens, and why it is not closed. */
export interface View {
  /** The share of failures that is normal for the dependency. */
  readonly baseline: number;
  /** The share of as many results as the window holds from which on it opens; 1: too few to tell. */
  readonly threshold: number;
  /** Why it opened; `null` while it is closed, or when somebody opened it by hand. */
  readonly trip: Trip | null;
}

/** The trip of a window whose slow results were too many. */
export const slowTrip = (
  rules: Rules,
  baseline: Baseline,
  window: RollingWindow,
  slowCallRate: number,
): Trip => ({
  rule: "slow-calls",
  failures: window.slow,
  requests: window.successes + window.failures,
  baseline: baselineRate(rules, baseline),
  threshold: slowCallRate,
});

/** What learning looks at: the window, and the failures since the last success. */
export interface Counted {
  readonly window: RollingWindow;
  readonly consecutiveFailures: number;
}

/** Failures that left the window but belong to a run that may yet open the breaker. */
const heldBack = ({ window, consecutiveFailures }: Counted): number =>
  Math.max(0, consecutiveFailures - window.failures);

/**
 * What is normal once `before`, with one more result, has become `after`: results that left the
 * window are learned, those of a run of failures when a success has ended it. Returns the same
 * object while the bucket is the same, which is nearly always.
 */
export const learn = (
  rules: Rules,
  baseline: Baseline,
  before: Counted,
  after: Counted,
  failed: boolean,
): Baseline => {
  const held = heldBack(before);
  if (after.window.index === before.window.index && held === 0) return baseline;
  const successes = before.window.successes + (failed ? 0 : 1) - after.window.successes;
  const failures = before.window.failures + held + (failed ? 1 : 0) -
    after.window.failures - heldBack(after);
  const kept = 2 ** ((baseline.index - after.window.index) / rules.halfLife);
  return {
    successes: (baseline.successes + successes) * kept,
    failures: (baseline.failures + failures) * kept,
    index: after.window.index,
  };
};

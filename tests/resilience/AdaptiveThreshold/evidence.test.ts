/** Adaptive thresholds against the textbook's form of their statistic, found by plain search. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Baseline,
  baselineRate,
  judge,
  noBaseline,
  type Rules,
  slowTrip,
  thresholdAt,
  type Trip,
} from "../../../src/resilience/AdaptiveThreshold.ts";
import * as RollingWindow from "../../../src/resilience/RollingWindow.ts";
import { describe, it } from "../../support/it.ts";

const rules: Rules = { floor: 0.2, ceiling: 0.5, evidence: -Math.log(1e-10), halfLife: Infinity };

/** One failure in a hundred, and on top of it what was learned; at most half the ceiling. */
const normalOf = ({ ceiling }: Rules, { successes, failures }: Baseline) => {
  const requests = 100 + successes + failures;
  return { requests, failures: Math.min(1 + failures, requests * ceiling / 2) };
};

/** Half of the G statistic of two samples: Σ observed × ln(observed ÷ expected) of the four cells. */
const halfG = (samples: ReadonlyArray<{ failures: number; requests: number }>): number => {
  const sum = (of: (sample: { failures: number; requests: number }) => number) =>
    samples.reduce((total, sample) => total + of(sample), 0);
  const all = sum(({ requests }) => requests);
  const cell = (observed: number, row: number, column: number) =>
    observed === 0 ? 0 : observed * Math.log(observed / (row * column / all));
  return sum(({ failures, requests }) =>
    cell(failures, requests, sum((sample) => sample.failures)) +
    cell(requests - failures, requests, sum((sample) => sample.requests - sample.failures))
  );
};

/** Whether so many failures open; `undefined` when it is too close to tell by rounding. */
const opens = (rules: Rules, baseline: Baseline, failures: number, requests: number) => {
  const normal = normalOf(rules, baseline);
  if (failures < rules.floor * requests) return false;
  if (failures / requests <= normal.failures / normal.requests) return false;
  const excess = halfG([normal, { failures, requests }]) - rules.evidence;
  return Math.abs(excess) < 1e-9 ? undefined : excess > 0;
};

const baselines: ReadonlyArray<Baseline> = [
  noBaseline,
  { successes: 10_000, failures: 0, index: 0 },
  { successes: 990, failures: 10, index: 0 },
  { successes: 850, failures: 150, index: 0 },
  { successes: 40, failures: 60, index: 0 },
];

describe("AdaptiveThreshold", () => {
  it("thresholdAt() is the least share with which the G statistic reaches the evidence", () => {
    for (const baseline of baselines) {
      for (const floor of [0.05, 0.2]) {
        for (const requests of [1, 2, 3, 5, 8, 13, 50, 200]) {
          const floored = { ...rules, floor };
          const least = Array.from({ length: requests }, (_, index) => index + 1)
            .find((failures) => opens(floored, baseline, failures, requests));
          const threshold = thresholdAt(floored, baseline, requests);
          assert.equal(
            threshold,
            (least ?? requests) / requests,
            Deno.inspect({ baseline, requests }),
          );
        }
      }
    }
  });

  it("baselineRate() is that of all that was learned, with one in a hundred to begin with", () => {
    assert.equal(baselineRate(rules, noBaseline), 0.01);
    assert.equal(baselineRate(rules, { successes: 880, failures: 20, index: 9 }), 0.021);
    assert.equal(baselineRate(rules, { successes: 0, failures: 900, index: 9 }), 0.25);
  });

  /** Buckets of successes and failures, oldest first. */
  const windowOf = (buckets: ReadonlyArray<readonly [number, number]>) =>
    buckets.reduce((window, [successes, failures], index) => {
      let next = RollingWindow.advance(window, index, 1_000);
      for (let n = 0; n < successes; n++) {
        next = RollingWindow.record(next, index, 1_000, false, false);
      }
      for (let n = 0; n < failures; n++) {
        next = RollingWindow.record(next, index, 1_000, true, true);
      }
      return next;
    }, RollingWindow.empty);

  /** The first of all spans that end now, from the newest bucket alone on, which opens. */
  const expected = (
    baseline: Baseline,
    buckets: ReadonlyArray<readonly [number, number]>,
    failuresInARow: number,
  ): Omit<Trip, "baseline" | "threshold"> | null | undefined => {
    const ofRun = opens(rules, baseline, failuresInARow, failuresInARow);
    if (ofRun === undefined) return undefined;
    if (ofRun) {
      const [failures, requests] = [failuresInARow, failuresInARow];
      return { rule: "consecutive-failures", failures, requests };
    }
    for (let length = 1; length <= buckets.length; length++) {
      const span = buckets.slice(-length);
      const failures = span.reduce((sum, [, failures]) => sum + failures, 0);
      const requests = span.reduce((sum, [successes, failures]) => sum + successes + failures, 0);
      const isOpen = requests > 0 && opens(rules, baseline, failures, requests);
      if (isOpen === undefined) return undefined;
      if (isOpen) return { rule: "failure-rate", failures, requests };
    }
    return null;
  };

  it("judge() compares every span that ends now with what is normal, the shortest first", () => {
    const bucket = fc.tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 9 }));
    const rulesSeen = new Set<string | undefined>();
    fc.assert(
      fc.property(
        fc.constantFrom(...baselines),
        fc.array(bucket, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 12 }),
        (baseline, buckets, failuresInARow) => {
          const said = expected(baseline, buckets, failuresInARow);
          if (said === undefined) return;
          const trip = judge(rules, baseline, windowOf(buckets), failuresInARow);
          rulesSeen.add(trip?.rule);
          assert.deepEqual(
            trip,
            said && {
              ...said,
              baseline: baselineRate(rules, baseline),
              threshold: thresholdAt(rules, baseline, said.requests),
            },
          );
        },
      ),
      { numRuns: 500, seed: 1 },
    );
    assert.equal(rulesSeen.size, 3);
  });

  it("judge() opens for no rate below what is normal, however telling it is", () => {
    const noisy: Baseline = { successes: 750_000, failures: 250_000, index: 0 };
    const lower = windowOf([[940, 60]]);
    const quiet: Baseline = { successes: 1_000_000, failures: 0, index: 0 };
    assert.equal(judge({ ...rules, floor: 0.05 }, noisy, lower, 0), null);
    assert.notEqual(judge({ ...rules, floor: 0.05 }, quiet, lower, 0), null);
  });

  it("slowTrip() counts the slow results of the window", () => {
    const window = windowOf([[5, 2], [3, 1]]);
    assert.deepEqual(slowTrip(rules, noBaseline, window, 0.25), {
      rule: "slow-calls",
      failures: 3,
      requests: 11,
      baseline: 0.01,
      threshold: 0.25,
    });
  });
});

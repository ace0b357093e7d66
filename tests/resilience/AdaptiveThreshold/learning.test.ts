/** What an adaptive breaker takes for normal: every result once, when it has left the window. */
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Baseline,
  learn,
  noBaseline,
  type Rules,
} from "../../../src/resilience/AdaptiveThreshold.ts";
import * as RollingWindow from "../../../src/resilience/RollingWindow.ts";
import { describe, it } from "../../support/it.ts";

const rules: Rules = { floor: 0.2, ceiling: 0.5, evidence: 23, halfLife: Infinity };
const buckets = 4;

/** A closed breaker's memory. */
interface Memory {
  readonly baseline: Baseline;
  readonly window: RollingWindow.RollingWindow;
  readonly consecutiveFailures: number;
}

const blank: Memory = {
  baseline: noBaseline,
  window: RollingWindow.empty,
  consecutiveFailures: 0,
};

const after = (rules: Rules, memory: Memory, index: number, failed: boolean): Memory => {
  const next = {
    window: RollingWindow.record(memory.window, index, buckets, failed, false),
    consecutiveFailures: failed ? memory.consecutiveFailures + 1 : 0,
  };
  return { ...next, baseline: learn(rules, memory.baseline, memory, next, failed) };
};

/** The memory after results S and F in the bucket `index`. */
const fed = (rules: Rules, memory: Memory, index: number, results: string): Memory =>
  [...results].reduce((memory, result) => after(rules, memory, index, result === "F"), memory);

describe("AdaptiveThreshold.learn()", () => {
  it("learns each result once: all that was counted is known, in the window, or a run's", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(0, 0, 0, 1, 2, 9), fc.boolean()), { maxLength: 80 }),
        (results) => {
          let memory = blank;
          let index = 0;
          let [successes, failures] = [0, 0];
          for (const [gap, failed] of results) {
            index += gap;
            memory = after(rules, memory, index, failed);
            if (failed) failures += 1;
            else successes += 1;
            const { baseline, window, consecutiveFailures } = memory;
            const held = Math.max(0, consecutiveFailures - window.failures);
            assert.equal(baseline.successes + window.successes, successes);
            assert.equal(baseline.failures + window.failures + held, failures);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it("holds back a run of failures that left the window until a success has ended it", () => {
    const run = fed(rules, fed(rules, blank, 0, "SFFF"), 100, "F");
    assert.deepEqual(run.baseline, { successes: 1, failures: 0, index: 100 });
    const ended = fed(rules, run, 100, "S");
    assert.deepEqual(ended.baseline, { successes: 1, failures: 3, index: 100 });
  });

  it("returns the same object while nothing leaves the window", () => {
    const memory = fed(rules, blank, 1, "SFSSF");
    assert.equal(fed(rules, memory, 1, "SSFF").baseline, memory.baseline);
  });

  it("weighs what it knows, and what it learns late, by half after each half-life", () => {
    const halving = { ...rules, halfLife: 10 };
    const known = fed(halving, fed(halving, blank, 10, "SSSSF"), 20, "S");
    // Five results of ten buckets ago.
    assert.deepEqual(known.baseline, { successes: 2, failures: 0.5, index: 20 });
    const later = fed(halving, known, 40, "S");
    // Two half-lives on; the success of bucket 20 counts from when it is learned.
    assert.deepEqual(later.baseline, { successes: 0.75, failures: 0.125, index: 40 });
  });
});

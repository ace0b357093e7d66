/** The rolling window against a list of all results, and its sharing of what does not change. */
import assert from "node:assert/strict";
import fc from "fast-check";
import * as RollingWindow from "../../src/resilience/RollingWindow.ts";
import { describe, it } from "../support/it.ts";

/** The counts of a window. */
const tally = ({ successes, failures, slow }: RollingWindow.RollingWindow) => ({
  successes,
  failures,
  slow,
});

describe("advance()", () => {
  const one = RollingWindow.record(RollingWindow.empty, 5, 3, true, true);

  it("gives the very same window while time stands still or goes back", () => {
    for (const index of [5, 4, 0, -7]) assert.equal(RollingWindow.advance(one, index, 3), one);
  });

  it("lets a bucket go when it is exactly as old as there are buckets, and not before", () => {
    assert.deepEqual(
      [6, 7, 8, 1_000].map((index) => RollingWindow.advance(one, index, 3).failures),
      [1, 1, 0, 0],
    );
    assert.deepEqual(tally(RollingWindow.advance(one, 8, 3)), tally(RollingWindow.empty));
  });

  it("keeps no empty buckets, however long it was idle", () => {
    const later = RollingWindow.advance(RollingWindow.advance(one, 6, 3), 7, 3);
    assert.equal(later.past.length, 1);
    assert.deepEqual(RollingWindow.advance(later, 50, 3), { ...RollingWindow.empty, index: 50 });
    assert.deepEqual(
      RollingWindow.advance(RollingWindow.empty, 50, 3),
      { ...RollingWindow.empty, index: 50 },
    );
  });
});

describe("record()", () => {
  it("counts a late result in the current bucket", () => {
    const window = RollingWindow.record(
      RollingWindow.record(RollingWindow.empty, 9, 3, false, false),
      2,
      3,
      false,
      true,
    );
    assert.deepEqual([window.index, window.currentSuccesses, window.currentSlow], [9, 2, 1]);
  });

  it("changes nothing in the window that it was given", () => {
    const before = RollingWindow.record(RollingWindow.empty, 1, 3, true, false);
    const copy = structuredClone(before);
    RollingWindow.record(before, 2, 3, false, true);
    assert.deepEqual(before, copy);
  });

  it("agrees with a list of all results, whatever the gaps", () => {
    const result = fc.tuple(fc.integer({ min: -1, max: 6 }), fc.boolean(), fc.boolean());
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(result, { maxLength: 100 }),
      (buckets, results) => {
        let window = RollingWindow.empty;
        let now = 0;
        const all: Array<{ index: number; failed: boolean; slow: boolean }> = [];
        for (const [gap, failed, slow] of results) {
          const index = now + gap;
          now = Math.max(now, index);
          window = RollingWindow.record(window, index, buckets, failed, slow);
          all.push({ index: now, failed, slow });
          const young = all.filter((one) => one.index > now - buckets);
          const count = (is: (one: (typeof all)[number]) => boolean) => young.filter(is).length;
          assert.deepEqual(tally(window), {
            successes: count(({ failed }) => !failed),
            failures: count(({ failed }) => failed),
            slow: count(({ slow }) => slow),
          });
        }
      },
    ));
  });
});

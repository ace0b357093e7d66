/** Rolling count against a list of everything that happened. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { RollingCount } from "../../src/resilience/RollingCount.ts";
import { describe, it } from "../support/it.ts";

describe("RollingCount", () => {
  it("total() is 0 when nothing was counted, at any time", () => {
    const count = new RollingCount(1_000, 10);
    assert.equal(count.total(0), 0);
    assert.equal(count.total(1e15), 0);
  });

  it("total() loses what is a window old, bucket by bucket", () => {
    const count = new RollingCount(1_000, 3);
    for (const at of [0, 1_000, 2_000, 2_999]) count.add(at);
    assert.deepEqual([2_999, 3_000, 4_000, 5_000].map((now) => count.total(now)), [4, 3, 2, 0]);
  });

  it("total() is 0 after any idle gap, and then counts anew", () => {
    const count = new RollingCount(1_000, 3);
    count.add(0);
    count.add(1e12);
    assert.equal(count.total(1e12), 1);
  });

  it("span() is the time total() covers: the window less the rest of the current bucket", () => {
    const count = new RollingCount(1_000, 3);
    assert.deepEqual([0, 999, 3_250].map((now) => count.span(now)), [2_000, 2_999, 2_250]);
  });

  it("clear() forgets everything, and a clock that starts lower is counted", () => {
    const count = new RollingCount(1_000, 3);
    count.add(1e9);
    count.clear();
    count.add(5);
    assert.equal(count.total(5), 1);
    assert.equal(count.total(3_000), 0);
  });

  it("counts in the current bucket, and forgets nothing, while time goes back", () => {
    const count = new RollingCount(1_000, 3);
    count.add(5_000);
    count.add(1_500);
    count.add(-7_000);
    assert.deepEqual([1_500, 5_999, 7_999, 8_000].map((now) => count.total(now)), [3, 3, 3, 0]);
  });

  it("total() takes the bucket that is exactly a window old for gone, and no younger one", () => {
    const count = new RollingCount(1_000, 3);
    count.add(0);
    count.add(1_000);
    assert.equal(count.total(3_000), 1);
    count.add(3_000);
    assert.equal(count.total(6_000), 0);
    count.add(6_000);
    assert.deepEqual([6_000, 8_999, 9_000].map((now) => count.total(now)), [1, 1, 0]);
  });

  it("total() agrees with a list of all times, whatever the gaps", () => {
    fc.assert(fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 12 }),
      fc.array(fc.tuple(fc.nat(200), fc.boolean()), { maxLength: 200 }),
      (width, buckets, steps) => {
        const count = new RollingCount(width, buckets);
        const times: Array<number> = [];
        let now = 0;
        for (const [gap, isAdd] of steps) {
          now += gap;
          if (isAdd) {
            count.add(now);
            times.push(now);
          }
          const oldest = Math.floor(now / width) - buckets + 1;
          const expected = times.filter((at) => Math.floor(at / width) >= oldest).length;
          assert.equal(count.total(now), expected);
        }
      },
    ));
  });
});

/** The quantile of recent durations, against the exact one. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { RecentQuantile } from "../../src/resilience/RecentQuantile.ts";
import { describe, it } from "../support/it.ts";

/** The value of this rank; a whole rank has, by a rounding error, two. */
const exact = (values: ReadonlyArray<number>, rank: number): number =>
  values.toSorted((one, another) => one - another)[
    Math.min(values.length, Math.max(1, Math.ceil(rank))) - 1
  ] ?? NaN;

describe("RecentQuantile", () => {
  it("value is the exact quantile or at most 10 % above it", () =>
    fc.assert(fc.property(
      fc.array(fc.double({ min: 0.2, max: 50_000, noNaN: true }), { minLength: 1, maxLength: 400 }),
      fc.constantFrom(0.5, 0.9, 0.95),
      (values, quantile) => {
        const recent = new RecentQuantile(quantile, 1_000);
        for (const value of values) recent.add(value);
        const rank = values.length * quantile;
        assert.ok(recent.value >= exact(values, rank - 1e-9) * 0.999);
        assert.ok(recent.value <= exact(values, rank + 1e-9) * 1.101);
      },
    )));

  it("value is within its bounds for durations beyond them", () => {
    const recent = new RecentQuantile(0.95, 100);
    recent.add(0);
    assert.equal(recent.value, 0.1);
    for (let count = 0; count < 50; count++) recent.add(1e9);
    assert.ok(recent.value > 60_000 && recent.value < 70_000);
  });

  it("forgets: what has changed is seen after a few hundred values, either way", () => {
    const recent = new RecentQuantile(0.95, 1_000);
    for (let count = 0; count < 100_000; count++) recent.add(10);
    for (let count = 0; count < 100; count++) recent.add(100);
    assert.ok(recent.value >= 100);
    for (let count = 0; count < 5_000; count++) recent.add(10);
    assert.ok(recent.value < 11.1);
    assert.ok(recent.weight <= 1_000);
  });

  it("value is the lower of two where the quantile lies between them", () => {
    const recent = new RecentQuantile(0.5, 1_000);
    recent.add(10);
    recent.add(100);
    assert.ok(recent.value >= 10 && recent.value < 11.1, `value ${recent.value}`);
  });

  it("weight is halved with the value that fills the memory, not with a later one", () => {
    const recent = new RecentQuantile(0.5, 4);
    const weights = Array.from({ length: 6 }, () => {
      recent.add(10);
      return recent.weight;
    });
    assert.deepEqual(weights, [1, 2, 3, 2, 3, 2]);
    // What was halved is still known.
    assert.ok(recent.value >= 10);
  });
});

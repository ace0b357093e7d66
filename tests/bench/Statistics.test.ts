import { describe, it } from "@std/testing/bdd";
import assert from "node:assert/strict";
import { byRound, ratios, spread } from "./Statistics.ts";
import { judge, targets } from "./Targets.ts";

describe("Statistics", () => {
  it("spread() takes the middle figure, or the mean of the two in the middle", () => {
    assert.deepEqual(spread([30, 10, 20]), { median: 20, min: 10, max: 30 });
    assert.deepEqual(spread([4, 1, 3, 2]), { median: 2.5, min: 1, max: 4 });
    assert.deepEqual(spread([7]), { median: 7, min: 7, max: 7 });
  });

  it("ratios() divides figures of the same round only", () => {
    assert.deepEqual(ratios([10, 40], [5, 10]), [2, 4]);
  });

  it("byRound() combines any number of lists", () => {
    assert.deepEqual(byRound((...all) => Math.min(...all), [3, 9], [5, 1], [4, 2]), [3, 1]);
  });
});

describe("Targets", () => {
  it("judge() asks throughputs to be high", () => {
    const target = { must: 1.5, aim: 2.5, better: "higher" } as const;
    assert.deepEqual([1.49, 1.5, 2.5].map((figure) => judge(target, figure)), [
      "missed",
      "must",
      "aim",
    ]);
  });

  it("judge() asks costs to be low", () => {
    const target = { must: 1, aim: 0.6, better: "lower" } as const;
    assert.deepEqual([1.01, 1, 0.6].map((figure) => judge(target, figure)), [
      "missed",
      "must",
      "aim",
    ]);
  });

  it("judge() calls a figure that could not be had missed", () => {
    for (const target of Object.values(targets)) assert.equal(judge(target, NaN), "missed");
  });

  it("targets aim at more than they demand", () => {
    for (const [id, { must, aim, better }] of Object.entries(targets)) {
      assert.ok(better === "higher" ? aim > must : aim < must, id);
    }
  });
});

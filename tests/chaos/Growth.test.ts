/** What a long run says about growth. */
import assert from "node:assert/strict";
import { describe, it } from "../support/it.ts";
import { connectionGrowth, heldGrowth, trendOf } from "./Growth.ts";
import type { Held } from "./Held.ts";
import type { Look } from "./Resources.ts";

/** What is held at ten moments of 1,800 seconds. */
const held = (
  heap: (hours: number, index: number) => number,
  memory: (hours: number, index: number) => number = () => 120,
): ReadonlyArray<Held> =>
  Array.from({ length: 10 }, (_, index) => ({
    seconds: index * 200,
    heap: heap(index / 18, index),
    external: 20,
    memory: memory(index / 18, index),
  }));

const looks = (more: (index: number) => Partial<Look>): ReadonlyArray<Look> =>
  Array.from({ length: 100 }, (_, index) => ({
    ...{ seconds: index * 20, memory: 200, handles: 40, sockets: 20 },
    ...more(index),
  }));

/** Noise without a trend of its own. */
const noise = [1, -1, -1, 1, 1, -1, -1, 1, 0, 0];

describe("trendOf()", () => {
  it("gives the growth of an hour", () => {
    const { perHour, margin } = trendOf([[0, 100], [1_800, 118], [3_600, 136]]);
    assert.ok(Math.abs(perHour - 36) < 1e-9 && margin < 1e-9);
  });

  it("gives the line and its confidence of a published example", () => {
    // F. J. Anscombe, Graphs in Statistical Analysis (1973), first set: slope 0.500, its standard
    // error 0.118, which for nine degrees of freedom makes a margin of 2.26 times as much.
    const x = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5];
    const y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68];
    const { perHour, margin } = trendOf(x.map((hours, index) => [hours * 3_600, y[index] ?? 0]));
    assert.equal(perHour.toFixed(3), "0.500");
    assert.equal((margin / 2.26).toFixed(3), "0.118");
  });

  it("says nothing of two measurements, or of several at one moment", () => {
    assert.equal(trendOf([[0, 1], [60, 2]]).margin, Infinity);
    assert.equal(trendOf([[5, 1], [5, 2], [5, 3]]).margin, Infinity);
  });
});

describe("heldGrowth()", () => {
  it("passes over noise, and over little", () => {
    assert.deepEqual(heldGrowth(held((_, index) => 65 + 10 * (noise[index] ?? 0))), []);
    assert.deepEqual(heldGrowth(held((hours) => 65 + 6 * hours)), []);
  });

  it("tells what grows", () => {
    assert.deepEqual(heldGrowth(held((hours, index) => 65 + 20 * hours + (noise[index] ?? 0))), [
      "heap grew by 10.0 MiB",
    ]);
  });

  it("tells of a process that goes on growing, not of one that has become larger once", () => {
    const flat = () => 65;
    assert.deepEqual(heldGrowth(held(flat, (_, index) => index < 4 ? 180 : 232)), []);
    assert.deepEqual(heldGrowth(held(flat, (hours) => 180 + 100 * hours)), [
      "memory grew by 22.2 MiB",
    ]);
  });

  it("does not judge by a few collections", () => {
    assert.deepEqual(heldGrowth(held(() => 65).slice(0, 5)), [
      "5 collections say nothing about growth",
    ]);
  });
});

describe("connectionGrowth()", () => {
  it("passes over what breathes, and tells what grows after the first quarter", () => {
    assert.deepEqual(connectionGrowth(looks((index) => ({ sockets: 20 + index % 30 }))), []);
    assert.deepEqual(connectionGrowth(looks((index) => ({ sockets: index < 25 ? 0 : 60 }))), []);
    assert.deepEqual(connectionGrowth(looks((index) => ({ sockets: index }))), [
      "sockets grew from 37 to 87",
    ]);
  });
});

/** Whether what a process holds grows: judged by what is left of it after its warming up. */
import { type Held, type HeldMeasure, heldMeasures } from "./Held.ts";
import type { Look } from "./Resources.ts";

/** The straight line of the least squares through measurements over time. */
export interface Trend {
  /** How much more it becomes in an hour. */
  readonly perHour: number;
  /** Half of the 95 % confidence interval around that; infinite for less than three measurements. */
  readonly margin: number;
}

/** Quantiles of Student's t for 95 % of both sides, by degrees of freedom from 1 on. */
const student = [
  ...[12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23],
  ...[2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09, 2.09],
];

/** The trend of measurements `[seconds, value]`. They count as independent of each other. */
export const trendOf = (points: ReadonlyArray<readonly [number, number]>): Trend => {
  const mean = (of: (seconds: number, value: number) => number) =>
    points.reduce((sum, [seconds, value]) => sum + of(seconds, value), 0) / points.length;
  const middle = mean((seconds) => seconds);
  const level = mean((_, value) => value);
  const spread = mean((seconds) => (seconds - middle) ** 2);
  if (!(spread > 0)) return { perHour: 0, margin: Infinity };
  const slope = mean((seconds, value) => (seconds - middle) * (value - level)) / spread;
  const unexplained = mean((seconds, value) => (value - level - slope * (seconds - middle)) ** 2);
  const freedom = points.length - 2;
  if (freedom < 1) return { perHour: slope * 3_600, margin: Infinity };
  const quantile = student[freedom - 1] ?? 2;
  const error = Math.sqrt(unexplained / freedom / spread);
  return { perHour: slope * 3_600, margin: quantile * error * 3_600 };
};

/**
 * The measurements that a trend is taken from. A process keeps memory that its heap has once needed
 * for the next time, so it rises in steps until the largest has come: whether it goes on rising, only
 * the later half of the measurements can tell.
 */
const judged = (held: ReadonlyArray<Held>, measure: HeldMeasure): ReadonlyArray<Held> =>
  measure === "memory" ? held.slice(Math.floor(held.length / 2)) : held;

/** The trend of what is held, once warm. */
export const heldTrend = (held: ReadonlyArray<Held>, measure: HeldMeasure): Trend =>
  trendOf(judged(held, measure).map((one) => [one.seconds, one[measure]]));

/**
 * What may be held more at the end than after the warming up, in MiB: code that V8 compiles when it
 * has become hot, and maps of 10,000 names that fill, which half an hour of new names does to less
 * than a half. A kilobyte that each request of that time leaves behind would be 40 MiB.
 */
const allowed: Readonly<Record<HeldMeasure, number>> = { heap: 8, external: 4, memory: 16 };

/** Fewer measurements say nothing about a trend, nor does a half of fewer than twice three. */
const fewest = 6;

/** What is held and grows beyond chance and beyond what is allowed, in sentences. */
export const heldGrowth = (held: ReadonlyArray<Held>): ReadonlyArray<string> => {
  if (held.length < fewest) return [`${held.length} collections say nothing about growth`];
  return heldMeasures.flatMap((measure) => {
    const { perHour, margin } = heldTrend(held, measure);
    const [first, last] = [judged(held, measure)[0], held.at(-1)];
    const hours = ((last?.seconds ?? 0) - (first?.seconds ?? 0)) / 3_600;
    const growth = perHour * hours;
    return perHour <= margin || growth <= allowed[measure]
      ? []
      : [`${measure} grew by ${growth.toFixed(1)} MiB`];
  });
};

/** Connections of the pools, which breathe with the load. */
const allowedConnections = 16;

const medianOf = (values: ReadonlyArray<number>): number =>
  values.toSorted((one, another) => one - another)[Math.floor(values.length / 2)] ?? 0;

/** Descriptors that are more in the last quarter of a run than in its second, in sentences. */
export const connectionGrowth = (looks: ReadonlyArray<Look>): ReadonlyArray<string> => {
  const quarter = Math.floor(looks.length / 4);
  return (["handles", "sockets"] as const).flatMap((measure) => {
    const values = looks.map((look) => look[measure]);
    const before = medianOf(values.slice(quarter, 2 * quarter));
    const after = medianOf(values.slice(3 * quarter));
    return after - before <= allowedConnections
      ? []
      : [`${measure} grew from ${before} to ${after}`];
  });
};

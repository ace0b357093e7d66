/** What each ratio must reach, and what is aimed at. */

/** A ratio's bounds; `higher` ones are throughputs, `lower` ones costs. */
export interface Target {
  readonly must: number;
  readonly aim: number;
  readonly better: "higher" | "lower";
}

/** How a figure stands to its target. */
export type Verdict = "aim" | "must" | "missed";

const atLeast = (must: number, aim: number): Target => ({ must, aim, better: "higher" });
const atMost = (must: number, aim: number): Target => ({ must, aim, better: "lower" });

/** Targets by row; a row that is not here is shown for comparison only. */
export const targets: Readonly<Record<string, Target>> = {
  "redis/bare": atLeast(0.55, 0.75),
  "redis/fastify": atLeast(1.5, 2.5),
  "near/bare": atLeast(0.4, 0.65),
  "near/fastify": atLeast(2.5, 4),
  "open/bare": atLeast(0.4, 0.65),
  "token/fastify": atLeast(1.5, 2.5),
  "p99": atMost(1, 0.6),
  "memory": atMost(1.5, 1),
  "start": atMost(3, 2),
  "breaker-closed": atMost(1, 0.7),
  "breaker-open": atMost(0.2, 0.15),
  "breaker-heap": atMost(1, 0.5),
  "metrics-cost": atMost(1, 0.5),
};

/** Whether a figure reaches what is aimed at, only what it must, or neither. */
export const judge = ({ must, aim, better }: Target, figure: number): Verdict => {
  const reaches = (bound: number) => better === "higher" ? figure >= bound : figure <= bound;
  if (reaches(aim)) return "aim";
  return reaches(must) ? "must" : "missed";
};

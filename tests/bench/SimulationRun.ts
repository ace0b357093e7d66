/**
 * The simulator's targets over many seeds: `deno task bench --only=simulation`. They are counts on
 * virtual time, so that they come out the same on every machine; only how long it takes differs.
 */
import { targetTable } from "../simulation/Report.ts";
import { judge, targets, type Verdict } from "../simulation/Targets.ts";

export interface Summary {
  readonly table: string;
  readonly reached: number;
  readonly missed: number;
  /** One a target, for programs. */
  readonly verdicts: ReadonlyArray<Omit<Verdict, "target"> & { readonly target: string }>;
}

/** Judges every target with seeds 1 to `seeds`; `tell` is given a line on each. */
export const run = (seeds: number, tell: (line: string) => void): Summary => {
  const { stackTraceLimit } = Error;
  // Refusals are made by the million here, and nobody reads their stacks.
  Error.stackTraceLimit = 0;
  try {
    const all = Array.from({ length: seeds }, (_, index) => index + 1);
    const verdicts = targets.map((target) => {
      const verdict = judge(target, all);
      const { median, worst, holds } = verdict;
      const figures = `median ${median.toFixed(2)}, largest ${worst.toFixed(2)}`;
      tell(`simulation: ${target.name}: ${figures}, ${holds ? "reached" : "MISSED"}`);
      return verdict;
    });
    const reached = verdicts.filter(({ holds }) => holds).length;
    return {
      table: targetTable(verdicts),
      reached,
      missed: verdicts.length - reached,
      verdicts: verdicts.map((verdict) => ({ ...verdict, target: verdict.target.name })),
    };
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
};

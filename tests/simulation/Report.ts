/** Tables in Markdown, of what the policies did in a trace and of the targets. */
import type { Measures } from "./Measures.ts";
import { median } from "./Measures.ts";
import type { Target, Verdict } from "./Targets.ts";
import type { Trace } from "./Trace.ts";

export interface Row {
  readonly policy: string;
  /** One a seed. */
  readonly measures: ReadonlyArray<Measures>;
}

const whole = (value: number): string => Math.round(value).toLocaleString("en");

/** Infinite: not before the end of the trace. */
const seconds = (value: number | null, never: string): string => {
  if (value === null) return never;
  return value === Infinity ? "not in time" : `${(value / 1_000).toFixed(1)} s`;
};

/** The middle of all seeds; those in which it never happened count as later than any other. */
const middle = (row: Row, of: (measures: Measures) => number | null): number | null => {
  const value = median(row.measures.map((measures) => of(measures) ?? Number.MAX_VALUE));
  return value === Number.MAX_VALUE ? null : value;
};

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

/** One trace, one row a policy, medians over the seeds. */
export const traceTable = (trace: Trace, rows: ReadonlyArray<Row>): string => {
  const hasPeak = rows.some(({ measures }) => measures.some(({ peakLoad }) => peakLoad !== null));
  const { isQueueing = false } = trace;
  return table(
    [
      "policy",
      "opens after",
      "wasted",
      "false opens",
      "good refused",
      "recovers after",
      ...(hasPeak ? ["peak load"] : []),
      ...(isQueueing ? ["answered in"] : []),
    ],
    rows.map((row) => [
      row.policy,
      seconds(middle(row, ({ timeToOpen }) => timeToOpen), "never"),
      whole(middle(row, ({ wasted }) => wasted) ?? 0),
      whole(middle(row, ({ falseOpens }) => falseOpens) ?? 0),
      whole(middle(row, ({ goodRefused }) => goodRefused) ?? 0),
      seconds(middle(row, ({ timeToRecover }) => timeToRecover), "–"),
      ...(hasPeak ? [`${(middle(row, ({ peakLoad }) => peakLoad) ?? 0).toFixed(2)} ×`] : []),
      ...(isQueueing ? [`${whole(middle(row, ({ latency }) => latency) ?? NaN)} ms`] : []),
    ]),
  );
};

const figure = (value: number): string =>
  Number.isInteger(value) ? String(value) : value.toFixed(2);

const limit = ({ atLeast, atMost }: Target): string =>
  atLeast === undefined ? `≤ ${atMost}` : `${atLeast}–${atMost}`;

export const targetTable = (verdicts: ReadonlyArray<Verdict>): string =>
  table(
    ["target", "limit", "median", "largest", ""],
    verdicts.map(({ target, median, worst, holds }) => [
      target.name,
      `${limit(target)} (${target.judged})`,
      figure(median),
      figure(worst),
      holds ? "reached" : "**missed**",
    ]),
  );

/** The figures as a table for people and as JSON for programs. */
import { type Spread, spread } from "./Statistics.ts";
import { judge, type Target, targets, type Verdict } from "./Targets.ts";

/** One line of the table: two figures measured side by side, and their ratio round by round. */
export interface Row {
  /** The target's key, where there is one. */
  readonly id: string;
  readonly label: string;
  /** Circumstances that distinguish rows of one label, such as "32 connections". */
  readonly note?: string;
  readonly unit: string;
  readonly ours: ReadonlyArray<number>;
  readonly peer: ReadonlyArray<number>;
  /** What is judged, mostly ours ÷ peer. */
  readonly ratio: ReadonlyArray<number>;
}

/** A row with its figures summed up. */
export interface Summary {
  readonly id: string;
  readonly label: string;
  readonly note: string;
  readonly unit: string;
  readonly ours: Spread;
  readonly peer: Spread;
  readonly ratio: Spread;
  readonly rounds: ReadonlyArray<number>;
  readonly target?: Target;
  readonly verdict?: Verdict;
}

/** Medians, spreads and, unless the figures are too hasty to be judged, the verdict of a row. */
export const summarize = (row: Row, isJudged: boolean): Summary => {
  const { id, label, note = "", unit } = row;
  const ratio = spread(row.ratio);
  const target = targets[id];
  return {
    id,
    label,
    note,
    unit,
    ours: spread(row.ours),
    peer: spread(row.peer),
    ratio,
    rounds: row.ratio,
    ...(target === undefined ? {} : { target }),
    ...(target === undefined || !isJudged ? {} : { verdict: judge(target, ratio.median) }),
  };
};

const short = (figure: number): string => {
  if (Math.abs(figure) >= 100) return String(Math.round(figure));
  return Math.abs(figure) >= 10 ? figure.toFixed(1) : figure.toFixed(2);
};

const sign = ({ better }: Target): string => better === "higher" ? "≥" : "≤";

const verdicts: Readonly<Record<Verdict, string>> = {
  aim: "aim reached",
  must: "must reached",
  missed: "MISSED",
};

const heading = ["what", "", "ours", "peer", "unit", "ratio", "min–max", "must / aim", "verdict"];

const cells = (summary: Summary): ReadonlyArray<string> => {
  const { label, note, ours, peer, unit, ratio, target, verdict } = summary;
  return [
    label,
    note,
    short(ours.median),
    short(peer.median),
    unit,
    ratio.median.toFixed(2),
    `${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)}`,
    target === undefined ? "" : `${sign(target)} ${target.must} / ${target.aim}`,
    verdict === undefined ? "" : verdicts[verdict],
  ];
};

/** All rows in one table of plain text. */
export const table = (rows: ReadonlyArray<Summary>): string => {
  const lines = [heading, ...rows.map(cells)];
  const widths = heading.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0))
  );
  const isFigure = (column: number) => column >= 2 && column !== 4 && column < 7;
  const text = lines.map((line) =>
    line.map((cell, column) => {
      const width = widths[column] ?? 0;
      return isFigure(column) ? cell.padStart(width) : cell.padEnd(width);
    }).join("  ").trimEnd()
  );
  const [first = "", ...rest] = text;
  return [first, "─".repeat(Math.max(...text.map(({ length }) => length))), ...rest].join("\n");
};

/** Rows with a target as a table in Markdown, as the README shows them. */
export const markdown = (rows: ReadonlyArray<Summary>): string => {
  const judged = rows.flatMap((row) => {
    const { label, note, ratio, target, verdict } = row;
    if (target === undefined) return [];
    const name = note === "" ? label : `${label}, ${note}`;
    const bounds = `${sign(target)} ${target.must} / ${target.aim}`;
    const figures = `${ratio.median.toFixed(2)} | ${ratio.min.toFixed(2)}–${ratio.max.toFixed(2)}`;
    return [`| ${name} | ${figures} | ${bounds} | ${verdict ?? ""} |`];
  });
  return ["| what | ratio | spread | must / aim | reached |", "| --- | --- | --- | --- | --- |"]
    .concat(judged).join("\n");
};

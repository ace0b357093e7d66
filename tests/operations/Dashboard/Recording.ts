/** What every panel of the dashboard shows of a stretch of time, as Prometheus answers its queries. */
import type { Prometheus } from "../../deploy/support/Prometheus.ts";
import { dashboard, filledIn, type Target } from "./Dashboard.ts";

/** A line of a panel. */
export interface Line {
  /** The legend's text. */
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Epoch seconds and value; moments without a value are missing. */
  readonly points: ReadonlyArray<readonly [time: number, value: number]>;
}

/** Something that happened, shown in every panel over time. */
export interface Mark {
  readonly time: number;
  readonly text: string;
}

export interface Recording {
  /** Epoch seconds. */
  readonly start: number;
  readonly end: number;
  /** Seconds from one value to the next. */
  readonly step: number;
  /** By the panel's id. */
  readonly lines: Readonly<Record<number, ReadonlyArray<Line>>>;
  readonly marks: ReadonlyArray<Mark>;
}

const step = 1;

const legend = (format: string, labels: Readonly<Record<string, string>>): string =>
  format.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => labels[name] ?? "");

/** Asks every panel's queries about the last seconds. */
export const record = async (prometheus: Prometheus, seconds: number): Promise<Recording> => {
  const end = Math.floor(Date.now() / 1_000);
  const windows = { rate: "8s", interval: `${2 * step}s`, range: `${seconds}s` };
  const ask = async (target: Target): Promise<ReadonlyArray<Line>> => {
    const query = filledIn(target.expr, windows);
    const series = target.instant === true
      ? await prometheus.query(query, end)
      : await prometheus.queryRange(query, { seconds, end, step });
    return series.map(({ metric, times, values }) => ({
      name: legend(target.legendFormat ?? "", metric),
      labels: metric,
      points: times.flatMap((time, index) => {
        const value = values[index];
        return value === undefined || !Number.isFinite(value) ? [] : [[time, value] as const];
      }),
    }));
  };
  const lines: Record<number, ReadonlyArray<Line>> = {};
  for (const { id, targets = [] } of dashboard.panels) {
    lines[id] = (await Promise.all(targets.map(ask))).flat();
  }
  const marks: Array<Mark> = [];
  for (const { expr, titleFormat = "" } of dashboard.annotations.list) {
    if (expr === undefined) continue;
    for (const { name, points } of await ask({ expr, legendFormat: titleFormat })) {
      // A change shows for as long as the window is wide: once is enough.
      let last = 0;
      for (const [time] of points) {
        if (time - last > step) marks.push({ time, text: name });
        last = time;
      }
    }
  }
  return { start: end - seconds, end, step, lines, marks };
};

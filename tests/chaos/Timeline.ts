/** A run as rows that a picture can be made of: what was answered, how fast, and breakers' states. */
import type { Sample } from "./Load.ts";
import type { Change, State } from "./LogWatch.ts";
import type { Result } from "./Result.ts";

/** Answers by what they are worth to a caller. */
export const classes = [
  "as always",
  "from a copy",
  "refused",
  "no answer",
] as const;
export type Class = typeof classes[number];

/** How many answers of a class came to requests that were sent in this stretch of time. */
export interface CountRow {
  readonly seconds: number;
  readonly class: Class;
  readonly perSecond: number;
}

export interface LatencyRow {
  readonly seconds: number;
  readonly quantile: "median" | "99th percentile";
  readonly ms: number;
}

/** A time that a breaker spent in one state. */
export interface StateRow {
  readonly breaker: string;
  readonly state: State;
  readonly from: number;
  readonly to: number;
}

export interface FaultRow {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

export interface Timeline {
  readonly seconds: number;
  readonly counts: ReadonlyArray<CountRow>;
  readonly latencies: ReadonlyArray<LatencyRow>;
  readonly states: ReadonlyArray<StateRow>;
  readonly faults: ReadonlyArray<FaultRow>;
}

/** What of a run is drawn. Instants are the load's milliseconds. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
  /** Width of one point in time, in milliseconds. */
  readonly step: number;
}

export interface Seen {
  readonly samples: ReadonlyArray<Sample>;
  readonly changes: ReadonlyArray<Change>;
  readonly results: ReadonlyArray<Result>;
}

const classOf = ({ label, kind }: Sample): Class => {
  if (/STALE|BYPASS/.test(label)) return "from a copy";
  if (/^200|^404/.test(label)) return "as always";
  if (/^\d/.test(label) && kind !== "liveness") return "refused";
  return "no answer";
};

export const timelineOf = ({ samples, changes, results }: Seen, stretch: Stretch): Timeline => {
  const { from, to, step } = stretch;
  const secondsOf = (at: number) => (Math.min(Math.max(at, from), to) - from) / 1_000;
  const steps = Math.ceil((to - from) / step);
  const byStep: Array<Array<Sample>> = Array.from({ length: steps }, () => []);
  for (const sample of samples) byStep[Math.floor((sample.at - from) / step)]?.push(sample);
  const rowsOf = byStep.map((sent, index) => ({ sent, seconds: (index * step) / 1_000 }));
  return {
    seconds: (to - from) / 1_000,
    counts: rowsOf.flatMap(({ sent, seconds }) =>
      classes.map((name) => ({
        seconds,
        class: name,
        perSecond: sent.filter((sample) => classOf(sample) === name).length * 1_000 / step,
      }))
    ),
    latencies: rowsOf.flatMap(({ sent, seconds }): ReadonlyArray<LatencyRow> => {
      const sorted = sent.map(({ ms }) => ms).toSorted((one, another) => one - another);
      const at = (share: number) => sorted[Math.floor((sorted.length - 1) * share)] ?? 0;
      return sorted.length === 0 ? [] : [
        { seconds, quantile: "median", ms: at(0.5) },
        { seconds, quantile: "99th percentile", ms: at(0.99) },
      ];
    }),
    states: statesOf(changes, stretch).map(({ breaker, state, from, to }) => ({
      breaker,
      state,
      from: secondsOf(from),
      to: secondsOf(to),
    })),
    faults: results.filter(({ inflictedAt, liftedAt }) => liftedAt > from && inflictedAt < to)
      .map(({ name, inflictedAt, liftedAt }) => ({
        name,
        from: secondsOf(inflictedAt),
        to: secondsOf(liftedAt),
      })),
  };
};

/** The time of each breaker that changed within the stretch, cut at its changes. */
const statesOf = (
  changes: ReadonlyArray<Change>,
  { from, to }: Stretch,
): ReadonlyArray<StateRow> => {
  const names = new Set(
    changes.filter(({ at }) => at >= from && at < to).map(({ breaker }) => breaker),
  );
  return Array.from(names).toSorted().flatMap((breaker) => {
    const own = changes.filter((change) => change.breaker === breaker && change.at < to);
    const rows: Array<StateRow> = [];
    let state: State = "closed";
    let since = from;
    for (const change of own) {
      if (change.at > since) rows.push({ breaker, state, from: since, to: change.at });
      since = Math.max(from, change.at);
      state = change.to;
    }
    return [...rows, { breaker, state, from: since, to }];
  });
};

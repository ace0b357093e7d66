/** What the policies have to reach, each on one trace, against the fixed thresholds where it says so. */
import * as Contenders from "./Contenders.ts";
import type { Measures } from "./Measures.ts";
import { median } from "./Measures.ts";
import type { Contender } from "./Policy.ts";
import { simulate } from "./Simulation.ts";
import type { Trace } from "./Trace.ts";
import * as Traces from "./Traces.ts";

export interface Target {
  readonly name: string;
  /** Whether every seed must reach it, or the middle one. */
  readonly judged: "each" | "median";
  readonly atLeast?: number;
  readonly atMost: number;
  /** The figure of one seed. */
  readonly figure: (run: (trace: Trace, contender: Contender) => Measures) => number;
}

const seconds = (milliseconds: number | null): number =>
  milliseconds === null ? Infinity : milliseconds / 1_000;

const milliseconds = ({ latency }: Measures): number => latency ?? Infinity;

const { adaptive, fixed, limited, probes, proportional, recommended } = Contenders;

export const quick: ReadonlyArray<Target> = [
  {
    name: "brown-out of 30 %: seconds until adaptive opens",
    judged: "each",
    atMost: 10,
    figure: (run) => seconds(run(Traces.brownOut, adaptive).timeToOpen),
  },
  {
    name: "brown-out of 30 %: share that the throttle sheds",
    judged: "each",
    atLeast: 0.15,
    atMost: 0.35,
    figure: (run) => run(Traces.brownOut, proportional).shed,
  },
  {
    name: "hard outage: adaptive's time to open ÷ fixed's",
    judged: "each",
    atMost: 1,
    figure: (run) =>
      seconds(run(Traces.hardOutage, adaptive).timeToOpen) /
      seconds(run(Traces.hardOutage, fixed).timeToOpen),
  },
  {
    name: "brown-out of 30 %: adaptive's wasted calls ÷ fixed's",
    judged: "median",
    atMost: 0.5,
    figure: (run) => run(Traces.brownOut, adaptive).wasted / run(Traces.brownOut, fixed).wasted,
  },
  {
    name: "hard outage: wasted calls of adaptive + probes ÷ fixed's",
    judged: "median",
    atMost: 0.5,
    figure: (run) =>
      run(Traces.hardOutage, recommended).wasted / run(Traces.hardOutage, fixed).wasted,
  },
  {
    name: "hard outage: seconds to close with probes (0.4 × 30 s)",
    judged: "median",
    atMost: 12,
    figure: (run) => seconds(run(Traces.hardOutage, probes).timeToRecover),
  },
  {
    name: "one bad tenant: refusals of the other 199",
    judged: "each",
    atMost: 0,
    figure: (run) => run(Traces.oneBadTenant, adaptive).bystandersRefused,
  },
  {
    name: "calls that queue: 95 % are answered in, adaptive limit ÷ fixed",
    judged: "each",
    atMost: 0.5,
    figure: (run) =>
      milliseconds(run(Traces.lostWorkers, limited)) / milliseconds(run(Traces.lostWorkers, fixed)),
  },
  {
    name: "calls that queue: answered, fixed ÷ adaptive limit",
    judged: "each",
    atMost: 1.02,
    figure: (run) =>
      run(Traces.lostWorkers, fixed).served / run(Traces.lostWorkers, limited).served,
  },
  {
    name: "calls that queue for long: wasted calls, adaptive limit ÷ fixed",
    judged: "each",
    atMost: 0.5,
    figure: (run) => run(Traces.oneWorker, limited).wasted / run(Traces.oneWorker, fixed).wasted,
  },
  {
    name: "slower for all: share that an adaptive limit refuses",
    judged: "each",
    atMost: 0.02,
    figure: (run) => run(Traces.slower, limited).shed,
  },
];

/** A fleet of 50, for minutes of a thousand calls a second and more. */
export const fleet: ReadonlyArray<Target> = [Traces.correlated, Traces.herd].map((trace) => ({
  name: `${trace.name}: peak load with probes ÷ normal load`,
  judged: "each",
  atMost: 1.2,
  figure: (run) => run(trace, recommended).peakLoad ?? Infinity,
}));

/** Weeks of 12 million calls each. */
export const weeks: ReadonlyArray<Target> = [Traces.noise5, Traces.noise15].map((trace) => ({
  name: `${trace.name}: false opens of adaptive in a week`,
  judged: "each",
  atMost: 0,
  figure: (run) => run(trace, adaptive).falseOpens,
}));

export const targets: ReadonlyArray<Target> = [...quick, ...fleet, ...weeks];

export interface Verdict {
  readonly target: Target;
  /** One figure a seed. */
  readonly figures: ReadonlyArray<number>;
  readonly median: number;
  readonly worst: number;
  readonly holds: boolean;
}

export const judge = (target: Target, seeds: ReadonlyArray<number>): Verdict => {
  const figures = seeds.map((seed) =>
    target.figure((trace, contender) => simulate(trace, contender, seed))
  );
  const middle = median(figures) ?? NaN;
  const isReached = (figure: number) =>
    figure <= target.atMost && figure >= (target.atLeast ?? -Infinity);
  const holds = target.judged === "each" ? figures.every(isReached) : isReached(middle);
  return { target, figures, median: middle, worst: Math.max(...figures), holds };
};

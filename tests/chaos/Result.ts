/** What came of one fault, and whether the services kept their word. */
import { answersWithout, calm, hang, type Kind, noAnswer } from "./Answers.ts";
import { type BreakerName, breakers, type Fault, type Path } from "./Fault.ts";
import type { Sample } from "./Load.ts";
import type { Change } from "./LogWatch.ts";

/** Everything that was seen of one fault. Instants are the load's milliseconds. */
export interface Observed {
  readonly fault: Fault;
  /** All was well before it was inflicted. */
  readonly wasCalm: boolean;
  readonly beganAt: number;
  readonly inflictedAt: number;
  readonly liftedAt: number;
  /** When all had been well again for a while; undefined when it never was. */
  readonly endedAt: number | undefined;
  readonly samples: ReadonlyArray<Sample>;
  readonly changes: ReadonlyArray<Change>;
  readonly unhandled: ReadonlyArray<string>;
  /** How often it was tried before, on a machine that stood still meanwhile. */
  readonly repeats: number;
  /** What went wrong with the fault itself. */
  readonly failures: ReadonlyArray<string>;
  /** The services ended by themselves. */
  readonly exited: boolean;
}

/** One fault's line in the report. */
export interface Result {
  readonly name: string;
  readonly family: string;
  readonly inflictedAt: number;
  readonly liftedAt: number;
  readonly endedAt: number;
  /** How often it was tried before, on a machine that stood still meanwhile. */
  readonly repeats: number;
  /** Requests sent from its begin to its end. */
  readonly requests: number;
  /** How many answers of each kind there were while it lasted. */
  readonly answers: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Latencies while it lasted, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly longest: number;
  /** States that breakers went through, for those that left `closed`. */
  readonly paths: Partial<Readonly<Record<BreakerName, ReadonlyArray<string>>>>;
  /** From the lift until every answer was as calm as before and every breaker closed. */
  readonly recoveryMs: number | undefined;
  /** Sentences; none when all was as it must be. */
  readonly violations: ReadonlyArray<string>;
}

/** Different problems that are told of one fault. */
const mostTold = 8;

/** Each sentence once, with how often it was said. */
const counted = (sentences: ReadonlyArray<string>): ReadonlyArray<string> => {
  const counts = new Map<string, number>();
  for (const sentence of sentences) counts.set(sentence, (counts.get(sentence) ?? 0) + 1);
  const lines = Array.from(counts, ([text, count]) => count === 1 ? text : `${count} × ${text}`);
  const more = lines.length - mostTold;
  return more <= 0 ? lines : [...lines.slice(0, mostTold), `and ${more} more`];
};

export const judge = (observed: Observed): Result => {
  const { fault, beganAt, inflictedAt, liftedAt, samples, changes } = observed;
  const endedAt = observed.endedAt ?? Math.max(...samples.map(({ at }) => at));
  const during = samples.filter(({ at }) => at >= inflictedAt && at < liftedAt);
  const latencies = during.map(({ ms }) => ms).toSorted((one, another) => one - another);
  const quantile = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  const violations = [
    ...observed.failures,
    ...(observed.wasCalm ? [] : ["it was not calm before"]),
    ...wrongAnswers(fault, samples, inflictedAt),
    ...notShown(fault, during),
    ...wrongPaths(fault, changes),
    ...observed.unhandled.map((line) => `nobody handled: ${line.slice(0, 300)}`),
    ...(observed.exited ? ["the services ended"] : []),
    ...(observed.endedAt === undefined ? ["it did not become well again"] : []),
  ];
  return {
    name: fault.name,
    family: fault.family,
    inflictedAt,
    liftedAt,
    endedAt,
    repeats: observed.repeats,
    requests: samples.filter(({ at }) => at >= beganAt).length,
    answers: tally(during),
    p50: quantile(0.5),
    p99: quantile(0.99),
    longest: latencies.at(-1) ?? 0,
    paths: pathsOf(changes),
    recoveryMs: observed.endedAt === undefined ? undefined : recoveryOf(observed),
    violations: counted(violations),
  };
};

/** True for an answer that nothing could be better than. */
export const isCalm = ({ kind, label, problem }: Sample): boolean =>
  problem === undefined && calm.get(kind)?.has(label) === true;

const wrongAnswers = (
  fault: Fault,
  samples: ReadonlyArray<Sample>,
  inflictedAt: number,
): ReadonlyArray<string> => {
  const legal = answersWithout(fault.harms, fault.allows);
  const legalBefore = answersWithout([]);
  const isForgotten = forgotten(fault, samples, inflictedAt);
  return samples.flatMap((sample) => {
    // One that was sent before the fault may still have met it.
    const isBefore = sample.at + sample.ms < inflictedAt;
    const answers = isBefore ? legalBefore : legal;
    const isLegal = answers.get(sample.kind)?.has(sample.label) === true || isForgotten(sample);
    const problem = problemOf(sample, isLegal);
    return problem === undefined ? [] : [`${isBefore ? "before it, " : ""}${problem}`];
  });
};

/** True for a refusal of a store that had been answered with 404 since the fault began. */
const forgotten = (
  { forgets = [] }: Fault,
  samples: ReadonlyArray<Sample>,
  inflictedAt: number,
): (sample: Sample) => boolean => {
  const missingSince = new Map<string, number>();
  for (const { store, label, at, ms } of samples) {
    const end = at + ms;
    if (store === undefined || label !== "404" || end < inflictedAt) continue;
    missingSince.set(store, Math.min(end, missingSince.get(store) ?? end));
  }
  return ({ kind, store, label, at, ms }) =>
    label === "503" && store !== undefined && forgets.includes(kind) &&
    at + ms > (missingSince.get(store) ?? Infinity);
};

const problemOf = (sample: Sample, isLegal: boolean): string | undefined => {
  const { kind, label, ms, problem } = sample;
  if (label === hang) return `${kind}: no answer within ${Math.round(ms)} ms`;
  if (label === noAnswer && isLegal) return undefined;
  if (problem !== undefined) return `${kind}: ${label}, ${problem.slice(0, 300)}`;
  return isLegal ? undefined : `${kind}: ${label}`;
};

const notShown = (fault: Fault, during: ReadonlyArray<Sample>): ReadonlyArray<string> =>
  (fault.shows ?? []).flatMap(([kind, label]) =>
    during.some((sample) => sample.kind === kind && sample.label === label)
      ? []
      : [`no ${label} was seen for ${kind}: the fault was not there`]
  );

/** The states of each breaker that changed, beginning with the one it came from. */
export const pathsOf = (changes: ReadonlyArray<Change>): Result["paths"] => {
  const paths: Partial<Record<BreakerName, Array<string>>> = {};
  for (const { breaker, from, to } of changes) (paths[breaker] ??= [from]).push(to);
  return paths;
};

/** Legal walks of a breaker that end where they began. */
const round = "closed open half-open( open half-open)* ";
const walks: Readonly<Record<Path, RegExp>> = {
  "opens": new RegExp(`^(${round})+closed$`),
  "may open": new RegExp(`^(${round})*closed$`),
  "stays closed": /^closed$/,
};

const wrongPaths = (fault: Fault, changes: ReadonlyArray<Change>): ReadonlyArray<string> => {
  const paths = pathsOf(changes);
  return breakers.flatMap((name) => {
    const expected = fault.breakers[name] ?? "stays closed";
    const path = (paths[name] ?? ["closed"]).join(" ");
    return walks[expected].test(path) ? [] : [`breaker ${name} ${expected}, but went ${path}`];
  });
};

const recoveryOf = ({ liftedAt, samples, changes }: Observed): number => {
  const ends = [
    ...samples.filter((sample) => !isCalm(sample)).map(({ at, ms }) => at + ms),
    ...changes.map(({ at }) => at),
  ];
  return Math.max(0, ...ends.map((end) => end - liftedAt));
};

const tally = (
  samples: ReadonlyArray<Sample>,
): Readonly<Record<Kind, Readonly<Record<string, number>>>> => {
  const counts: Partial<Record<Kind, Record<string, number>>> = {};
  for (const { kind, label } of samples) {
    const ofKind = counts[kind] ??= {};
    ofKind[label] = (ofKind[label] ?? 0) + 1;
  }
  return counts as Readonly<Record<Kind, Readonly<Record<string, number>>>>;
};

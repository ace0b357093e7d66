/** Runs faults against a bed under load, one after the other, from calm to calm. */
import { kinds } from "./Answers.ts";
import type { Ability, Fault } from "./Fault.ts";
import { Load, type Sample } from "./Load.ts";
import { type Change, LogWatch } from "./LogWatch.ts";
import { Requests } from "./Requests.ts";
import { isCalm, judge, type Observed, type Result } from "./Result.ts";
import { plainLaunch, requestTimeout, type TestBed } from "./TestBed.ts";

/** Beyond the services' own deadline, for machines that are busy with other things too. */
const slack = 3_000;

/** How long the services may take to be well again, in milliseconds; figures are in the report. */
const recoveryLimit = 30_000;

/** Milliseconds for which a machine may stand still that others use too. */
const fairStall = 200;

/** How often a fault is tried again on a machine that stands still. */
const mostRepeats = 3;

/** Rounds of all kinds of requests that must go well before all counts as well again. */
const calmRounds = 2;

/** The same before a fault: every known store is asked for in so many rounds, and so is cached. */
const warmRounds = 6;

export interface RunOptions {
  /** May go on for as long as there is time. */
  readonly faults: Iterable<Fault>;
  /** What the machine allows. */
  readonly abilities: ReadonlySet<Ability>;
  /** Requests a second [50]. */
  readonly rate?: number;
  /** Milliseconds of calm after each fault, beside the time to become well [0]. */
  readonly rest?: number;
  /** Told of each result as it comes. */
  readonly onResult?: (result: Result) => void;
}

/** Everything that a run brought. */
export interface Report {
  readonly results: ReadonlyArray<Result>;
  /** Faults that this machine does not allow, with what they need. */
  readonly skipped: ReadonlyArray<
    { readonly name: string; readonly needs: ReadonlyArray<Ability> }
  >;
  readonly samples: ReadonlyArray<Sample>;
  readonly changes: ReadonlyArray<Change>;
  /** Of the whole run, in milliseconds. */
  readonly durationMs: number;
}

/** Inflicts every fault that the machine allows. */
export const runFaults = async (bed: TestBed, options: RunOptions): Promise<Report> => {
  const requests = await Requests.make();
  const load = new Load({
    requests,
    address: (service) => bed.address(service),
    rate: options.rate ?? 50,
    hangAfter: requestTimeout + slack,
  });
  const results: Array<Result> = [];
  const changes: Array<Change> = [];
  const skipped: Array<Report["skipped"][number]> = [];
  try {
    for (const fault of options.faults) {
      const missing = (fault.needs ?? []).filter((one) => !options.abilities.has(one));
      if (missing.length > 0) {
        skipped.push({ name: fault.name, needs: missing });
        continue;
      }
      const { result, seen } = await untilFair(bed, load, fault, options.rest ?? 0);
      results.push(result);
      changes.push(...seen);
      options.onResult?.(result);
    }
  } finally {
    await load.stop();
  }
  return { results, changes, samples: load.samples, durationMs: load.now, skipped };
};

interface Try {
  readonly result: Result;
  readonly seen: ReadonlyArray<Change>;
}

/** A promise that was broken while the machine itself stood still is tried again. */
const untilFair = async (bed: TestBed, load: Load, fault: Fault, rest: number): Promise<Try> => {
  const launch = fault.launch ?? plainLaunch;
  const seen: Array<Change> = [];
  for (let repeats = 0;; repeats++) {
    if (!bed.isLaunched(launch)) {
      await load.pause();
      await bed.launch(launch);
      load.resume();
    }
    load.takeLongestStall();
    const watch = new LogWatch(bed.services, () => load.now);
    const observed = await runFault(bed, load, watch, fault);
    await delay(rest);
    watch.stop();
    seen.push(...watch.changes);
    const result = judge({ ...observed, repeats, unhandled: watch.unhandled });
    const isFair = load.takeLongestStall() < fairStall;
    if (result.violations.length === 0 || isFair || repeats === mostRepeats) {
      return { result, seen };
    }
  }
};

const runFault = async (
  bed: TestBed,
  load: Load,
  watch: LogWatch,
  fault: Fault,
): Promise<Omit<Observed, "unhandled" | "repeats">> => {
  const beganAt = load.now;
  const firstSample = load.samples.length;
  const wasCalm = await untilCalm(load, watch, beganAt, warmRounds);
  const firstChange = watch.changes.length;
  const ended = { services: false };
  const { services } = bed;
  void services.ended.then(() => ended.services = true);

  const failures: Array<string> = [];
  const attempt = async (what: string, act: Fault["inflict"]) => {
    try {
      await act(bed);
    } catch (error) {
      failures.push(`it could not be ${what}: ${error}`);
    }
  };
  const inflictedAt = load.now;
  await attempt("inflicted", fault.inflict);
  await delay((fault.seconds ?? 3) * 1_000 - (load.now - inflictedAt));
  await attempt("lifted", fault.lift);
  const liftedAt = load.now;
  const isWell = await untilCalm(load, watch, liftedAt, calmRounds);
  const endedAt = isWell ? load.now : undefined;
  return {
    fault,
    wasCalm,
    beganAt,
    inflictedAt,
    liftedAt,
    endedAt,
    samples: load.samples.slice(firstSample),
    changes: watch.changes.slice(firstChange),
    failures,
    exited: ended.services,
  };
};

/** Waits until all breakers are closed and the last rounds of requests since then went well. */
const untilCalm = async (
  load: Load,
  watch: LogWatch,
  since: number,
  rounds: number,
): Promise<boolean> => {
  const wanted = rounds * kinds.length;
  while (load.now < since + recoveryLimit) {
    const last = load.samples.slice(-wanted);
    const isNew = last.length === wanted && last.every(({ at }) => at >= since);
    if (isNew && last.every(isCalm) && watch.notClosed.length === 0) return true;
    await delay(20);
  }
  return false;
};

const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, Math.max(0, ms)));

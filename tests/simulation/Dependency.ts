/** Dependencies that fail in the ways real ones do. All times are milliseconds. */
import type { Rng } from "./Rng.ts";

/** How a call will end. */
export interface Answer {
  readonly succeeds: boolean;
  /** Milliseconds until the caller knows. */
  readonly latency: number;
}

export interface Dependency {
  /** Takes a call of `key` (a tenant) at `now`. */
  readonly call: (now: number, key: number) => Answer;
  /** Whether a call that was refused at `now` would have succeeded, had it been made alone. */
  readonly wouldSucceed: (now: number, key: number) => boolean;
  /** Whether it shows a sign of life. */
  readonly probe: (now: number) => boolean;
}

/** A stretch of time, from inclusive, to exclusive. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** One way to behave for a while. */
export interface Phase extends Span {
  /** Share of calls that fail. */
  readonly failing: number;
  /** Milliseconds a failing call takes [as a succeeding one]. */
  readonly failsAfter?: number;
  /** Only these keys are affected [all]. */
  readonly keys?: (key: number) => boolean;
}

/** Milliseconds of an ordinary call: 5 and on average 10 more. */
const ordinary = (random: Rng): number => 5 + random.exponential(10);

/**
 * Fails a share of the calls whatever their number, and of the probes: `normally`, and otherwise in
 * each phase.
 */
export const failing = (
  random: Rng,
  phases: ReadonlyArray<Phase>,
  normally = 0.002,
): Dependency => {
  let index = 0;
  /** Time never goes back, so the phases are walked through once. */
  const phaseAt = (now: number): Phase | undefined => {
    let phase = phases[index];
    while (phase !== undefined && now >= phase.to) phase = phases[++index];
    return phase !== undefined && now >= phase.from ? phase : undefined;
  };
  const share = (phase: Phase | undefined, key: number): number =>
    phase === undefined || phase.keys?.(key) === false ? normally : phase.failing;
  return {
    call: (now, key) => {
      const phase = phaseAt(now);
      const succeeds = random.uniform() >= share(phase, key);
      return { succeeds, latency: succeeds ? ordinary(random) : phase?.failsAfter ?? 15 };
    },
    wouldSucceed: (now, key) => random.uniform() >= share(phaseAt(now), key),
    probe: (now) => random.uniform() >= (phaseAt(now)?.failing ?? normally),
  };
};

/** A dependency that works on some calls at a time and lets the others wait. */
export interface Workers {
  /** How many calls it works on at a time. */
  readonly count: (now: number) => number;
  /** Milliseconds of work that a call is on average; half of it is always the same. */
  readonly work: (now: number) => number;
}

/** Milliseconds after which a caller gives up. */
export const deadline = 2_000;

/**
 * Takes every call, first come first served, and is slow instead of failing. A call fails at its
 * deadline; one whose caller has gone before its turn is not worked on.
 */
export const queueing = (
  random: Rng,
  { count, work }: Workers,
  normally = 0.002,
): Dependency => {
  /** When each worker is free. */
  const free: Array<number> = [];
  const soonest = (now: number): number => {
    const workers = count(now);
    while (free.length < workers) free.push(now);
    let first = 0;
    for (let worker = 1; worker < workers; worker += 1) {
      if ((free[worker] ?? 0) < (free[first] ?? 0)) first = worker;
    }
    return first;
  };
  const tooLate: Answer = { succeeds: false, latency: deadline };
  return {
    call: (now) => {
      const worker = soonest(now);
      const begins = Math.max(now, free[worker] ?? 0);
      if (begins >= now + deadline) return tooLate;
      const ends = begins + work(begins) / 2 + random.exponential(work(begins) / 2);
      free[worker] = ends;
      if (ends >= now + deadline) return tooLate;
      return { succeeds: random.uniform() >= normally, latency: ends - now };
    },
    wouldSucceed: (now) => {
      const begins = Math.max(now, free[soonest(now)] ?? 0);
      return begins + work(begins) < now + deadline && random.uniform() >= normally;
    },
    probe: () => true,
  };
};

/** A dependency that bears only so many calls a second. */
export interface Limits {
  /** Calls a second at `now`, given the time since it last came up. */
  readonly capacity: (now: number, upFor: number) => number;
  /** Whether it is up at all. */
  readonly isUp: (now: number) => boolean;
  /** How long it is down after more calls than it can bear; 0: it only refuses what is too much. */
  readonly collapsesFor: number;
}

/**
 * Serves up to its capacity, measured over slices of 100 ms with a bucket of half a second. What is
 * beyond that it refuses, or it collapses and must come up anew: cold caches, lost leaders.
 */
export const limited = (random: Rng, limits: Limits, normally = 0.002): Dependency => {
  let upSince = -Infinity;
  let downUntil = -Infinity;
  let tokens = Infinity;
  let refilledAt = 0;
  const isUp = (now: number): boolean => {
    if (!limits.isUp(now)) {
      upSince = Infinity;
      return false;
    }
    if (upSince === Infinity) upSince = now;
    return now >= downUntil;
  };
  const admit = (now: number): boolean => {
    const capacity = limits.capacity(now, now - upSince);
    tokens = Math.min(capacity / 2, tokens + capacity * (now - refilledAt) / 1_000);
    refilledAt = now;
    if (tokens >= 1) {
      tokens -= 1;
      return true;
    }
    if (limits.collapsesFor > 0) {
      downUntil = now + limits.collapsesFor;
      upSince = downUntil;
    }
    return false;
  };
  const fails: Answer = { succeeds: false, latency: 15 };
  return {
    call: (now) => {
      if (!isUp(now) || !admit(now) || random.uniform() < normally) return fails;
      return { succeeds: true, latency: ordinary(random) };
    },
    wouldSucceed: (now) => isUp(now) && random.uniform() >= normally,
    probe: isUp,
  };
};

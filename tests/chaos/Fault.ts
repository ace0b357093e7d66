/** What a fault is: how to inflict and lift it, and what the services must do meanwhile. */
import type { Dependency, Kind } from "./Answers.ts";
import type { Launch, TestBed } from "./TestBed.ts";

export type Family =
  | "processes"
  | "network"
  | "answers"
  | "machine"
  | "hosts"
  | "combinations";

/** Every breaker that the load reaches: its service and its name. */
export const breakers = [
  "routing mongodb",
  "routing redis",
  "auth mongodb",
  "auth redis",
  "auth token-exchange-ikea",
  "auth token-exchange-habitat",
] as const;

export type BreakerName = typeof breakers[number];

/**
 * What a breaker does from the begin of a fault until all is well again:
 * - `opens`: closed → open → half-open (→ open → half-open)* → closed, once or more often;
 * - `may open`: the same or nothing, for what is harmed a little or for a short time;
 * - `stays closed`: nothing; this goes for every breaker that a fault does not name.
 */
export type Path = "opens" | "may open" | "stays closed";

/** What the machine must allow; a fault that needs what is not there is left out. */
export type Ability = "namespace" | "tmpfs" | "cgroup" | "prlimit" | "faketime" | "toxiproxy";

export interface Fault {
  readonly name: string;
  readonly family: Family;
  /** Decides which answers are legal while it lasts and until all is well. */
  readonly harms: ReadonlyArray<Dependency>;
  /** Legal beside those. */
  readonly allows?: Partial<Readonly<Record<Kind, ReadonlyArray<string>>>>;
  /**
   * Answered with 503 also where a copy would stand in, but only for stores that were answered with
   * 404 since it was inflicted: what was found missing has no copy any more.
   */
  readonly forgets?: ReadonlyArray<Kind>;
  /** Answers that must be seen while it lasts: else it was not really there. */
  readonly shows?: ReadonlyArray<readonly [Kind, string]>;
  readonly breakers: Partial<Readonly<Record<BreakerName, Path>>>;
  readonly needs?: ReadonlyArray<Ability>;
  /** How the services are started before it. */
  readonly launch?: Launch;
  /** How long it lasts [3]. */
  readonly seconds?: number;
  readonly inflict: (bed: TestBed) => Promise<unknown> | void;
  readonly lift: (bed: TestBed) => Promise<unknown> | void;
}

/** The breakers in front of each dependency. */
export const breakersOf = (dependency: Dependency, path: Path): Fault["breakers"] => {
  switch (dependency) {
    case "mongodb":
      return { "routing mongodb": path, "auth mongodb": path };
    case "redis":
      return { "routing redis": path, "auth redis": path };
    case "token endpoint":
      return { "auth token-exchange-ikea": path };
  }
};

/** Answers that show that a dependency is gone. */
export const signOf: Readonly<Record<Dependency, readonly [Kind, string]>> = {
  mongodb: ["first read", "503"],
  redis: ["first read", "200 BYPASS"],
  "token endpoint": ["new token", "503"],
};

/** A fault that takes one dependency away wholly. */
export const outage = (
  dependency: Dependency,
  fault: Omit<Fault, "harms" | "breakers"> & Partial<Pick<Fault, "harms" | "breakers">>,
): Fault => ({
  harms: [dependency],
  shows: [signOf[dependency]],
  breakers: breakersOf(dependency, "opens"),
  ...fault,
});

/** A fault that a dependency bears, or nearly: its breakers may open, and need not. */
export const strain = (
  dependency: Dependency,
  fault: Omit<Fault, "harms" | "breakers"> & Partial<Pick<Fault, "harms" | "breakers">>,
): Fault => ({
  harms: [dependency],
  breakers: breakersOf(dependency, "may open"),
  ...fault,
});

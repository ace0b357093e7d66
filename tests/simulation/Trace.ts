/** A story to be told to every policy alike: who calls how often, and what the dependency does. */
import type { Dependency, Span } from "./Dependency.ts";
import type { Rng } from "./Rng.ts";

export const second = 1_000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;

export interface Trace {
  readonly name: string;
  readonly description: string;
  /** Milliseconds from the beginning to the end. */
  readonly length: number;
  /** Clients, each with a policy of its own; calls are spread over them evenly. */
  readonly replicas: number;
  /** Tenants, each with an endpoint and so with a policy of its own in each client. */
  readonly keys: number;
  /** Calls a second of all clients together. */
  readonly rate: (now: number) => number;
  /** How many times a user whose request was refused or failed comes again. */
  readonly userRetries: number;
  /** When the dependency is not as it should be; in between it is. */
  readonly faults: ReadonlyArray<Span>;
  /** Whether the faults are those of this tenant's endpoint [all are]. */
  readonly affects?: (key: number) => boolean;
  /** The dependency is slow instead of failing, so that how fast it answers matters [false]. */
  readonly isQueueing?: boolean;
  readonly dependency: (random: Rng) => Dependency;
}

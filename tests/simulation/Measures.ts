/** What one run of one policy through one trace has shown. Times are milliseconds. */
export interface Measures {
  /** From the first fault to the opening of half of the clients' policies; `null`: they never did. */
  readonly timeToOpen: number | null;
  /** Calls that were sent during faults and failed. */
  readonly wasted: number;
  /** Openings while the dependency was as it should be. */
  readonly falseOpens: number;
  /** Calls that were refused and would have succeeded. */
  readonly goodRefused: number;
  /** From the end of the last fault until half of the clients' policies are closed for good. */
  readonly timeToRecover: number | null;
  /** Most calls in one second after the last fault, as a multiple of what is normal. */
  readonly peakLoad: number;
  /** Refusals of calls whose own endpoint was well all the time. */
  readonly bystandersRefused: number;
  /** Calls of users, without their coming again. */
  readonly requests: number;
  /** Users who got an answer in the end. */
  readonly served: number;
  /** Share of calls turned away during faults. */
  readonly shed: number;
}

export const median = (values: ReadonlyArray<number>): number | null => {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
};

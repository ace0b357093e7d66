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
  /**
   * Most calls after the last fault, as a multiple of what is normal: in a second, or in as many as
   * usually see {@link peakCalls}; `null` when the trace ends before.
   */
  readonly peakLoad: number | null;
  /** Milliseconds after which 95 % of the calls that succeeded during faults had; `null`: none did. */
  readonly latency: number | null;
  /** Refusals of calls whose own endpoint was well all the time. */
  readonly bystandersRefused: number;
  /** Calls of users, without their coming again. */
  readonly requests: number;
  /** Users who got an answer in the end. */
  readonly served: number;
  /** Share of calls turned away during faults. */
  readonly shed: number;
}

/** Calls among which chance does not make a peak. */
export const peakCalls = 200;

/** The value below which a share of all lies. */
export const quantile = (values: ReadonlyArray<number>, share: number): number | null => {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length * share)] ?? null;
};

export const median = (values: ReadonlyArray<number>): number | null => quantile(values, 0.5);

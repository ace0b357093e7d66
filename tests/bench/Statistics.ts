/** What rounds say: a median with its spread, and ratios taken round by round. */

/** The middle of several figures, and the least and greatest of them. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The spread of at least one figure. */
export const spread = (figures: ReadonlyArray<number>): Spread => {
  const sorted = figures.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const at = (index: number): number => sorted[index] ?? NaN;
  return {
    median: (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2,
    min: at(0),
    max: at(sorted.length - 1),
  };
};

/** Figures combined round by round; all lists are of one length. */
export const byRound = (
  combine: (...figures: ReadonlyArray<number>) => number,
  ...lists: ReadonlyArray<ReadonlyArray<number>>
): ReadonlyArray<number> =>
  (lists[0] ?? []).map((_, round) => combine(...lists.map((list) => list[round] ?? NaN)));

/** One figure over another, round by round: what was measured side by side is compared so. */
export const ratios = (
  ours: ReadonlyArray<number>,
  peers: ReadonlyArray<number>,
): ReadonlyArray<number> => byRound((a = NaN, b = NaN) => a / b, ours, peers);

/** What a micro benchmark prints, and how the line is found in its output. */

/** Nanoseconds an iteration, by case and round; or what else a case measures. */
export type Figures = Readonly<Record<string, ReadonlyArray<number>>>;

/** What stands before the figures in the output. */
export const marker = "MICRO ";

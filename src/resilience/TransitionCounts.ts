/** How often each change of state has happened: a short list, made with the first change. */
import type { Transition } from "./BreakerContract.ts";

/** Changes that have happened, in the order of their first time. */
export type TransitionCounts = Array<{ -readonly [K in keyof Transition]: Transition[K] }>;

/** Counts one more change and answers the list. */
export const counted = (
  list: TransitionCounts | undefined,
  from: Transition["from"],
  to: Transition["to"],
): TransitionCounts => {
  const known = list?.find((transition) => transition.from === from && transition.to === to);
  if (known === undefined) return [...list ?? [], { from, to, count: 1 }];
  known.count += 1;
  return list ?? [];
};

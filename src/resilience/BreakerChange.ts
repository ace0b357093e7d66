/** The change that a breaker tells of when its state has become another one. */
import type { StateChange } from "./BreakerContract.ts";
import { tripOf } from "./BreakerExplanation.ts";
import type { Rules } from "./BreakerSettings.ts";
import { countsAt, type Outcome, type State, withResult } from "./BreakerState.ts";

/** What led from one state to the next. */
export type ChangeCause = Outcome | "admission" | "control";

const wouldBeOpen = (state: State): boolean => state._tag === "closed" && state.observed;

/** Only in mode `observe`: the breaker would have opened, and says so for the first time. */
export const isObserved = (before: State, after: State): boolean =>
  wouldBeOpen(after) && !wouldBeOpen(before);

/** The change from `before` to `after`; `at` is wall-clock time, `now` monotonic. */
export const changeOf = (
  breaker: string,
  rules: Rules,
  before: State,
  after: State,
  cause: ChangeCause,
  { at, now }: { readonly at: number; readonly now: number },
): StateChange => {
  const observed = isObserved(before, after);
  const counts = countsAt(rules, before, now);
  const isResult = cause === "success" || cause === "failure";
  const trip = isResult ? tripOf(rules, before, after, cause) : null;
  return {
    breaker,
    from: before._tag,
    to: observed ? "open" : after._tag,
    at,
    counts: isResult ? withResult(counts, cause === "failure") : counts,
    manual: cause === "control",
    ...(observed ? { observed } : {}),
    ...(trip === null ? {} : { trip }),
  };
};

/** The rules of a breaker and its `step` by them, ready to be used. */
import type { Rules } from "./BreakerSettings.ts";
import { type Event, type State, step } from "./BreakerState.ts";

/** How to judge; shared by all breakers with the same rules. */
export interface Policy {
  readonly rules: Rules;
  readonly step: (state: State, event: Event, now: number) => State;
  readonly timesCalls: boolean;
  /** Whether a success says nothing but that it was one. */
  readonly countsRuns: boolean;
}

export const policyOf = (rules: Rules): Policy => {
  const timesCalls = rules.slowCallDuration !== Infinity;
  return {
    rules,
    step: step(rules),
    timesCalls,
    countsRuns: !timesCalls && rules.adaptive === null,
  };
};

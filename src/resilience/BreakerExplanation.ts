/** What an adaptive breaker tells of itself: how it stands, and why it opened. */
import * as AdaptiveThreshold from "./AdaptiveThreshold.ts";
import type { Rules } from "./BreakerSettings.ts";
import { countsAt, type State, tripAfter } from "./BreakerState.ts";

/** How an adaptive breaker stands at `now`; `null` by the fixed rules. */
export const explain = (rules: Rules, state: State, now: number): AdaptiveThreshold.View | null => {
  if (rules.adaptive === null) return null;
  const trip = state._tag === "closed" ? null : state.trip;
  const requests = state._tag === "open" ? 0 : countsAt(rules, state, now).requests;
  return {
    baseline: AdaptiveThreshold.baselineRate(rules.adaptive, state.baseline),
    threshold: trip?.threshold ??
      AdaptiveThreshold.thresholdAt(rules.adaptive, state.baseline, requests),
    trip,
  };
};

/** Why an adaptive breaker went from closed to open, or in mode `observe` would have. */
export const tripOf = (
  rules: Rules,
  before: State,
  after: State,
  cause: "success" | "failure",
): AdaptiveThreshold.Trip | null => {
  if (before._tag !== "closed") return null;
  if (after._tag === "closed") return tripAfter(rules, after, cause === "failure", true);
  return after.trip;
};

const percent = (share: number): string => `${Number((share * 100).toPrecision(2))} %`;

/** The trip as a sentence's half, for people: `9 of 25 failed where 0.5 % is normal`. */
export const reasonOf = (
  { rule, failures, requests, baseline }: AdaptiveThreshold.Trip,
): string => {
  switch (rule) {
    case "failure-rate":
      return `${failures} of ${requests} failed where ${percent(baseline)} is normal`;
    case "consecutive-failures":
      return `${failures} in a row failed where ${percent(baseline)} is normal`;
    case "slow-calls":
      return `${failures} of ${requests} were slow`;
  }
};

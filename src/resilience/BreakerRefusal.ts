/** What a breaker says to a call it turns away. */
import { Duration } from "effect";
import { CircuitOpen } from "./BreakerContract.ts";
import type { Rules } from "./BreakerSettings.ts";
import type { State } from "./BreakerState.ts";

/** Milliseconds for which a state that turns calls away at `now` (monotonic) goes on doing so. */
export const restOf = (rules: Rules, state: State, now: number): number => {
  if (state._tag === "half-open") {
    const leases = state.trials.filter(({ until }) => now < until).map(({ until }) => until);
    return leases.length === 0 ? 0 : Math.min(...leases) - now;
  }
  // Nobody knows when an operator ends a forced opening.
  return state._tag === "open" && state.mode === "auto" ? state.until - now : rules.openFor;
};

const reasonOf = (state: State): CircuitOpen["reason"] => {
  if (state._tag === "half-open") return "half-open";
  return state._tag === "open" && state.mode === "auto" ? "open" : "forced";
};

/** Why a call of `breaker` is turned away at `now` (monotonic milliseconds), and for how long. */
export const refusalOf = (
  breaker: string,
  rules: Rules,
  state: State,
  now: number,
): CircuitOpen =>
  new CircuitOpen({
    breaker,
    reason: reasonOf(state),
    retryAfter: Duration.millis(restOf(rules, state, now)),
  });

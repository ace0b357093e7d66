/** What a breaker says to a call it turns away. */
import { Duration } from "effect";
import { CircuitOpen } from "./BreakerContract.ts";
import type { Rules } from "./BreakerSettings.ts";
import type { State } from "./BreakerState.ts";

/** Why a call of `breaker` is turned away at `now` (monotonic milliseconds), and for how long. */
export const refusalOf = (
  breaker: string,
  rules: Rules,
  state: State,
  now: number,
): CircuitOpen => {
  if (state._tag === "half-open") {
    const leases = state.trials.filter(({ until }) => now < until).map(({ until }) => until);
    const retryAfter = Duration.millis(leases.length === 0 ? 0 : Math.min(...leases) - now);
    return new CircuitOpen({ breaker, reason: "half-open", retryAfter });
  }
  if (state._tag === "open" && state.mode === "auto") {
    return new CircuitOpen({
      breaker,
      reason: "open",
      retryAfter: Duration.millis(state.until - now),
    });
  }
  const retryAfter = Duration.millis(rules.openFor);
  return new CircuitOpen({ breaker, reason: "forced", retryAfter });
};

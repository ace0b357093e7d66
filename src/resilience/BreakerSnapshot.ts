/** What can be told of a breaker from its state alone. */
import type { Snapshot } from "./BreakerContract.ts";
import { explain } from "./BreakerExplanation.ts";
import type { Rules } from "./BreakerSettings.ts";
import { countsAt, type State } from "./BreakerState.ts";

/** A snapshot without what the state does not know. `now` is monotonic, `wall` epoch milliseconds. */
export const snapshotOf = (
  rules: Rules,
  state: State,
  now: number,
  wall: number,
): Omit<Snapshot, "name" | "rejected" | "stateChangedAt"> => {
  const counts = countsAt(rules, state, now);
  const isTimed = state._tag === "open" && state.mode === "auto";
  const adaptive = explain(rules, state, now);
  return {
    state: state._tag,
    mode: state.mode,
    counts,
    failureRate: counts.requests < rules.minimumRequests
      ? null
      : counts.totalFailures / counts.requests,
    // Rounded up: a call at that time must be admitted.
    openUntil: isTimed ? Math.ceil(wall + state.until - now) : null,
    ...(adaptive === null ? {} : { adaptive }),
  };
};

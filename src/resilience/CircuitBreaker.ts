/**
 * Circuit breaker: makes one, and exports all that its users need.
 *
 * `BreakerState.step` is the whole policy; `Breaker` runs calls by it.
 */
import { Clock, Effect, Random, Ref } from "effect";
import { Breaker } from "./Breaker.ts";
import { type Policy, policyOf } from "./BreakerPolicy.ts";
import type { CircuitBreaker } from "./BreakerContract.ts";
import { decode, type InvalidSettings, type Settings } from "./BreakerSettings.ts";
import { initial, type State } from "./BreakerState.ts";

export { InvalidSettings, type Settings } from "./BreakerSettings.ts";
export * from "./BreakerContract.ts";
export type { Action, Counts, Mode, Outcome } from "./BreakerState.ts";
export { classifyExit } from "./Classification.ts";

/** A breaker of an already checked policy, which all with the same rules should share. */
export const fromPolicy = (name: string, policy: Policy): Effect.Effect<CircuitBreaker> =>
  Effect.gen(function* () {
    const ref = yield* Ref.make<State>(initial);
    const seed = yield* Random.nextIntBetween(0, 2 ** 31);
    const now = yield* Clock.currentTimeMillis;
    return new Breaker(name, ref, policy, seed, now);
  });

/** Makes a closed breaker, or fails with every illegal setting at once. */
export const make = (
  name: string,
  settings: Partial<Settings> = {},
): Effect.Effect<CircuitBreaker, InvalidSettings> =>
  Effect.flatMap(decode(name, settings), (rules) => fromPolicy(name, policyOf(rules)));

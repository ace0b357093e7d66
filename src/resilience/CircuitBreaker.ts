/**
 * Circuit breaker: makes one, and exports all that its users need.
 *
 * `BreakerState.step` is the whole policy; `Breaker` runs calls by it.
 */
import { Clock, Effect, Random, Ref } from "effect";
import { Breaker } from "./Breaker.ts";
import type { CircuitBreaker } from "./BreakerContract.ts";
import { decode, type InvalidSettings, type Rules, type Settings } from "./BreakerSettings.ts";
import { type Event, initial, type State, step } from "./BreakerState.ts";

export { InvalidSettings, type Settings } from "./BreakerSettings.ts";
export * from "./BreakerContract.ts";
export type { Action, Counts, Mode, Outcome } from "./BreakerState.ts";
export { classifyExit } from "./Classification.ts";

/** A breaker that runs by already checked rules; `step` may be shared by all with the same rules. */
export const fromRules = (
  name: string,
  rules: Rules,
  next: (state: State, event: Event, now: number) => State = step(rules),
): Effect.Effect<CircuitBreaker> =>
  Effect.gen(function* () {
    const ref = yield* Ref.make<State>(initial);
    const seed = yield* Random.nextIntBetween(0, 2 ** 31);
    const now = yield* Clock.currentTimeMillis;
    return new Breaker(name, ref, rules, next, seed, now);
  });

/** Makes a closed breaker, or fails with every illegal setting at once. */
export const make = (
  name: string,
  settings: Partial<Settings> = {},
): Effect.Effect<CircuitBreaker, InvalidSettings> =>
  Effect.flatMap(decode(name, settings), (rules) => fromRules(name, rules));

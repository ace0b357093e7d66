/**
 * Manual overrides of breakers that hold on every replica of a service.
 *
 * Only what an operator decides is spread; each replica goes on judging its dependencies by itself.
 * `open`, `disable` and `observe` stand until they are ended, also for replicas that start later.
 */
import { Context, Effect, Layer, Stream } from "effect";
import type { Action } from "../resilience/CircuitBreaker.ts";
import type { DependencyFailure } from "../resilience/DependencyFailure.ts";

/** One operator's decision about one breaker. */
export interface Override {
  readonly breaker: string;
  readonly action: Action;
}

/** The other replicas of one service. `overrides` is for one reader. */
export class Fleet extends Context.Tag("operations/Fleet")<Fleet, {
  /** Tells all other replicas. It has been applied to this one already. */
  readonly publish: (override: Override) => Effect.Effect<void, DependencyFailure>;
  /** What to apply here: standing overrides first, then others' decisions as they come. */
  readonly overrides: Stream.Stream<Override>;
}>() {
  /** This process has no others: publishing does nothing, and no overrides come. */
  static readonly layerMemory: Layer.Layer<Fleet> = Layer.succeed(this, {
    publish: () => Effect.void,
    overrides: Stream.never,
  });
}

/** True for actions that hold until another one ends them. */
export const isStanding = (action: Action): boolean =>
  action === "open" || action === "disable" || action === "observe";

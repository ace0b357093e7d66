/**
 * Where the process is between its start and its end; it only ever moves forward. Readiness is
 * answered from it, and servers wait for one another through it.
 */
import { Context, Deferred, Effect, Layer } from "effect";

/** `draining`: what is in flight is finished, nothing new should be sent here. */
export type State = "starting" | "ready" | "draining" | "stopped";

const order: ReadonlyArray<State> = ["starting", "ready", "draining", "stopped"];

/** The state of this process. */
export class Lifecycle extends Context.Tag("http/Lifecycle")<Lifecycle, {
  readonly state: Effect.Effect<State>;
  /** {@link state} for code that is not in a fiber. */
  readonly unsafeState: () => State;
  /** Moves on to a later state; an earlier one or the same changes nothing. */
  readonly advance: (to: State) => Effect.Effect<void>;
  /** Waits until draining has begun. */
  readonly draining: Effect.Effect<void>;
}>() {
  /** Begins as `starting`. */
  static readonly layer: Layer.Layer<Lifecycle> = Layer.effect(
    this,
    Effect.map(Deferred.make<void>(), (begun) => {
      let state: State = "starting";
      return {
        state: Effect.sync(() => state),
        unsafeState: () => state,
        advance: (to) =>
          Effect.suspend(() => {
            if (order.indexOf(to) <= order.indexOf(state)) return Effect.void;
            state = to;
            return to === "ready" ? Effect.void : Effect.asVoid(Deferred.succeed(begun, undefined));
          }),
        draining: Deferred.await(begun),
      };
    }),
  );
}

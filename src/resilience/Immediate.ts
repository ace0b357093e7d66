/**
 * Effects whose first step needs no fiber, and whose result may be there after it.
 *
 * A fiber costs some 5 µs, about as much as a whole answer from this process's memory. What the
 * functions here trade for it: they run that step while the program is put together, so they are
 * for the place where it is run right then, and for steps that nobody interrupts or traces.
 */
import { Effect, Effectable, Exit } from "effect";

class FirstStep<A, E, R> extends Effectable.Class<A, E, R> {
  constructor(readonly take: () => Effect.Effect<A, E, R>) {
    super();
  }
  override commit(): Effect.Effect<A, E, R> {
    return this.take();
  }
}

/** `Effect.suspend` for a step that {@link begin} may also take outside of a fiber. */
export const suspend = <A, E, R>(step: () => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  new FirstStep(step);

/** Takes the first step now. What is left is to be run now and once; an `Exit` needs no running. */
export const begin = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  // Whoever made it gave it the types of the effect it stands for.
  self instanceof FirstStep ? (self as FirstStep<A, E, R>).take() : self;

/** The result of an effect that is done, else `undefined`. */
export const resultOf = <A, E, R>(self: Effect.Effect<A, E, R>): Exit.Exit<A, E> | undefined =>
  // An exit that stands for an effect of these types has these types.
  Exit.isExit(self) ? self as Exit.Exit<A, E> : undefined;

/** `Effect.matchEffect` that begins at once; a defect passes. */
export const match = <A, E, R, B, E2, R2, C, E3, R3>(
  self: Effect.Effect<A, E, R>,
  { onSuccess, onFailure }: {
    readonly onSuccess: (value: A) => Effect.Effect<B, E2, R2>;
    readonly onFailure: (error: E) => Effect.Effect<C, E3, R3>;
  },
): Effect.Effect<B | C, E2 | E3, R | R2 | R3> => {
  const begun = begin(self);
  const result = resultOf(begun);
  if (result?._tag === "Success") return onSuccess(result.value);
  if (result?._tag === "Failure" && result.cause._tag === "Fail") {
    return onFailure(result.cause.error);
  }
  return Effect.matchEffect(begun, { onSuccess, onFailure });
};

/**
 * Calls without a fiber, for the few paths that most requests take.
 *
 * A fiber costs some 5 µs and each wait in it two more turns of the microtask queue: more than a whole
 * answer from memory, as much as a read from Redis. The effects made here are ordinary ones to
 * everybody who runs them; `begin` can also run them up to their result, or to a wait that ends in a
 * callback. What is traded for that: such a wait cannot be interrupted (its result is dropped), there
 * are no `FiberRef`s before it has ended, and time is that of the clock a service was made with.
 */
import { Cause, Effect, Effectable, Exit } from "effect";

class Step<A, E, R> extends Effectable.Class<A, E, R> {
  constructor(
    readonly take: () => Effect.Effect<A, E, R>,
    readonly inFiber: () => Effect.Effect<A, E, R>,
  ) {
    super();
  }
  override commit(): Effect.Effect<A, E, R> {
    return this.inFiber();
  }
}

type AnyEffect = Effect.Effect<unknown, unknown, unknown>;
type AnyExit = Exit.Exit<unknown, unknown>;
type Next = (exit: AnyExit) => AnyEffect;

/** What goes on when a wait has ended: `next`, after all that was added before it. */
interface Following {
  readonly next: Next;
  readonly before: Following | undefined;
}

/**
 * A wait: calls back with what is left to be run. Only the first call counts, as with `Effect.async`:
 * an answer may still come after its deadline.
 */
export class Wait<A, E, R> extends Effectable.Class<A, E, R> {
  readonly #source: (resume: (rest: AnyEffect) => void) => void;
  readonly #following: Following | undefined;

  constructor(
    source: (resume: (rest: Effect.Effect<A, E, R>) => void) => void,
    following?: Following,
  ) {
    super();
    this.#source = source;
    this.#following = following;
  }

  override commit(): Effect.Effect<A, E, R> {
    return Effect.async<A, E, R>((resume) => this.start(resume));
  }

  /** The same wait, with one more step behind it. Costs two small objects, however many there are. */
  andThen<B, E2, R2>(
    next: (exit: Exit.Exit<A, E>) => Effect.Effect<B, E2, R2>,
  ): Wait<B, E2, R | R2> {
    // Steps run in the order in which they were added: each is given what the one before it leaves,
    // and the whole leaves what the last one does.
    const following = { next: next as Next, before: this.#following };
    return new Wait(this.#source, following) as Wait<B, E2, R | R2>;
  }

  /** Begins to wait; `resume` is given the result, or what a fiber has to run. */
  start(resume: (rest: Effect.Effect<A, E, R>) => void): void {
    // As above: what the last step leaves has the types of the whole.
    this.#run([], resume as (rest: AnyEffect) => void);
  }

  /** `steps` follow this wait's own; the last one comes first. */
  #run(steps: Array<Next>, resume: (rest: AnyEffect) => void): void {
    for (let step = this.#following; step !== undefined; step = step.before) steps.push(step.next);
    let isOver = false;
    this.#source((rest) => {
      if (isOver) return;
      isOver = true;
      Wait.#proceed(rest, steps, resume);
    });
  }

  static #proceed(rest: AnyEffect, steps: Array<Next>, resume: (rest: AnyEffect) => void): void {
    let left = rest;
    let exit = resultOf(left);
    while (exit !== undefined) {
      const next = steps.pop();
      if (next === undefined) return resume(exit);
      left = take(next, exit);
      exit = resultOf(left);
    }
    if (left instanceof Wait) left.#run(steps, resume);
    else resume(steps.reduceRight(inFiber, left));
  }
}

/** What a step throws behind a wait has nobody above it: it is a defect. */
const take = (next: Next, exit: AnyExit): AnyEffect => {
  try {
    return begin(next(exit));
  } catch (defect) {
    return Exit.die(defect);
  }
};

/**
 * An effect whose first step `begin` may take outside of a fiber; in one, `inFiber` is run instead
 * [the same]. A step that leaves an effect which needs a fiber must not have done anything yet.
 */
export const suspend = <A, E, R>(
  step: () => Effect.Effect<A, E, R>,
  inFiber: () => Effect.Effect<A, E, R> = step,
): Effect.Effect<A, E, R> => new Step(step, inFiber);

/** Whether {@link begin} can do anything at all. */
export const canBegin = (self: Effect.Effect<unknown, unknown, unknown>): boolean =>
  self instanceof Step || self instanceof Wait || Exit.isExit(self);

/**
 * Takes the first step now. An `Exit` is the result, a `Wait` is to be started, anything else is to
 * be run in a fiber; each of them now and once.
 */
export const begin = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  let next = self;
  // Whoever made a step gave it the types of the effect it stands for.
  while (next instanceof Step) next = (next as Step<A, E, R>).take();
  return next;
};

/** The result of an effect that is done, else `undefined`. */
export const resultOf = <A, E, R>(self: Effect.Effect<A, E, R>): Exit.Exit<A, E> | undefined =>
  // An exit that stands for an effect of these types has these types.
  Exit.isExit(self) ? self as Exit.Exit<A, E> : undefined;

/** Begins `self` and goes on with its result. What `next` throws is a defect. */
export const andThen = <A, E, R, B, E2, R2>(
  self: Effect.Effect<A, E, R>,
  next: (exit: Exit.Exit<A, E>) => Effect.Effect<B, E2, R2>,
): Effect.Effect<B, E2, R | R2> => {
  const begun = begin(self);
  const exit = resultOf(begun);
  if (exit !== undefined) return begin(next(exit));
  // As above.
  if (begun instanceof Wait) return (begun as Wait<A, E, R>).andThen(next);
  return inFiber(begun, next);
};

const inFiber = <A, E, R, B, E2, R2>(
  self: Effect.Effect<A, E, R>,
  next: (exit: Exit.Exit<A, E>) => Effect.Effect<B, E2, R2>,
): Effect.Effect<B, E2, R | R2> =>
  Effect.matchCauseEffect(self, {
    onSuccess: (value) => next(Exit.succeed(value)),
    onFailure: (cause) => next(Exit.failCause(cause)),
  });

/** `Effect.matchEffect` that begins at once; defects and interruptions pass. */
export const match = <A, E, R, B, E2, R2, C, E3, R3>(
  self: Effect.Effect<A, E, R>,
  { onSuccess, onFailure }: {
    readonly onSuccess: (value: A) => Effect.Effect<B, E2, R2>;
    readonly onFailure: (error: E) => Effect.Effect<C, E3, R3>;
  },
): Effect.Effect<B | C, E2 | E3, R | R2 | R3> =>
  andThen(self, (exit): Effect.Effect<B | C, E2 | E3, R2 | R3> => {
    if (exit._tag === "Success") return onSuccess(exit.value);
    const { cause } = exit;
    if (cause._tag === "Fail") return onFailure(cause.error);
    return Effect.matchEffect(Effect.failCause(cause), {
      onSuccess: Effect.succeed,
      onFailure,
    });
  });

/** `Effect.flatMap` that begins at once. */
export const flatMap = <A, E, R, B, E2, R2>(
  self: Effect.Effect<A, E, R>,
  next: (value: A) => Effect.Effect<B, E2, R2>,
): Effect.Effect<B, E | E2, R | R2> =>
  andThen(
    self,
    (exit): Effect.Effect<B, E | E2, R2> =>
      exit._tag === "Success" ? next(exit.value) : Exit.failCause(exit.cause),
  );

/** True for a cause that says nothing but that somebody lost interest. */
export const isInterruption = (exit: Exit.Exit<unknown, unknown>): boolean =>
  exit._tag === "Failure" && Cause.isInterruptedOnly(exit.cause);

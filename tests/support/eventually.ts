/**
 * Waits for a condition by asking again about every 20 ms of real time; the one way to wait in
 * tests, in place of a sleep of a guessed length. The last error is the one reported.
 */
import { Cause, Data, Duration, Effect, Exit } from "effect";

/** How long to keep asking. */
export interface EventuallyOptions {
  /** Real time after which the last error is reported [10 seconds]. */
  readonly within?: Duration.DurationInput;
  /** Real time between two checks [20 millis]. */
  readonly every?: Duration.DurationInput;
}

/** The condition did not come true in time; `message` and `cause` hold its last error. */
export class NotInTime extends Data.TaggedError("NotInTime")<{
  readonly message: string;
  readonly cause: unknown;
}> {}

type Check<A> = () => A | PromiseLike<A> | Effect.Effect<A, unknown>;

/**
 * Repeats the check until it neither throws, rejects, fails nor gives `false`, and returns its
 * value: a Promise for a function, an Effect for an Effect (real time also under `TestClock`).
 */
export function eventually<A, E, R>(
  check: Effect.Effect<A, E, R>,
  options?: EventuallyOptions,
): Effect.Effect<A, NotInTime, R>;
export function eventually<A>(check: Check<A>, options?: EventuallyOptions): Promise<A>;
export function eventually<A, E, R>(
  check: Effect.Effect<A, E, R> | Check<A>,
  options: EventuallyOptions = {},
): Effect.Effect<A, NotInTime, R> | Promise<A> {
  if (Effect.isEffect(check)) return poll(check, options);
  const once = Effect.tryPromise({
    try: async () => {
      const result = await check();
      return Effect.isEffect(result) ? await Effect.runPromise(result as Effect.Effect<A>) : result;
    },
    catch: (error) => error,
  });
  return Effect.runPromiseExit(poll(once, options)).then((exit) => {
    if (Exit.isSuccess(exit)) return exit.value;
    throw Cause.squash(exit.cause);
  });
}

const poll = <A, E, R>(
  check: Effect.Effect<A, E, R>,
  { within = "10 seconds", every = "20 millis" }: EventuallyOptions,
): Effect.Effect<A, NotInTime, R> =>
  Effect.gen(function* () {
    // The machine's clock, not Effect's: the condition is about real processes and sockets.
    const deadline = performance.now() + Duration.toMillis(within);
    while (true) {
      const exit = yield* Effect.exit(check);
      if (Exit.isSuccess(exit) && exit.value !== false) return exit.value;
      if (Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause)) {
        return yield* Effect.interrupt;
      }
      if (performance.now() >= deadline) return yield* notInTime(exit, within);
      yield* realDelay(Duration.toMillis(every));
    }
  });

function notInTime(exit: Exit.Exit<unknown, unknown>, within: Duration.DurationInput): NotInTime {
  const cause = Exit.isFailure(exit)
    ? Cause.squash(exit.cause)
    : new Error("The check returned false");
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new NotInTime({ message: `Not within ${Duration.format(within)}: ${reason}`, cause });
}

const realDelay = (ms: number): Effect.Effect<void> =>
  Effect.async((resume) => {
    const timer = setTimeout(() => resume(Effect.void), ms);
    return Effect.sync(() => clearTimeout(timer));
  });

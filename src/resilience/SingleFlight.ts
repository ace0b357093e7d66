/**
 * One run for all who ask for the same thing at the same time.
 *
 * The work runs in a fiber of its own with the first caller's context, so a caller that goes away
 * takes nothing from the others; when the last one goes, the work is interrupted and waited for.
 * Nothing is remembered: the key is gone the moment the work ends, however it ends. The first call
 * pays for a fork (about 5 µs), so this belongs in front of work that costs more.
 */
import { Deferred, Effect, Exit, Fiber, FiberId } from "effect";

/** Runs at most one effect per key at a time. */
export interface SingleFlight<K, A, E> {
  /**
   * Runs `effect`, or waits for the run of `key` that is going on. Success, failure and defect are
   * shared by all who wait; the deadline and the services are those of the caller that started it.
   */
  readonly run: <R>(key: K, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>;
  /** How many keys are being worked on now. */
  readonly unsafeSize: () => number;
}

interface Flight<A, E> {
  /** How the work ended; an Exit as a value, so that failing to wait is something else. */
  readonly result: Deferred.Deferred<Exit.Exit<A, E>>;
  /** Callers that have not gone away; the one that starts the work counts from the beginning. */
  waiting: number;
  /** Set before the caller that starts the work can be interrupted. */
  fiber: Fiber.RuntimeFiber<A, E> | undefined;
}

/** Keys are compared as a `Map` does: by value for strings and numbers, else by identity. */
export const make = <K, A, E>(): Effect.Effect<SingleFlight<K, A, E>> =>
  Effect.sync(() => {
    const flights = new Map<K, Flight<A, E>>();

    const forget = (key: K, flight: Flight<A, E>) => {
      if (flights.get(key) === flight) flights.delete(key);
    };

    const start = <R>(key: K, flight: Flight<A, E>, effect: Effect.Effect<A, E, R>) =>
      Effect.map(Effect.forkDaemon(Effect.interruptible(effect)), (fiber) => {
        flight.fiber = fiber;
        // The key is free before anyone hears of the result.
        fiber.addObserver((exit) => {
          forget(key, flight);
          Deferred.unsafeDone(flight.result, Exit.succeed(exit));
        });
      });

    /** The last to leave unfinished work forgets the key first: nobody may join what is dying. */
    const leave = (key: K, flight: Flight<A, E>): Effect.Effect<void> => {
      flight.waiting -= 1;
      if (flight.waiting > 0 || flight.fiber === undefined) return Effect.void;
      forget(key, flight);
      return Fiber.interrupt(flight.fiber);
    };

    const wait = (
      key: K,
      flight: Flight<A, E>,
      restore: <B>(self: Effect.Effect<B>) => Effect.Effect<B>,
    ): Effect.Effect<A, E> =>
      Effect.matchCauseEffect(restore(Deferred.await(flight.result)), {
        onSuccess: (exit) => exit,
        onFailure: (cause) => Effect.zipRight(leave(key, flight), Effect.failCause(cause)),
      });

    return {
      unsafeSize: () => flights.size,
      run: (key, effect) =>
        Effect.uninterruptibleMask((restore) => {
          const known = flights.get(key);
          if (known !== undefined) {
            known.waiting += 1;
            return wait(key, known, restore);
          }
          const flight: Flight<A, E> = {
            result: Deferred.unsafeMake(FiberId.none),
            waiting: 1,
            fiber: undefined,
          };
          // Entered here, in the same step as the look-up: no second caller can come between.
          flights.set(key, flight);
          return Effect.zipRight(start(key, flight, effect), wait(key, flight, restore));
        }),
    };
  });

/**
 * A second attempt beside one that takes unusually long; the first answer wins and the other attempt
 * is interrupted. For reads only: both attempts may reach the dependency.
 *
 * The rule is "The Tail at Scale" (Dean, Barroso, CACM 2013): hedge when the 95th percentile of what
 * such calls take has passed, so that about one call in twenty costs a second one. Each is also a
 * retry to the retry budget, so that a dependency that slows down as a whole is not asked twice by
 * everybody. A hedged call pays for two fibers and a timer.
 */
import { Duration, Effect, Exit, Fiber } from "effect";
import { hintsOf } from "./Classification.ts";
import * as InvalidPolicy from "./InvalidPolicy.ts";
import { clockOf, monotonicMillis } from "./Monotonic.ts";
import { RecentQuantile } from "./RecentQuantile.ts";
import { isRefusal } from "./Refusal.ts";

/** When a call is slow enough to be hedged. */
export interface Settings {
  /** Share of calls that end before a second attempt would begin, more than 0 up to 1 [0.95]. */
  readonly quantile: number;
  /** No second attempt begins earlier than this: there would be nothing to gain [10 ms]. */
  readonly floor: Duration.DurationInput;
  /** First attempts that must have been seen before any is hedged, at least 1 [50]. */
  readonly minimumCalls: number;
}

export const defaults: Settings = { quantile: 0.95, floor: "10 millis", minimumCalls: 50 };

/** Calls that weigh in the percentile: see `RecentQuantile`. */
const memory = 1_000;

/**
 * How a hedge ended: `won` with the second attempt's answer, `lost` without it, or `refused` before
 * anything was sent: the breaker not closed, no budget, no place in the bulkhead.
 */
export type Result = "won" | "lost" | "refused";

/** One call to hedge. */
export interface Call {
  readonly operation: string;
  /** Asked when a second attempt is due (monotonic milliseconds); true lets it begin. */
  readonly mayBegin: (now: number) => boolean;
}

export interface Hedge {
  /**
   * Runs `first`, and `second` beside it when it is due. Fails as `first` does, and only when it has
   * failed and `second`, if it began, has not answered either.
   */
  readonly run: <A, E, R>(
    call: Call,
    first: Effect.Effect<A, E, R>,
    second: Effect.Effect<A, E, R>,
  ) => Effect.Effect<A, E, R>;
  /** Milliseconds after which a call is hedged now; `undefined` while too few have been seen. */
  readonly unsafeDelay: () => number | undefined;
}

/** Makes one for the calls that take alike. `onResult` is synchronous and must not throw. */
export const make = (
  settings: Partial<Settings> = {},
  onResult: (operation: string, result: Result) => void = () => {},
): Effect.Effect<Hedge, InvalidPolicy.InvalidPolicy> =>
  Effect.suspend(() =>
    InvalidPolicy.check("hedge", defaults, settings, {
      quantile: InvalidPolicy.share,
      floor: InvalidPolicy.duration,
      minimumCalls: InvalidPolicy.count,
    })
  ).pipe(Effect.map(({ quantile, floor, minimumCalls }) => {
    const recent = new RecentQuantile(quantile, Math.max(memory, 2 * minimumCalls));
    const least = InvalidPolicy.toMillis(floor);
    let isKnown = false;
    const unsafeDelay = () => {
      isKnown ||= recent.weight >= minimumCalls;
      return isKnown ? Math.max(least, recent.value) : undefined;
    };

    const run = <A, E, R>(
      { operation, mayBegin }: Call,
      first: Effect.Effect<A, E, R>,
      second: Effect.Effect<A, E, R>,
    ): Effect.Effect<A, E, R> =>
      Effect.withFiberRuntime((fiber) => {
        const clock = clockOf(fiber);
        const startedAt = monotonicMillis(clock);
        // Of a first attempt that was overtaken it is known that it takes longer than this: left out,
        // the percentile would sink with every hedge that wins.
        const note = () => recent.add(monotonicMillis(clock) - startedAt);
        const noteEnd = (exit: Exit.Exit<A, E>) => {
          if (Exit.isSuccess(exit) || hintsOf(exit).timedOut) note();
        };
        const delay = unsafeDelay();
        if (delay === undefined) {
          return Effect.onExit(first, (exit) => Effect.sync(() => noteEnd(exit)));
        }

        let hasBegun = false;
        const due = Effect.suspend((): Effect.Effect<A, E, R> => {
          if (!mayBegin(monotonicMillis(clock))) {
            onResult(operation, "refused");
            return Effect.never;
          }
          hasBegun = true;
          return second;
        });
        const tell = (result: Result) => {
          if (hasBegun) onResult(operation, result);
        };
        /** When at least one has failed: the second's answer, or what became of the first. */
        const either = (exit: Exit.Exit<A, E>, other: Exit.Exit<A, E>) => {
          if (Exit.isSuccess(other)) tell("won");
          else tell(wasRefused(other) ? "refused" : "lost");
          return Exit.isSuccess(other) ? other : exit;
        };
        // Masked, so that whoever interrupts it waits for both attempts to be gone.
        return Effect.uninterruptibleMask((restore) =>
          Effect.raceWith(
            restore(first),
            restore(Effect.zipRight(Effect.sleep(Duration.millis(delay)), due)),
            {
              onSelfDone: (exit, other) => {
                noteEnd(exit);
                if (Exit.isFailure(exit) && hasBegun) {
                  return Effect.flatMap(Fiber.await(other), (end) => either(exit, end));
                }
                return Effect.flatMap(Fiber.interrupt(other), () => {
                  tell("lost");
                  return exit;
                });
              },
              onOtherDone: (end, self) => {
                if (Exit.isFailure(end)) {
                  return Effect.flatMap(Fiber.await(self), (exit) => {
                    noteEnd(exit);
                    return either(exit, end);
                  });
                }
                note();
                return Effect.flatMap(Fiber.interrupt(self), () => {
                  tell("won");
                  return end;
                });
              },
            },
          )
        );
      });

    return { run, unsafeDelay };
  }));

const wasRefused = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && exit.cause._tag === "Fail" && isRefusal(exit.cause.error);

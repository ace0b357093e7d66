/**
 * Asks a dependency in the background whether it is back while its breaker is open, so that nobody
 * waits for the rest of the opening.
 *
 * A probe that succeeds makes the breaker due: the next call is a trial, early. One that fails
 * changes nothing. Per breaker at most one runs at a time, each after a jittered pause, and none
 * while the breaker is closed, half-open or forced. A dependency whose probe succeeds but whose
 * trials fail misleads: after each such time the pause doubles, until the breaker closes.
 */
import { Duration, Effect, Fiber, Random, Runtime, type Scope } from "effect";
import type { CircuitBreaker, StateChange } from "./BreakerContract.ts";
import * as InvalidPolicy from "./InvalidPolicy.ts";

/** A cheap call that shows the dependency alive by succeeding; its error is not looked at. */
export type Probe = Effect.Effect<unknown, unknown>;

/** Pace of the probes of one breaker. */
export interface Settings {
  /** Pause before each probe, before jitter; more than 0 [5 seconds]. */
  readonly interval: Duration.DurationInput;
  /** Share of the pause that is added or taken off at random, more than 0 up to 1 [0.2]. */
  readonly jitter: number;
  /** A probe that takes longer has failed; more than 0 [2 seconds]. */
  readonly timeout: Duration.DurationInput;
  /** Longest pause of a misleading probe; at least `interval` to have a sense [5 minutes]. */
  readonly longest: Duration.DurationInput;
}

export const defaults: Settings = {
  interval: "5 seconds",
  jitter: 0.2,
  timeout: "2 seconds",
  longest: "5 minutes",
};

/** The pause before the next probe, in milliseconds; `random` is uniform in [0, 1). */
export const pause = (
  rules: { readonly interval: number; readonly jitter: number; readonly longest: number },
  misled: number,
  random: number,
): number => {
  const grown = Math.min(rules.interval * 2 ** Math.min(misled, 30), rules.longest);
  return Math.max(grown, rules.interval) * (1 + rules.jitter * (2 * random - 1));
};

/** What a prober needs of the breakers it watches: one, or a whole registry. */
export interface Watched {
  readonly unsafeOnChange: (listener: (change: StateChange) => void) => () => void;
}

/**
 * Probes whatever opens among `watched` until the scope closes. `find` gives the breaker of a name
 * and its probe, or nothing when that one is not probed; it is asked once for each opening.
 */
export const watch = <R>(
  watched: Watched,
  find: (name: string) => Effect.Effect<
    | { readonly breaker: Pick<CircuitBreaker, "due" | "snapshot">; readonly probe: Probe }
    | undefined,
    never,
    R
  >,
  settings: Partial<Settings> = {},
): Effect.Effect<void, InvalidPolicy.InvalidPolicy, R | Scope.Scope> =>
  Effect.gen(function* () {
    const valid = yield* InvalidPolicy.check("recovery probe", defaults, settings, {
      interval: InvalidPolicy.positiveDuration,
      jitter: InvalidPolicy.share,
      timeout: InvalidPolicy.positiveDuration,
      longest: InvalidPolicy.positiveDuration,
    });
    const rules = {
      interval: InvalidPolicy.toMillis(valid.interval),
      jitter: valid.jitter,
      longest: InvalidPolicy.toMillis(valid.longest),
    };
    const runFork = Runtime.runFork(yield* Effect.runtime<R>());
    const running = new Map<string, Fiber.RuntimeFiber<void>>();
    /** Times since the last closing that a probe's success was followed by a failed trial. */
    const misled = new Map<string, number>();
    const awaitsTrial = new Set<string>();

    const probing = (name: string): Effect.Effect<void, never, R> =>
      Effect.gen(function* () {
        const found = yield* find(name);
        if (found === undefined) return;
        const { breaker, probe } = found;
        for (;;) {
          yield* Effect.sleep(pause(rules, misled.get(name) ?? 0, yield* Random.next));
          const { state, mode } = yield* breaker.snapshot;
          if (state !== "open" || mode !== "auto") return;
          const answered = yield* probe.pipe(
            Effect.timeout(valid.timeout),
            Effect.match({ onFailure: () => false, onSuccess: () => true }),
            // A probe that dies shows nothing either, and must not end the probing.
            Effect.catchAllDefect((defect) =>
              Effect.as(Effect.logError("Recovery probe died", defect), false)
            ),
          );
          if (!answered) continue;
          awaitsTrial.add(name);
          // Before its trial can fail: that opening is to be probed by a fiber of its own.
          running.delete(name);
          return yield* breaker.due;
        }
      });

    const follow = ({ breaker: name, to, manual, observed }: StateChange): void => {
      if (observed === true) return;
      if (to === "closed") {
        misled.delete(name);
        awaitsTrial.delete(name);
      }
      if (to !== "open" || manual || running.has(name)) return;
      if (awaitsTrial.delete(name)) misled.set(name, (misled.get(name) ?? 0) + 1);
      const fiber = runFork(probing(name));
      running.set(name, fiber);
      fiber.addObserver(() => {
        if (running.get(name) === fiber) running.delete(name);
      });
    };

    yield* Effect.acquireRelease(
      Effect.sync(() => watched.unsafeOnChange(follow)),
      (remove) =>
        Effect.zipRight(
          Effect.sync(remove),
          Effect.suspend(() => Fiber.interruptAll([...running.values()])),
        ),
    );
  });

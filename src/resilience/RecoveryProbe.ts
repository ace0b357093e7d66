/**
 * Signs of life asked for in the background while a breaker is open, so that a recovery is noticed
 * before the open time is over and no caller has to wait for it.
 *
 * A probe that succeeds makes the opening due: the next call is the trial, and only trials close. One
 * that fails changes nothing. A breaker costs one listener; a fiber and a timer it has only while it
 * is open, by itself, for longer than the next probe is away.
 */
import { Duration, Effect, Exit, Fiber, FiberId, FiberSet, Random, type Scope } from "effect";
import type { CircuitBreaker, StateChange } from "./BreakerContract.ts";
import * as InvalidPolicy from "./InvalidPolicy.ts";

/** How often and how patiently to ask. */
export interface Settings {
  /** Mean time between two probes of one breaker. Finite, more than 0; there is no default. */
  readonly interval: Duration.DurationInput;
  /** A probe that has not ended after this long has failed. Finite, more than 0 [1 second]. */
  readonly timeout: Duration.DurationInput;
}

/** One probe that has ended. */
export interface Probed {
  readonly breaker: string;
  readonly succeeded: boolean;
  /** True when it made the opening due, or due as soon as a Retry-After allows. */
  readonly hastened: boolean;
}

export interface Options {
  /** Told of each probe that has ended. */
  readonly onProbe?: ((probed: Probed) => Effect.Effect<void>) | undefined;
}

/** Probes with the same settings, until their scope closes. */
export interface RecoveryProbe {
  /**
   * Runs `probe` from time to time while `breaker` is open, for as long as both live: one at a time,
   * never while it is forced open. Call it once for a breaker.
   */
  readonly watch: (
    breaker: CircuitBreaker,
    probe: Effect.Effect<unknown, unknown>,
  ) => Effect.Effect<void>;
  /** Breakers with a probe running or to come. */
  readonly unsafeSize: () => number;
}

/** Probes running at a time in this process; the others wait for their turn. */
export const maxProbes = 16;

/** Of the process and not of one `make`: thousands of tenants' endpoints may be down together. */
const places = Effect.unsafeMakeSemaphore(maxProbes);

/**
 * Milliseconds until the next probe: 50–150 % of the interval (`share` is uniform in [0, 1)), so that
 * replicas do not ask in step. It doubles with every recovery in a row that a probe foretold and a
 * trial denied: what lets itself be pinged and serves nobody must not be tried ever so often.
 */
export const delayOf = (interval: number, denied: number, share: number): number =>
  interval * 2 ** Math.min(denied, 30) * (0.5 + share);

type Running = Fiber.RuntimeFiber<void>;

export const make = (
  settings: Pick<Settings, "interval"> & Partial<Settings>,
  { onProbe = () => Effect.void }: Options = {},
): Effect.Effect<RecoveryProbe, InvalidPolicy.InvalidPolicy, Scope.Scope> =>
  Effect.gen(function* () {
    const valid = yield* InvalidPolicy.check<Settings>(
      "recovery probe",
      { interval: "1 second", timeout: "1 second" },
      // `null` is no legal interval: a caller from untyped code must not get the placeholder's.
      { ...settings, interval: settings.interval ?? NaN },
      { interval: InvalidPolicy.positiveDuration, timeout: InvalidPolicy.positiveDuration },
    );
    const interval = InvalidPolicy.toMillis(valid.interval);
    const timeout = Duration.millis(InvalidPolicy.toMillis(valid.timeout));
    const fibers = yield* FiberSet.make<void, never>();
    const fork = yield* FiberSet.runtime(fibers)<never>();
    let size = 0;

    const watch = (breaker: CircuitBreaker, probe: Effect.Effect<unknown, unknown>) => {
      let running: Running | undefined;
      /** A probe has ended this opening, so that what its trial says is said of the probe, too. */
      let foretold = false;
      /** Foretold recoveries in a row that a trial denied. */
      let denied = 0;

      /** One probe, if there is still an opening to be shortened; false when there is no more to do. */
      const ask = Effect.gen(function* () {
        if ((yield* untilDue(breaker)) <= 0) return false;
        const exit = yield* Effect.exit(Effect.timeout(probe, timeout));
        const succeeded = Exit.isSuccess(exit);
        const hastened = succeeded && (yield* breaker.hasten);
        if (hastened) foretold = true;
        yield* onProbe({ breaker: breaker.name, succeeded, hastened });
        return !succeeded;
      });

      const probing = Effect.gen(function* () {
        do {
          const wait = delayOf(interval, denied, yield* Random.next);
          if (wait >= (yield* untilDue(breaker))) return;
          yield* Effect.sleep(wait);
        } while (yield* places.withPermits(1)(ask));
      });

      const start = () => {
        const before = running;
        // The last opening's probe may still be on its way out.
        const fiber = fork(
          before === undefined ? probing : Effect.zipRight(Fiber.interrupt(before), probing),
        );
        running = fiber;
        size += 1;
        fiber.addObserver(() => {
          size -= 1;
          if (running === fiber) running = undefined;
        });
      };

      const follow = ({ to, manual }: StateChange) => {
        running?.unsafeInterruptAsFork(FiberId.none);
        if (to === "half-open") return;
        if (to === "open" && !manual) {
          // Only a trial can come between what was foretold and the next opening.
          if (foretold) denied += 1;
          start();
        } else denied = 0;
        foretold = false;
      };

      breaker.unsafeOnChange(follow);
      if (breaker.unsafeState() === "open") start();
    };

    return {
      watch: (breaker, probe) => Effect.sync(() => watch(breaker, probe)),
      unsafeSize: () => size,
    };
  });

/** Milliseconds until a breaker admits a call by itself; 0 when it does, or when it is forced. */
const untilDue = (breaker: CircuitBreaker): Effect.Effect<number> =>
  Effect.zipWith(
    breaker.snapshot,
    Effect.clockWith((clock) => clock.currentTimeMillis),
    ({ openUntil }, now) => Math.max(0, (openUntil ?? now) - now),
  );

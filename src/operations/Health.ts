/**
 * Which dependencies answer, asked in the background and never by a request, and whether this
 * process should be sent requests.
 *
 * One ping per dependency every `interval`, each bounded. While one does not answer it is asked
 * sooner, from 50 ms on and doubling up to the interval, so that a start or a short outage is
 * noticed at once and a long one costs no more than a healthy dependency.
 */
import { Cause, Context, Duration, Effect, Exit, Layer, Random, Ref, type Scope } from "effect";
import { Lifecycle } from "../http/Lifecycle.ts";
import type { Limited, Occupancy } from "../resilience/Bulkhead.ts";
import { CircuitBreakers } from "../resilience/CircuitBreakers.ts";
import type { DependencyFailure } from "../resilience/DependencyFailure.ts";
import { Metrics } from "./Metrics.ts";
import { causeText } from "./SafeText.ts";

/** Something this service needs, and how to ask it for a sign of life. */
export interface Dependency {
  /** Also the name of its circuit breaker. */
  readonly name: string;
  /** An embedded store's ping is `Effect.void`. */
  readonly ping: Effect.Effect<void, DependencyFailure>;
}

export interface HealthOptions {
  readonly dependencies: ReadonlyArray<Dependency>;
  /** Time between two pings of a dependency that answers, ±10 % [5 seconds]. */
  readonly interval?: Duration.DurationInput;
  /** After this long a ping counts as not answered [1 second]. */
  readonly pingTimeout?: Duration.DurationInput;
  /** How long building the layer waits for all dependencies to answer [500 millis]. */
  readonly startWithin?: Duration.DurationInput;
  /** Not ready while none of these can be used; empty: readiness asks no dependency [none]. */
  readonly needsOneOf?: ReadonlyArray<string>;
}

/** What the last ping of a dependency said. */
export interface DependencyState {
  readonly name: string;
  readonly isConnected: boolean;
}

/** A bulkhead whose limit moves, read when somebody asks. */
export type LimitedBulkhead = Limited & Pick<Occupancy, "inFlight">;

/** What an adaptive limit allows now, and what of it is used. */
export interface LimitState {
  readonly dependency: string;
  readonly limit: number;
  readonly inFlight: number;
}

/** Whether to send requests here, and if not why. */
export type Readiness = "ready" | "starting" | "draining" | "unusable";

/** The state of one service and of what it depends on. */
export class Health extends Context.Tag("operations/Health")<Health, {
  readonly dependencies: Effect.Effect<ReadonlyArray<DependencyState>>;
  /** Lists a bulkhead among {@link limits} until the answer is called. */
  readonly show: (dependency: string, bulkhead: LimitedBulkhead) => () => void;
  /** The adaptive limits, where there are any. */
  readonly limits: Effect.Effect<ReadonlyArray<LimitState>>;
  readonly readiness: Effect.Effect<Readiness>;
  /** False only when the process is past saving; never because of a dependency. */
  readonly isAlive: Effect.Effect<boolean>;
}>() {
  static readonly layer = (
    options: HealthOptions,
  ): Layer.Layer<Health, never, CircuitBreakers | Lifecycle | Metrics> =>
    Layer.scoped(this, make(options));
}

/** The first delay after a ping that was not answered. */
const firstDelay = Duration.millis(50);

const make = (
  options: HealthOptions,
): Effect.Effect<
  Context.Tag.Service<Health>,
  never,
  CircuitBreakers | Lifecycle | Metrics | Scope.Scope
> =>
  Effect.gen(function* () {
    const lifecycle = yield* Lifecycle;
    const metrics = yield* Metrics;
    const { breakers } = yield* CircuitBreakers;
    const needsOneOf = new Set(options.needsOneOf ?? []);

    const monitors = yield* Effect.forEach(
      options.dependencies,
      (dependency) => monitor(dependency, options),
    );
    for (const { name, isConnected } of monitors) {
      const remove = metrics.dependencyUp(name, isConnected);
      yield* Effect.addFinalizer(() => Effect.sync(remove));
    }
    yield* Effect.forEach(monitors, ({ firstAnswer }) => firstAnswer, { concurrency: "unbounded" })
      .pipe(Effect.timeoutOption(options.startWithin ?? "500 millis"));

    const dependencies = Effect.sync(() =>
      monitors.map(({ name, isConnected }) => ({ name, isConnected: isConnected() }))
    );

    /**
     * Breakers that turn every call away now. One that is due is not among them: it needs a request
     * for its trial, and without readiness none would come.
     */
    const closedOff = Effect.gen(function* () {
      const names = new Set<string>();
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis);
      for (const breaker of yield* breakers) {
        if (!needsOneOf.has(breaker.name)) continue;
        const { state, openUntil } = yield* breaker.snapshot;
        if (state === "open" && (openUntil === null || now < openUntil)) names.add(breaker.name);
      }
      return names;
    });

    const isUsable = Effect.gen(function* () {
      if (needsOneOf.size === 0) return true;
      const refusing = yield* closedOff;
      return (yield* dependencies).some(({ name, isConnected }) =>
        needsOneOf.has(name) && isConnected && !refusing.has(name)
      );
    });

    const shown = new Map<string, LimitedBulkhead>();

    return Health.of({
      dependencies,
      show: (dependency, bulkhead) => {
        shown.set(dependency, bulkhead);
        return () => shown.delete(dependency);
      },
      limits: Effect.sync(() =>
        Array.from(shown, ([dependency, bulkhead]) => ({
          dependency,
          limit: bulkhead.unsafeLimit(),
          inFlight: bulkhead.inFlight,
        }))
      ),
      readiness: Effect.flatMap(lifecycle.state, (state) => {
        if (state === "starting") return Effect.succeed<Readiness>("starting");
        if (state !== "ready") return Effect.succeed<Readiness>("draining");
        return Effect.map(isUsable, (usable): Readiness => usable ? "ready" : "unusable");
      }),
      isAlive: Effect.map(lifecycle.state, (state) => state !== "stopped"),
    });
  });

interface Monitor {
  readonly name: string;
  readonly isConnected: () => boolean;
  /** Ends with the first answered ping. */
  readonly firstAnswer: Effect.Effect<void>;
}

const monitor = (
  { name, ping }: Dependency,
  options: HealthOptions,
): Effect.Effect<Monitor, never, Scope.Scope> =>
  Effect.gen(function* () {
    const interval = Duration.decode(options.interval ?? "5 seconds");
    const pingTimeout = Duration.decode(options.pingTimeout ?? "1 second");
    let isConnected: boolean | undefined;
    const answered = yield* Effect.makeLatch(false);
    const delay = yield* Ref.make(firstDelay);

    const ask = Effect.exit(Effect.timeoutFail(ping, {
      duration: pingTimeout,
      onTimeout: () => "No answer in time",
    }));

    /** One ping, what it changes, and the time until the next one. */
    const round = Effect.gen(function* () {
      const exit = yield* ask;
      const before = isConnected;
      isConnected = Exit.isSuccess(exit);
      if (Exit.isSuccess(exit)) {
        yield* answered.open;
        yield* Ref.set(delay, firstDelay);
        if (before === false) yield* Effect.logInfo("Dependency answers", { dependency: name });
        return yield* jittered(interval);
      }
      if (Cause.isInterruptedOnly(exit.cause)) return yield* Effect.interrupt;
      if (before === true) {
        const error = causeText(exit.cause);
        yield* Effect.logWarning("Dependency does not answer", { dependency: name, error });
      }
      const next = yield* Ref.getAndUpdate(delay, Duration.times(2));
      return yield* jittered(Duration.min(next, interval));
    });

    yield* Effect.forkScoped(Effect.forever(Effect.flatMap(round, Effect.sleep)));
    return { name, isConnected: () => isConnected === true, firstAnswer: answered.await };
  });

/** ±10 %, so that many replicas do not ask in step. */
const jittered = (duration: Duration.Duration): Effect.Effect<Duration.Duration> =>
  Effect.map(
    Random.nextRange(0.9, 1.1),
    (factor) => Duration.millis(Duration.toMillis(duration) * factor),
  );

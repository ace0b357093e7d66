/**
 * One circuit breaker per key, made on first use and bounded.
 *
 * A breaker that has anything to remember (open, half-open, forced, or with a failure in its window
 * or its last run) is not evicted; when only such ones are left a new key is refused, never run
 * unguarded. But a run of failures alone, which time never ends, does not keep the place of a new
 * key once it is idle, or keys that failed once and never came back would fill the registry for
 * good. There is no timer: idle breakers are found when a new one is made or all are listed.
 */
import { Context, Data, Effect, Layer, type Stream } from "effect";
import { type Policy, policyOf } from "./BreakerPolicy.ts";
import { decode, type InvalidSettings, type Settings } from "./BreakerSettings.ts";
import type { Action } from "./BreakerState.ts";
import {
  type CircuitBreaker,
  fromPolicy,
  type Snapshot,
  type StateChange,
} from "./CircuitBreaker.ts";
import { clockOf, monotonicMillis } from "./Monotonic.ts";
import { fromSubscribe } from "./StateChanges.ts";

/** Every place is taken by a breaker that must not be forgotten; nothing was run. */
export class RegistryFull extends Data.TaggedError("RegistryFull")<{
  readonly breaker: string;
  readonly capacity: number;
}> {
  override get message(): string {
    return `Cannot make circuit breaker "${this.breaker}": all ${this.capacity} places are in use`;
  }
}

/** How many breakers are kept, for how long, and whose settings differ. */
export interface Options {
  /** Most breakers kept at a time [10,000]. */
  readonly capacity?: number;
  /** Milliseconds without use after which a closed, failure-free breaker goes [15 min]. */
  readonly idleMillis?: number;
  /** Names that are never evicted, because somebody keeps their breaker [none]. */
  readonly permanent?: ReadonlyArray<string>;
  /** Settings that differ for names beginning with a prefix; the first that fits is taken. */
  readonly families?: ReadonlyArray<Family>;
}

/** Breakers whose names begin alike and share settings of their own, on top of those of all. */
export interface Family {
  readonly prefix: string;
  readonly settings: Partial<Settings>;
}

interface Entry {
  readonly breaker: CircuitBreaker;
  /** Monotonic milliseconds of the last look-up, or of the last look that found new calls. */
  usedAt: number;
  /** Calls seen at that look: whoever keeps a breaker uses it without looking it up. */
  calls: number;
}

type StandingAction = "open" | "disable" | "observe";

const isStanding = (action: Action): action is StandingAction =>
  action === "open" || action === "disable" || action === "observe";

/** A use moves a breaker to the young end of the map at most this often, to keep `get` cheap. */
const touchEvery = 30_000;

/** A full registry of breakers that all must be kept is searched again after this long (ms). */
const fullFor = 1_000;

/** How many of the oldest entries one insertion looks at when the registry is not full. */
const sweepLength = 8;

/** The breakers of one service by name, all with the settings given to {@link CircuitBreakers.layer}. */
export class CircuitBreakers extends Context.Tag("resilience/CircuitBreakers")<CircuitBreakers, {
  /** The breaker of this name, made if need be. Keys come from what is known, never unchecked. */
  readonly get: (name: string) => Effect.Effect<CircuitBreaker, RegistryFull>;
  /**
   * Acts on one breaker. For a name without a breaker a standing action (`open`, `disable`,
   * `observe`) is remembered until it is made, and `auto`, `close` or `reset` forget it; the memory
   * is as bounded as the registry itself.
   */
  readonly control: (name: string, action: Action) => Effect.Effect<void, RegistryFull>;
  /** Of every breaker that is kept, the one looked up longest ago first. */
  readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>>;
  /** Every breaker that is kept, in the same order. */
  readonly breakers: Effect.Effect<ReadonlyArray<CircuitBreaker>>;
  /** Changes of all breakers from the moment of subscription on. */
  readonly changes: Stream.Stream<StateChange>;
  /** Calls `listener` synchronously on each change of any breaker; it must not throw. */
  readonly unsafeOnChange: (listener: (change: StateChange) => void) => () => void;
}>() {
  /** Ends with its scope; fails with every illegal setting at once. */
  static readonly layer = (
    settings: Partial<Settings> = {},
    options: Options = {},
  ): Layer.Layer<CircuitBreakers, InvalidSettings> => Layer.scoped(this, make(settings, options));
}

const make = (settings: Partial<Settings>, options: Options) =>
  Effect.gen(function* () {
    const capacity = options.capacity ?? 10_000;
    const idleMillis = options.idleMillis ?? 15 * 60_000;
    const common = yield* shared("*", settings);
    const families = yield* Effect.forEach(options.families ?? [], (family) => {
      const own = shared(`${family.prefix}*`, { ...settings, ...family.settings });
      return Effect.map(own, (own) => ({ prefix: family.prefix, own }));
    });
    /** Until when a full registry need not look again for something to forget. */
    let fullUntil = 0;
    const entries = new Map<string, Entry>();
    const standing = new Map<string, StandingAction>();
    const listeners = new Set<(change: StateChange) => void>();
    const announce = (change: StateChange) => {
      fullUntil = 0;
      for (const listener of listeners) listener(change);
    };

    const permanent = new Set(options.permanent);

    /** What a breaker has to remember: nothing, or only a run of failures, or more. */
    const memoryOf = ({ breaker }: Entry) =>
      Effect.map(
        breaker.snapshot,
        ({ name, state, mode, counts }): "nothing" | "run" | "more" => {
          const isOrdinary = !permanent.has(name) && state === "closed" && mode === "auto";
          if (!isOrdinary || counts.totalFailures > 0) return "more";
          return counts.consecutiveFailures > 0 ? "run" : "nothing";
        },
      );

    const isIdle = (entry: Entry, now: number) =>
      Effect.map(entry.breaker.totals, ({ successes, failures, neutral, rejected }) => {
        const calls = successes + failures + neutral + rejected;
        if (calls !== entry.calls) {
          entry.calls = calls;
          entry.usedAt = now;
        }
        return now - entry.usedAt >= idleMillis;
      });

    /**
     * Removes the oldest idle entries, and when full the oldest that has nothing to remember. Looking
     * may take more than a turn: another fiber that makes `wanted` meanwhile must not see it removed.
     */
    const makeRoom = (wanted: string, now: number) =>
      Effect.gen(function* () {
        if (entries.size >= capacity && now < fullUntil) return;
        let looked = 0;
        let oldestRun: string | undefined;
        for (const [name, entry] of entries) {
          const isFull = entries.size >= capacity;
          if (entries.has(wanted)) return;
          if (!isFull && looked >= sweepLength) return;
          looked += 1;
          const idle = yield* isIdle(entry, now);
          if (!isFull && !idle) continue;
          const memory = yield* memoryOf(entry);
          if (memory === "nothing") entries.delete(name);
          else if (memory === "run" && idle) oldestRun ??= name;
        }
        if (entries.size < capacity) return;
        if (oldestRun === undefined) fullUntil = now + fullFor;
        else entries.delete(oldestRun);
      });

    const create = (name: string, now: number): Effect.Effect<CircuitBreaker, RegistryFull> =>
      Effect.gen(function* () {
        yield* makeRoom(name, now);
        if (entries.size >= capacity && !entries.has(name)) {
          return yield* Effect.fail(new RegistryFull({ breaker: name, capacity }));
        }
        const family = families.find(({ prefix }) => name.startsWith(prefix));
        const breaker = yield* fromPolicy(name, family?.own ?? common);
        const action = standing.get(name);
        if (action !== undefined) yield* breaker.control(action);
        // Another fiber may have come first while this one looked for room.
        const known = entries.get(name);
        if (known !== undefined) return known.breaker;
        standing.delete(name);
        breaker.unsafeOnChange(announce);
        // Whole milliseconds need no number object of their own.
        entries.set(name, { breaker, usedAt: Math.floor(now), calls: 0 });
        return breaker;
      });

    const get = (name: string): Effect.Effect<CircuitBreaker, RegistryFull> =>
      Effect.withFiberRuntime((fiber) => {
        const now = monotonicMillis(clockOf(fiber));
        const entry = entries.get(name);
        if (entry === undefined) return create(name, now);
        if (now - entry.usedAt >= touchEvery) {
          entry.usedAt = Math.floor(now);
          entries.delete(name);
          entries.set(name, entry);
        }
        return Effect.succeed(entry.breaker);
      });

    const control = (name: string, action: Action): Effect.Effect<void, RegistryFull> =>
      Effect.suspend(() => {
        const entry = entries.get(name);
        if (entry !== undefined) return entry.breaker.control(action);
        standing.delete(name);
        if (!isStanding(action)) return Effect.void;
        if (standing.size >= capacity) {
          return Effect.fail(new RegistryFull({ breaker: name, capacity }));
        }
        standing.set(name, action);
        return Effect.void;
      });

    const breakers = Effect.gen(function* () {
      const now = yield* Effect.clockWith((clock) => Effect.succeed(monotonicMillis(clock)));
      for (const [name, entry] of entries) {
        if ((yield* isIdle(entry, now)) && (yield* memoryOf(entry)) === "nothing") {
          entries.delete(name);
        }
      }
      return Array.from(entries.values(), ({ breaker }) => breaker);
    });

    const unsafeOnChange = (listener: (change: StateChange) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    };

    const changes = fromSubscribe(unsafeOnChange);

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        entries.clear();
        standing.clear();
        listeners.clear();
      })
    );
    return CircuitBreakers.of({
      get,
      control,
      breakers,
      snapshots: Effect.flatMap(breakers, Effect.forEach((breaker) => breaker.snapshot)),
      changes,
      unsafeOnChange,
    });
  });

const shared = (
  name: string,
  settings: Partial<Settings>,
): Effect.Effect<Policy, InvalidSettings> => Effect.map(decode(name, settings), policyOf);

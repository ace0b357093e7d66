/**
 * At most so many calls at a time, so that one slow dependency cannot take every fiber.
 *
 * A call beyond that is refused at once, or waits in a bounded first-in-first-out queue. A place is
 * taken and given back inside one mask, so it comes back exactly once however the call ends; that
 * mask is the whole cost of a call that finds a place (about 0.5 µs).
 */
import { Data, Duration, Effect } from "effect";
import type { AdaptiveLimit } from "./AdaptiveLimit.ts";
import * as InvalidPolicy from "./InvalidPolicy.ts";

/** Every place, and every place to wait, is taken; the call was not made. */
export class BulkheadFull extends Data.TaggedError("BulkheadFull")<{
  readonly dependency: string;
  readonly retryAfter: Duration.Duration;
}> {
  /** Neutral to the breakers around it: it says nothing about the dependency. */
  readonly refused = true;
  override get message(): string {
    return `Too many calls of "${this.dependency}" at a time`;
  }
}

/** Size of one bulkhead. */
export interface Settings {
  /** Calls running at a time, at least 1. There is no default. */
  readonly maxConcurrent: number;
  /** Calls waiting for a place, 0 or more [0: refuse at once]. */
  readonly maxQueue: number;
  /** What a refusal tells the caller to wait [1 second]. */
  readonly retryAfter: Duration.DurationInput;
}

/** The keyed form's size: the limits hold for each key by itself. */
export interface KeyedSettings extends Settings {
  /** Most keys with calls at a time, at least 1; a new one beyond that is refused [10,000]. */
  readonly maxKeys: number;
}

/** Numbers a bulkhead shows, read synchronously. */
export interface Occupancy {
  /** Calls running now. */
  readonly inFlight: number;
  /** Calls waiting now. */
  readonly waiting: number;
  /** Calls refused since creation. */
  readonly rejections: number;
}

/** How many calls may run, where that moves; read synchronously. */
export interface Limited {
  /** Calls that may run at a time; a measurement under way holds some back and does not count. */
  readonly unsafeLimit: () => number;
}

/** What a guard needs of a bulkhead. */
export interface Place {
  /** Runs `self` in a place of its own, waits for one if the queue has room, or refuses. */
  readonly protect: <A, E, R>(
    self: Effect.Effect<A, E, R>,
  ) => Effect.Effect<A, E | BulkheadFull, R>;
}

/** Places for the calls of one dependency. */
export interface Bulkhead extends Occupancy, Limited, Place {}

/** One bulkhead for each key; its own numbers are the sums over all keys, its limit the lowest. */
export interface Keyed<K> extends Occupancy, Limited {
  /**
   * The bulkhead of one key. Costs nothing and holds nothing until it is used. `adaptive` is the
   * key's own, always the same one, and takes the place of `maxConcurrent` [none].
   */
  readonly at: (key: K, adaptive?: AdaptiveLimit) => Place;
  /** Keys with calls now; a key is forgotten when its last call ends. */
  readonly unsafeSize: () => number;
}

type Required = Pick<Settings, "maxConcurrent">;

const defaults: KeyedSettings = {
  maxConcurrent: 1,
  maxQueue: 0,
  retryAfter: "1 second",
  maxKeys: 10_000,
};

const rules = {
  maxConcurrent: InvalidPolicy.count,
  maxQueue: InvalidPolicy.countOrZero,
  retryAfter: InvalidPolicy.duration,
  maxKeys: InvalidPolicy.count,
};

interface Limits {
  readonly maxConcurrent: number;
  readonly maxQueue: number;
  readonly full: BulkheadFull;
}

interface Waiter {
  /** True once a place has been handed over to it. */
  isGranted: boolean;
  wake: (() => void) | undefined;
}

class Counters implements Occupancy {
  inFlight = 0;
  waiting = 0;
  rejections = 0;
}

/**
 * The places of one bulkhead or one key. Invariant: someone waits only while every place is taken,
 * because a place that comes free is handed to the first who waits.
 */
class Gate {
  #inFlight = 0;
  readonly #waiters = new Set<Waiter>();

  constructor(
    readonly limits: Limits,
    readonly sums: Counters,
    readonly adaptive: AdaptiveLimit | undefined,
    readonly onIdle: () => void,
  ) {}

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Calls that may run now. */
  get limit(): number {
    return this.adaptive === undefined ? this.limits.maxConcurrent : this.adaptive.current;
  }

  /** Calls that may run when no place is held back for a measurement. */
  get whole(): number {
    return this.adaptive === undefined ? this.limits.maxConcurrent : this.adaptive.whole;
  }

  /** A place, a place to wait, or a refusal. */
  enter(): "in" | Waiter | BulkheadFull {
    if (this.#inFlight < this.limit) {
      this.#inFlight += 1;
      this.sums.inFlight += 1;
      return "in";
    }
    // What finds its place held back waits for the end of the measurement, beside the queue.
    const heldBack = Math.max(0, this.whole - this.#inFlight);
    if (this.#waiters.size >= this.limits.maxQueue + heldBack) {
      this.sums.rejections += 1;
      return this.limits.full;
    }
    const waiter: Waiter = { isGranted: false, wake: undefined };
    this.#waiters.add(waiter);
    this.sums.waiting += 1;
    return waiter;
  }

  /** Gives a place back: to the first who waits, or to whoever comes. */
  leave(): void {
    this.#inFlight -= 1;
    this.sums.inFlight -= 1;
    if (this.#waiters.size > 0) this.#handOn();
    if (this.#inFlight === 0) this.onIdle();
  }

  /** The limit may have fallen below what is running, or risen by more than the place come free. */
  #handOn(): void {
    for (const waiter of this.#waiters) {
      if (this.#inFlight >= this.limit) return;
      this.#waiters.delete(waiter);
      this.sums.waiting -= 1;
      this.#inFlight += 1;
      this.sums.inFlight += 1;
      waiter.isGranted = true;
      waiter.wake?.();
    }
  }

  /** A waiter that was interrupted goes, or hands on the place it had just been given. */
  abandon(waiter: Waiter): void {
    if (waiter.isGranted) this.leave();
    else if (this.#waiters.delete(waiter)) this.sums.waiting -= 1;
  }
}

const granted = (waiter: Waiter): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    if (waiter.isGranted) resume(Effect.void);
    else waiter.wake = () => resume(Effect.void);
  });

const hold = <A, E, R>(gate: Gate, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const { adaptive } = gate;
  const call = adaptive === undefined ? self : adaptive.measure(self, gate.inFlight);
  return Effect.matchCauseEffect(call, {
    onSuccess: (value) => {
      gate.leave();
      return Effect.succeed(value);
    },
    onFailure: (cause) => {
      gate.leave();
      return Effect.failCause(cause);
    },
  });
};

/** `find` is asked in the same step in which the place is taken, so the gate cannot go between. */
const protect = <A, E, R>(
  find: () => Gate | BulkheadFull,
  self: Effect.Effect<A, E, R>,
): Effect.Effect<A, E | BulkheadFull, R> =>
  Effect.uninterruptibleMask<A, E | BulkheadFull, R>((restore) => {
    const gate = find();
    if (gate instanceof BulkheadFull) return gate;
    const entered = gate.enter();
    if (entered === "in") return hold(gate, restore(self));
    if (entered instanceof BulkheadFull) return entered;
    return Effect.matchCauseEffect(restore(granted(entered)), {
      onSuccess: () => hold(gate, restore(self)),
      onFailure: (cause) => {
        gate.abandon(entered);
        return Effect.failCause(cause);
      },
    });
  });

const limitsOf = (dependency: string, settings: Settings): Limits => ({
  maxConcurrent: settings.maxConcurrent,
  maxQueue: settings.maxQueue,
  // One error for all refusals: a refusal under load must cost nothing but itself.
  full: new BulkheadFull({
    dependency,
    retryAfter: Duration.millis(InvalidPolicy.toMillis(settings.retryAfter)),
  }),
});

const checked = (dependency: string, settings: Required & Partial<KeyedSettings>) =>
  // `null` is no legal size: a caller from untyped code must not get the placeholder's.
  InvalidPolicy.check(
    `bulkhead "${dependency}"`,
    defaults,
    { ...settings, maxConcurrent: settings.maxConcurrent ?? NaN },
    rules,
  );

/** One bulkhead for all calls of `dependency`; `adaptive` takes the place of `maxConcurrent` [none]. */
export const make = (
  dependency: string,
  settings: Required & Partial<Settings>,
  adaptive?: AdaptiveLimit,
): Effect.Effect<Bulkhead, InvalidPolicy.InvalidPolicy> =>
  Effect.map(Effect.suspend(() => checked(dependency, settings)), (valid) => {
    const occupancy = new Counters();
    const gate = new Gate(limitsOf(dependency, valid), occupancy, adaptive, () => {});
    const find = () => gate;
    return Object.assign(occupancy, {
      unsafeLimit: () => gate.whole,
      protect: <A, E, R>(self: Effect.Effect<A, E, R>) => protect(find, self),
    });
  });

/** One bulkhead of the same size for each key, kept only while it has calls. */
export const keyed = <K>(
  dependency: string,
  settings: Required & Partial<KeyedSettings>,
): Effect.Effect<Keyed<K>, InvalidPolicy.InvalidPolicy> =>
  Effect.map(Effect.suspend(() => checked(dependency, settings)), (valid) => {
    const limits = limitsOf(dependency, valid);
    const sums = new Counters();
    const gates = new Map<K, Gate>();
    const find = (key: K, adaptive: AdaptiveLimit | undefined): Gate | BulkheadFull => {
      const known = gates.get(key);
      if (known !== undefined) return known;
      if (gates.size >= valid.maxKeys) {
        sums.rejections += 1;
        return limits.full;
      }
      const gate = new Gate(limits, sums, adaptive, () => gates.delete(key));
      gates.set(key, gate);
      return gate;
    };
    return Object.assign(sums, {
      at: (key: K, adaptive?: AdaptiveLimit): Place => ({
        protect: (self) => protect(() => find(key, adaptive), self),
      }),
      unsafeLimit: () => {
        let lowest = limits.maxConcurrent;
        for (const { whole } of gates.values()) lowest = Math.min(lowest, whole);
        return lowest;
      },
      unsafeSize: () => gates.size,
    });
  });

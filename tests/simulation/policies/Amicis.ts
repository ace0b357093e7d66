/**
 * The project's own rules, in the code that the services run: `BreakerState.step` with the ramp, the
 * throttle and the probes' delays. Only the clockwork around them is the simulation's.
 */
import { Clock, Effect } from "effect";
import { decode, type Rules, type Settings } from "../../../src/resilience/BreakerSettings.ts";
import {
  countsAt,
  type Event,
  initial,
  type State as BreakerState,
  step,
} from "../../../src/resilience/BreakerState.ts";
import type { StateChange } from "../../../src/resilience/CircuitBreaker.ts";
import * as RateLimiter from "../../../src/resilience/RateLimiter.ts";
import { delayOf } from "../../../src/resilience/RecoveryProbe.ts";
import * as Throttle from "../../../src/resilience/Throttle.ts";
import { type Contender, type Policy, refused, type Surroundings } from "../Policy.ts";
import { Places, seats } from "./Places.ts";

export interface Options {
  readonly breaker?: Partial<Settings>;
  readonly throttle?: Partial<Throttle.Settings>;
  /** Mean milliseconds between two probes of an open breaker [none]. */
  readonly probeEvery?: number;
  /** Whether load comes back step by step after a recovery [true]. */
  readonly ramp?: boolean;
  /** Calls at a time [64, as to MongoDB]. */
  readonly maxConcurrent?: number;
  /** Whether that follows the latency [false]. */
  readonly adaptiveLimit?: boolean;
}

/** Trials in one state have numbers below this. */
const trials = 2 ** 20;

const ask: Event = { _tag: "Ask" };
const hasten: Event = { _tag: "Hasten" };

export const contender = (name: string, description: string, options: Options = {}): Contender => {
  const rules = Effect.runSync(decode(name, options.breaker ?? {}));
  const next = step(rules);
  return { name, description, make: (world) => new Amicis(world, rules, next, options) };
};

class Amicis implements Policy {
  #state: BreakerState = initial;
  #now = 0;
  readonly #ramp: RateLimiter.RateLimiter | undefined;
  readonly #throttle: Throttle.Throttle | undefined;
  readonly #listeners: Array<(change: StateChange) => void> = [];
  readonly #probes: Probes | undefined;
  readonly #places: Places;

  constructor(
    readonly world: Surroundings,
    readonly rules: Rules,
    readonly next: (state: BreakerState, event: Event, now: number) => BreakerState,
    { ramp = true, throttle, probeEvery, maxConcurrent = 64, adaptiveLimit = false }: Options,
  ) {
    this.#places = new Places(world, maxConcurrent, adaptiveLimit);
    const clock: Clock.Clock = Object.assign(Clock.make(), {
      unsafeCurrentTimeMillis: () => this.#now,
      unsafeCurrentTimeNanos: () => BigInt(Math.round(this.#now * 1e6)),
    });
    if (ramp) {
      const unsafeOnChange = (listener: (change: StateChange) => void) => {
        this.#listeners.push(listener);
        return () => {};
      };
      this.#ramp = Effect.runSync(
        Effect.withClock(RateLimiter.following({ name: "simulated", unsafeOnChange }), clock),
      );
    }
    if (throttle !== undefined) {
      this.#throttle = Effect.runSync(Throttle.make("simulated", throttle));
    }
    if (probeEvery !== undefined) this.#probes = new Probes(world, probeEvery, this);
  }

  ask(now: number, waiting: number): number {
    const before = this.#state;
    if (before._tag !== "closed") {
      const after = this.next(before, ask, now);
      if (after === before || after._tag !== "half-open") return refused;
      this.#commit(after, now);
    }
    const state = this.#state;
    const trial = state._tag === "half-open" ? state.nextTrial - 1 : 0;
    const admission = state.epoch * trials + trial;
    const isTurnedAway = this.#ramp?.unsafeAdmit(now) !== undefined || this.#isThrottled(now);
    const seat = isTurnedAway ? refused : this.#places.enter(waiting);
    if (seat >= 0) return admission * seats + seat;
    this.#tell(admission, "neutral", now, 0);
    return seat;
  }

  settle(ticket: number, succeeded: boolean, now: number, elapsed: number): void {
    const outcome = succeeded ? "success" : "failure";
    this.#places.leave(ticket % seats, succeeded, now, elapsed);
    this.#throttle?.unsafeSettle(outcome, now);
    this.#tell(Math.floor(ticket / seats), outcome, now, elapsed);
  }

  isHolding(): boolean {
    return this.#places.isFull();
  }

  retryAfter(now: number): number {
    return this.#state._tag === "open" ? Math.max(0, this.#state.until - now) : 1_000;
  }

  state() {
    return this.#state._tag;
  }

  /** Monotonic milliseconds at which an opening ends, `undefined` when it is not open. */
  due(): number | undefined {
    return this.#state._tag === "open" ? this.#state.until : undefined;
  }

  epoch(): number {
    return this.#state.epoch;
  }

  hasten(now: number): void {
    this.#state = this.next(this.#state, hasten, now);
  }

  #isThrottled(now: number): boolean {
    if (this.#throttle === undefined) return false;
    const share = this.#throttle.unsafeShare(now);
    if (share === 0 || this.world.random.uniform() >= share) return false;
    this.#throttle.unsafeRefuse(now);
    return true;
  }

  #tell(
    admission: number,
    outcome: "success" | "failure" | "neutral",
    now: number,
    elapsed: number,
  ): void {
    const after = this.next(this.#state, {
      _tag: "Settle",
      epoch: Math.floor(admission / trials),
      trial: admission % trials,
      outcome,
      elapsed,
      retryAfter: 0,
      jitter: outcome === "failure" ? this.world.random.uniform() : 0,
    }, now);
    this.#commit(after, now);
  }

  #commit(after: BreakerState, now: number): void {
    const before = this.#state;
    const from = before._tag;
    this.#state = after;
    const to = after._tag;
    if (from === to) return;
    this.#now = now;
    const change: StateChange = {
      breaker: "simulated",
      from,
      to,
      at: now,
      counts: countsAt(this.rules, before, now),
      manual: false,
    };
    for (const listener of this.#listeners) listener(change);
    this.world.onChange(from, to, now);
    this.#probes?.follow(from, to, now);
  }
}

/** `RecoveryProbe` on the simulation's time: when it asks, and what an answer does. */
class Probes {
  #foretold = false;
  #denied = 0;

  constructor(
    readonly world: Surroundings,
    readonly interval: number,
    readonly breaker: Amicis,
  ) {}

  follow(from: string, to: string, now: number): void {
    if (to === "half-open") return;
    if (to === "open") {
      if (from === "half-open" && this.#foretold) this.#denied += 1;
      this.#await(this.breaker.epoch(), now);
    } else this.#denied = 0;
    this.#foretold = false;
  }

  #await(epoch: number, now: number): void {
    const wait = delayOf(this.interval, this.#denied, this.world.random.uniform());
    const due = this.breaker.due();
    if (due === undefined || wait >= due - now) return;
    this.world.schedule(now + wait, (now) => {
      if (this.breaker.epoch() !== epoch || this.breaker.due() === undefined) return;
      if (this.world.probe(now)) {
        this.#foretold = true;
        this.breaker.hasten(now);
      } else this.#await(epoch, now);
    });
  }
}

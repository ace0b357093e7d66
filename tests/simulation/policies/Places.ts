/** `Bulkhead` on the simulation's time, with the steps of the real `AdaptiveLimit` where it adapts. */
import * as AdaptiveLimit from "../../../src/resilience/AdaptiveLimit.ts";
import { deadline } from "../Dependency.ts";
import { held, refused, type Surroundings } from "../Policy.ts";

/** Seats have numbers below this. */
export const seats = 2 ** 10;

export class Places {
  #inFlight = 0;
  readonly #settings: AdaptiveLimit.Settings;
  readonly #next: ReturnType<typeof AdaptiveLimit.step>;
  #state: AdaptiveLimit.State;

  constructor(
    { random }: Surroundings,
    readonly maxConcurrent: number,
    readonly isAdaptive: boolean,
  ) {
    this.#settings = { ...AdaptiveLimit.defaults, ceiling: maxConcurrent };
    this.#next = AdaptiveLimit.step(this.#settings, isAdaptive ? random.below(2 ** 31) : 0);
    this.#state = AdaptiveLimit.initial(this.#settings);
  }

  isFull(): boolean {
    return this.#inFlight >= AdaptiveLimit.allowed(this.#settings, this.#state);
  }

  /** The calls under way with this one, or what `ask` answers when there is no place for it. */
  enter(waiting: number): number {
    if (!this.isFull()) return this.#inFlight += 1;
    return waiting < Math.floor(this.#state.limit) - this.#inFlight ? held : refused;
  }

  /** `inFlight` is what `enter` has said. Answers and timeouts are samples, quick failures are none. */
  leave(inFlight: number, succeeded: boolean, now: number, latency: number): void {
    this.#inFlight -= 1;
    if (!this.isAdaptive || (!succeeded && latency < deadline)) return;
    this.#state = this.#next(this.#state, { startedAt: now - latency, latency, inFlight }, now);
  }
}

/**
 * The rules of opossum 10 with its defaults: opens on a failure when more than 50 % of what was fired
 * in 10 s failed, from the first call on; half-open 30 s later; one trial decides. Its window turns
 * by a timer from the breaker's making on, in 10 steps, and its fires include what it rejected.
 */
import { type Contender, type Policy, refused, type State, type Surroundings } from "../Policy.ts";

export interface Options {
  readonly errorThresholdPercentage: number;
  readonly rollingCountTimeout: number;
  readonly rollingCountBuckets: number;
  readonly resetTimeout: number;
  readonly volumeThreshold: number;
}

export const defaults: Options = {
  errorThresholdPercentage: 50,
  rollingCountTimeout: 10_000,
  rollingCountBuckets: 10,
  resetTimeout: 30_000,
  volumeThreshold: 0,
};

export const contender = (name: string, options: Partial<Options> = {}): Contender => ({
  name,
  description: "More than 50 % of the fired calls in 10 s, no minimum; 30 s; one trial",
  make: (world) => new Opossum({ ...defaults, ...options }, world),
});

class Opossum implements Policy {
  #state: State = "closed";
  #openedAt = 0;
  #isPending = false;
  #turned = 0;
  readonly #fires: Array<number>;
  readonly #failures: Array<number>;

  constructor(readonly options: Options, readonly world: Surroundings) {
    this.#fires = new Array<number>(options.rollingCountBuckets).fill(0);
    this.#failures = new Array<number>(options.rollingCountBuckets).fill(0);
  }

  ask(now: number): number {
    this.#turn(now);
    this.#fires[0] = (this.#fires[0] ?? 0) + 1;
    if (this.#state !== "closed" && !this.#isPending) return refused;
    this.#isPending = false;
    return 0;
  }

  settle(_ticket: number, succeeded: boolean, now: number): void {
    this.#turn(now);
    if (succeeded) {
      if (this.#state === "half-open") this.#become("closed", now);
      return;
    }
    this.#failures[0] = (this.#failures[0] ?? 0) + 1;
    const fires = sum(this.#fires);
    if (fires < this.options.volumeThreshold && this.#state !== "half-open") return;
    const rate = sum(this.#failures) / fires * 100;
    if (rate <= this.options.errorThresholdPercentage && this.#state !== "half-open") return;
    if (this.#state === "open") return;
    this.#openedAt = now;
    this.#isPending = false;
    this.#become("open", now);
  }

  retryAfter(now: number): number {
    return Math.max(0, this.#openedAt + this.options.resetTimeout - now);
  }

  state(): State {
    return this.#state;
  }

  /** What its timers have done until now. */
  #turn(now: number): void {
    const { rollingCountTimeout, rollingCountBuckets, resetTimeout } = this.options;
    const turns = Math.floor(now / Math.floor(rollingCountTimeout / rollingCountBuckets));
    for (; this.#turned < turns; this.#turned += 1) {
      if (turns - this.#turned > rollingCountBuckets) this.#turned = turns - rollingCountBuckets;
      for (const ring of [this.#fires, this.#failures]) {
        ring.pop();
        ring.unshift(0);
      }
    }
    if (this.#state === "open" && now >= this.#openedAt + resetTimeout) {
      this.#isPending = true;
      this.#become("half-open", now);
    }
  }

  #become(state: State, now: number): void {
    const before = this.#state;
    this.#state = state;
    this.world.onChange(before, state, now);
  }
}

const sum = (numbers: ReadonlyArray<number>): number =>
  numbers.reduce((total, number) => total + number, 0);

/**
 * The rules of sony/gobreaker v2 with its defaults: opens after more than 5 failures in a row, whose
 * counts are never cleared while closed; half-open after more than 60 s; one trial decides.
 */
import { type Contender, type Policy, refused, type State, type Surroundings } from "../Policy.ts";

export interface Options {
  readonly maxRequests: number;
  readonly timeout: number;
  /** Opens when more than so many failed in a row. */
  readonly consecutiveFailures: number;
}

export const defaults: Options = { maxRequests: 1, timeout: 60_000, consecutiveFailures: 5 };

export const contender = (name: string, options: Partial<Options> = {}): Contender => ({
  name,
  description: "More than 5 failures in a row; 60 s; one trial",
  make: (world) => new Gobreaker({ ...defaults, ...options }, world),
});

class Gobreaker implements Policy {
  #state: State = "closed";
  #generation = 0;
  #requests = 0;
  #successes = 0;
  #failures = 0;
  #expiry = 0;

  constructor(readonly options: Options, readonly world: Surroundings) {}

  ask(now: number): number {
    this.#look(now);
    if (this.#state === "open") return refused;
    if (this.#state === "half-open" && this.#requests >= this.options.maxRequests) return refused;
    this.#requests += 1;
    return this.#generation;
  }

  settle(ticket: number, succeeded: boolean, now: number): void {
    this.#look(now);
    if (ticket !== this.#generation) return;
    if (succeeded) {
      this.#successes += 1;
      this.#failures = 0;
      if (this.#state === "half-open" && this.#successes >= this.options.maxRequests) {
        this.#become("closed", now);
      }
    } else if (this.#state === "half-open") this.#become("open", now);
    else {
      this.#successes = 0;
      this.#failures += 1;
      if (this.#failures > this.options.consecutiveFailures) this.#become("open", now);
    }
  }

  retryAfter(now: number): number {
    return Math.max(0, this.#expiry - now);
  }

  state(): State {
    return this.#state;
  }

  #look(now: number): void {
    if (this.#state === "open" && this.#expiry < now) this.#become("half-open", now);
  }

  #become(state: State, now: number): void {
    const before = this.#state;
    this.#state = state;
    this.#generation += 1;
    this.#requests = 0;
    this.#successes = 0;
    this.#failures = 0;
    this.#expiry = state === "open" ? now + this.options.timeout : 0;
    this.world.onChange(before, state, now);
  }
}

/**
 * The rules of cockatiel 4 as its readme sets them up: `ConsecutiveBreaker(5)` or
 * `SamplingBreaker({ threshold: 0.2, duration: 30 s })`, half-open after 10 s. One trial decides, and
 * what comes in the meantime is held until it has.
 */
import {
  type Contender,
  held,
  type Policy,
  refused,
  type State,
  type Surroundings,
} from "../Policy.ts";

/** How failures are counted; answers whether one opens. */
export interface Counting {
  readonly success: (state: State, now: number) => void;
  readonly failure: (state: State, now: number) => boolean;
}

export const consecutive = (threshold: number): Counting => {
  let failures = 0;
  return {
    success: () => {
      failures = 0;
    },
    failure: () => ++failures >= threshold,
  };
};

export interface Sampling {
  readonly threshold: number;
  readonly duration: number;
  readonly minimumRps?: number;
}

interface Window {
  startedAt: number;
  failures: number;
  successes: number;
}

/** Windows begin with the first call after the last one's end, so an idle time expires nothing. */
export const sampling = ({ threshold, duration: wanted, minimumRps }: Sampling): Counting => {
  const count = Math.max(5, Math.ceil(wanted / 1_000));
  const size = Math.round(wanted / count);
  const minimum = size * count * (minimumRps ?? 5 / threshold) / 1_000;
  const windows = Array.from({ length: count }, (): Window => ({
    startedAt: 0,
    failures: 0,
    successes: 0,
  }));
  let current = 0;
  let failures = 0;
  let successes = 0;
  const push = (succeeded: boolean, now: number) => {
    let window = windows[current];
    if (window === undefined || now - window.startedAt >= size) {
      current = (current + 1) % count;
      failures -= windows[current]?.failures ?? 0;
      successes -= windows[current]?.successes ?? 0;
      window = { startedAt: now, failures: 0, successes: 0 };
      windows[current] = window;
    }
    if (succeeded) {
      window.successes += 1;
      successes += 1;
    } else {
      window.failures += 1;
      failures += 1;
    }
  };
  return {
    success: (state, now) => {
      if (state === "half-open") {
        failures = 0;
        successes = 0;
        for (const window of windows) {
          Object.assign(window, { startedAt: 0, failures: 0, successes: 0 });
        }
      }
      push(true, now);
    },
    failure: (state, now) => {
      push(false, now);
      if (state !== "closed") return true;
      const total = successes + failures;
      return total >= minimum && failures > threshold * total;
    },
  };
};

export const contender = (
  name: string,
  description: string,
  counting: () => Counting,
  halfOpenAfter = 10_000,
): Contender => ({
  name,
  description,
  make: (world) => new Cockatiel(counting(), halfOpenAfter, world),
});

class Cockatiel implements Policy {
  #state: State = "closed";
  #openedAt = 0;
  /** Tells the trial of one half-open state from that of another; 0 is a call made while closed. */
  #halfOpened = 0;
  #isTrying = false;

  constructor(
    readonly counting: Counting,
    readonly halfOpenAfter: number,
    readonly world: Surroundings,
  ) {}

  ask(now: number): number {
    if (this.#state === "closed") return 0;
    if (this.#state === "open") {
      if (now - this.#openedAt < this.halfOpenAfter) return refused;
      this.#halfOpened += 1;
      this.#become("half-open", now);
    }
    if (this.#isTrying) return held;
    this.#isTrying = true;
    return this.#halfOpened;
  }

  settle(ticket: number, succeeded: boolean, now: number): void {
    const state = this.#state;
    if (ticket === 0) {
      // Its counting hears of late results, too, with the state in which the call began.
      if (succeeded) this.counting.success("closed", now);
      else if (this.counting.failure("closed", now) && state !== "open") this.#open(now);
      return;
    }
    if (state !== "half-open" || ticket !== this.#halfOpened) return;
    if (succeeded) {
      this.counting.success(state, now);
      this.#isTrying = false;
      this.#become("closed", now);
    } else {
      this.counting.failure(state, now);
      this.#open(now);
    }
  }

  retryAfter(now: number): number {
    return Math.max(0, this.#openedAt + this.halfOpenAfter - now);
  }

  state(): State {
    return this.#state;
  }

  isHolding(): boolean {
    return this.#state === "half-open";
  }

  #open(now: number): void {
    this.#openedAt = now;
    this.#isTrying = false;
    this.#become("open", now);
  }

  #become(state: State, now: number): void {
    const before = this.#state;
    this.#state = state;
    this.world.onChange(before, state, now);
  }
}

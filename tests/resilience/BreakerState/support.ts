/** The breaker's pure step, moved by hand from event to event. */
import { Effect } from "effect";
import { noBaseline } from "../../../src/resilience/AdaptiveThreshold.ts";
import { decode, type Settings } from "../../../src/resilience/BreakerSettings.ts";
import {
  type Action,
  type Closed,
  type Event,
  initial,
  type Outcome,
  type State,
  step,
} from "../../../src/resilience/BreakerState.ts";
import * as RollingWindow from "../../../src/resilience/RollingWindow.ts";

/** A breaker that tests move by hand; times are milliseconds. */
export class Machine {
  readonly rules;
  readonly #next;
  constructor(settings: Partial<Settings> = {}, public state: State = initial) {
    this.rules = Effect.runSync(decode("step", { consecutiveFailures: null, ...settings }));
    this.#next = step(this.rules);
  }
  event(event: Event, now: number): this {
    this.state = this.#next(this.state, event, now);
    return this;
  }
  ask(now: number): this {
    return this.event({ _tag: "Ask" }, now);
  }
  act(action: Action, now = 0): this {
    return this.event({ _tag: "Control", action }, now);
  }
  settle(
    outcome: Outcome,
    now: number,
    { trial = 0, elapsed = 0, retryAfter = 0, jitter = 0 } = {},
  ): this {
    const { epoch } = this.state;
    return this.event(
      { _tag: "Settle", epoch, trial, outcome, elapsed, retryAfter, jitter },
      now,
    );
  }
  /** One result for each letter, S or F. */
  settleAll(results: string, now: number): this {
    for (const result of results) this.settle(result === "F" ? "failure" : "success", now);
    return this;
  }
}

/** A closed state with nothing counted but what is given. */
export const closed = (own: Partial<Closed> = {}): Closed => ({
  _tag: "closed",
  epoch: 0,
  mode: "auto",
  window: RollingWindow.empty,
  consecutiveSuccesses: 0,
  consecutiveFailures: 0,
  observed: false,
  baseline: noBaseline,
  ...own,
});

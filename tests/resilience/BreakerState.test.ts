/** The pure step by itself: what it must leave untouched, and what time alone must not do. */
import assert from "node:assert/strict";
import { Effect } from "effect";
import { decode } from "../../src/resilience/BreakerSettings.ts";
import {
  type Event,
  initial,
  type Outcome,
  type State,
  step,
} from "../../src/resilience/BreakerState.ts";
import { describe, it } from "../support/it.ts";

const next = step(Effect.runSync(decode("step", { openJitter: 0 })));
const ask: Event = { _tag: "Ask" };
const settle = (epoch: number, outcome: Outcome, trial = 0): Event => ({
  _tag: "Settle",
  epoch,
  trial,
  outcome,
  elapsed: 0,
  retryAfter: 0,
  jitter: 0,
});

const after = (state: State, events: ReadonlyArray<Event>, now: number): State =>
  events.reduce((state, event) => next(state, event, now), state);

const open = after(initial, Array.from({ length: 5 }, () => settle(0, "failure")), 0);
const halfOpen = next(open, ask, 30_000);

describe("BreakerState.step()", () => {
  it("returns the same object when nothing changes", () => {
    assert.equal(next(initial, ask, 1), initial);
    assert.equal(next(initial, settle(0, "neutral"), 1), initial);
    assert.equal(next(open, ask, 29_999), open);
    assert.equal(next(initial, { _tag: "Control", action: "auto" }, 1), initial);
    const full = after(halfOpen, [ask, ask], 30_000);
    assert.equal(next(full, ask, 30_000), full);
  });

  it("ignores a result of another epoch in every state", () => {
    for (const state of [initial, open, halfOpen]) {
      for (const outcome of ["success", "failure", "neutral"] as const) {
        for (const epoch of [state.epoch - 1, state.epoch + 1]) {
          assert.equal(next(state, settle(epoch, outcome), 30_001), state);
        }
      }
    }
  });

  it("begins a new epoch with every change of state", () => {
    const closed = after(halfOpen, [
      ask,
      ask,
      ...[0, 1, 2].map((trial) => settle(halfOpen.epoch, "success", trial)),
    ], 30_000);
    assert.deepEqual(
      [initial, open, halfOpen, closed].map(({ _tag, epoch }) => [_tag, epoch]),
      [["closed", 0], ["open", 1], ["half-open", 2], ["closed", 3]],
    );
  });

  it("ignores a trial that it never admitted", () => {
    assert.equal(next(halfOpen, settle(halfOpen.epoch, "failure", 7), 30_001), halfOpen);
  });
});

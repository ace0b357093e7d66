/** The step while open and half-open: when calls are admitted again, and what their results do. */
import assert from "node:assert/strict";
import { noBaseline } from "../../../src/resilience/AdaptiveThreshold.ts";
import type { Settings } from "../../../src/resilience/BreakerSettings.ts";
import { countsAt, uniform } from "../../../src/resilience/BreakerState.ts";
import { describe, it } from "../../support/it.ts";
import { closed, Machine } from "./support.ts";

describe("an open state", () => {
  const opened = (settings: Partial<Settings> = {}) =>
    new Machine({ minimumRequests: 1, ...settings }).settle("failure", 0, { retryAfter: 10_000 });

  it("becomes half-open with its first trial when a call asks at the end, not before", () => {
    const machine = opened();
    const { state } = machine;
    assert.equal(machine.ask(29_999).state, state);
    assert.deepEqual(machine.ask(30_000).state, {
      _tag: "half-open",
      epoch: 2,
      mode: "auto",
      trials: [{ id: 0, until: 40_000 }],
      successes: 0,
      nextTrial: 1,
      failedRecoveries: 0,
      baseline: noBaseline,
      trip: null,
    });
  });

  it("ignores results, also those of its own epoch", () => {
    const machine = opened();
    const { state } = machine;
    assert.equal(machine.settle("success", 1).settle("failure", 1).state, state);
  });

  it("is due now, or at the end of its hint, when hastened", () => {
    const { state } = opened();
    const until = (now: number) => {
      const hastened = new Machine({}, state).event({ _tag: "Hasten" }, now).state;
      return hastened._tag === "open" ? hastened.until : NaN;
    };
    assert.deepEqual([0, 9_999, 12_000, 29_999].map(until), [10_000, 10_000, 12_000, 29_999]);
    for (const now of [30_000, 40_000]) {
      assert.equal(new Machine({}, state).event({ _tag: "Hasten" }, now).state, state);
    }
    assert.deepEqual(new Machine({}, state).event({ _tag: "Hasten" }, 12_000).state, {
      ...state,
      until: 12_000,
    });
  });

  it("is hastened neither by force nor in another state", () => {
    for (const machine of [new Machine(), opened().act("open", 5), opened().ask(30_000)]) {
      const { state } = machine;
      assert.equal(machine.event({ _tag: "Hasten" }, 1).state, state);
    }
  });
});

describe("a half-open state", () => {
  const halfOpen = (settings: Partial<Settings> = {}) =>
    new Machine({ minimumRequests: 1, openForMax: "2 minutes", ...settings })
      .settle("failure", 0)
      .ask(30_000);

  it("admits a call while trials and successes are fewer than halfOpenMax", () => {
    const machine = halfOpen().ask(30_001).settle("success", 30_002).ask(30_003);
    assert.ok(machine.state._tag === "half-open");
    assert.deepEqual(machine.state.trials, [
      { id: 1, until: 40_001 },
      { id: 2, until: 40_003 },
    ]);
    assert.deepEqual([machine.state.successes, machine.state.nextTrial], [1, 3]);
    const full = machine.state;
    assert.equal(machine.ask(30_004).state, full);
    assert.deepEqual(countsAt(machine.rules, full, 30_004), {
      requests: 1,
      totalSuccesses: 1,
      totalFailures: 0,
      consecutiveSuccesses: 1,
      consecutiveFailures: 0,
    });
  });

  it("takes a place back at the end of its lease, and ignores what comes of it then", () => {
    const machine = halfOpen({ halfOpenMax: 1 });
    const { state } = machine;
    assert.equal(machine.ask(39_999).state, state);
    assert.equal(machine.settle("failure", 40_000).state, state);
    machine.ask(40_000);
    assert.ok(machine.state._tag === "half-open");
    assert.deepEqual(machine.state.trials, [{ id: 1, until: 50_000 }]);
    assert.equal(new Machine({}, state).settle("failure", 39_999).state._tag, "open");
  });

  it("gives a place back for a neutral outcome", () => {
    const machine = halfOpen().ask(30_000).settle("neutral", 30_001, { trial: 0 });
    assert.ok(machine.state._tag === "half-open");
    assert.deepEqual(machine.state.trials, [{ id: 1, until: 40_000 }]);
    assert.equal(machine.state.successes, 0);
  });

  it("closes with halfOpenMax successes, and begins anew", () => {
    const machine = halfOpen({ halfOpenMax: 2 }).ask(30_000).settle("success", 30_001);
    assert.equal(machine.state._tag, "half-open");
    assert.deepEqual(machine.settle("success", 30_002, { trial: 1 }).state, closed({ epoch: 3 }));
  });

  it("opens again with one failure, for twice as long each time up to the limit", () => {
    const machine = halfOpen().ask(30_000).settle("success", 30_001);
    machine.settle("failure", 30_002, { trial: 1 });
    assert.deepEqual(machine.state, {
      _tag: "open",
      epoch: 3,
      mode: "auto",
      until: 90_002,
      counts: {
        requests: 2,
        totalSuccesses: 1,
        totalFailures: 1,
        consecutiveSuccesses: 0,
        consecutiveFailures: 1,
      },
      notBefore: 30_002,
      failedRecoveries: 1,
      baseline: noBaseline,
      trip: null,
    });
    for (const length of [120_000, 120_000]) {
      assert.ok(machine.state._tag === "open");
      const until: number = machine.state.until;
      machine.ask(until).settle("failure", until);
      assert.ok(machine.state._tag === "open");
      assert.equal(machine.state.until - until, length);
    }
  });
});

describe("uniform()", () => {
  it("is evenly spread over [0, 1), from epoch to epoch and from seed to seed", () => {
    const size = 20_000;
    const indices = Array.from({ length: size }, (_, index) => index);
    for (
      const draw of [(index: number) => uniform(3, index), (index: number) => uniform(index, 3)]
    ) {
      const tenths = new Array<number>(10).fill(0);
      for (const value of indices.map(draw)) {
        const tenth = Math.floor(value * 10);
        tenths[tenth] = (tenths[tenth] ?? 0) + 1;
      }
      assert.equal(tenths.length, 10);
      // Five standard deviations of a binomial count.
      const spread = 5 * Math.sqrt(size * 0.1 * 0.9);
      for (const count of tenths) assert.ok(Math.abs(count - size / 10) < spread, String(tenths));
    }
  });
});

/** The step while closed: what is counted, what opens, and every field of the opening. */
import assert from "node:assert/strict";
import { noBaseline } from "../../../src/resilience/AdaptiveThreshold.ts";
import type { Settings } from "../../../src/resilience/BreakerSettings.ts";
import { countsAt, withResult, withSuccesses } from "../../../src/resilience/BreakerState.ts";
import * as RollingWindow from "../../../src/resilience/RollingWindow.ts";
import { describe, it } from "../../support/it.ts";
import { closed, Machine } from "./support.ts";

describe("a closed state", () => {
  it("counts successes and failures, and forgets nothing by a neutral outcome", () => {
    const { state, rules } = new Machine().settleAll("SSF", 100).settle("neutral", 200);
    const counts = {
      requests: 3,
      totalSuccesses: 2,
      totalFailures: 1,
      consecutiveSuccesses: 0,
      consecutiveFailures: 1,
    };
    assert.deepEqual(countsAt(rules, state, 200), counts);
    assert.deepEqual(countsAt(rules, state, 9_999), counts);
    assert.deepEqual(countsAt(rules, state, 10_000), {
      ...counts,
      requests: 0,
      totalSuccesses: 0,
      totalFailures: 0,
    });
    assert.deepEqual(
      state,
      closed({
        window: [false, false, true].reduce(
          (window, failed) => RollingWindow.record(window, 0, 10, failed, false),
          RollingWindow.empty,
        ),
        consecutiveFailures: 1,
      }),
    );
  });

  it("opens on a failure at the least share of the least number of results", () => {
    const settings = { minimumRequests: 4, failureRate: 0.5 };
    for (
      const [results, tag] of [
        ["SFF", "closed"],
        ["SSFF", "open"],
        ["FFSS", "closed"],
        ["SSSFFS", "closed"],
        ["SSSFF", "closed"],
        ["SSSFFF", "open"],
      ] as const
    ) assert.equal(new Machine(settings).settleAll(results, 0).state._tag, tag, results);
  });

  it("opens after so many failures in a row, whatever the window holds", () => {
    const machine = new Machine({ minimumRequests: 1_000, consecutiveFailures: 3 });
    machine.settleAll("FFSF", 0).settle("failure", 1e6);
    assert.equal(machine.state._tag, "closed");
    assert.equal(machine.settle("failure", 1e9).state._tag, "open");
  });

  it("opens on a slow result, of either kind, at the least share of the least number", () => {
    const settings = { minimumRequests: 4, slowCallDuration: 100, slowCallRate: 0.5 };
    const machine = new Machine(settings);
    const fast = { elapsed: 99 };
    const slow = { elapsed: 100 };
    machine.settle("success", 0, slow).settle("success", 0, slow).settle("success", 0, slow);
    machine.settle("success", 0, fast);
    assert.equal(machine.state._tag, "closed");
    assert.equal(machine.settle("success", 0, slow).state._tag, "open");
    const below = new Machine({ ...settings, slowCallRate: 0.6 });
    below.settleAll("SS", 0).settle("success", 0, slow).settle("success", 0, slow);
    assert.equal(below.state._tag, "closed");
    const failing = new Machine({ ...settings, failureRate: 1 });
    failing.settleAll("SS", 0).settle("failure", 0, slow).settle("failure", 0, slow);
    assert.equal(failing.state._tag, "open");
  });

  it("says of an adaptive breaker's opening that results were slow only when that alone did it", () => {
    const settings = { adaptive: true, slowCallDuration: 100, minimumRequests: 8 };
    const slow = { elapsed: 100 };
    const ruleOf = ({ state }: Machine) => state._tag === "open" ? state.trip?.rule : undefined;
    const failing = new Machine(settings);
    for (let call = 0; call < 8; call++) failing.settle("failure", 0, slow);
    assert.equal(ruleOf(failing), "consecutive-failures");
    const slowing = new Machine(settings);
    for (let call = 0; call < 7; call++) slowing.settle("success", 0, slow);
    // A fast result is no reason to open, whatever the others were.
    slowing.settle("failure", 0);
    assert.equal(slowing.state._tag, "closed");
    slowing.settle("success", 0, slow);
    assert.equal(ruleOf(slowing), "slow-calls");
  });

  it("opens with the counts that tripped it, until its length is over", () => {
    const machine = new Machine({ minimumRequests: 2 }).settleAll("SF", 5_000);
    assert.deepEqual(machine.state, {
      _tag: "open",
      epoch: 1,
      mode: "auto",
      until: 35_000,
      counts: {
        requests: 2,
        totalSuccesses: 1,
        totalFailures: 1,
        consecutiveSuccesses: 0,
        consecutiveFailures: 1,
      },
      notBefore: 5_000,
      failedRecoveries: 0,
      baseline: noBaseline,
      trip: null,
    });
    assert.deepEqual(countsAt(machine.rules, machine.state, 1e9).requests, 2);
  });

  it("opens for longer by whole milliseconds of jitter, or until a hint of up to 5 minutes", () => {
    const untilOf = (
      settings: Partial<Settings>,
      hints: { jitter?: number; retryAfter?: number },
    ) => {
      const machine = new Machine({ minimumRequests: 1, ...settings }).settle(
        "failure",
        1_000,
        hints,
      );
      return machine.state._tag === "open"
        ? [machine.state.until - 1_000, machine.state.notBefore - 1_000]
        : [];
    };
    assert.deepEqual(untilOf({}, { jitter: 0.5 }), [31_500, 0]);
    assert.deepEqual(untilOf({ openFor: 999, openJitter: 0.5 }, { jitter: 0.9 }), [999 + 449, 0]);
    assert.deepEqual(untilOf({}, { jitter: 1, retryAfter: 32_000 }), [33_000, 32_000]);
    assert.deepEqual(untilOf({}, { retryAfter: 40_000 }), [40_000, 40_000]);
    assert.deepEqual(untilOf({}, { retryAfter: 1e9 }), [300_000, 300_000]);
  });

  it("never opens in mode observe, but keeps that it would have", () => {
    const machine = new Machine({ minimumRequests: 2 }).act("observe").settleAll("SF", 0);
    assert.ok(machine.state._tag === "closed" && machine.state.observed);
    assert.equal(machine.state.epoch, 0);
    assert.equal(countsAt(machine.rules, machine.state, 0).requests, 2);
    const calm = machine.settleAll("S", 0).state;
    assert.ok(calm._tag === "closed" && calm.observed);
  });

  it("counts nothing in mode disabled", () => {
    const { state } = new Machine({ minimumRequests: 1 }).act("disable");
    const machine = new Machine({ minimumRequests: 1 }, state);
    assert.equal(machine.settleAll("FFF", 0).state, state);
  });

  it("is the same by a number of successes at once as by one after the other", () => {
    const machine = new Machine().settleAll("FSF", 2_500);
    const { state, rules } = machine;
    assert.ok(state._tag === "closed");
    assert.deepEqual(withSuccesses(rules, state, 3, 4), machine.settleAll("SSSS", 3_100).state);
  });
});

describe("withResult()", () => {
  const counts = {
    requests: 5,
    totalSuccesses: 3,
    totalFailures: 2,
    consecutiveSuccesses: 0,
    consecutiveFailures: 1,
  };

  it("adds one result to totals and runs", () => {
    assert.deepEqual(withResult(counts, true), {
      requests: 6,
      totalSuccesses: 3,
      totalFailures: 3,
      consecutiveSuccesses: 0,
      consecutiveFailures: 2,
    });
    assert.deepEqual(withResult(withResult(counts, false), false), {
      requests: 7,
      totalSuccesses: 5,
      totalFailures: 2,
      consecutiveSuccesses: 2,
      consecutiveFailures: 0,
    });
  });
});

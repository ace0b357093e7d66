/** The step when an operator acts: where each action leads from each state. */
import assert from "node:assert/strict";
import { noBaseline } from "../../../src/resilience/AdaptiveThreshold.ts";
import { describe, it } from "../../support/it.ts";
import { closed, Machine } from "./support.ts";

describe("an operator", () => {
  const half = new Machine({ minimumRequests: 1 }).settle("failure", 0).ask(30_000).ask(30_000)
    .settle("failure", 30_001).ask(90_000);

  it("forces every state open, with the counts it had and no end", () => {
    const machine = new Machine().settleAll("SSF", 100).act("open", 500);
    const forced = machine.state;
    assert.ok(forced._tag === "open");
    assert.deepEqual({ ...forced, counts: forced.counts.requests }, {
      _tag: "open",
      epoch: 1,
      mode: "forced-open",
      until: 500,
      counts: 3,
      notBefore: 500,
      failedRecoveries: 0,
      baseline: noBaseline,
      trip: null,
    });
    assert.equal(machine.ask(1e9).state, forced);
    assert.equal(machine.act("open", 600).state, forced);
    assert.equal(half.state._tag, "half-open");
    const again = new Machine({}, half.state).act("open", 1).state;
    assert.deepEqual(
      again._tag === "open" && [again.mode, again.failedRecoveries],
      ["forced-open", 1],
    );
  });

  it("ends a forced opening with auto: due at once, the rest as it was", () => {
    const { state } = new Machine().act("open", 500);
    const released = new Machine({}, state).act("auto", 700);
    assert.deepEqual(released.state, { ...state, mode: "auto", until: 700 });
    assert.equal(released.ask(700).state._tag, "half-open");
  });

  it("closes and resets into a new epoch with nothing counted", () => {
    for (const before of [half.state, new Machine().settleAll("SF", 0).state]) {
      for (const action of ["close", "reset"] as const) {
        const { state } = new Machine({}, before).act(action, 1);
        assert.deepEqual(state, closed({ epoch: before.epoch + 1 }));
      }
    }
  });

  it("keeps a mode when it closes, and not when it resets", () => {
    for (const mode of ["disable", "observe"] as const) {
      const { state } = new Machine().act(mode);
      assert.equal(new Machine({}, state).act("close").state.mode, state.mode);
      assert.equal(new Machine({}, state).act("reset").state.mode, "auto");
    }
    assert.equal(new Machine().act("open").act("close").state.mode, "auto");
  });

  it("disables into a new epoch, once, and begins anew with auto", () => {
    const machine = new Machine().settleAll("SF", 0).act("disable");
    const disabled = closed({ epoch: 1, mode: "disabled" });
    assert.deepEqual(machine.state, disabled);
    const { state } = machine;
    assert.equal(machine.act("disable").state, state);
    assert.deepEqual(machine.act("auto").state, closed({ epoch: 2 }));
  });

  it("observes with what was counted when closed, and begins anew from any other state", () => {
    const counted = new Machine().settleAll("SF", 0);
    const before = counted.state;
    const { state } = counted.act("observe");
    assert.deepEqual(state, { ...before, mode: "observe" });
    assert.equal(counted.act("observe").state, state);
    for (const other of [new Machine().act("disable"), new Machine().act("open")]) {
      const { epoch } = other.state;
      assert.deepEqual(
        other.act("observe").state,
        closed({ epoch: epoch + 1, mode: "observe" }),
      );
    }
  });

  it("goes on from observing with what was counted, and no mark of it", () => {
    const machine = new Machine({ minimumRequests: 1 }).act("observe").settleAll("SFFF", 0);
    const { state } = machine;
    assert.ok(state._tag === "closed" && state.observed);
    const observed = state;
    assert.deepEqual(machine.act("auto").state, { ...observed, mode: "auto", observed: false });
    const { state: normal } = machine;
    assert.equal(machine.act("auto").state, normal);
  });
});

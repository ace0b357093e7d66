import { strict as assert } from "node:assert";
import { Clock, Deferred, Effect, Fiber, TestClock } from "effect";
import { beforeEach, describe, it } from "./it.ts";
import { eventually } from "./eventually.ts";

describe("it", () => {
  let prepared = 0;
  beforeEach(() => {
    prepared++;
  });

  it("runs a plain body", () => assert.equal(prepared, 1));

  it.effect("effect() stands still in time until TestClock.adjust", () =>
    Effect.gen(function* () {
      assert.equal(yield* Clock.currentTimeMillis, 0);
      const sleeping = yield* Effect.fork(Effect.sleep("1 hour"));
      yield* TestClock.adjust("1 hour");
      yield* Fiber.join(sleeping);
      assert.equal(yield* Clock.currentTimeMillis, 3_600_000);
    }));

  it.effect("effect() closes the scope of the body", () =>
    Effect.gen(function* () {
      yield* Effect.addFinalizer(() => Effect.sync(() => prepared++));
    }));

  it.live("live() has the real clock", () =>
    Effect.gen(function* () {
      assert.ok((yield* Clock.currentTimeMillis) > 1_000_000_000_000);
      yield* Effect.sleep("1 millis");
    }));
});

describe("eventually()", () => {
  it("returns the value of the first check that does not throw", async () => {
    let calls = 0;
    const value = await eventually(() => {
      calls++;
      if (calls < 3) throw new Error("Not yet");
      return Promise.resolve("done");
    });
    assert.equal(value, "done");
    assert.equal(calls, 3);
  });

  it("rejects with the last error when time is up", async () => {
    await assert.rejects(
      eventually(() => Promise.reject(new Error("Still shut")), { within: "50 millis" }),
      /Not within 50ms: Still shut/,
    );
  });

  it("takes false as not yet", async () => {
    await assert.rejects(eventually(() => false, { within: "50 millis" }), /returned false/);
  });

  it.effect("polls an effect in real time under TestClock", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<string>();
      let calls = 0;
      const check = Effect.suspend(() => ++calls > 2 ? Effect.succeed(calls) : Effect.fail("no"));
      assert.equal(yield* eventually(check), 3);
      yield* Deferred.succeed(gate, "open");
      assert.equal(yield* eventually(Deferred.await(gate)), "open");
    }));
});

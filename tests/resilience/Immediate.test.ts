/** First steps without a fiber: when they are taken, and what is left of an effect afterwards. */
import assert from "node:assert/strict";
import { Effect, Exit } from "effect";
import * as Immediate from "../../src/resilience/Immediate.ts";
import { describe, it } from "../support/it.ts";

describe("suspend()", () => {
  it.effect("takes its step when it is run, each time", () =>
    Effect.gen(function* () {
      let steps = 0;
      const effect = Immediate.suspend(() => Effect.succeed(++steps));
      assert.equal(steps, 0);
      assert.deepEqual([yield* effect, yield* effect], [1, 2]);
    }));
});

describe("begin()", () => {
  it("takes the step at once, and leaves any other effect alone", () => {
    const left = Effect.sync(() => 1);
    assert.equal(Immediate.begin(Immediate.suspend(() => left)), left);
    assert.equal(Immediate.begin(left), left);
  });
});

describe("resultOf()", () => {
  it("is the exit of what is done, and nothing of what is not", () => {
    const exit = Exit.succeed(1);
    assert.equal(Immediate.resultOf(exit), exit);
    assert.equal(Immediate.resultOf(Effect.sync(() => 1)), undefined);
  });
});

describe("match()", () => {
  const sides = {
    onSuccess: (value: number) => Exit.succeed(`got ${value}`),
    onFailure: (error: string) => Exit.succeed(`lost ${error}`),
  };

  it("answers at once what a first step has settled", () => {
    const of = (exit: Exit.Exit<number, string>) =>
      Immediate.resultOf(Immediate.match(Immediate.suspend(() => exit), sides));
    assert.deepEqual(of(Exit.succeed(1)), Exit.succeed("got 1"));
    assert.deepEqual(of(Exit.fail("it")), Exit.succeed("lost it"));
    // A defect is nobody's to handle here.
    assert.equal(of(Exit.die("bug")), undefined);
  });

  it.effect("waits for what is not settled, and lets a defect pass", () =>
    Effect.gen(function* () {
      const later = <A, E>(effect: Effect.Effect<A, E>) =>
        Immediate.suspend(() => Effect.zipRight(Effect.yieldNow(), effect));
      assert.equal(yield* Immediate.match(later(Exit.succeed(2)), sides), "got 2");
      assert.equal(yield* Immediate.match(later(Exit.fail("it")), sides), "lost it");
      const exit = yield* Effect.exit(
        Immediate.match(Immediate.suspend(() => Exit.die("bug")), sides),
      );
      assert.deepEqual(exit, Exit.die("bug"));
    }));
});

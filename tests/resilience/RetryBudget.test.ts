/** Retry budget: its share, its floor, its window, and storms. */
import assert from "node:assert/strict";
import { Data, Effect, Either, Fiber, TestClock } from "effect";
import fc from "fast-check";
import * as Retry from "../../src/resilience/Retry.ts";
import * as RetryBudget from "../../src/resilience/RetryBudget.ts";
import { describe, it } from "../support/it.ts";

const make = (settings: Partial<RetryBudget.Settings> = {}) =>
  Effect.runSync(RetryBudget.make(settings));

const withdrawAll = (budget: RetryBudget.RetryBudget, now: number) => {
  let count = 0;
  while (budget.withdraw(now)) count += 1;
  return count;
};

describe("RetryBudget", () => {
  it("withdraw() gives 3 a second of the 10 s window when there are no calls", () => {
    const budget = make();
    assert.equal(budget.balance(0), 30);
    assert.equal(withdrawAll(budget, 0), 30);
    assert.equal(budget.unsafeRefusals(), 1);
  });

  it("withdraw() gives 20 % of the calls on top", () => {
    const budget = make();
    for (let call = 0; call < 1_000; call++) budget.deposit(0);
    assert.equal(withdrawAll(budget, 0), 230);
  });

  it("deposit() of five calls allows one retry, exactly", () => {
    const budget = make({ minimumPerSecond: 0 });
    for (let call = 1; call <= 15; call++) {
      budget.deposit(0);
      assert.equal(budget.balance(0), Math.floor(call / 5), `after ${call} calls`);
    }
  });

  it("withdraw() gives nothing when both limits are 0", () => {
    const budget = make({ ratio: 0, minimumPerSecond: 0 });
    budget.deposit(0);
    assert.equal(budget.withdraw(0), false);
  });

  it("balance() forgets calls and retries after the window", () => {
    const budget = make();
    for (let call = 0; call < 1_000; call++) budget.deposit(500);
    assert.equal(budget.balance(9_999), 230);
    assert.equal(budget.balance(10_000), 30);
    withdrawAll(budget, 10_000);
    assert.equal(budget.balance(19_999), 0);
    assert.equal(budget.balance(20_000), 30);
  });

  it("deposit() saves up no burst over an hour of healthy calls", () => {
    const budget = make();
    for (let second = 0; second < 3_600; second++) {
      for (let call = 0; call < 10; call++) budget.deposit(second * 1_000);
    }
    assert.equal(budget.balance(3_599_000), 30 + 20);
  });

  it("deposit() at an earlier time than before counts now", () => {
    const budget = make({ minimumPerSecond: 0 });
    for (let call = 0; call < 5; call++) budget.deposit(50_000);
    for (let call = 0; call < 5; call++) budget.deposit(1_000);
    assert.equal(budget.balance(50_000), 2);
  });

  it("make() names every illegal setting", () => {
    const result = Effect.runSync(
      Effect.either(RetryBudget.make({ ratio: -0.1, minimumPerSecond: Infinity })),
    );
    const { policy, problems } = Either.getOrThrow(Either.flip(result));
    assert.equal(policy, "retry budget");
    assert.deepEqual(problems.map(({ setting }) => setting), ["ratio", "minimumPerSecond"]);
  });

  it("withdraw() agrees with a model that keeps every call and retry", () => {
    const step = fc.oneof(
      fc.constant({ _tag: "call" as const }),
      fc.constant({ _tag: "retry" as const }),
      fc.record({ _tag: fc.constant("pass" as const), ms: fc.integer({ min: 0, max: 4_000 }) }),
    );
    fc.assert(fc.property(
      fc.array(step, { maxLength: 300 }),
      fc.constantFrom(0, 0.1, 0.2, 1),
      fc.constantFrom(0, 0.2, 1),
      (steps, ratio, minimumPerSecond) => {
        const budget = make({ ratio, minimumPerSecond });
        const calls: Array<number> = [];
        const retries: Array<number> = [];
        let now = 0;
        const recent = (times: ReadonlyArray<number>) =>
          times.filter((at) => Math.floor(at / 1_000) > Math.floor(now / 1_000) - 10).length;
        for (const action of steps) {
          if (action._tag === "pass") now += action.ms;
          else if (action._tag === "call") {
            calls.push(now);
            budget.deposit(now);
          } else {
            const left = minimumPerSecond * 10 + ratio * recent(calls) - recent(retries);
            const expected = left >= 1 - 1e-9;
            assert.equal(budget.withdraw(now), expected);
            if (expected) retries.push(now);
          }
        }
      },
    ));
  });

  it.effect("keeps a storm of 1,000 failing calls to 1.2 times the calls and the floor", () =>
    Effect.gen(function* () {
      class Down extends Data.TaggedError("Down") {}
      const budget = yield* RetryBudget.make();
      const policy = Either.getOrThrow(Retry.policy({ maxAttempts: 5, initialDelay: 0 }));
      let attempts = 0;
      const call = Effect.suspend(() => {
        attempts += 1;
        return Effect.fail(new Down());
      });
      const fibers = yield* Effect.forEach(
        Array.from({ length: 1_000 }),
        () =>
          Effect.fork(Effect.suspend(() => {
            budget.deposit(0);
            return Retry.retry(call, {
              operation: "test",
              policy,
              isRetryable: () => true,
              budget,
            });
          })),
      );
      yield* TestClock.adjust("1 second");
      yield* Effect.forEach(fibers, Fiber.await);
      assert.equal(attempts, 1_000 + 200 + 30);
    }));
});

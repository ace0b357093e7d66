/** What a guard takes for an answer, for an interruption and for too late. */
import assert from "node:assert/strict";
import { Effect, Exit, Fiber, TestClock } from "effect";
import * as Bulkhead from "../../../src/resilience/Bulkhead.ts";
import * as CircuitBreaker from "../../../src/resilience/CircuitBreaker.ts";
import * as Deadline from "../../../src/resilience/Deadline.ts";
import { PermanentFailure } from "../../../src/resilience/DependencyFailure.ts";
import * as Guard from "../../../src/resilience/Guard.ts";
import { describe, it } from "../../support/it.ts";

const dependency = "mongodb";
const operation = "mongodb_find";

const guarded = (options: Partial<Guard.Options> = {}) =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make(dependency);
    return yield* Guard.make({ dependency, breaker, ...options });
  });

describe("classify() and isRetryable()", () => {
  it("go by the project's own failures, not by what others look like", () => {
    const answer = (answered: boolean) =>
      new PermanentFailure({ dependency, operation, reason: "refused", answered, cause: null });
    assert.equal(Guard.classify(Exit.fail(answer(true))), "success");
    assert.equal(Guard.classify(Exit.fail(answer(false))), "failure");
    assert.equal(Guard.classify(Exit.fail({ answered: true })), "failure");
    assert.equal(Guard.isRetryable({ attempted: true }), false);
  });
});

describe("Guard.run()", () => {
  it.effect("does not tell how long a call took that interrupted itself", () =>
    Effect.gen(function* () {
      let told = 0;
      const guard = yield* guarded({ onCall: () => told += 1 });
      yield* Effect.exit(guard.run(operation, Effect.interrupt));
      assert.equal(told, 0);
      yield* Effect.exit(guard.run(operation, Effect.zipRight(Effect.yieldNow(), Effect.fail(1))));
      assert.equal(told, 1);
    }));

  it.effect("runs a call that has got its place in time, and says whose call came too late", () =>
    Effect.gen(function* () {
      const bulkhead = yield* Bulkhead.make(dependency, { maxConcurrent: 1, maxQueue: 1 });
      const guard = yield* guarded({ bulkhead });
      const within = Deadline.within("1 second");
      assert.equal(yield* within(guard.run(operation, Effect.succeed(1))), 1);
      yield* Effect.fork(guard.run(operation, Effect.sleep("2 seconds")));
      yield* Effect.yieldNow();
      const late = yield* Effect.fork(Effect.flip(within(guard.run(operation, Effect.void))));
      yield* TestClock.adjust("2 seconds");
      const error = yield* Fiber.join(late);
      assert.ok(error instanceof Deadline.DeadlineExceeded);
      assert.deepEqual([error.dependency, error.operation, error.attempted], [
        dependency,
        operation,
        false,
      ]);
    }));
});

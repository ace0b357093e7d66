/** Conformance F: late results, interruption, defects, and who says what an outcome is. */
import assert from "node:assert/strict";
import { Cause, Data, type Duration, Effect, Exit, Fiber, TestClock } from "effect";
import * as CircuitBreaker from "../../../src/resilience/CircuitBreaker.ts";
import { describe, it } from "../../support/it.ts";
import {
  arrows,
  at,
  begin,
  counts,
  literally,
  make,
  never,
  record,
  rejection,
  run,
  settle,
  state,
} from "./support.ts";

const zero = { requests: 0, successes: 0, failures: 0 };

describe("CircuitBreaker late results", () => {
  it.effect("F1 a call begun before the window rolled away counts when it ends", () =>
    Effect.gen(function* () {
      const breaker = yield* make(never);
      const call = yield* begin(breaker);
      yield* at(60_000);
      yield* call.end("failure");
      assert.deepEqual(yield* counts(breaker), { requests: 1, successes: 0, failures: 1 });
    }));

  it.effect("F1 F6 a call begun in an earlier epoch changes nothing in any later state", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const early = yield* Effect.all(Array.from({ length: 6 }, () => begin(breaker)));
      const end = (outcome: "success" | "failure") => early.pop()?.end(outcome) ?? Effect.void;
      yield* run(breaker, "FFFFF");
      const opened = yield* breaker.snapshot;
      yield* end("success");
      yield* end("failure");
      assert.deepEqual(yield* breaker.snapshot, opened);
      yield* at(30_000);
      yield* run(breaker, "S");
      yield* end("failure");
      yield* end("success");
      assert.equal(yield* state(breaker), "half-open");
      assert.deepEqual(yield* counts(breaker), { requests: 1, successes: 1, failures: 0 });
      yield* run(breaker, "SS");
      yield* end("failure");
      yield* end("success");
      assert.equal(yield* state(breaker), "closed");
      assert.deepEqual(yield* counts(breaker), zero);
    }));

  it.effect("F1 a trial of an earlier recovery changes nothing in the next", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      yield* at(30_000);
      const [early, failing] = [yield* begin(breaker), yield* begin(breaker)];
      yield* failing.end("failure");
      yield* at(60_000);
      const current = yield* begin(breaker);
      yield* early.end("failure");
      assert.equal(yield* state(breaker), "half-open");
      yield* current.end("success");
      assert.deepEqual(yield* counts(breaker), { requests: 1, successes: 1, failures: 0 });
    }));

  it.effect("F1 close and reset begin a new epoch, also when closed", () =>
    Effect.gen(function* () {
      for (const action of ["close", "reset"] as const) {
        const breaker = yield* make();
        const call = yield* begin(breaker);
        yield* breaker.control(action);
        yield* call.end("failure");
        assert.deepEqual(yield* counts(breaker), zero, action);
      }
    }));

  it.effect("F3 a success while forced open leaves it forced open", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const call = yield* begin(breaker);
      yield* breaker.control("open");
      yield* call.end("success");
      const { state, mode } = yield* breaker.snapshot;
      assert.deepEqual([state, mode], ["open", "forced-open"]);
    }));

  it.effect("F5 late results do reach the lifetime counters", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const [one, two] = [yield* begin(breaker), yield* begin(breaker)];
      yield* run(breaker, "FFFFF");
      yield* one.end("success");
      yield* two.end("failure");
      const { successes, failures, transitions } = yield* breaker.totals;
      assert.deepEqual([successes, failures], [1, 6]);
      assert.deepEqual(transitions, [{ from: "closed", to: "open", count: 1 }]);
    }));

  it.effect("F20 a call whose deadline settled it already is counted once", () =>
    Effect.gen(function* () {
      const breaker = yield* make(never);
      let finished = false;
      const call = Effect.sleep("2 seconds").pipe(
        Effect.ensuring(Effect.sync(() => finished = true)),
        Effect.uninterruptible,
        Effect.zipRight(Effect.fail("too late")),
        Effect.disconnect,
        Effect.timeoutFail({ duration: "1 second", onTimeout: () => "timeout" }),
      );
      const fiber = yield* Effect.fork(Effect.flip(breaker.protect(call)));
      yield* TestClock.adjust("1 second");
      assert.equal(yield* Fiber.join(fiber), "timeout");
      yield* TestClock.adjust("5 seconds");
      assert.ok(finished);
      assert.deepEqual(yield* counts(breaker), { requests: 1, successes: 0, failures: 1 });
      assert.equal((yield* breaker.totals).failures, 1);
    }));
});

describe("CircuitBreaker interruption", () => {
  it.effect("F9 F17 interruption reaches the call in every state and is neutral", () =>
    Effect.gen(function* () {
      const seen: Array<string> = [];
      const interrupted = (breaker: CircuitBreaker.CircuitBreaker, name: string) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.never.pipe(
            Effect.onInterrupt(() => Effect.sync(() => seen.push(name))),
            breaker.protect,
            Effect.fork,
          );
          yield* settle;
          assert.ok(Exit.isInterrupted(yield* Fiber.interrupt(fiber)));
        });
      const breaker = yield* make();
      yield* interrupted(breaker, "closed");
      assert.deepEqual(yield* counts(breaker), zero);
      assert.equal((yield* breaker.totals).neutral, 1);
      yield* run(breaker, "FFFFF");
      yield* at(30_000);
      yield* interrupted(breaker, "half-open");
      assert.deepEqual(yield* counts(breaker), zero);
      yield* breaker.control("disable");
      yield* interrupted(breaker, "disabled");
      yield* breaker.control("observe");
      yield* interrupted(breaker, "observed");
      assert.deepEqual(seen, ["closed", "half-open", "disabled", "observed"]);
      const { successes, failures, neutral } = yield* breaker.totals;
      assert.deepEqual([successes, failures, neutral], [0, 5, 3]);
    }));

  it.effect("F9 interruption is neutral whatever classify says", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ consecutiveFailures: 1 });
      const exit = yield* Effect.exit(breaker.protect(Effect.interrupt, () => "failure"));
      assert.ok(Exit.isInterrupted(exit));
      const fiber = yield* Effect.fork(breaker.protect(Effect.never, () => "failure"));
      yield* settle;
      yield* Fiber.interrupt(fiber);
      assert.deepEqual([yield* state(breaker), yield* counts(breaker)], ["closed", zero]);
    }));

  it.effect("F9 a failure or defect beside an interruption is one whatever classify says", () =>
    Effect.gen(function* () {
      const interrupt = Cause.interrupt(yield* Effect.fiberId);
      for (
        const cause of [
          Cause.parallel(interrupt, Cause.fail("down")),
          Cause.sequential(interrupt, Cause.die("bug")),
        ]
      ) {
        for (const isTrial of [false, true]) {
          yield* at(0);
          const breaker = yield* make();
          if (isTrial) yield* run(breaker, "FFFFF");
          yield* at(30_000);
          const before = (yield* breaker.totals).failures;
          const call = Effect.failCause(cause);
          assert.deepEqual(yield* Effect.exit(breaker.protect(call)), Exit.failCause(cause));
          assert.equal((yield* breaker.totals).failures, before + 1);
          yield* at(60_000);
          yield* Effect.exit(breaker.protect(call, () => "success"));
          assert.equal((yield* breaker.totals).failures, before + 2);
        }
      }
    }));

  for (const isTrial of [false, true]) {
    const where = isTrial ? "half-open" : "closed";
    it.effect(`F9 ${where}: a finalizer of the interrupted call that dies makes it a failure`, () =>
      Effect.gen(function* () {
        const breaker = yield* make();
        if (isTrial) yield* run(breaker, "FFFFF");
        yield* at(30_000);
        const before = (yield* breaker.totals).failures;
        const fiber = yield* Effect.never.pipe(
          Effect.onInterrupt(() => Effect.die("bug")),
          breaker.protect,
          Effect.fork,
        );
        yield* settle;
        yield* Fiber.interrupt(fiber);
        assert.equal((yield* breaker.totals).failures, before + 1);
        if (!isTrial) assert.equal((yield* breaker.snapshot).counts.totalFailures, 1);
      }));
  }

  it.effect("F9 half-open: the caller's own finalizer that dies does not", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      yield* at(30_000);
      const fiber = yield* breaker.protect(Effect.never).pipe(
        Effect.ensuring(Effect.die("bug of the caller")),
        Effect.fork,
      );
      yield* settle;
      yield* Fiber.interrupt(fiber);
      assert.equal(yield* state(breaker), "half-open");
      assert.equal((yield* breaker.totals).failures, 5);
    }));

  it.effect("F9 half-open: a call that fails in spite of its interruption is a failure", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      yield* at(30_000);
      const fiber = yield* Effect.sleep("1 second").pipe(
        Effect.zipRight(Effect.fail("down")),
        Effect.uninterruptible,
        breaker.protect,
        Effect.fork,
      );
      yield* settle;
      yield* Fiber.interruptFork(fiber);
      yield* TestClock.adjust("1 second");
      yield* Fiber.await(fiber);
      assert.equal(yield* state(breaker), "open");
    }));

  it.effect("F9 hundreds of calls interrupted at once leave no trace", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const fibers = yield* Effect.replicateEffect(
        Effect.fork(breaker.protect(Effect.never)),
        300,
      );
      yield* settle;
      yield* Fiber.interruptAll(fibers);
      assert.deepEqual(yield* counts(breaker), zero);
      assert.equal((yield* breaker.totals).neutral, 300);
    }));
});

describe("CircuitBreaker outcomes", () => {
  it.effect("F8 a synchronous throw is a failure and passes as the defect it is", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ consecutiveFailures: 1 });
      const thrown = new Error("thrown");
      const exit = yield* Effect.exit(breaker.protect(Effect.sync(() => {
        throw thrown;
      })));
      assert.deepEqual(exit, Exit.die(thrown));
      assert.equal(yield* state(breaker), "open");
    }));

  it.effect("F8 a throw while the effect is built is a failure too", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ consecutiveFailures: 1 });
      yield* Effect.exit(breaker.protect(Effect.suspend((): Effect.Effect<void> => {
        throw new Error("thrown");
      })));
      assert.equal(yield* state(breaker), "open");
    }));

  it.effect("F11 with classify saying success for every error it never opens, and errors pass", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      for (let call = 0; call < 50; call++) {
        const error = new Error(`${call}`);
        assert.equal(
          yield* Effect.flip(breaker.protect(Effect.fail(error), () => "success")),
          error,
        );
      }
      assert.equal(yield* state(breaker), "closed");
      assert.equal((yield* counts(breaker)).successes, 50);
    }));

  it.effect("F12 a neutral result breaks no run of failures or successes", () =>
    Effect.gen(function* () {
      const failures = yield* make({ minimumRequests: 100 });
      yield* run(failures, "FFNFNF");
      assert.equal((yield* failures.snapshot).counts.consecutiveFailures, 4);
      yield* run(failures, "NF");
      assert.equal(yield* state(failures), "open");
      const successes = yield* make();
      yield* run(successes, "SSNSN");
      assert.equal((yield* successes.snapshot).counts.consecutiveSuccesses, 3);
    }));

  it.effect("F13 settling twice counts once, whatever the second says", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const permit = yield* breaker.acquire;
      yield* permit.settle("success");
      yield* permit.settle("success");
      yield* permit.settle("failure");
      assert.deepEqual(yield* counts(breaker), { requests: 1, successes: 1, failures: 0 });
      const { successes, failures } = yield* breaker.totals;
      assert.deepEqual([successes, failures], [1, 0]);
    }));

  it.effect("F13 settling neutral first keeps a later failure out", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ consecutiveFailures: 1 });
      const permit = yield* breaker.acquire;
      yield* permit.settle("neutral");
      yield* permit.settle("failure");
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("F13 a permit that is never settled is freed by its lease when half-open", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ halfOpenMax: 1 });
      yield* run(breaker, "FFFFF");
      yield* at(30_000);
      const permit = yield* breaker.acquire;
      yield* at(39_999);
      yield* rejection(breaker);
      yield* at(40_000);
      const next = yield* breaker.acquire;
      yield* permit.settle("failure");
      assert.equal(yield* state(breaker), "half-open");
      yield* next.settle("success");
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("F13 settling runs when it is run, not when it is made", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ consecutiveFailures: 1 });
      const permit = yield* breaker.acquire;
      permit.settle("failure");
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("F14 typed errors can be failure, success or neutral", () =>
    Effect.gen(function* () {
      class Down extends Data.TaggedError("Down") {}
      class Forbidden extends Data.TaggedError("Forbidden") {}
      class Busy extends Data.TaggedError("Busy") {}
      const breaker = yield* make(never);
      const classify = (exit: Exit.Exit<never, Down | Forbidden | Busy>) => {
        const failed = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined;
        if (failed instanceof Down) return "failure";
        return failed instanceof Busy ? "neutral" : "success";
      };
      for (const error of [new Down(), new Forbidden(), new Busy(), new Forbidden()]) {
        assert.equal(yield* Effect.flip(breaker.protect(Effect.fail(error), classify)), error);
      }
      assert.deepEqual(yield* counts(breaker), { requests: 3, successes: 2, failures: 1 });
      const { successes, failures, neutral } = yield* breaker.totals;
      assert.deepEqual([successes, failures, neutral], [2, 1, 1]);
    }));

  it.effect("F14 a classify that throws: its defect passes, and the call counts as a failure", () =>
    Effect.gen(function* () {
      for (const isTrial of [false, true]) {
        yield* at(0);
        const breaker = yield* make({ halfOpenMax: 1 });
        if (isTrial) yield* run(breaker, "FFFFF");
        yield* at(30_000);
        const before = (yield* breaker.totals).failures;
        const bug = new Error("bug in classify");
        const exit = yield* Effect.exit(breaker.protect(Effect.succeed(1), () => {
          throw bug;
        }));
        assert.deepEqual(exit, Exit.die(bug));
        assert.equal((yield* breaker.totals).failures, before + 1);
        assert.equal(yield* state(breaker), isTrial ? "open" : "closed");
      }
    }));

  it.effect("F14 an error whose own getter throws still gives its place back, as a failure", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ halfOpenMax: 1, openFor: 0 });
      yield* run(breaker, "FFFFF");
      const error = {
        get retryAfter(): Duration.Duration {
          throw new Error("unreadable");
        },
      };
      assert.ok(Exit.isFailure(yield* Effect.exit(breaker.protect(Effect.fail(error)))));
      assert.equal(yield* state(breaker), "open");
      assert.equal(yield* run(breaker, "S"), "S");
    }));

  it.effect("G19 calls made side by side and all refused by an inner guard are neutral", () =>
    Effect.gen(function* () {
      const inner = yield* make();
      const outer = yield* make();
      yield* inner.control("open");
      const refused = inner.protect(Effect.void);
      const together = { concurrency: "unbounded", discard: true } as const;
      for (const calls of [[refused, refused], [refused, Effect.never], [Effect.never, refused]]) {
        yield* Effect.exit(outer.protect(Effect.all(calls, together)));
      }
      assert.deepEqual(yield* counts(outer), zero);
      const cause = Cause.parallel(Cause.fail(yield* rejection(inner)), Cause.fail("down"));
      yield* Effect.exit(outer.protect(Effect.failCause(cause)));
      assert.deepEqual(yield* counts(outer), { requests: 1, successes: 0, failures: 1 });
    }));

  it.effect("F15 when not admitted, the effect is never run", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ halfOpenMax: 1 });
      yield* run(breaker, "FFFFF");
      yield* rejection(breaker);
      yield* at(30_000);
      yield* begin(breaker);
      yield* rejection(breaker);
      yield* breaker.control("open");
      yield* rejection(breaker);
    }));

  it.effect("G20 an error reaches the caller unchanged, the very same object and cause", () =>
    Effect.gen(function* () {
      const breaker = yield* make(never);
      const error = new Error("mine");
      assert.equal(yield* Effect.flip(breaker.protect(Effect.fail(error))), error);
      const cause = Cause.parallel(Cause.fail("a"), Cause.die("b"));
      assert.deepEqual(
        yield* Effect.exit(breaker.protect(Effect.failCause(cause))),
        Exit.failCause(cause),
      );
    }));

  it.effect("counts timeouts by the error's own mark, among the failures", () =>
    Effect.gen(function* () {
      const breaker = yield* make(never);
      yield* Effect.ignore(breaker.protect(Effect.fail({ timedOut: true })));
      yield* Effect.ignore(breaker.protect(Effect.fail({ timedOut: false })));
      yield* Effect.ignore(breaker.protect(Effect.fail({ timedOut: true }), () => "neutral"));
      const { failures, timeouts } = yield* breaker.totals;
      assert.deepEqual({ failures, timeouts }, { failures: 2, timeouts: 1 });
    }));

  it.effect("can be run again: each run of a protected effect is a call of its own", () =>
    Effect.gen(function* () {
      const breaker = yield* make(never);
      const changes = yield* record(breaker);
      const call = breaker.protect(Effect.succeed("failure"), literally);
      yield* Effect.replicateEffect(call, 7);
      assert.deepEqual(yield* counts(breaker), { requests: 7, successes: 0, failures: 7 });
      assert.deepEqual(arrows(changes), []);
    }));
});

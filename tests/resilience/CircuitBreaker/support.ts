/** What the breaker's tests share: a breaker without jitter, short scripts of calls, and time. */
import assert from "node:assert/strict";
import { Cause, Clock, Deferred, Effect, Exit, Fiber, TestClock } from "effect";
import * as CircuitBreaker from "../../../src/resilience/CircuitBreaker.ts";

export type Breaker = CircuitBreaker.CircuitBreaker;

/** Settings under which only the rule under test can open a breaker. */
export const never = { minimumRequests: 1_000_000, consecutiveFailures: null };

/** A breaker with the defaults and no jitter, so that openings have exact lengths. */
export const make = (settings: Partial<CircuitBreaker.Settings> = {}, name = "test") =>
  CircuitBreaker.make(name, { openJitter: 0, ...settings });

/** A clock that is set by hand; TestClock would wait for sleepers at each of a million steps. */
export class HandClock {
  now = 0;
  readonly clock: Clock.Clock = Object.assign(Clock.make(), {
    unsafeCurrentTimeMillis: () => this.now,
    unsafeCurrentTimeNanos: () => BigInt(this.now) * 1_000_000n,
  });
}

/** Sets the time since the beginning, in milliseconds. */
export const at = (milliseconds: number) => TestClock.setTime(milliseconds);

/** The classification of values: what was returned or failed with is the outcome itself. */
export const literally = (exit: Exit.Exit<unknown, unknown>): CircuitBreaker.Outcome => {
  const said = Exit.isSuccess(exit) ? exit.value : Cause.squash(exit.cause);
  return said === "success" || said === "failure" ? said : "neutral";
};

/**
 * Makes one call for each letter: S success, F failure, N neutral. Answers with the letters of the
 * calls that ran and `x` for each that was rejected; spaces are ignored.
 */
export const run = (breaker: Breaker, script: string) =>
  Effect.gen(function* () {
    let trace = "";
    for (const letter of script.replaceAll(" ", "")) {
      let ran = false;
      const call = Effect.suspend(() => {
        ran = true;
        if (letter === "S") return Effect.succeed("success");
        return Effect.fail(letter === "F" ? "failure" : "neutral");
      });
      yield* Effect.exit(breaker.protect(call, literally));
      trace += ran ? letter : "x";
    }
    return trace;
  });

export const counts = (breaker: Breaker) =>
  Effect.map(breaker.snapshot, ({ counts }) => ({
    requests: counts.requests,
    successes: counts.totalSuccesses,
    failures: counts.totalFailures,
  }));

export const state = (breaker: Breaker) => Effect.map(breaker.snapshot, ({ state }) => state);

/** Why a call is turned away; fails the test when it is not. */
export const rejection = (breaker: Breaker) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(breaker.protect(Effect.dieMessage("The call was run")));
    assert.ok(error instanceof CircuitBreaker.CircuitOpen);
    return error;
  });

/** Every change from now on, in a list that grows. */
export const record = (breaker: Breaker) =>
  Effect.sync(() => {
    const changes: Array<CircuitBreaker.StateChange> = [];
    breaker.unsafeOnChange((change) => changes.push(change));
    return changes;
  });

export const arrows = (changes: ReadonlyArray<CircuitBreaker.StateChange>) =>
  changes.map(({ from, to }) => `${from} → ${to}`);

/** Lets every fiber get as far as it can without time passing. */
export const settle = Effect.repeatN(Effect.yieldNow(), 20);

/** A call that has begun and ends when told, with the outcome told. */
export const begin = (breaker: Breaker) =>
  Effect.gen(function* () {
    const end = yield* Deferred.make<string, string>();
    const fiber = yield* Effect.fork(breaker.protect(Deferred.await(end), literally));
    yield* settle;
    return {
      fiber,
      end: (outcome: CircuitBreaker.Outcome) =>
        Effect.zipRight(
          outcome === "success" ? Deferred.succeed(end, outcome) : Deferred.fail(end, outcome),
          Fiber.await(fiber),
        ),
    };
  });

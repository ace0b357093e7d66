/** Conformance A: settings, defaults, and what making a breaker does not do. */
import assert from "node:assert/strict";
import { Duration, Effect } from "effect";
import * as CircuitBreaker from "../../../src/resilience/CircuitBreaker.ts";
import { describe, it } from "../../support/it.ts";
import { at, make, rejection, run, state } from "./support.ts";

const problemsOf = (settings: Partial<CircuitBreaker.Settings>) =>
  Effect.map(Effect.flip(CircuitBreaker.make("wrong", settings)), (error) => {
    assert.ok(error instanceof CircuitBreaker.InvalidSettings);
    assert.equal(error.breaker, "wrong");
    return error.problems;
  });

/** Timers that were started while `body` ran. */
const timersDuring = <A, E, R>(body: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const { setTimeout, setInterval } = globalThis;
      const seen = { count: 0 };
      const counting = <F extends (...args: never) => unknown>(original: F) =>
        new Proxy(original, {
          apply(target, self, args) {
            seen.count += 1;
            return Reflect.apply(target, self, args);
          },
        });
      globalThis.setTimeout = counting(setTimeout);
      globalThis.setInterval = counting(setInterval);
      return { seen, setTimeout, setInterval };
    }),
    ({ seen }) => Effect.map(body, () => seen.count),
    ({ setTimeout, setInterval }) =>
      Effect.sync(() => Object.assign(globalThis, { setTimeout, setInterval })),
  );

describe("CircuitBreaker.make()", () => {
  it.effect("A1 begins closed with all counts zero and arms no timer when given no settings", () =>
    Effect.gen(function* () {
      const timers = yield* timersDuring(CircuitBreaker.make("fresh"));
      assert.equal(timers, 0);
      const breaker = yield* CircuitBreaker.make("fresh");
      assert.deepEqual(yield* breaker.snapshot, {
        name: "fresh",
        state: "closed",
        mode: "auto",
        counts: {
          requests: 0,
          totalSuccesses: 0,
          totalFailures: 0,
          consecutiveSuccesses: 0,
          consecutiveFailures: 0,
        },
        failureRate: null,
        rejected: 0,
        stateChangedAt: 0,
        openUntil: null,
      });
    }));

  it.effect("A1 has the documented defaults when given no settings", () =>
    Effect.gen(function* () {
      // Consecutive failures 5, open 30 s, half-open 3.
      const one = yield* make();
      assert.equal(yield* run(one, "FFFFFS"), "FFFFFx");
      yield* at(29_999);
      yield* rejection(one);
      yield* at(30_000);
      assert.equal(yield* run(one, "SS"), "SS");
      assert.equal(yield* state(one), "half-open");
      yield* run(one, "S");
      assert.equal(yield* state(one), "closed");
      // Minimum 5 and rate 0.5: F S F S F makes 3 of 5.
      const two = yield* make({ consecutiveFailures: null });
      assert.equal(yield* run(two, "FSFSFS"), "FSFSFx");
    }));

  for (
    const [setting, values] of Object.entries({
      window: [
        -1,
        NaN,
        0,
        -0,
        Infinity,
        Duration.infinity,
        [Infinity, 0],
        "soon",
        "-1 seconds",
        0n,
      ],
      openFor: [-1, NaN, -Infinity, "forever?", "30", null, {}, [], [-1, 0], [NaN, 0], -1n, true],
      openForMax: [-1, NaN, 29_999, null],
      trialLease: [-1, NaN, 0, Infinity, [0, Infinity], "0 millis", null],
      failureRate: [0, -0, -0.1, 1.1, NaN, "0.5", null],
      minimumRequests: [0, -1, 1.5, NaN, Infinity, "5", 5n, null],
      buckets: [0, -1, 2.5, NaN, "10", null],
      halfOpenMax: [0, -1, 1.5, NaN, "3", null],
      consecutiveFailures: [0, -0, -1, 1.5, NaN, "5", {}],
      openJitter: [-0.1, 1.1, NaN, "0.1", null],
      slowCallRate: [0, -1, 1.1, NaN, "0.5", null],
      slowCallDuration: [-1, NaN, "slow", true],
      adaptive: ["yes", 1, null],
      adaptiveFloor: [0, -0.1, NaN],
      adaptiveCeiling: [0, 0.1, 1.1, NaN],
      adaptiveFalseAlarm: [0, 1e-16, 0.02, NaN, "0.001"],
      adaptiveHalfLife: [-1, NaN, 0, Infinity],
    })
  ) {
    it.effect(`A2 names ${setting} and its value when that is illegal`, () =>
      Effect.gen(function* () {
        for (const value of values) {
          const problems = yield* problemsOf({ [setting]: value });
          assert.deepEqual(
            problems.map((problem) => [problem.setting, problem.value]),
            [[setting, value]],
            `${setting}: ${String(value)}`,
          );
        }
      }));
  }

  it.effect("A2 refuses a window that is not divisible into whole-millisecond buckets", () =>
    Effect.gen(function* () {
      assert.deepEqual(
        (yield* problemsOf({ window: 1_000, buckets: 3 })).map(({ setting }) => setting),
        ["window"],
      );
      yield* CircuitBreaker.make("right", { window: 999, buckets: 3 });
    }));

  it.effect("A2 names several illegal settings at once, also in the message", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        CircuitBreaker.make("wrong", { failureRate: 2, buckets: 0, openFor: -5, openForMax: -5 }),
      );
      const settings = error.problems.map(({ setting }) => setting);
      assert.deepEqual(settings.toSorted(), ["buckets", "failureRate", "openFor", "openForMax"]);
      for (const setting of settings) assert.ok(error.message.includes(setting), setting);
    }));

  it.effect("A4 keeps a legal 0: openFor 0 is due at once, openJitter 0 makes exact openings", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make("zero", { openFor: 0, openJitter: 0 });
      assert.equal(yield* run(breaker, "FFFFF S"), "FFFFFS");
      assert.equal(yield* state(breaker), "half-open");
      const exact = yield* CircuitBreaker.make("exact", { openJitter: 0 });
      yield* run(exact, "FFFFF");
      assert.equal((yield* exact.snapshot).openUntil, 30_000);
    }));

  it.effect("A4 takes undefined for the default and null for off", () =>
    Effect.gen(function* () {
      const unset: Record<string, undefined> = { openFor: undefined, halfOpenMax: undefined };
      const breaker = yield* make(unset);
      yield* run(breaker, "FFFFF");
      assert.equal((yield* breaker.snapshot).openUntil, 30_000);
      const off = yield* make({ consecutiveFailures: null, minimumRequests: 100 });
      assert.equal(yield* run(off, "F".repeat(50)), "F".repeat(50));
    }));

  it.effect("A9 arms no timer for calls, rejections, trials, snapshots and controls", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ openFor: 0, consecutiveFailures: 1 });
      const forced = yield* make();
      const timers = yield* timersDuring(Effect.gen(function* () {
        yield* run(breaker, "S F F S S S");
        yield* forced.control("open");
        yield* run(forced, "S");
        yield* breaker.snapshot;
      }));
      assert.equal(timers, 0);
    }));
});

/** What each setting may be: edges, words, and durations in all their forms. */
import assert from "node:assert/strict";
import { Duration, Effect, Either } from "effect";
import {
  decode,
  isFinitePositive,
  isShare,
  millis,
  type Settings,
} from "../../src/resilience/BreakerSettings.ts";
import { describe, it } from "../support/it.ts";

/** Untyped callers can give anything. */
const decoded = (settings: Readonly<Record<string, unknown>>) =>
  Effect.runSync(Effect.either(decode("test", settings as Partial<Settings>)));

const faults = (settings: Readonly<Record<string, unknown>>) =>
  Either.match(decoded(settings), {
    onLeft: ({ problems }) => problems.map(({ setting, rule }) => `${setting} ${rule}`),
    onRight: () => [],
  });

const share = "must be more than 0 and at most 1";
const count = "must be whole and at least 1";
const finite = "must be finite and more than 0";

describe("decode()", () => {
  const rules: ReadonlyArray<
    readonly [string, string, legal: ReadonlyArray<unknown>, illegal: ReadonlyArray<unknown>]
  > = [
    ["window", finite, [10, "1 second"], [0, -1, Infinity, "soon"]],
    ["buckets", "must be a whole number of at least 1", [1, 5], [0, 1.5, NaN]],
    ["minimumRequests", count, [1], [0, 0.5]],
    ["failureRate", share, [1e-9, 1], [0, 1.01]],
    ["consecutiveFailures", "must be null or whole and at least 1", [null, 1], [0, 2.5]],
    ["openFor", "must be a duration of at least 0", [0, "1 minute"], [-1, "-1 second", NaN]],
    ["openForMax", "must be a duration", ["30 seconds", "1 hour"], ["soon"]],
    ["openForMax", "must be at least openFor", ["30 seconds"], ["29 seconds"]],
    ["openJitter", "must be from 0 to 1", [0, 1], [-0.1, 1.1, "0.5"]],
    ["halfOpenMax", count, [1], [0]],
    ["trialLease", finite, [1], [0, Infinity]],
    ["slowCallDuration", "must be null or a duration of at least 0", [null, 0], [-1]],
    ["slowCallRate", share, [1], [0]],
    ["adaptive", "must be true or false", [true, false], ["true", 1, null]],
    ["adaptiveFloor", share, [0.5], [0, 1.5]],
    ["adaptiveCeiling", "must be at most 1 and at least adaptiveFloor", [0.2, 1], [0.19, 1.1]],
    ["adaptiveFalseAlarm", "must be from 1e-15 to 0.01", [1e-15, 0.01], [9e-16, 0.011, 0]],
    ["adaptiveHalfLife", finite, ["1 hour"], [0, Infinity]],
  ];
  for (const [setting, words, legal, illegal] of rules) {
    it(`says of ${setting} that it ${words}, and means it`, () => {
      for (const value of legal) assert.deepEqual(faults({ [setting]: value }), []);
      for (const value of illegal) {
        const [first] = faults({ [setting]: value });
        assert.equal(first, `${setting} ${words}`, Deno.inspect(value));
      }
    });
  }

  it("asks for buckets of whole milliseconds", () => {
    assert.deepEqual(faults({ window: 10, buckets: 3 }), [
      "window must divide into 3 whole-millisecond buckets",
    ]);
  });

  it("does not compare openForMax with an openFor that is none, nor blame one not given", () => {
    assert.deepEqual(faults({ openFor: "soon", openForMax: 1 }), [
      "openFor must be a duration of at least 0",
    ]);
    assert.deepEqual(faults({ openFor: "soon" }), ["openFor must be a duration of at least 0"]);
  });

  it("takes the opening's length for its limit unless one is given", () => {
    const { openFor, openForMax } = Either.getOrThrow(decoded({ openFor: "1 hour" }));
    assert.deepEqual([openFor, openForMax], [3_600_000, 3_600_000]);
  });

  it("gives slow calls and consecutive failures no end when they are off", () => {
    const off = Either.getOrThrow(decoded({ slowCallDuration: null, consecutiveFailures: null }));
    assert.deepEqual([off.slowCallDuration, off.consecutiveFailures], [Infinity, Infinity]);
    assert.equal(Either.getOrThrow(decoded({ slowCallDuration: 70 })).slowCallDuration, 70);
  });

  it("names breaker, setting and value in its message", () => {
    const { _tag, message } = Either.getOrThrow(
      Either.flip(decoded({ failureRate: 2, buckets: 0 })),
    );
    assert.equal(_tag, "InvalidSettings");
    assert.equal(
      message,
      'Cannot make circuit breaker "test": buckets is 0 but must be a whole number of at least 1; ' +
        "failureRate is 2 but must be more than 0 and at most 1",
    );
  });
});

describe("millis()", () => {
  const century = 36_500 * 86_400_000;

  it("reads durations in all their forms, and a hundred years at most", () => {
    assert.deepEqual(
      [0, 1.5, "2 seconds", 3_000_000n, [1, 500_000_000], Duration.minutes(1)].map(millis),
      [0, 1.5, 2_000, 3, 1_500, 60_000],
    );
    assert.deepEqual([0n, [0, 0]].map(millis), [0, 0]);
    assert.deepEqual([Infinity, 1e300, Duration.infinity].map(millis), [century, century, century]);
  });

  it("takes nothing negative, and nothing that is no duration", () => {
    for (
      const input of [-1, NaN, -1n, "-1 second", " -1 second", [-1, 0], [0, -1], "soon", null, {}]
    ) assert.equal(millis(input), undefined, Deno.inspect(input));
  });
});

describe("isShare()", () => {
  it("includes 1 and excludes 0", () => {
    assert.deepEqual([0, 1e-9, 1, 1 + 1e-9, "1"].map(isShare), [false, true, true, false, false]);
  });
});

describe("isFinitePositive()", () => {
  it("wants an end, in every form of a duration", () => {
    for (
      const input of [Infinity, [Infinity, 0], Duration.infinity, 0, Duration.zero, "0 seconds"]
    ) {
      assert.equal(isFinitePositive(input), false, Deno.inspect(input));
    }
    for (const input of [1, [0, 1_000_000], Duration.millis(1), "1 milli"]) {
      assert.equal(isFinitePositive(input), true, Deno.inspect(input));
    }
  });
});

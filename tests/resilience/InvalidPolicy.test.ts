/** What each rule lets pass, and how a policy's faults are reported. */
import assert from "node:assert/strict";
import { Duration, Either } from "effect";
import * as InvalidPolicy from "../../src/resilience/InvalidPolicy.ts";
import { describe, it } from "../support/it.ts";

const never: ReadonlyArray<unknown> = [NaN, -1, -0.5, "many", null, {}, true, undefined];

describe("InvalidPolicy rules", () => {
  const rules: ReadonlyArray<
    readonly [keyof typeof InvalidPolicy, string, ReadonlyArray<unknown>, ReadonlyArray<unknown>]
  > = [
    ["count", "must be a whole number of at least 1", [1, 2, 1e9], [0, 1.5, Infinity]],
    ["countOrZero", "must be a whole number of at least 0", [0, 1, 7], [0.5, Infinity]],
    ["share", "must be more than 0 and at most 1", [1e-9, 0.5, 1], [0, 1.001]],
    ["finite", "must be a finite number of at least 0", [0, 0.1, 1e9], [Infinity]],
    ["positive", "must be a finite number of more than 0", [1e-9, 1e9], [0, Infinity]],
    ["atLeastOne", "must be a finite number of at least 1", [1, 1.5], [0.99, 0, Infinity]],
    [
      "duration",
      "must be a duration of at least 0",
      [0, 5, "5 seconds", Duration.zero, Duration.infinity],
      ["soon"],
    ],
    [
      "positiveDuration",
      "must be a finite duration of more than 0",
      [5, "5 seconds", Duration.millis(1)],
      [0, Duration.zero, Duration.infinity, Infinity],
    ],
  ];
  for (const [name, words, legal, illegal] of rules) {
    const rule = InvalidPolicy[name];
    it(`${name} says "${words}" and means it`, () => {
      assert.ok(typeof rule === "object" && "holds" in rule);
      assert.equal(rule.rule, words);
      for (const value of legal) assert.equal(rule.holds(value), true, Deno.inspect(value));
      for (const value of [...illegal, ...never]) {
        assert.equal(rule.holds(value), false, Deno.inspect(value));
      }
    });
  }
});

describe("check()", () => {
  const defaults = { size: 3, share: 0.5 };
  const rules = { size: InvalidPolicy.count, share: InvalidPolicy.share };

  it("fills in defaults for what is left out or undefined, and for nothing else", () => {
    const checked = InvalidPolicy.check("thing", defaults, { size: undefined, share: 1 }, rules);
    assert.deepEqual(checked, Either.right({ size: 3, share: 1 }));
    assert.deepEqual(defaults, { size: 3, share: 0.5 });
  });

  it("reports every fault at once, in words that name the policy, the setting and the value", () => {
    const checked = InvalidPolicy.check("thing", defaults, { size: 0, share: 2 }, rules);
    const error = Either.getOrThrow(Either.flip(checked));
    assert.ok(error instanceof InvalidPolicy.InvalidPolicy);
    assert.equal(error._tag, "InvalidPolicy");
    assert.deepEqual(error.problems, [
      { setting: "size", value: 0, rule: "must be a whole number of at least 1" },
      { setting: "share", value: 2, rule: "must be more than 0 and at most 1" },
    ]);
    assert.equal(
      error.message,
      "Cannot make thing: size is 0 but must be a whole number of at least 1; " +
        "share is 2 but must be more than 0 and at most 1",
    );
  });

  it("toMillis() gives a checked duration's milliseconds, at most 100 years", () => {
    assert.equal(InvalidPolicy.toMillis("2 seconds"), 2_000);
    assert.equal(InvalidPolicy.toMillis(Duration.infinity), 36_500 * 86_400_000);
  });
});

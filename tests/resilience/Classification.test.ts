/** How an exit speaks of its dependency. */
import assert from "node:assert/strict";
import { Cause, Duration, Exit, FiberId } from "effect";
import { classifyExit, hintsOf, noHints } from "../../src/resilience/Classification.ts";
import { describe, it } from "../support/it.ts";

const refusal = { refused: true, retryAfter: Duration.seconds(9) };
const interruption = Cause.interrupt(FiberId.none);

describe("classifyExit()", () => {
  const cases: ReadonlyArray<readonly [string, Exit.Exit<unknown, unknown>, string]> = [
    ["a success", Exit.succeed(1), "success"],
    ["a typed failure", Exit.fail("down"), "failure"],
    ["a defect", Exit.die("bug"), "failure"],
    ["an interruption", Exit.failCause(interruption), "neutral"],
    ["no cause at all", Exit.failCause(Cause.empty), "neutral"],
    ["a refusal by an inner guard", Exit.fail(refusal), "neutral"],
    ["an error that says it is no refusal", Exit.fail({ refused: false }), "failure"],
    ["an error whose mark is not a boolean", Exit.fail({ refused: "true" }), "failure"],
    ["an error that is null", Exit.fail(null), "failure"],
    ["an error that is undefined", Exit.fail(undefined), "failure"],
    [
      "an interruption beside a failure",
      Exit.failCause(Cause.parallel(interruption, Cause.fail("down"))),
      "failure",
    ],
    [
      "a refusal beside a defect",
      Exit.failCause(Cause.parallel(Cause.fail(refusal), Cause.die("bug"))),
      "failure",
    ],
    [
      "a refusal beside another failure",
      Exit.failCause(Cause.parallel(Cause.fail(refusal), Cause.fail("down"))),
      "failure",
    ],
    [
      "refusals side by side",
      Exit.failCause(Cause.parallel(Cause.fail(refusal), Cause.fail(refusal))),
      "neutral",
    ],
    ["a refusal as a defect", Exit.die(refusal), "failure"],
  ];
  for (const [name, exit, outcome] of cases) {
    it(`takes ${name} for ${outcome}`, () => assert.equal(classifyExit(exit), outcome));
  }
});

describe("hintsOf()", () => {
  const hints = (retryAfter: number, timedOut = false) => ({ retryAfter, timedOut });
  const inSeconds = { retryAfter: Duration.seconds(2) };
  const cases: ReadonlyArray<readonly [string, Exit.Exit<unknown, unknown>, typeof noHints]> = [
    ["nothing in a success, whatever it holds", Exit.succeed(inSeconds), hints(0)],
    ["nothing in a defect", Exit.die(inSeconds), hints(0)],
    ["nothing in an error that is no object", Exit.fail("down"), hints(0)],
    ["nothing in null", Exit.fail(null), hints(0)],
    ["milliseconds of retryAfter", Exit.fail(inSeconds), hints(2_000)],
    ["nothing in a retryAfter that is no Duration", Exit.fail({ retryAfter: 2_000 }), hints(0)],
    ["nothing in the retryAfter of a refusal", Exit.fail(refusal), hints(0)],
    ["that the time was up", Exit.fail({ timedOut: true }), hints(0, true)],
    ["both", Exit.fail({ ...inSeconds, timedOut: true }), hints(2_000, true)],
    ["nothing in a mark that is not true", Exit.fail({ timedOut: 1 }), hints(0)],
  ];
  for (const [name, exit, found] of cases) {
    it(`finds ${name}`, () => assert.deepEqual(hintsOf(exit), found));
  }
});

/** The two ways in which a call fails, and what is told of them. */
import assert from "node:assert/strict";
import {
  isRetryable,
  PermanentFailure,
  TransientFailure,
} from "../../src/resilience/DependencyFailure.ts";
import { describe, it } from "../support/it.ts";

const call = { dependency: "mongodb", operation: "mongodb_find", reason: "connection reset" };
const transient = new TransientFailure({ ...call, timedOut: false, cause: undefined });
const permanent = new PermanentFailure({ ...call, answered: true, cause: undefined });

describe("isRetryable()", () => {
  it("is true for a transient failure and for nothing else", () => {
    assert.equal(isRetryable(transient), true);
    for (const error of [permanent, { ...transient }, new Error("down"), undefined, null]) {
      assert.equal(isRetryable(error), false);
    }
  });
});

describe("DependencyFailure", () => {
  it("says which operation failed and why, and nothing of its cause", () => {
    for (const failure of [transient, permanent]) {
      assert.equal(failure.message, "mongodb_find failed: connection reset");
    }
    assert.deepEqual([transient._tag, permanent._tag], ["TransientFailure", "PermanentFailure"]);
  });
});

/** What a breaker counts of all that is no success. */
import assert from "node:assert/strict";
import { Trouble } from "../../src/resilience/BreakerTrouble.ts";
import { describe, it } from "../support/it.ts";

describe("Trouble", () => {
  it("count() takes a timeout for a failure too, and nothing neutral for one", () => {
    const trouble = new Trouble();
    const counted = () => [trouble.failures, trouble.timeouts, trouble.neutral];
    assert.deepEqual(counted(), [0, 0, 0]);
    trouble.count("failure", false);
    trouble.count("failure", true);
    trouble.count("failure", true);
    assert.deepEqual(counted(), [3, 2, 0]);
    trouble.count("neutral", true);
    trouble.count("neutral", false);
    assert.deepEqual(counted(), [3, 2, 2]);
  });

  it("change() counts each pair of states by itself", () => {
    const trouble = new Trouble();
    assert.equal(trouble.transitions, undefined);
    trouble.change("closed", "open");
    trouble.change("open", "half-open");
    trouble.change("closed", "open");
    assert.deepEqual(trouble.transitions, [
      { from: "closed", to: "open", count: 2 },
      { from: "open", to: "half-open", count: 1 },
    ]);
  });
});

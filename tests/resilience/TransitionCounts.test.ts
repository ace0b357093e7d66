/** A short list of changes and how often each has happened. */
import assert from "node:assert/strict";
import { counted } from "../../src/resilience/TransitionCounts.ts";
import { describe, it } from "../support/it.ts";

describe("counted()", () => {
  it("begins a list, adds what is new and counts what is known, by both of its ends", () => {
    let list = counted(undefined, "closed", "open");
    list = counted(list, "open", "half-open");
    list = counted(list, "half-open", "open");
    list = counted(list, "open", "closed");
    list = counted(list, "open", "half-open");
    assert.deepEqual(list, [
      { from: "closed", to: "open", count: 1 },
      { from: "open", to: "half-open", count: 2 },
      { from: "half-open", to: "open", count: 1 },
      { from: "open", to: "closed", count: 1 },
    ]);
  });
});

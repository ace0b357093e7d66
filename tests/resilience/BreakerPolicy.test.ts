/** What a breaker may leave out by its settings, because nothing would come of it. */
import assert from "node:assert/strict";
import { Effect } from "effect";
import { policyOf } from "../../src/resilience/BreakerPolicy.ts";
import { decode, type Settings } from "../../src/resilience/BreakerSettings.ts";
import { describe, it } from "../support/it.ts";

describe("policyOf()", () => {
  it("times calls only to find slow ones, and counts runs only of successes that say no more", () => {
    const left = (settings: Partial<Settings>) => {
      const { timesCalls, countsRuns } = policyOf(Effect.runSync(decode("test", settings)));
      return { timesCalls, countsRuns };
    };
    assert.deepEqual(left({}), { timesCalls: false, countsRuns: true });
    assert.deepEqual(left({ slowCallDuration: 0 }), { timesCalls: true, countsRuns: false });
    assert.deepEqual(left({ adaptive: true }), { timesCalls: false, countsRuns: false });
    assert.deepEqual(left({ adaptive: true, slowCallDuration: 0 }), {
      timesCalls: true,
      countsRuns: false,
    });
  });
});

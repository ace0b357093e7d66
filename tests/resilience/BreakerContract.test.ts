/** What an open breaker says to those it turns away. */
import assert from "node:assert/strict";
import { Duration } from "effect";
import { CircuitOpen } from "../../src/resilience/BreakerContract.ts";
import { describe, it } from "../support/it.ts";

describe("CircuitOpen", () => {
  it("names its breaker and why it refuses, in words fit for a log", () => {
    const messages = (["open", "half-open", "forced"] as const).map((reason) =>
      new CircuitOpen({ breaker: "mongodb", reason, retryAfter: Duration.zero }).message
    );
    assert.deepEqual(messages, [
      'Circuit breaker "mongodb" is open',
      'Circuit breaker "mongodb" is half-open',
      'Circuit breaker "mongodb" is forced open',
    ]);
  });

  it("is marked as a refusal, and tells when to come back", () => {
    const retryAfter = Duration.seconds(3);
    const error = new CircuitOpen({ breaker: "a", reason: "open", retryAfter });
    assert.deepEqual([error._tag, error.refused, error.retryAfter], [
      "CircuitOpen",
      true,
      retryAfter,
    ]);
  });
});

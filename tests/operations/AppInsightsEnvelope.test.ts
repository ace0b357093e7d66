/** The parts of an envelope that the endpoint is strict about. */
import assert from "node:assert/strict";
import { timeSpan } from "../../src/operations/AppInsightsEnvelope.ts";
import { rejected as rejectedItems } from "../../src/operations/AppInsights.ts";
import { rejected as rejectedByOtlp } from "../../src/operations/Otlp.ts";
import { describe, it } from "../support/it.ts";

describe("AppInsightsEnvelope", () => {
  const spans: ReadonlyArray<readonly [bigint, string]> = [
    [0n, "00:00:00.0000000"],
    [-5n, "00:00:00.0000000"],
    [199n, "00:00:00.0000001"],
    [3_179_900n, "00:00:00.0031799"],
    [61_500_000_000n, "00:01:01.5000000"],
    [86_399_999_999_999n, "23:59:59.9999999"],
    [90_061_000_000_000n, "1.01:01:01.0000000"],
  ];
  for (const [nanos, text] of spans) {
    it(`timeSpan() writes ${nanos} ns as ${text}`, () => assert.equal(timeSpan(nanos), text));
  }
});

describe("rejected()", () => {
  it("is what the endpoint received and did not accept", () => {
    assert.equal(rejectedItems('{"itemsReceived": 5, "itemsAccepted":3,"errors":[]}'), 2);
    assert.equal(rejectedItems('{"itemsAccepted":3}'), 0);
    assert.equal(rejectedItems("<html>"), 0);
  });

  it("is what an OTLP receiver says it did not take, as number or text", () => {
    assert.equal(rejectedByOtlp('{"partialSuccess":{"rejectedSpans":"7","errorMessage":"x"}}'), 7);
    assert.equal(rejectedByOtlp('{"partialSuccess":{"rejectedLogRecords":2}}'), 2);
    assert.equal(rejectedByOtlp('{"partialSuccess":{}}'), 0);
    assert.equal(rejectedByOtlp(""), 0);
  });
});

/** AccessText: the same line as the general writer's, put together faster. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import * as AccessText from "../../src/operations/AccessText.ts";
import { toJson } from "../../src/operations/LogLine.ts";
import { describe, it } from "../support/it.ts";

describe("AccessText", () => {
  it("durationText() writes milliseconds to the microsecond, without zeros at the end", () => {
    const examples = [0, 0.0004, 0.25, 1.23456, 3.1, 12, 999.9996, -1.5, 3e9];
    assert.deepEqual(
      examples.map(AccessText.durationText),
      ["0", "0", "0.25", "1.235", "3.1", "12", "1000", "-1.5", "3000000000"],
    );
    fc.assert(fc.property(fc.double({ min: 0, max: 1e6, noNaN: true }), (millis) => {
      assert.equal(AccessText.durationText(millis), String(Math.round(millis * 1_000) / 1_000));
    }));
  });

  it("make() writes what the general writer of lines would, whatever came before", () => {
    const line = fc.record({
      service: fc.constantFrom("auth", "routing"),
      correlationId: fc.oneof(fc.uuid(), fc.string({ unit: "binary" })),
      method: fc.constantFrom("GET", "POST", "OTHER"),
      route: fc.constantFrom("/api/v1/route", 'unmatched"\\\u2028'),
      status: fc.constantFrom(200, 404, 503),
      durationMs: fc.double({ min: 0, max: 1e4, noNaN: true }),
      at: fc.constantFrom(0, 1_700_000_000_000, 1_700_000_000_001),
    });
    fc.assert(fc.property(fc.array(line, { minLength: 1, maxLength: 8 }), (lines) => {
      const write = AccessText.make();
      for (const { at, service, correlationId, ...rest } of lines) {
        const durationMs = Math.round(rest.durationMs * 1_000) / 1_000;
        const fields = Object.entries({ ...rest, durationMs });
        assert.equal(
          write({ service, correlationId, ...rest }, at),
          toJson({ level: "info", at, msg: "Request", service, correlationId, fields }),
        );
      }
    }));
  });
});

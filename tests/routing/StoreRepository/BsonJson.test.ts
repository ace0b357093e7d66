import fc from "fast-check";
import {
  Binary,
  Code,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
  UUID,
} from "mongodb";
import assert from "node:assert/strict";
import { toJson } from "../../../src/routing/StoreRepository/BsonJson.ts";
import { describe, it } from "../../support/it.ts";

describe("toJson()", () => {
  it("toJson() gives JSON back as it is, the very same objects", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        assert.ok(Object.is(toJson(value), value));
      }),
      { numRuns: 1_000 },
    );
  });

  it("toJson() always gives what JSON text keeps", () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true }), (value) => {
        const json = toJson(value);
        assert.deepEqual(
          JSON.parse(JSON.stringify(json)),
          JSON.parse(JSON.stringify(toJson(json))),
        );
      }),
      { numRuns: 1_000 },
    );
  });

  const id = new ObjectId();
  const uuid = new UUID();
  const cases: ReadonlyArray<readonly [name: string, input: unknown, expected: unknown]> = [
    ["a date", new Date(0), "1970-01-01T00:00:00.000Z"],
    ["an impossible date", new Date(NaN), null],
    ["an ObjectId", id, id.toHexString()],
    ["a UUID", uuid, uuid.toString()],
    ["bytes", new Binary(Uint8Array.of(1, 2, 3)), "AQID"],
    ["a small Long", Long.fromNumber(-5), -5],
    ["a large Long", Long.MAX_VALUE, "9223372036854775807"],
    ["an Int32", new Int32(7), 7],
    ["a Double", new Double(1.5), 1.5],
    ["an exact Decimal128", Decimal128.fromString("1.5"), 1.5],
    ["an inexact Decimal128", Decimal128.fromString("0.10"), "0.10"],
    ["a bigint", 7n, 7],
    ["a large bigint", 2n ** 63n, "9223372036854775808"],
    ["NaN", NaN, null],
    ["Infinity", Infinity, null],
    ["undefined", undefined, null],
    ["a MinKey", new MinKey(), null],
    ["a MaxKey", new MaxKey(), null],
    ["code", new Code("return 1"), null],
    ["a field called _bsontype", { _bsontype: "ObjectId" }, { _bsontype: "ObjectId" }],
  ];
  for (const [name, input, expected] of cases) {
    it(`toJson() gives ${JSON.stringify(expected)} for ${name}, at any depth`, () => {
      assert.deepEqual(toJson(input), expected);
      assert.deepEqual(toJson({ a: [1, { b: input }] }), { a: [1, { b: expected }] });
    });
  }

  it("toJson() keeps a field called __proto__ a field", () => {
    const input = JSON.parse('{"__proto__":{"at":1},"b":1}');
    input.b = new Date(0);
    const json = toJson(input);
    assert.equal(JSON.stringify(json), '{"__proto__":{"at":1},"b":"1970-01-01T00:00:00.000Z"}');
  });

  it("toJson() gives null for a timestamp of the oplog", () => {
    assert.equal(toJson(new Timestamp({ t: 1, i: 1 })), null);
  });
});

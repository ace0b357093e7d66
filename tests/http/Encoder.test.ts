import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import { HttpApiSchema } from "@effect/platform";
import { Option, Schema } from "effect";
import { compile } from "../../src/http/Encoder.ts";

const encode = <A, I>(schema: Schema.Schema<A, I>, value: unknown) => {
  const encoder = compile(new Map([[200, { ast: Option.some(schema.ast) }]])).get(200);
  assert.ok(encoder !== undefined);
  return encoder.encode(value);
};

describe("compile()", () => {
  it("writes what the schema names and nothing else, at any depth", () => {
    const schema = Schema.Struct({
      id: Schema.NonEmptyString,
      at: Schema.optionalWith(Schema.Struct({ lat: Schema.Number }), { exact: true }),
      list: Schema.Array(Schema.Struct({ n: Schema.NullOr(Schema.Number) })),
      any: Schema.Unknown,
      free: Schema.Record({ key: Schema.String, value: Schema.String }),
      note: Schema.optional(Schema.Struct({ text: Schema.String })),
    });
    const value = {
      secret: 1,
      id: "x",
      at: { lat: 1, secret: 2 },
      list: [{ n: null, secret: 3 }, { n: 4 }],
      any: { kept: [1, { as: "it is" }] },
      free: { a: "b" },
      note: undefined,
    };
    assert.equal(
      encode(schema, value),
      JSON.stringify({
        id: "x",
        at: { lat: 1 },
        list: [{ n: null }, { n: 4 }],
        any: { kept: [1, { as: "it is" }] },
        free: { a: "b" },
      }),
    );
    const { at: _, ...without } = value;
    assert.doesNotMatch(String(encode(schema, without)), /"at"/);
  });

  it("leaves transformations and unions of structs to Schema", () => {
    assert.equal(
      encode(Schema.Struct({ at: Schema.Date }), { at: new Date(0) }),
      JSON.stringify({
        at: "1970-01-01T00:00:00.000Z",
      }),
    );
    const either = Schema.Union(
      Schema.Struct({ a: Schema.String }),
      Schema.Struct({ b: Schema.String }),
    );
    assert.equal(encode(either, { b: "x", secret: 1 }), '{"b":"x"}');
    assert.throws(() => encode(either, { c: 1 }));
    class Thing extends Schema.Class<Thing>("Thing")({ a: Schema.String }) {}
    assert.equal(encode(Thing, new Thing({ a: "x" })), '{"a":"x"}');
  });

  it("writes text and bytes as they are", () => {
    assert.equal(encode(HttpApiSchema.Text(), "plain"), "plain");
    assert.deepEqual(encode(HttpApiSchema.Uint8Array(), new Uint8Array([1])), new Uint8Array([1]));
  });

  it("has no body where there is no schema", () => {
    const encoder = compile(new Map([[204, { ast: Option.none() }]])).get(204);
    assert.equal(encoder?.encode(undefined), null);
    assert.equal(encoder?.contentType, "");
  });
});

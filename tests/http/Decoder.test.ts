import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import { Either, Schema } from "effect";
import * as fc from "fast-check";
import { compile, sentences } from "../../src/http/Decoder.ts";
import { BadRequest } from "../../src/http/Problem.ts";

const query = { emptyIsMissing: true, whole: "Query is invalid" };

const sentence = (value: unknown) => {
  assert.ok(value instanceof BadRequest);
  return value.error;
};

const Name = Schema.String.pipe(Schema.pattern(/^[a-z]{1,3}$/));

describe("compile()", () => {
  it("decodes a struct of checked strings exactly as Schema does", () => {
    const schema = Schema.Struct({
      a: Name,
      b: Schema.optional(Name),
      c: Schema.optionalWith(Schema.NonEmptyString, { exact: true }),
      d: Schema.String.pipe(Schema.minLength(2), Schema.maxLength(3)),
    });
    const ours = compile(schema, { ...query, emptyIsMissing: false });
    const theirs = Schema.decodeUnknownEither(schema);
    const value = fc.oneof(
      fc.constantFrom("", "a", "ab", "abcd", "A", null, 1),
      fc.array(fc.constantFrom("a", "b"), { maxLength: 2 }),
    );
    const record = fc.record({ a: value, b: value, c: value, d: value, e: value }, {
      requiredKeys: [],
    });
    fc.assert(fc.property(record, (input) => {
      const expected = theirs(input);
      const actual = ours(input);
      if (Either.isRight(expected)) assert.deepEqual(actual, expected.right);
      else assert.ok(actual instanceof BadRequest);
    }));
  });

  it("names the first field that is missing or wrong", () => {
    const decode = compile(Schema.Struct({ a: Name, n: Schema.NumberFromString }), query);
    assert.equal(sentence(decode({ n: "x" })), "a is required");
    assert.equal(sentence(decode({ a: "", n: "1" })), "a is required");
    assert.equal(sentence(decode({ a: "A", n: "1" })), "a is invalid");
    assert.equal(sentence(decode({ a: "a", n: "x" })), "n is invalid");
    assert.equal(sentence(decode({ a: "a", n: ["1", "2"] })), "n is invalid");
    assert.deepEqual(decode({ a: "a", n: "1", other: "x" }), { a: "a", n: 1 });
  });

  it("uses the sentences of an annotation", () => {
    const own = sentences({ missing: "Say which", invalid: "Say it well" });
    const named = Name.annotations(own);
    const number = Schema.optional(Schema.NumberFromString);
    for (
      const decode of [
        compile(Schema.Struct({ a: named }), query),
        compile(Schema.Struct({ a: named, n: number }), query),
        compile(Schema.Struct({ a: Schema.NumberFromString.annotations(own) }), query),
      ]
    ) {
      assert.equal(sentence(decode({})), "Say which");
      assert.equal(sentence(decode({ a: "?" })), "Say it well");
    }
    const optional = Schema.Struct({
      a: Schema.optionalWith(Name.annotations(own), { exact: true }),
    });
    assert.equal(sentence(compile(optional, query)({ a: "?" })), "Say it well");
  });

  it("takes one value for a list of one", () => {
    const decode = compile(Schema.Struct({ tag: Schema.Array(Name) }), query);
    assert.deepEqual(decode({ tag: "a" }), { tag: ["a"] });
    assert.deepEqual(decode({ tag: ["a", "b"] }), { tag: ["a", "b"] });
  });

  it("has a sentence for what is no struct at all", () => {
    for (
      const decode of [
        compile(Schema.Struct({ a: Name }), query),
        compile(Schema.Struct({ a: Schema.Number }), query),
      ]
    ) {
      for (const input of [null, 1, "a", []]) {
        assert.equal(sentence(decode(input)), "Query is invalid");
      }
    }
  });

  it("names the outer field when something inside it is missing", () => {
    const decode = compile(Schema.Struct({ at: Schema.Struct({ lat: Schema.Number }) }), query);
    assert.equal(sentence(decode({ at: {} })), "at is invalid");
    assert.equal(sentence(decode({})), "at is required");
  });
});

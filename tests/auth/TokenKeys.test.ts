import { Either, Redacted } from "effect";
import assert from "node:assert/strict";
import { parseTokenKeys } from "../../src/auth/TokenKeys.ts";
import { describe, it } from "../support/it.ts";

/** 32 bytes whose base64 needs `+`, `/` and padding. */
const bytes = Uint8Array.from({ length: 32 }, (_, index) => 255 - index);
const other = new Uint8Array(32);
const encode = (value: Uint8Array) => btoa(String.fromCharCode(...value));
const parse = (text: string) => parseTokenKeys(Redacted.make(text));

const problemsOf = (text: string) => Either.getOrThrow(Either.flip(parse(text))).problems;

describe("parseTokenKeys()", () => {
  const urlSafe = encode(bytes).replaceAll("+", "-").replaceAll("/", "_");
  for (
    const [form, text] of Object.entries({
      "base64": encode(bytes),
      "base64 without padding": encode(bytes).replace(/=+$/, ""),
      "base64url": urlSafe,
      "base64url without padding": urlSafe.replace(/=+$/, ""),
      "blanks around it": ` ${encode(bytes)}\n`,
    })
  ) {
    it(`parseTokenKeys() reads ${form}`, () => {
      assert.deepEqual(Either.getOrThrow(parse(text)).map(Redacted.value), [bytes]);
    });
  }

  it("parseTokenKeys() keeps the order of several keys", () => {
    const keys = Either.getOrThrow(parse(`${encode(other)}, ${encode(bytes)}`));
    assert.deepEqual(keys.map(Redacted.value), [other, bytes]);
  });

  it("parseTokenKeys() names every problem at once and quotes nothing", () => {
    const short = encode(bytes.slice(1));
    const long = encode(Uint8Array.from([...bytes, 1]));
    const text = `${encode(bytes)},not base64!,,${short},${long}`;
    const problems = problemsOf(text);
    assert.deepEqual(problems, [
      "key 2 is not base64",
      "key 3 is empty",
      "key 4 has 31 bytes in place of 32",
      "key 5 has 33 bytes in place of 32",
    ]);
    for (const part of text.split(",").filter((part) => part !== "")) {
      assert.ok(!problems.join().includes(part));
    }
  });

  it("parseTokenKeys() refuses an empty text, mixed alphabets and cut-off base64", () => {
    assert.deepEqual(problemsOf(""), ["key 1 is empty"]);
    assert.deepEqual(problemsOf("ab+/-_"), ["key 1 is not base64"]);
    assert.deepEqual(problemsOf("a"), ["key 1 is not base64"]);
    assert.deepEqual(problemsOf("a=b="), ["key 1 is not base64"]);
  });
});

import assert from "node:assert/strict";
import { toJson } from "../../src/operations/LogLine.ts";
import { describe, it } from "../support/it.ts";

describe("LogLine", () => {
  it("toJson() shows every character that could not be seen, at any depth", () => {
    const hidden = "\u0000\n\u001b\u007f\u009b\u061c\u200b\u200f\u2028\u202e\u2066\ufeff";
    const fields = { plain: hidden, [hidden]: 1, deep: { [hidden]: [hidden] } };
    const line = toJson({ level: "info", at: 0, msg: hidden, fields: Object.entries(fields) });
    assert.match(line, /^[\x20-\x7e]+$/);
    const read = JSON.parse(line);
    assert.equal(read.msg, hidden);
    assert.equal(read.plain, hidden);
    assert.equal(read[hidden], 1);
    assert.deepEqual(read.deep, { [hidden]: [hidden] });
  });
});

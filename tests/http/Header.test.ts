import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import * as Header from "../../src/http/Header.ts";

describe("make()", () => {
  it("takes what Headers takes", () => {
    for (
      const value of ["", "1", "a, b", '<x>; rel="next"', "caf\xe9", "\ta\t", "x".repeat(9_000)]
    ) {
      assert.doesNotThrow(() => new Headers([["x-a", value]]));
      assert.deepEqual([...Header.make("x-a", value)], ["x-a", value]);
    }
  });

  it("refuses what would end a line or is no byte, without telling the value", () => {
    for (
      const value of ["secret\n", "secret\rx", "secret\r\nset-cookie: a=b", "\0secret", "secret €"]
    ) {
      assert.throws(() => new Headers([["x-a", `${value}.`]]));
      assert.throws(() => Header.make("x-a", `${value}.`), (error) => {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, /x-a/);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    }
  });

  it("refuses names that are none, or not in lower case", () => {
    for (const name of ["", "X-A", "x a", "x:a", "x\na", "é", "x_a"]) {
      assert.throws(() => Header.make(name, "1"), TypeError, name);
    }
  });
});

describe("all()", () => {
  it("makes one of each entry, in order", () => {
    const made = Header.all({ "x-b": "2", "x-a": "1" });
    assert.deepEqual(made.map((header) => [...header]), [["x-b", "2"], ["x-a", "1"]]);
  });
});

import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import * as fc from "fast-check";
import { isLegalHost, parseQuery, pathStart } from "../../src/http/Target.ts";

describe("pathStart()", () => {
  it("is where the path begins, or the end when there is none", () => {
    const path = (url: string) => url.slice(pathStart(url));
    assert.equal(path("http://host:1/a/b?c"), "/a/b?c");
    assert.equal(path("https://host/"), "/");
    assert.equal(path("http://host//x"), "//x");
    assert.equal(path("http://host:443"), "");
  });
});

describe("isLegalHost()", () => {
  it("refuses what would end the authority early", () => {
    for (const host of ["localhost", "a.b:80", "[::1]:80", ""]) assert.ok(isLegalHost(host), host);
    for (const host of ["a/b", "a?b", "a#b", "a\\b", "u@a"]) assert.ok(!isLegalHost(host), host);
  });
});

describe("parseQuery()", () => {
  /** What the standard makes of a query, in our shape. */
  const standard = (query: string) => {
    const params = new URLSearchParams(query);
    const all: Record<string, string | Array<string>> = Object.create(null);
    for (const name of params.keys()) {
      const values = params.getAll(name);
      const [only] = values;
      all[name] = values.length === 1 && only !== undefined ? only : values;
    }
    return all;
  };

  it("reads names, values and what is given twice", () => {
    assert.deepEqual({ ...parseQuery("a=1&b=2&a=3&c&=x&d=e=f&&") }, {
      a: ["1", "3"],
      b: "2",
      c: "",
      "": "x",
      d: "e=f",
    });
    assert.deepEqual({ ...parseQuery("") }, {});
  });

  it("takes __proto__ for a name like any other", () => {
    const params = parseQuery("__proto__=x&constructor=y");
    assert.equal(Object.getPrototypeOf(params), null);
    assert.equal(params["__proto__"], "x");
  });

  it("agrees with URLSearchParams on any text", () => {
    const text = fc.stringOf(
      fc.oneof(
        fc.constantFrom("a", "=", "&", "%", "+", "%41", "%C3%A4", "%FF", "%Z", "ä"),
        fc.char(),
      ),
    ).filter((query) => !query.startsWith("?"));
    fc.assert(fc.property(text, (query) => {
      assert.deepEqual({ ...parseQuery(query) }, { ...standard(query) });
    }));
  });
});

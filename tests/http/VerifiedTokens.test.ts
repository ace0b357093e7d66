import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import { VerifiedTokens } from "../../src/http/VerifiedTokens.ts";

describe("VerifiedTokens", () => {
  it("counts a token until it expires, a minute at most", () => {
    const tokens = new VerifiedTokens<string>(10);
    tokens.set("short", "a", 1_000, 0);
    tokens.set("long", "b", 1_000_000, 0);
    assert.equal(tokens.get("short", 999), "a");
    assert.equal(tokens.get("short", 1_000), undefined);
    assert.equal(tokens.get("long", 59_999), "b");
    assert.equal(tokens.get("long", 60_000), undefined);
    assert.equal(tokens.get("never", 0), undefined);
  });

  it("keeps what is used and never more than its capacity", () => {
    const tokens = new VerifiedTokens<number>(100);
    tokens.set("used", 0, 1_000, 0);
    for (let i = 1; i <= 10_000; i++) {
      tokens.set(`t${i}`, i, 1_000, 0);
      assert.ok(tokens.size <= 100);
      assert.equal(tokens.get("used", 0), 0);
    }
    assert.equal(tokens.get("t10000", 0), 10_000);
    assert.equal(tokens.get("t1", 0), undefined);
  });

  it("forgets an expired token of the old generation too", () => {
    const tokens = new VerifiedTokens<number>(2);
    tokens.set("a", 1, 10, 0);
    tokens.set("b", 2, 1_000, 0);
    assert.equal(tokens.get("a", 10), undefined);
    assert.equal(tokens.get("b", 10), 2);
  });
});

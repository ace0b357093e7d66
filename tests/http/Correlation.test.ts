import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import { correlationId, traceparent } from "../../src/http/Correlation.ts";

const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
const span = "00f067aa0ba902b7";

const asking = (headers: Record<string, string>) => new Request("http://localhost", { headers });

describe("correlationId()", () => {
  it("takes the first legal one, else makes one", () => {
    const id = (init: Record<string, string>) => correlationId(asking(init));
    assert.equal(id({ "x-correlation-id": "a", "x-request-id": "b" }), "a");
    assert.equal(id({ "x-correlation-id": "a b", "x-request-id": "b" }), "b");
    assert.equal(id({ "x-correlation-id": "", "x-request-id": "b" }), "b");
    assert.notEqual(id({}), id({}));
  });
});

describe("traceparent()", () => {
  const of = (value: string) => traceparent(asking({ traceparent: value }));

  it("is what the caller sent, when it is valid", () => {
    assert.equal(of(`00-${trace}-${span}-01`), `00-${trace}-${span}-01`);
    assert.equal(of(`cc-${trace}-${span}-01-later`), `cc-${trace}-${span}-01-later`);
  });

  it("is undefined for none or an invalid one", () => {
    assert.equal(traceparent(asking({})), undefined);
    for (
      const bad of [
        "",
        `00-${trace}-${span}`,
        `00-${trace.toUpperCase()}-${span}-01`,
        `00-${"0".repeat(32)}-${span}-01`,
        `00-${trace}-${"0".repeat(16)}-01`,
        `ff-${trace}-${span}-01`,
        `00-${trace}-${span}-01-more`,
        `cc-${trace}-${span}-01${"-x".repeat(300)}`,
      ]
    ) {
      assert.equal(of(bad), undefined, bad);
    }
  });
});

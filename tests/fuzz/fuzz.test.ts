/** The short form: the corpus as it is and some thousand cases of one seed. `deno task fuzz` has more. */
import assert from "node:assert/strict";
import { describe, it } from "../support/it.ts";
import { needs } from "../support/Tools.ts";
import { mutate, randomOf } from "./Mutator.ts";
import { byMutation, byProperty, Finding, type Opened } from "./Target.ts";
import { targets } from "./targets.ts";
import * as fc from "fast-check";

const seed = 20_261_125;

describe("fuzz", () => {
  for (const { name, weight, promise, needs: wanted = [], open } of targets) {
    it(`${name}: ${promise}`, needs(...wanted), async () => {
      const opened = await open();
      try {
        const cases = 100 + 40 * weight;
        const outcomes = await opened.run({ name, seed, from: 0, cases, begin: () => {} });
        // A target that says the same to everything has not been reached.
        assert.ok(outcomes.size >= 2, Deno.inspect(outcomes));
      } finally {
        await opened.close?.();
      }
    });
  }
});

const found = async (run: Opened["run"]): Promise<Finding> => {
  const cases = { name: "test", seed, from: 0, cases: 2_000, begin: () => {} };
  const error: unknown = await run(cases).then(() => undefined, (error) => error);
  assert.ok(error instanceof Finding, "nothing was found");
  return error;
};

describe("byMutation()", () => {
  it("finds a reader that fails at a zero byte, and can make the case again", async () => {
    const check = (bytes: Uint8Array) => {
      assert.ok(!bytes.includes(0));
      return "read";
    };
    const run = await byMutation({ corpus: "texts", dictionary: [], check });
    const finding = await found(run);
    assert.match(finding.message, /input: .*\\x00/);
    const { index } = finding;
    const again = await run({ name: "test", seed, from: index, cases: 1, begin: () => {} })
      .then(() => undefined, (error) => error);
    assert.equal(again.input, finding.input);
  });
});

describe("byProperty()", () => {
  it("finds a value and shrinks it", async () => {
    const run = byProperty(fc.string(), (text) => {
      assert.ok(!text.includes("x"));
      return "read";
    });
    assert.equal((await found(run)).input, '[ "x" ]');
  });
});

describe("mutate()", () => {
  it("makes the same of the same seed, and something else of another", () => {
    const others = { corpus: [new TextEncoder().encode("storeId=berlin-01")], dictionary: [] };
    const made = (target: string, seed: number, index: number) =>
      new TextDecoder("latin1").decode(mutate(randomOf(target, seed, index), others));
    const inputs = [made("a", 1, 1), made("a", 1, 2), made("a", 2, 1), made("b", 1, 1)];
    assert.equal(new Set(inputs).size, inputs.length);
    assert.equal(made("a", 1, 1), inputs[0]);
  });
});

/** The cell under a Ref. */
import assert from "node:assert/strict";
import { Effect, Ref } from "effect";
import { cellOf } from "../../src/resilience/RefCell.ts";
import { describe, it } from "../support/it.ts";

describe("cellOf()", () => {
  it.effect("shares its state with the Ref", () =>
    Effect.gen(function* () {
      const ref = yield* Ref.make(1);
      const cell = cellOf(ref);
      assert.equal(cell.current, 1);
      cell.current = 2;
      assert.equal(yield* Ref.get(ref), 2);
      yield* Ref.set(ref, 3);
      assert.equal(cell.current, 3);
    }));

  it("throws at once when a Ref is built in another way", () => {
    for (const inner of [undefined, null, 1, {}, () => {}]) {
      // What another version of Effect might hold.
      const other = { ref: inner } as unknown as Ref.Ref<number>;
      assert.throws(() => cellOf(other), /^TypeError: Cannot find the MutableRef under a Ref$/);
    }
  });
});

/** NearCopy against a model: what is kept was looked up after the last change that could matter. */
import { Option } from "effect";
import fc from "fast-check";
import assert from "node:assert/strict";
import type { CachedStore } from "../../../src/routing/StoreCache.ts";
import { type Fill, NearCopy } from "../../../src/routing/StoreCache/NearCopy.ts";
import { describe, it } from "../../support/it.ts";

/** A value that tells at which step its lookup set out. */
const value = (readAt: number): CachedStore => ({
  store: Option.none(),
  readAt,
  freshUntil: Infinity,
  expiresAt: Infinity,
});

const key = fc.constantFrom("a", "b", "c");
const action = fc.oneof(
  { weight: 5, arbitrary: fc.record({ type: fc.constant("begin" as const), key }) },
  {
    weight: 5,
    arbitrary: fc.record({ type: fc.constant("end" as const), pick: fc.nat(), ok: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("drop" as const), key }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constantFrom("clear" as const, "lose" as const, "track" as const),
    }),
  },
);

describe("NearCopy", () => {
  it("get() never gives a value whose lookup set out before a change", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const copy = new NearCopy(10);
        const underWay: Array<{ key: string; fill: Fill; since: number }> = [];
        const changedAt = new Map<string, number>();
        const changeAll = (step: number) => ["a", "b", "c"].map((key) => changedAt.set(key, step));
        copy.start(copy.session);
        actions.forEach((action, step) => {
          if (action.type === "begin" && copy.isTracked) {
            underWay.push({ key: action.key, fill: copy.begin(action.key), since: step });
          }
          if (action.type === "end") {
            const [one] = underWay.splice(action.pick % Math.max(1, underWay.length), 1);
            if (one !== undefined) {
              copy.end(one.key, one.fill, action.ok ? value(one.since) : undefined);
            }
          }
          if (action.type === "drop") {
            copy.drop(action.key);
            changedAt.set(action.key, step);
          }
          if (action.type === "clear") {
            copy.clear();
            changeAll(step);
          }
          if (action.type === "lose") copy.stop();
          // While nobody listens anything may change.
          if (!copy.isTracked) changeAll(step);
          if (action.type === "track") copy.start(copy.session);
          for (const key of ["a", "b", "c"]) {
            const entry = copy.entries.get(key);
            if (entry === undefined) continue;
            assert.ok(entry.readAt > (changedAt.get(key) ?? -1), `${key} at step ${step}`);
          }
        });
        for (const { key, fill } of underWay) copy.end(key, fill, undefined);
      }),
      { numRuns: 2_000 },
    );
  });

  it("end() keeps the value when nothing changed meanwhile", () => {
    const copy = new NearCopy(10);
    copy.start(copy.session);
    const fill = copy.begin("a");
    copy.drop("b");
    copy.end("a", fill, value(1));
    assert.equal(copy.entries.get("a")?.readAt, 1);
  });

  it("end() keeps a value whose lookup set out after the change, an older one still under way", () => {
    const copy = new NearCopy(10);
    copy.start(copy.session);
    const old = copy.begin("a");
    copy.drop("a");
    const fresh = copy.begin("a");
    copy.end("a", fresh, value(2));
    copy.end("a", old, value(1));
    assert.equal(copy.entries.get("a")?.readAt, 2);
  });

  it("start() does nothing for a session that was lost meanwhile", () => {
    const copy = new NearCopy(10);
    const { session } = copy;
    copy.stop();
    copy.start(session);
    assert.equal(copy.isTracked, false);
    copy.start(copy.session);
    assert.equal(copy.isTracked, true);
  });
});

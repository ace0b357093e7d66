import assert from "node:assert/strict";
import { RecentEntries } from "../../src/http/RecentEntries.ts";
import { describe, it } from "../support/it.ts";

const filled = (capacity: number, keys: ReadonlyArray<string>) => {
  const entries = new RecentEntries<string>(capacity);
  for (const key of keys) entries.set(key, `value of ${key}`);
  return entries;
};

const keysOf = (entries: RecentEntries<string>, keys: ReadonlyArray<string>) =>
  keys.filter((key) => entries.delete(key));

describe("RecentEntries", () => {
  it("get() gives what was set, and undefined for all else", () => {
    const entries = filled(2, ["a"]);
    assert.equal(entries.get("a"), "value of a");
    assert.equal(entries.get("b"), undefined);
    entries.set("a", "new");
    assert.equal(entries.get("a"), "new");
    assert.equal(entries.size, 1);
  });

  it("set() forgets the oldest entry when full and none was used", () => {
    assert.deepEqual(keysOf(filled(2, ["a", "b", "c"]), ["a", "b", "c"]), ["b", "c"]);
  });

  it("set() spares an entry that was used", () => {
    const entries = filled(3, ["a", "b", "c"]);
    entries.get("a");
    entries.set("d", "");
    entries.set("e", "");
    assert.deepEqual(keysOf(entries, ["a", "b", "c", "d", "e"]), ["a", "d", "e"]);
  });

  it("set() forgets a spared entry that was not used again", () => {
    const entries = filled(2, ["a", "b"]);
    entries.get("a");
    for (const key of ["c", "d", "e"]) entries.set(key, "");
    assert.deepEqual(keysOf(entries, ["a", "b", "c", "d", "e"]), ["d", "e"]);
  });

  it("set() never exceeds the capacity, whatever is used", () => {
    const entries = new RecentEntries<number>(100);
    for (let index = 0; index < 5_000; index++) {
      entries.set(`${index}`, index);
      for (let used = Math.max(0, index - 100); used <= index; used++) entries.get(`${used}`);
      assert.ok(entries.size <= 100);
    }
    assert.equal(entries.size, 100);
  });

  it("set() keeps nothing when the capacity is 0", () => {
    assert.equal(filled(0, ["a"]).size, 0);
  });

  it("delete() and clear() forget", () => {
    const entries = filled(5, ["a", "b", "c"]);
    assert.equal(entries.delete("b"), true);
    assert.equal(entries.delete("b"), false);
    assert.equal(entries.get("b"), undefined);
    entries.clear();
    assert.equal(entries.size, 0);
  });
});

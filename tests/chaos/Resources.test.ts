/** What a long run says about growth. */
import assert from "node:assert/strict";
import { describe, it } from "../support/it.ts";
import { grown, type Look, look, slopeOf } from "./Resources.ts";

const looks = (memory: (seconds: number) => number): ReadonlyArray<Look> =>
  Array.from({ length: 100 }, (_, index) => ({
    seconds: index * 20,
    memory: memory(index * 20),
    handles: 40,
    sockets: 20,
  }));

describe("look()", () => {
  it("sees memory, descriptors and sockets of a process", () => {
    const before = look(Deno.pid, 3);
    assert.equal(before.seconds, 3);
    assert.ok(before.memory > 10 && before.memory < 10_000, `${before.memory}`);
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    try {
      const after = look(Deno.pid, 4);
      assert.equal(after.sockets - before.sockets, 1);
      assert.equal(after.handles - before.handles, 1);
    } finally {
      listener.close();
    }
  });
});

describe("slopeOf()", () => {
  it("gives the growth of an hour", () => {
    assert.ok(Math.abs(slopeOf(looks((seconds) => 100 + seconds / 100), "memory") - 36) < 1e-6);
    assert.equal(slopeOf(looks(() => 100), "memory"), 0);
  });
});

describe("grown()", () => {
  it("passes over what breathes and over warming up, and tells what grows", () => {
    assert.equal(grown(looks((seconds) => 100 + 10 * Math.sin(seconds)), "memory"), undefined);
    assert.equal(grown(looks((seconds) => seconds < 400 ? 50 : 100), "memory"), undefined);
    const sockets = looks(() => 100).map((one, index) => ({ ...one, sockets: index }));
    assert.equal(grown(sockets, "sockets"), "sockets grew from 37.0 to 87.0");
    assert.equal(
      grown(looks((seconds) => 100 + seconds / 10), "memory"),
      "memory grew from 174.0 to 274.0",
    );
  });
});

/** What is seen of a process from outside. */
import assert from "node:assert/strict";
import { describe, it } from "../support/it.ts";
import { look } from "./Resources.ts";

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

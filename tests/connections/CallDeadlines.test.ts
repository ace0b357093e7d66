import assert from "node:assert/strict";
import { CallDeadlines } from "../../src/connections/CallDeadlines.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";

describe("CallDeadlines", () => {
  it("start() expires each call that has not ended, once and in order", async () => {
    const deadlines = new CallDeadlines(20);
    const expired: Array<number> = [];
    for (const index of [0, 1, 2, 3]) {
      const deadline = deadlines.start(() => expired.push(index));
      if (index % 2 === 0) deadline.ended = true;
    }
    await eventually(() => expired.length === 2);
    const last = deadlines.start(() => expired.push(4));
    await eventually(() => last.ended);
    assert.deepEqual(expired, [1, 3, 4]);
  });

  it("start() expires no call before seven eighths of its time", async () => {
    const deadlines = new CallDeadlines(80);
    const early: Array<number> = [];
    let open = 0;
    for (let index = 0; index < 20; index++) {
      const startedAt = performance.now();
      open++;
      deadlines.start(() => {
        open--;
        const passed = performance.now() - startedAt;
        // Timers count whole milliseconds: up to one is missing from each tick.
        if (passed < 70 - 8) early.push(passed);
      });
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    await eventually(() => open === 0);
    assert.deepEqual(early, []);
  });

  it("start() gives an answer that came during a busy moment the time to be read", async () => {
    const deadlines = new CallDeadlines(20);
    let isExpired = false;
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const [client, server] = await Promise.all([
      Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
      listener.accept(),
    ]);
    await server.write(Uint8Array.of(1));
    const deadline = deadlines.start(() => isExpired = true);
    const answer = client.read(new Uint8Array(1)).then(() => deadline.ended = true);
    // The process does nothing else for longer than the deadline; the answer lies in the socket.
    const until = performance.now() + 60;
    while (performance.now() < until);
    await answer;
    assert.equal(isExpired, false);
    deadlines.clear();
    for (const resource of [client, server, listener]) resource.close();
  });

  it("start() keeps no more than it must of many ended calls", async () => {
    const deadlines = new CallDeadlines(10);
    let expired = 0;
    for (let index = 0; index < 10_000; index++) {
      deadlines.start(() => expired++).ended = true;
    }
    const open = deadlines.start(() => expired++);
    await eventually(() => open.ended);
    assert.equal(expired, 1);
  });

  it("clear() expires nothing and leaves no timer", async () => {
    const deadlines = new CallDeadlines(5);
    let expired = 0;
    deadlines.start(() => expired++);
    deadlines.clear();
    const other = new CallDeadlines(20).start(() => {});
    await eventually(() => other.ended);
    assert.equal(expired, 0);
    const after = deadlines.start(() => expired++);
    await eventually(() => after.ended);
    assert.equal(expired, 1);
  });
});

/** Connections on a real port: how many are kept. */
import assert from "node:assert/strict";
import { Connections } from "../../../src/auth/IdentityProvider/Connections.ts";
import { eventually } from "../../support/eventually.ts";
import { describe, it } from "../../support/it.ts";

describe("Connections", () => {
  it("give() keeps no more than maxWaiting over all endpoints, and closes what is beyond", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const accepted: Array<Deno.TcpConn> = [];
    let ended = 0;
    const serving = (async () => {
      for await (const conn of listener) {
        accepted.push(conn);
        conn.read(new Uint8Array(1)).then(() => ended++, () => ended++);
      }
    })();
    const connections = new Connections({
      resolve: () => Promise.resolve(["127.0.0.1"]),
      authorities: [],
      now: () => performance.now(),
      maxWaiting: 3,
    });
    try {
      const target = (host: string) => ({
        ...{ isTls: false, host, port: listener.addr.port, path: "/", authority: host },
        loopbackOnly: true,
      });
      const { signal } = new AbortController();
      const taken = await Promise.all(
        ["a", "b", "c", "d", "e"].map((host) =>
          connections.take(target(`${host}.localhost`), signal)
        ),
      );
      for (const connection of taken) connections.give(connection);
      assert.deepEqual(taken.map(({ isClosed }) => isClosed), [false, false, false, true, true]);
      await eventually(() => assert.equal(ended, 2));
      connections.close();
      await eventually(() => assert.equal(ended, 5));
    } finally {
      connections.close();
      listener.close();
      await serving;
      for (const conn of accepted) conn.close();
    }
  });
});

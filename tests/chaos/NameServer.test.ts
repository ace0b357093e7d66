/** The name server of the chaos suite, asked by a real resolver. */
import assert from "node:assert/strict";
import { describe, it } from "../support/it.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { NameServer, type NameServerMode } from "./NameServer.ts";

describe("NameServer", () => {
  it("leads every name to its address, and fails as it is told", async () => {
    const port = freePort();
    await using server = await NameServer.start("127.0.0.1", port);
    const ask = (type: "A" | "AAAA") =>
      Deno.resolveDns("redis.chaos.test", type, {
        nameServer: { ipAddr: "127.0.0.1", port },
        signal: AbortSignal.timeout(1_000),
      });
    assert.deepEqual(await ask("A"), ["127.0.0.1"]);
    for (const mode of ["failing", "unknown"] satisfies ReadonlyArray<NameServerMode>) {
      server.mode = mode;
      await assert.rejects(ask("A"));
    }
    server.mode = "well";
    assert.deepEqual(await ask("A"), ["127.0.0.1"]);
    await assert.rejects(ask("AAAA"));
    releasePort(port);
  });
});

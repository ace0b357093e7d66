import { strict as assert } from "node:assert";
import { eventually } from "../eventually.ts";
import { afterEach, beforeEach, describe, it } from "../it.ts";
import { TcpProxy } from "./TcpProxy.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Answers what it gets. */
function echo() {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const done = (async () => {
    const open: Array<Promise<void>> = [];
    for await (const conn of listener) {
      open.push(conn.readable.pipeTo(conn.writable).catch(() => {}));
    }
    await Promise.all(open);
  })();
  return {
    port: listener.addr.port,
    stop: async () => {
      listener.close();
      await done;
    },
  };
}

async function read(conn: Deno.Conn): Promise<string | null> {
  const buffer = new Uint8Array(1024);
  const length = await conn.read(buffer);
  return length === null ? null : new TextDecoder().decode(buffer.subarray(0, length));
}

describe("TcpProxy", () => {
  let server: ReturnType<typeof echo>;
  let proxy: TcpProxy;
  const open: Array<Deno.Conn> = [];
  const connect = async () => {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: proxy.port });
    open.push(conn);
    return conn;
  };
  beforeEach(async () => {
    server = echo();
    proxy = await TcpProxy.start({ port: server.port });
  });
  afterEach(async () => {
    for (const conn of open.splice(0)) conn.close();
    await proxy.stop();
    await server.stop();
  });

  it("pass forwards both ways", async () => {
    const conn = await connect();
    await conn.write(bytes("hello"));
    assert.equal(await read(conn), "hello");
    assert.equal(proxy.accepted, 1);
  });

  it("closes its side when the client goes away", async () => {
    const conn = await connect();
    await conn.write(bytes("hello"));
    await read(conn);
    open.pop();
    conn.close();
    await eventually(() => assert.equal(proxy.connections, 0));
  });

  it("refuse closes what is open and refuses what is new, until pass", async () => {
    const conn = await connect();
    await conn.write(bytes("hello"));
    await read(conn);
    await proxy.mode("refuse");
    await assert.rejects(read(conn), Deno.errors.ConnectionReset);
    await assert.rejects(connect(), Deno.errors.ConnectionRefused);
    await proxy.mode("pass");
    const again = await connect();
    await again.write(bytes("again"));
    assert.equal(await read(again), "again");
  });

  it("silent accepts and never answers, also on an open connection", async () => {
    const before = await connect();
    await before.write(bytes("hello"));
    assert.equal(await read(before), "hello");
    await proxy.mode("silent");
    const after = await connect();
    await Promise.all([before.write(bytes("one")), after.write(bytes("two"))]);
    const answers = [read(before), read(after)].map((answer) => answer.catch(() => "reset"));
    await eventually(() => assert.equal(proxy.connections, 2));
    let settled = 0;
    for (const answer of answers) answer.then(() => settled++);
    const other = await TcpProxy.start({ port: server.port });
    const witness = await Deno.connect({ hostname: "127.0.0.1", port: other.port });
    await witness.write(bytes("three"));
    assert.equal(await read(witness), "three");
    witness.close();
    await other.stop();
    assert.equal(settled, 0);
    await proxy.drop();
    assert.deepEqual(await Promise.all(answers), ["reset", "reset"]);
  });

  it("reset resets a connection that sends something", async () => {
    await proxy.mode("reset");
    const conn = await connect();
    await conn.write(bytes("hello"));
    await assert.rejects(read(conn), Deno.errors.ConnectionReset);
  });

  it("cutAfter gives so many bytes and then resets", async () => {
    await proxy.mode({ cutAfter: 3 });
    const conn = await connect();
    await conn.write(bytes("hello"));
    assert.equal(await read(conn), "hel");
    await assert.rejects(read(conn), Deno.errors.ConnectionReset);
  });

  it("garbage puts as many other bytes in the answer's place", async () => {
    await proxy.mode("garbage");
    const conn = await connect();
    await conn.write(bytes("hello, this is long enough to be told from chance"));
    const answer = new Uint8Array(128);
    assert.ok((await conn.read(answer) ?? 0) > 0);
    assert.ok(!new TextDecoder().decode(answer).includes("hello"));
  });

  it("delay holds the answer back and keeps its order", async () => {
    await proxy.mode({ delay: 60 });
    const conn = await connect();
    const start = performance.now();
    await conn.write(bytes("one "));
    assert.equal(await read(conn), "one ");
    assert.ok(performance.now() - start >= 55);
  });

  it("url() leads through the proxy", () => {
    assert.equal(
      proxy.url(`redis://127.0.0.1:${server.port}/0`),
      `redis://127.0.0.1:${proxy.port}/0`,
    );
  });
});

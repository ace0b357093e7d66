/** The binary as the image runs it: process 1, user 65532, a read-only root with only the base's files. */
import { strict as assert } from "node:assert";
import { afterAll, beforeAll, describe, it } from "@std/testing/bdd";
import { RawConnection } from "../http/support/RawHttp.ts";
import { Amicis, type AmicisOptions, runToEnd } from "../support/Amicis.ts";
import { compileBinary } from "../support/Binary.ts";
import {
  canIsolate,
  childOf,
  foreign,
  librariesOf,
  ReadOnlyRoot,
  user,
} from "./support/ReadOnlyRoot.ts";

const binary = await compileBinary();
const isolates = await canIsolate();

describe("binary in a container", { ignore: binary === undefined || !isolates }, () => {
  let root: ReadOnlyRoot;
  beforeAll(async () => {
    root = await ReadOnlyRoot.make(binary ?? "");
  });
  afterAll(async () => await root[Symbol.asyncDispose]());

  const start = (options: Omit<AmicisOptions, "program">) =>
    Amicis.start({ ...options, program: root.command });

  it("is loaded with no library that the base image does not hold", async () => {
    const found = await librariesOf(binary ?? "");
    assert.ok(found.length >= 3);
    assert.deepEqual(foreign(found), []);
    assert.deepEqual(foreign([{ name: "libz.so.1", path: "" }]), ["libz.so.1"]);
  });

  it("runs as process 1 and as nobody in particular, with nothing to write to", async () => {
    await using amicis = await start({ service: "routing" });
    const { pid, ...process } = await childOf(amicis.pid);
    assert.deepEqual(process, { innerPid: 1, uid: user, rootMount: "ro" });
    assert.equal((await amicis.ask("/api/v1/route?storeId=berlin-01")).status, 401);
    Deno.kill(pid, "SIGTERM");
    assert.equal((await amicis.ended).code, 0);
  });

  it("is healthy by the image's health check while it runs, and not otherwise", async () => {
    await using amicis = await start({ service: "auth" });
    const check = () =>
      runToEnd(["--healthcheck"], {
        program: root.command,
        env: { PORT: String(amicis.port), HOST: "127.0.0.1" },
      });
    assert.equal((await check()).code, 0);
    Deno.kill((await childOf(amicis.pid)).pid, "SIGTERM");
    await amicis.ended;
    assert.equal((await check()).code, 1);
  });

  it("answers on SIGTERM what is in flight, and ends with 0", async () => {
    await using amicis = await start({ service: "auth" });
    using connection = await RawConnection.open(amicis.port);
    const body = '{"userToken":"nobody:abc"}';
    const head = ["POST /auth/exchange HTTP/1.1", "host: a", "content-type: application/json"];
    await connection.send([...head, `content-length: ${body.length}`, "", body[0]].join("\r\n"));
    await amicis.awaitLog({ msg: "Service listening" });
    Deno.kill((await childOf(amicis.pid)).pid, "SIGTERM");
    await amicis.awaitLog({ msg: "Signal received" });
    await connection.send(body.slice(1));
    assert.equal((await connection.receive()).status, 404);
    assert.equal((await amicis.ended).code, 0);
  });

  it("ends with 78, and without a trace, on a configuration that cannot be used", async () => {
    const { code, stderr } = await runToEnd(["--service=routing"], {
      program: root.command,
      env: { PORT: "none" },
    });
    assert.deepEqual([code, stderr.startsWith("PORT must be")], [78, true]);
  });
});

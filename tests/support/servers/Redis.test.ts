import { strict as assert } from "node:assert";
import { describe, it } from "../it.ts";
import { Effect } from "effect";
import { eventually } from "../eventually.ts";
import { isFree } from "../ports.ts";
import { needs } from "../Tools.ts";
import { sendCommand } from "./Resp.ts";
import { Redis } from "./Redis.ts";

describe("Redis", needs("redis-server", "openssl"), () => {
  it("comes back on its own port after kill", async () => {
    const redis = await Redis.start();
    const { pid, url } = redis;
    await redis.kill();
    assert.equal(await redis.isReady(), false);
    assert.ok(isFree(redis.port));
    await redis.restart();
    assert.equal(await redis.isReady(), true);
    assert.notEqual(redis.pid, pid);
    assert.equal(redis.url, url);
    await redis.stop();
    assert.ok(isFree(redis.port));
  });

  it("is silent while paused and answers after resume", async () => {
    const redis = await Redis.start();
    redis.pause();
    await assert.rejects(redis.command("PING"));
    redis.resume();
    await eventually(async () => assert.equal(await redis.command("PING"), "PONG"));
    await redis.stop();
  });

  it("stop() ends a paused server", async () => {
    const redis = await Redis.start();
    redis.pause();
    await redis.stop();
    assert.equal(await redis.isReady(), false);
  });

  it("keeps data over kill when persistent", async () => {
    const redis = await Redis.start({ persistent: true });
    await redis.command("SET", "store", "ikea ✓");
    await redis.kill();
    await redis.restart();
    assert.equal(await redis.command("GET", "store"), "ikea ✓");
    await redis.stop();
  });

  it("asks for a password when it has one", async () => {
    const redis = await Redis.start({ password: "s3:cret/" });
    assert.equal(await redis.command("SET", "a", "1"), "OK");
    await assert.rejects(sendCommand({ port: redis.port }, ["GET", "a"]), /NOAUTH/);
    await redis.stop();
  });

  it("refuses writes beyond maxmemory", async () => {
    const redis = await Redis.start({ maxmemory: "1kb" });
    await assert.rejects(redis.command("SET", "a", "1"), /OOM/);
    await redis.stop();
  });

  it.live("speaks TLS with its own certificate", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.scoped({ tls: true });
      assert.match(redis.url, /^rediss:/);
      assert.equal(yield* Effect.promise(() => redis.command("PING")), "PONG");
    }));
});

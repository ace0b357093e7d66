/** Settings that no other end-to-end test needs: each is seen to do what it says. */
import assert from "node:assert/strict";
import { Amicis } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { needs } from "../support/Tools.ts";
import { bearer } from "../support/wire/Jwt.ts";
import { assertProblem } from "./support/Problems.ts";
import { insertStores, tenant } from "./support/Shops.ts";

const berlin = "/api/v1/route?storeId=berlin-01";

describe("settings", () => {
  const dead = freePort();
  let file: string;

  beforeAll(async () => {
    file = await Deno.makeTempFile({ suffix: ".json" });
    const tenants = [
      tenant("dead", `http://127.0.0.1:${dead}/token`),
      tenant("plain", "http://token-endpoint.invalid/token"),
    ];
    await Deno.writeTextFile(file, JSON.stringify({ tenants, stores: [] }));
  });
  afterAll(async () => {
    releasePort(dead);
    if (file !== undefined) await Deno.remove(file);
  });

  let asked = 0;
  const exchange = (amicis: Amicis, tenantId: string) =>
    amicis.askAuth("/auth/exchange", {
      method: "POST",
      body: { userToken: `${tenantId}:${++asked}` },
    });

  it("CORS_ALLOWED_ORIGINS lets the pages of the listed origins alone read the answers", async () => {
    await using amicis = await Amicis.start({
      service: "routing",
      env: { CORS_ALLOWED_ORIGINS: "https://shop.example, https://other.example:8443" },
    });
    const allowed = async (origin: string, method = "GET") => {
      const headers = { origin, "access-control-request-method": "GET", ...await bearer("ikea") };
      const answer = await amicis.ask("/api/v1/stores", { method, headers });
      assert.equal(answer.headers.get("vary"), "Origin");
      return answer.headers.get("access-control-allow-origin");
    };
    for (const origin of ["https://shop.example", "https://other.example:8443"]) {
      assert.equal(await allowed(origin), origin);
      assert.equal(await allowed(origin, "OPTIONS"), origin);
    }
    const others = ["https://shop.example.evil", "http://shop.example", "https://other.example"];
    for (const origin of [...others, "null", "*"]) {
      assert.equal(await allowed(origin), null, origin);
      assert.equal(await allowed(origin, "OPTIONS"), null, origin);
    }
  });

  it("JWT_CLOCK_TOLERANCE is the slack for exp and nbf", async () => {
    await using amicis = await Amicis.start({
      service: "routing",
      env: { JWT_CLOCK_TOLERANCE: "10m" },
    });
    const now = Math.floor(Date.now() / 1000);
    const status = async (claims: Record<string, unknown>) =>
      (await amicis.ask("/api/v1/stores", { headers: await bearer("ikea", { claims }) })).status;
    assert.equal(await status({ exp: now - 300 }), 200);
    assert.equal(await status({ nbf: now + 300 }), 200);
    assert.equal(await status({ exp: now - 900 }), 401);
    assert.equal(await status({ nbf: now + 900 }), 401);
  });

  it("MAX_BODY_BYTES is the largest body", async () => {
    await using amicis = await Amicis.start({ service: "auth", env: { MAX_BODY_BYTES: "60" } });
    const post = (length: number) => {
      const body = '{"userToken":"nobody:x","padding":""}';
      return amicis.ask("/auth/exchange", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: body.replace('""', `"${"x".repeat(length - body.length)}"`),
      });
    };
    assertProblem(await post(60), 404, "Unknown tenant");
    assertProblem(await post(61), 413, "Request body too large");
  });

  it("ACCESS_LOG_SAMPLE leaves out the lines of answers below 500", async () => {
    await using amicis = await Amicis.start({
      service: "auth",
      env: { ACCESS_LOG_SAMPLE: "0", DATA_FILE: file, RETRY_MAX_ATTEMPTS: "1" },
    });
    for (let call = 0; call < 5; call++) assert.equal((await amicis.ask("/health")).status, 200);
    assert.equal((await exchange(amicis, "nobody")).status, 404);
    assert.equal((await exchange(amicis, "dead")).status, 503);
    await amicis.awaitLog({ msg: "Request", status: 503 });
    assert.equal(amicis.logged({ msg: "Request" }).length, 1);
  });

  it("ALLOW_INSECURE_TOKEN_ENDPOINTS makes http to other hosts something to try", async () => {
    const env = { DATA_FILE: file, RETRY_MAX_ATTEMPTS: "1" };
    const stats = async (amicis: Amicis) =>
      (await amicis.health()).circuitBreakers["token-exchange-plain"].stats;
    await using strict = await Amicis.start({ service: "auth", env });
    assert.equal((await exchange(strict, "plain")).status, 503);
    await strict.awaitLog({ msg: "Token endpoint refused", tenantId: "plain" });
    assert.equal((await stats(strict)).failures, 0);
    await using lax = await Amicis.start({
      service: "auth",
      env: { ...env, ALLOW_INSECURE_TOKEN_ENDPOINTS: "true" },
    });
    assert.equal((await exchange(lax, "plain")).status, 503);
    assert.equal((await stats(lax)).failures, 1, "it was tried, and its name is not known");
    assert.deepEqual(lax.logged({ msg: "Token endpoint refused" }), []);
  });

  it("RETRY_INITIAL_DELAY grows by RETRY_FACTOR up to RETRY_MAX_DELAY", async () => {
    await using amicis = await Amicis.start({
      service: "auth",
      env: {
        DATA_FILE: file,
        RETRY_MAX_ATTEMPTS: "4",
        RETRY_INITIAL_DELAY: "10ms",
        RETRY_FACTOR: "5",
        RETRY_MAX_DELAY: "70ms",
        RETRY_BUDGET: "1",
      },
    });
    assert.equal((await exchange(amicis, "dead")).status, 503);
    await amicis.awaitLog({ msg: "Retrying operation", attempt: 3 });
    const delays = amicis.logged({ msg: "Retrying operation" }).map(({ nextDelay }) => nextDelay);
    const [first, second, third] = delays.map((delay) => parseInt(String(delay)));
    assert.ok(first !== undefined && first >= 8 && first <= 12, `${first}`);
    assert.ok(second !== undefined && second >= 40 && second <= 60, `${second}`);
    assert.equal(third, 70);
    assert.equal(delays.length, 3);
  });

  it("BREAKER_… holds for all breakers, and a prefix for one kind", async () => {
    await using amicis = await Amicis.start({
      service: "auth",
      env: {
        DATA_FILE: file,
        RETRY_MAX_ATTEMPTS: "1",
        BREAKER_CONSECUTIVE_FAILURES: "4",
        BREAKER_MINIMUM_REQUESTS: "1000",
        BREAKER_OPEN_FOR: "10s",
        BREAKER_OPEN_JITTER: "0",
        TOKEN_EXCHANGE_BREAKER_OPEN_FOR: "77s",
      },
    });
    for (let call = 1; call <= 4; call++) {
      const { json } = await exchange(amicis, "dead");
      assert.equal(json.retryAfterSeconds, call < 4 ? 1 : 77, `call ${call}`);
    }
    const { state } = (await amicis.health()).circuitBreakers["token-exchange-dead"];
    assert.equal(state, "open");
  });

  describe("of real servers", needs("redis-server", "secantusdb"), () => {
    let mongo: MongoServer;
    let redis: Redis;

    beforeAll(async () => {
      [mongo, redis] = await Promise.all([MongoServer.start(), Redis.start()]);
      await insertStores(mongo);
    });
    afterAll(async () => {
      await Promise.all([mongo?.stop(), redis?.stop()]);
    });

    const start = (env: Readonly<Record<string, string>>) =>
      Amicis.start({
        service: "routing",
        env: { MONGODB_URI: mongo.url, REDIS_URL: redis.url, ...env },
      });

    it("CACHE_TTL and CACHE_STALE_IF_ERROR say how long a store is kept", async () => {
      await redis.command("FLUSHALL");
      await using amicis = await start({ CACHE_TTL: "20s", CACHE_STALE_IF_ERROR: "7s" });
      await amicis.ask(berlin, { headers: await bearer("ikea") });
      const { readAt, freshUntil, expiresAt } = await eventually(async () =>
        JSON.parse(String(await redis.command("GET", "store:ikea:berlin-01")))
      );
      assert.ok(freshUntil - readAt >= 18_000 && freshUntil - readAt <= 22_000);
      assert.equal(expiresAt - freshUntil, 7_000);
    });

    it("REDIS_TIMEOUT is how long an answer waits for a cache that hangs", async () => {
      const headers = await bearer("ikea");
      const env = { REQUEST_TIMEOUT: "1500ms" };
      await using patient = await start({ ...env, REDIS_TIMEOUT: "1h" });
      await using quick = await start({ ...env, REDIS_TIMEOUT: "100ms" });
      const health = async (amicis: Amicis) => (await amicis.health()).dependencies.redis;
      for (const amicis of [patient, quick]) {
        await eventually(async () => assert.equal(await health(amicis), "connected"));
      }
      Deno.kill(redis.pid, "SIGSTOP");
      try {
        const ask = (amicis: Amicis, path: string) => amicis.ask(path, { headers });
        const answers = await Promise.all([
          ask(patient, "/api/v1/route?storeId=paris-01"),
          ask(quick, "/api/v1/route?storeId=paris-01"),
        ]);
        assertProblem(answers[0], 503, "Service temporarily unavailable");
        assert.equal(answers[1].headers.get("x-cache"), "BYPASS");
      } finally {
        Deno.kill(redis.pid, "SIGCONT");
      }
    });

    it("MONGODB_MAX_CONCURRENT reads are made at a time, and more are turned away", async () => {
      await using amicis = await start({ MONGODB_MAX_CONCURRENT: "1" });
      const headers = await bearer("ikea");
      await mongo.failPoint({
        failCommands: ["find"],
        blockTimeMS: 1_000,
        mode: { times: 1 },
      });
      try {
        const slow = amicis.ask("/api/v1/stores", { headers });
        await eventually(async () => {
          const page = await amicis.metrics();
          assert.equal(page.value("bulkhead_in_flight", { dependency: "mongodb" }), 1);
        });
        const refused = await amicis.ask("/api/v1/stores", { headers });
        assertProblem(refused, 503, "Service temporarily unavailable");
        assert.equal((await slow).status, 200);
        const page = await amicis.metrics();
        assert.equal(page.value("bulkhead_rejections_total", { dependency: "mongodb" }), 1);
      } finally {
        await mongo.clearFailPoint();
      }
      assert.equal((await amicis.ask("/api/v1/stores", { headers })).status, 200);
    });
  });
});

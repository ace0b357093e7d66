/** The auth service while token endpoints, MongoDB and Redis fail and come back. */
import assert from "node:assert/strict";
import { Amicis } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, beforeEach, describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs } from "../support/Tools.ts";
import { assertProblem } from "./support/Problems.ts";
import { database, tenant } from "./support/Shops.ts";

const sentence = "Token service temporarily unavailable. Please retry.";
const cacheKey = btoa("k".repeat(32));

/** Pings slow down to one in 5 s, and a trial that comes too early costs a second more. */
const recovery = { within: "30 seconds" } as const;

describe("auth in an outage", needs("redis-server", "secantusdb"), () => {
  let mongo: MongoServer;
  let redis: Redis;
  let ikea: TokenEndpoint;
  let habitat: TokenEndpoint;

  beforeAll(async () => {
    [mongo, redis, ikea, habitat] = await Promise.all([
      MongoServer.start(),
      Redis.start(),
      TokenEndpoint.start(),
      TokenEndpoint.start(),
    ]);
    await mongo.insert(database, "tenants", [
      tenant("ikea", ikea.url),
      tenant("habitat", habitat.url),
      tenant("other", habitat.url),
    ]);
  });
  beforeEach(async () => {
    for (const endpoint of [ikea, habitat]) {
      await endpoint.listen();
      endpoint.behave({ kind: "ok" });
      endpoint.forget();
    }
    if (!await mongo.isReady()) await mongo.restart();
    if (!await redis.isReady()) await redis.restart();
  });
  afterAll(async () => {
    await Promise.all([mongo?.stop(), redis?.stop(), ikea?.stop(), habitat?.stop()]);
  });

  const start = (env: Readonly<Record<string, string>> = {}, until?: "answering") =>
    Amicis.start({
      service: "auth",
      env: {
        MONGODB_URI: mongo.url,
        REDIS_URL: redis.url,
        TOKEN_CACHE_KEY: cacheKey,
        MONGODB_TIMEOUT: "500ms",
        TOKEN_EXCHANGE_TIMEOUT: "700ms",
        RETRY_INITIAL_DELAY: "10ms",
        ...env,
      },
      ...(until === undefined ? {} : { until }),
    });

  let asked = 0;
  const exchange = (amicis: Amicis, tenantId: string, token = `shopper-${++asked}`) =>
    amicis.ask("/auth/exchange", { method: "POST", body: { userToken: `${tenantId}:${token}` } });

  it("opens the breaker of the tenant whose endpoint is down, and of no other", async () => {
    await using amicis = await start();
    const known = await exchange(amicis, "ikea", "cached");
    assert.equal(known.status, 200);
    await ikea.refuse();
    for (let call = 0; call < 4; call++) {
      assertProblem(await exchange(amicis, "ikea"), 503, sentence);
    }
    const name = "token-exchange-ikea";
    const { status, circuitBreakers } = await amicis.health();
    assert.equal(status, "degraded");
    const { state, stats, stateChangedAt, ...rest } = circuitBreakers[name];
    assert.equal(state, "open");
    assert.deepEqual(rest, {});
    assert.equal(new Date(stateChangedAt).toISOString(), stateChangedAt);
    assert.deepEqual(Object.keys(stats), ["fires", "successes", "failures", "rejects", "timeouts"]);
    assert.equal(stats.successes, 1);
    assert.equal(stats.timeouts, 0, "refused connections");
    assert.ok(stats.failures >= 4, JSON.stringify(stats));
    assert.ok(stats.rejects >= 1);
    assert.equal(stats.fires, stats.successes + stats.failures + stats.rejects);

    const before = ikea.requests.length;
    await ikea.listen();
    const refused = await exchange(amicis, "ikea");
    assertProblem(refused, 503, sentence);
    assert.ok(refused.json.retryAfterSeconds >= 2 && refused.json.retryAfterSeconds <= 33);
    assert.equal(ikea.requests.length, before, "the endpoint was asked");
    const line = await amicis.awaitLog({
      msg: "Fallback used",
      correlationId: refused.headers.get("x-correlation-id") ?? "",
    });
    assert.equal(line.operation, "token_exchange");
    assert.equal(line.fallback, "503");
    const again = await exchange(amicis, "ikea", "cached");
    assert.equal(again.json.accessToken, known.json.accessToken, "cached tokens are still given");

    for (let call = 0; call < 5; call++) {
      assert.equal((await exchange(amicis, "habitat")).status, 200);
    }
    const other = (await amicis.health()).circuitBreakers["token-exchange-habitat"];
    assert.equal(other.state, "closed");
    assert.deepEqual(other.stats, {
      fires: 5,
      successes: 5,
      failures: 0,
      rejects: 0,
      timeouts: 0,
    });
    const page = await amicis.metrics();
    assert.equal(page.value("circuit_breaker_state", { breaker: name }), 1);
    assert.equal(page.value("circuit_breaker_state", { breaker: "token-exchange-habitat" }), 0);
    assert.equal(
      page.value("circuit_breaker_rejections_total", { breaker: name }),
      (await amicis.health()).circuitBreakers[name].stats.rejects,
    );
  });

  it("lets load come back in steps after an outage, and counts what it turns away", async () => {
    await using amicis = await start({ TOKEN_EXCHANGE_BREAKER_OPEN_FOR: "100ms" });
    await ikea.refuse();
    const stateIs = async (wanted: string) => {
      await exchange(amicis, "ikea");
      const { state } = (await amicis.health()).circuitBreakers["token-exchange-ikea"];
      assert.equal(state, wanted);
    };
    await eventually(() => stateIs("open"));
    await ikea.listen();
    await eventually(() => stateIs("closed"), recovery);

    // Ten a second at first, and less than the 32 that may run at once.
    const answers = await Promise.all(Array.from({ length: 30 }, () => exchange(amicis, "ikea")));
    const refused = answers.filter(({ status }) => status !== 200);
    for (const answer of refused) assertProblem(answer, 503, sentence);
    assert.ok(refused.length > 0 && refused.length < 30, `${refused.length} were refused`);
    const page = await amicis.metrics();
    const labels = { service: "auth", dependency: "token-exchange" };
    assert.equal(page.value("ramp_rejections_total", labels), refused.length);
    assert.equal(page.value("bulkhead_rejections_total", labels), 0);
  });

  it("counts an endpoint that hangs as timeouts, and closes again when it answers", async () => {
    await using amicis = await start({ TOKEN_EXCHANGE_BREAKER_OPEN_FOR: "1s" });
    ikea.behave({ kind: "hang" });
    const name = "token-exchange-ikea";
    await eventually(async () => {
      assertProblem(await exchange(amicis, "ikea"), 503, sentence);
      const { state, stats } = (await amicis.health()).circuitBreakers[name];
      assert.equal(state, "open");
      assert.equal(stats.timeouts, stats.failures);
    });
    ikea.behave({ kind: "ok" });
    await eventually(async () => {
      assert.equal((await exchange(amicis, "ikea")).status, 200);
      const { status, circuitBreakers } = await amicis.health();
      assert.equal(circuitBreakers[name].state, "closed");
      assert.equal(status, "ok");
    }, recovery);
  });

  it("waits as long as a failing endpoint asks for, up to its Retry-After", async () => {
    await using amicis = await start({ TOKEN_EXCHANGE_BREAKER_OPEN_FOR: "1s" });
    ikea.behave({ kind: "answer", status: 503, headers: { "retry-after": "100" } });
    for (let call = 0; call < 6; call++) {
      assertProblem(await exchange(amicis, "ikea"), 503, sentence);
    }
    const refused = await exchange(amicis, "ikea");
    assert.ok(refused.json.retryAfterSeconds > 60, refused.text);
    assert.ok(refused.json.retryAfterSeconds <= 100, refused.text);
  });

  it("goes on for tenants it knows while MongoDB is away, with 503 for others", async () => {
    await using amicis = await start({ MONGODB_BREAKER_OPEN_FOR: "1s" });
    assert.equal((await exchange(amicis, "ikea")).status, 200);
    assertProblem(await exchange(amicis, "nobody"), 404, "Unknown tenant");
    await mongo.kill();
    for (let call = 0; call < 10; call++) {
      assert.equal((await exchange(amicis, "ikea")).status, 200);
      assertProblem(await exchange(amicis, "habitat"), 503, sentence);
    }
    const health = await amicis.health();
    assert.equal(health.circuitBreakers.mongodb.state, "open");
    assert.equal(health.circuitBreakers["token-exchange-habitat"], undefined);
    assert.equal(health.status, "degraded");
    assert.equal((await amicis.ask("/health/ready")).status, 200, "asks no dependency");
    await amicis.awaitHealth(({ info }) =>
      info.database.status === "down" && info.redis.status === "up"
    );
    await mongo.restart();
    await eventually(async () => {
      assert.equal((await exchange(amicis, "habitat")).status, 200);
      assert.equal((await exchange(amicis, "other")).status, 200);
      await exchange(amicis, `unknown-${++asked}`);
      assert.equal((await amicis.health()).status, "ok");
    }, recovery);
  });

  it("goes on without its token cache while Redis is away", async () => {
    await using amicis = await start({ REDIS_BREAKER_OPEN_FOR: "1s" });
    assert.equal((await exchange(amicis, "ikea", "again")).status, 200);
    await redis.kill();
    await eventually(async () => {
      assert.equal((await exchange(amicis, "ikea", "again")).status, 200);
      const { circuitBreakers, status } = await amicis.health();
      assert.equal(circuitBreakers.redis.state, "open");
      assert.equal(status, "degraded");
    });
    assert.ok(ikea.requests.length > 1, "the endpoint is asked in its place");
    await redis.restart();
    await eventually(async () => {
      const { requests } = ikea;
      await exchange(amicis, "ikea", "again");
      const before = requests.length;
      assert.equal((await exchange(amicis, "ikea", "again")).status, 200);
      assert.equal(requests.length, before, "from the cache");
      assert.equal((await amicis.health()).status, "ok");
    }, recovery);
  });

  it("starts while MongoDB and Redis are away, ready, and uses them when they come", async () => {
    await Promise.all([mongo.kill(), redis.kill()]);
    await using amicis = await start({ BREAKER_OPEN_FOR: "1s" });
    const { status, info } = await amicis.health();
    assert.equal(status, "degraded");
    assert.deepEqual(info, { database: { status: "down" }, redis: { status: "down" } });
    assertProblem(await exchange(amicis, "ikea"), 503, sentence);
    await Promise.all([mongo.restart(), redis.restart()]);
    await eventually(async () => {
      assert.equal((await exchange(amicis, "ikea")).status, 200);
    }, recovery);
    // Each tenant is there once only.
    await eventually(() =>
      assert.rejects(mongo.insert(database, "tenants", [tenant("ikea", ikea.url)]), { code: 11000 })
    );
  });
});

/**
 * What is off by default, turned on: recovery probes, hedged reads and adaptive limits, with real
 * servers that fail, come back and are slow. Openings are so long that only a probe can end them.
 */
import assert from "node:assert/strict";
import { Amicis } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, beforeEach, describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs } from "../support/Tools.ts";
import { bearer } from "../support/wire/Jwt.ts";
import { database, insertStores, tenant } from "./support/Shops.ts";

/** Pings slow down to one in 5 s, and so does reconnecting. */
const recovery = { within: "30 seconds" } as const;

const probing = { BREAKER_OPEN_FOR: "1h", BREAKER_PROBE_INTERVAL: "200ms" };

describe("recovery", needs("redis-server", "secantusdb"), () => {
  let mongo: MongoServer;
  let redis: Redis;
  let endpoint: TokenEndpoint;
  let headers: Record<string, string>;

  beforeAll(async () => {
    [mongo, redis, endpoint] = await Promise.all([
      MongoServer.start(),
      Redis.start(),
      TokenEndpoint.start(),
    ]);
    await insertStores(mongo);
    await mongo.insert(database, "tenants", [tenant("ikea", endpoint.url)]);
    headers = await bearer("ikea");
  });
  beforeEach(async () => {
    if (!await mongo.isReady()) await mongo.restart();
    if (!await redis.isReady()) await redis.restart();
    await mongo.clearFailPoint();
    await endpoint.listen();
  });
  afterAll(async () => {
    await Promise.all([mongo?.stop(), redis?.stop(), endpoint?.stop()]);
  });

  const start = (service: "auth" | "routing", env: Readonly<Record<string, string>>) =>
    Amicis.start({
      service,
      env: {
        MONGODB_URI: mongo.url,
        REDIS_URL: redis.url,
        RETRY_INITIAL_DELAY: "10ms",
        RATE_LIMIT_RPS: "100000",
        RATE_LIMIT_BURST: "100000",
        ...env,
      },
    });

  const stores = (amicis: Amicis) => amicis.ask("/api/v1/stores", { headers });

  /** Reads of MongoDB so far. */
  const reads = async (amicis: Amicis) => {
    const operation = "mongodb_find";
    const page = await amicis.metrics();
    return page.value("dependency_call_duration_seconds_count", { operation }) ?? 0;
  };

  let asked = 0;
  const exchange = (amicis: Amicis) =>
    amicis.ask("/auth/exchange", { method: "POST", body: { userToken: `ikea:token-${++asked}` } });

  /** Calls until the breaker is in this state. */
  const until = (
    amicis: Amicis,
    breaker: string,
    state: string,
    call: () => Promise<unknown>,
  ) =>
    eventually(async () => {
      await call();
      assert.equal((await amicis.health()).circuitBreakers[breaker].state, state);
    }, recovery);

  /** Fails until probes have failed, too; the opening is as long as ever. */
  const whileDown = async (amicis: Amicis, dependency: string) => {
    await eventually(async () => {
      const page = await amicis.metrics();
      const failed = { dependency, result: "failure" };
      assert.ok((page.value("recovery_probes_total", failed) ?? 0) >= 2);
    }, recovery);
    assert.deepEqual(amicis.logged({ msg: "Recovery probe answered" }), []);
  };

  it("a probe ends MongoDB's opening early, and calls close the breaker", async () => {
    await using amicis = await start("routing", { ...probing, MONGODB_TIMEOUT: "500ms" });
    const call = () => stores(amicis);
    await mongo.kill();
    await until(amicis, "mongodb", "open", call);
    await whileDown(amicis, "mongodb");
    const { retryAfterSeconds } = (await amicis.health()).circuitBreakers.mongodb;
    assert.ok(retryAfterSeconds > 3_000 && retryAfterSeconds <= 3_960, retryAfterSeconds);
    await mongo.restart();
    await eventually(() => amicis.awaitLog({ msg: "Recovery probe answered" }), recovery);
    // Due, and not closed: that takes calls.
    assert.equal((await amicis.health()).circuitBreakers.mongodb.state, "open");
    await until(amicis, "mongodb", "closed", call);
    const page = await amicis.metrics();
    const succeeded = { dependency: "mongodb", result: "success" };
    assert.equal(page.value("recovery_probes_total", succeeded), 1);
    const breaker = { breaker: "mongodb" };
    const changes = (from: string, to: string) =>
      page.value("circuit_breaker_transitions_total", { ...breaker, from, to });
    assert.deepEqual([changes("open", "half-open"), changes("half-open", "closed")], [1, 1]);
  });

  it("a probe ends Redis' opening early", async () => {
    await using amicis = await start("routing", { ...probing, NEAR_CACHE_SIZE: "0" });
    const call = () => amicis.ask("/api/v1/route?storeId=berlin-01", { headers });
    await redis.kill();
    await until(amicis, "redis", "open", call);
    await whileDown(amicis, "redis");
    await redis.restart();
    await until(amicis, "redis", "closed", call);
    await amicis.awaitLog({ msg: "Recovery probe answered", breaker: "redis" });
  });

  it("a probe ends the opening of a tenant's endpoint early, without a request to it", async () => {
    await using amicis = await start("auth", { ...probing, TOKEN_EXCHANGE_TIMEOUT: "700ms" });
    const call = () => exchange(amicis);
    assert.equal((await call()).status, 200);
    await endpoint.refuse();
    await until(amicis, "token-exchange-ikea", "open", call);
    await whileDown(amicis, "token-exchange");
    endpoint.forget();
    await endpoint.listen();
    await eventually(() => amicis.awaitLog({ msg: "Recovery probe answered" }), recovery);
    assert.equal(endpoint.requests.length, 0, "a probe sends nothing");
    await until(amicis, "token-exchange-ikea", "closed", call);
  });

  it("asks no more once the breaker is due, and never while an operator holds it open", async () => {
    const admin = { authorization: "Bearer an-admin-token-of-the-test" };
    await using amicis = await start("routing", {
      ...probing,
      ADMIN_TOKEN: "an-admin-token-of-the-test",
      MONGODB_TIMEOUT: "500ms",
    });
    const control = (action: string) =>
      amicis.ask("/admin/breakers/mongodb", { method: "POST", headers: admin, body: { action } });
    const probes = async () => {
      const page = await amicis.metrics();
      const of = (result: string) =>
        page.value("recovery_probes_total", { dependency: "mongodb", result }) ?? NaN;
      return of("success") + of("failure");
    };
    assert.equal((await control("open")).status, 200);
    // The other breaker's probes show that time enough has passed for several of this one.
    await redis.kill();
    const call = () => amicis.ask("/api/v1/route?storeId=paris-01", { headers });
    await until(amicis, "redis", "open", call);
    await whileDown(amicis, "redis");
    assert.equal(await probes(), 0);
    assert.equal((await stores(amicis)).status, 503);
    await control("reset");
    assert.equal((await stores(amicis)).status, 200);
  });

  it("a hedged read answers while the first one hangs, and cancels that", async () => {
    await using amicis = await start("routing", { MONGODB_HEDGE: "true", MONGODB_TIMEOUT: "15s" });
    for (let call = 0; call < 60; call++) assert.equal((await stores(amicis)).status, 200);
    const before = await amicis.metrics();
    // Longer than the request may take: only the second attempt can answer it.
    await mongo.failPoint({
      failCommands: ["find"],
      mode: { times: 1 },
      blockTimeMS: 20_000,
      appName: "amicis",
    });
    assert.equal((await stores(amicis)).status, 200);
    const after = await amicis.metrics();
    const grown = (name: string, labels: Readonly<Record<string, string>>) =>
      (after.value(name, labels) ?? NaN) - (before.value(name, labels) ?? NaN);
    const operation = "mongodb_find";
    assert.equal(grown("hedged_calls_total", { operation, result: "won" }), 1);
    assert.equal(
      grown("circuit_breaker_calls_total", { breaker: "mongodb", outcome: "neutral" }),
      1,
    );
    assert.equal(
      grown("circuit_breaker_calls_total", { breaker: "mongodb", outcome: "success" }),
      1,
    );
    assert.equal(after.value("bulkhead_in_flight", { dependency: "mongodb" }), 0, "cancelled");
    assert.equal((await stores(amicis)).status, 200);
  });

  it("an adaptive limit falls while MongoDB is slow, shows that, and rises again", async () => {
    await using amicis = await start("routing", {
      MONGODB_ADAPTIVE_CONCURRENCY: "true",
      MONGODB_MAX_CONCURRENT: "8",
      ACCESS_LOG_SAMPLE: "0",
    });
    const dependency = "mongodb";
    const limit = async () => (await amicis.health()).concurrencyLimits.mongodb.limit;
    const calls = () => reads(amicis);
    assert.equal(await limit(), 8);
    let isOver = false;
    const statuses = new Set<number>();
    const callers = Array.from({ length: 8 }, async () => {
      while (!isOver) statuses.add((await stores(amicis)).status);
    });
    try {
      await eventually(async () => assert.ok(await calls() >= 200), recovery);
      await mongo.failPoint({ failCommands: ["find"], blockTimeMS: 300, appName: "amicis" });
      await eventually(async () => assert.ok(await limit() < 8), recovery);
      await eventually(async () => {
        const page = await amicis.metrics();
        assert.ok((page.value("bulkhead_limit", { dependency }) ?? 8) < 8);
        assert.ok((page.value("bulkhead_rejections_total", { dependency }) ?? 0) > 0);
      }, recovery);
      await mongo.clearFailPoint();
      await eventually(async () => assert.equal(await limit(), 8), recovery);
    } finally {
      isOver = true;
      await Promise.all(callers);
    }
    assert.deepEqual([...statuses].toSorted(), [200, 503]);
    assert.equal((await amicis.health()).circuitBreakers.mongodb.state, "closed");
  });

  it("cache hits never enter an adaptive limit's sample", async () => {
    await using amicis = await start("routing", {
      MONGODB_ADAPTIVE_CONCURRENCY: "true",
      MONGODB_MAX_CONCURRENT: "8",
      ACCESS_LOG_SAMPLE: "0",
    });
    const cached = () => amicis.ask("/api/v1/route?storeId=berlin-01", { headers });
    await cached();
    // Slow is usual here. Beside that a hit takes next to nothing.
    await mongo.failPoint({ failCommands: ["find"], blockTimeMS: 300, appName: "amicis" });
    let isOver = false;
    const sources = new Set<string | null>();
    const callers = Array.from({ length: 8 }, async (_, caller) => {
      while (!isOver) {
        if (caller > 0) await stores(amicis);
        else sources.add((await cached()).headers.get("x-cache"));
      }
    });
    try {
      await eventually(async () => assert.ok(await reads(amicis) >= 150), recovery);
      const { limit } = (await amicis.health()).concurrencyLimits.mongodb;
      assert.equal(limit, 8);
    } finally {
      isOver = true;
      await Promise.all(callers);
    }
    assert.deepEqual([...sources], ["HIT"]);
    const page = await amicis.metrics();
    assert.equal(page.value("bulkhead_rejections_total", { dependency: "mongodb" }), 0);
  });
});

/** The routing service while MongoDB and Redis are killed, hang, are away at start and come back. */
import assert from "node:assert/strict";
import { Amicis, type AmicisOptions } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, beforeEach, describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { needs } from "../support/Tools.ts";
import { bearer } from "../support/wire/Jwt.ts";
import { assertProblem } from "./support/Problems.ts";
import { database, insertStores, store } from "./support/Shops.ts";

const sentence = "Service temporarily unavailable";
const berlin = "/api/v1/route?storeId=berlin-01";

/** Pings slow down to one in 5 s, and a trial that comes too early costs a second more. */
const recovery = { within: "30 seconds" } as const;

describe("routing in an outage", needs("redis-server", "secantusdb"), () => {
  let mongo: MongoServer;
  let redis: Redis;
  let headers: Record<string, string>;

  beforeAll(async () => {
    [mongo, redis] = await Promise.all([MongoServer.start(), Redis.start()]);
    await insertStores(mongo);
    headers = await bearer("ikea");
  });
  beforeEach(async () => {
    if (!await mongo.isReady()) await mongo.restart();
    if (!await redis.isReady()) await redis.restart();
    await redis.command("FLUSHALL");
  });
  afterAll(async () => {
    await Promise.all([mongo?.stop(), redis?.stop()]);
  });

  const start = (
    env: Readonly<Record<string, string>> = {},
    options: Partial<AmicisOptions> = {},
  ): Promise<Amicis> =>
    Amicis.start({
      service: "routing",
      env: {
        MONGODB_URI: mongo.url,
        REDIS_URL: redis.url,
        MONGODB_TIMEOUT: "500ms",
        RETRY_INITIAL_DELAY: "20ms",
        ...env,
      },
      ...options,
    });

  const get = (amicis: Amicis, path: string) => amicis.ask(path, { headers });
  const cacheOf = async (amicis: Amicis, path = berlin) =>
    (await get(amicis, path)).headers.get("x-cache");

  /** Asks until the answer comes from the cache. */
  const warm = (amicis: Amicis, path = berlin) =>
    eventually(async () => assert.equal(await cacheOf(amicis, path), "HIT"));

  /** Asks for something that only MongoDB knows until its breaker is open. */
  const untilOpen = (amicis: Amicis) =>
    eventually(async () => {
      await get(amicis, "/api/v1/stores");
      assert.equal((await amicis.health()).circuitBreakers.mongodb.state, "open");
    });

  it("answers 503 at once and from the cache while MongoDB is dead", async () => {
    await using amicis = await start();
    await warm(amicis);
    await mongo.kill();
    for (let call = 0; call < 10; call++) {
      const answer = await get(amicis, "/api/v1/stores");
      assertProblem(answer, 503, sentence);
      assert.ok(answer.json.retryAfterSeconds <= 33, answer.text);
    }

    const { mongodb, redis: cache } = (await amicis.health()).circuitBreakers;
    assert.equal(mongodb.state, "open");
    assert.ok(Number.isInteger(mongodb.retryAfterSeconds));
    assert.ok(mongodb.retryAfterSeconds >= 1 && mongodb.retryAfterSeconds <= 33);
    // Those that tripped it.
    assert.ok(mongodb.counts.requests >= 5, JSON.stringify(mongodb));
    assert.ok(mongodb.counts.totalFailures * 2 >= mongodb.counts.requests, JSON.stringify(mongodb));
    assert.equal(
      mongodb.counts.requests,
      mongodb.counts.totalFailures + mongodb.counts.totalSuccesses,
    );
    assert.equal(cache.state, "closed");
    assert.equal((await amicis.health()).status, "degraded");

    const before = await amicis.metrics();
    const refused = await get(amicis, "/api/v1/stores");
    assertProblem(refused, 503, sentence);
    const after = await amicis.metrics();
    const breaker = { service: "routing", breaker: "mongodb" };
    const grown = (name: string, labels = {}) =>
      (after.value(name, labels) ?? NaN) - (before.value(name, labels) ?? NaN);
    assert.equal(grown("circuit_breaker_rejections_total", breaker), 1);
    assert.equal(grown("circuit_breaker_calls_total", breaker), 0);
    assert.equal(
      grown("dependency_call_duration_seconds_count", { operation: "mongodb_find" }),
      0,
    );
    assert.equal(after.value("circuit_breaker_state", breaker), 1);

    assert.equal(await cacheOf(amicis), "HIT");
    assert.equal((await get(amicis, "/api/v1/stores/berlin-01")).status, 200);
    assertProblem(await get(amicis, "/api/v1/route?storeId=paris-01"), 503, sentence);
    assert.equal((await amicis.ask("/health/ready")).status, 200);
    assert.equal((await amicis.ask("/health/live")).status, 200);

    const opened = await amicis.awaitLog({ msg: "Circuit breaker state changed" });
    assert.equal(opened.breaker, "mongodb");
    assert.equal(opened.from, "closed");
    assert.equal(opened.to, "open");
    const retried = await amicis.awaitLog({ msg: "Retrying operation" });
    assert.equal(retried.level, "warn");
    assert.equal(retried.operation, "mongodb_find");
    assert.equal(retried.attempt, 1);
    assert.match(String(retried.nextDelay), /^\d+ms$/);
  });

  it("comes back by itself when MongoDB does", async () => {
    await using amicis = await start({ MONGODB_BREAKER_OPEN_FOR: "1s" });
    await mongo.kill();
    await untilOpen(amicis);
    await mongo.restart();
    await eventually(async () => assert.equal((await get(amicis, "/api/v1/stores")).status, 200));
    await eventually(async () => {
      await get(amicis, "/api/v1/stores");
      const health = await amicis.health();
      assert.equal(health.circuitBreakers.mongodb.state, "closed");
      assert.equal(health.circuitBreakers.mongodb.retryAfterSeconds, undefined);
      assert.equal(health.status, "healthy");
    }, recovery);
    // Load comes back step by step, but so little was never a load.
    for (let call = 0; call < 20; call++) {
      assert.equal((await get(amicis, "/api/v1/stores")).status, 200);
    }
    const page = await amicis.metrics();
    const transitions = (from: string, to: string) =>
      page.value("circuit_breaker_transitions_total", { breaker: "mongodb", from, to }) ?? 0;
    assert.ok(transitions("closed", "open") >= 1);
    assert.ok(transitions("open", "half-open") >= 1);
    assert.equal(transitions("half-open", "closed"), transitions("closed", "open"));
    await amicis.awaitLog({ breaker: "mongodb", from: "half-open", to: "closed" });
  });

  it("answers 503 while MongoDB hangs, and comes back when it goes on", async () => {
    await using amicis = await start({ MONGODB_BREAKER_OPEN_FOR: "1s" });
    mongo.pause();
    try {
      for (let call = 0; call < 3; call++) {
        assertProblem(await get(amicis, "/api/v1/stores"), 503, sentence);
      }
      await untilOpen(amicis);
    } finally {
      mongo.resume();
    }
    await eventually(async () => {
      assert.equal((await get(amicis, "/api/v1/stores")).status, 200);
      assert.equal((await amicis.health()).status, "healthy");
    }, recovery);
  });

  it("serves an expired copy as STALE with its Age, and never caches that", async () => {
    await using amicis = await start({ CACHE_TTL: "1s", CACHE_NEGATIVE_TTL: "1s" });
    const fresh = await get(amicis, berlin);
    assertProblem(await get(amicis, "/api/v1/route?storeId=none"), 404, "Store not found");
    const key = "store:ikea:berlin-01";
    await eventually(async () => assert.equal(await redis.command("EXISTS", key), 1));
    const value = await redis.command("GET", key);
    await mongo.kill();

    const stale = await eventually(async () => {
      const answer = await get(amicis, berlin);
      assert.equal(answer.headers.get("x-cache"), "STALE");
      return answer;
    });
    assert.equal(stale.status, 200);
    assert.equal(stale.text, fresh.text);
    const { readAt } = JSON.parse(String(value));
    const age = Number(stale.headers.get("age"));
    assert.ok(Number.isInteger(age) && age >= 0 && age <= (Date.now() - readAt) / 1000);
    const line = await amicis.awaitLog({
      msg: "Fallback used",
      correlationId: stale.headers.get("x-correlation-id") ?? "",
    });
    assert.equal(line.level, "warn");
    assert.equal(line.operation, "mongodb_find");
    assert.equal(line.fallback, "STALE");
    assert.equal(line.service, "routing");

    await untilOpen(amicis);
    assert.equal(await cacheOf(amicis), "STALE", "also with an open breaker");
    await eventually(async () => {
      const older = Number((await get(amicis, berlin)).headers.get("age"));
      assert.ok(older >= 2, `Age ${older}`);
    });
    assert.equal((await get(amicis, "/api/v1/stores/berlin-01")).headers.get("x-cache"), "STALE");
    assert.equal(await redis.command("GET", key), value, "the copy was written again");
    // That a store was not there says nothing any more.
    await eventually(async () =>
      assertProblem(await get(amicis, "/api/v1/route?storeId=none"), 503, sentence)
    );
  });

  it("has no copy left of a store that MongoDB said was gone", async () => {
    const closing = "/api/v1/route?storeId=closing-01";
    await mongo.insert(database, "stores", [store("ikea", "closing-01")]);
    await using amicis = await start({ CACHE_TTL: "500ms", CACHE_NEGATIVE_TTL: "500ms" });
    await warm(amicis, closing);
    await mongo.use((client) =>
      client.db(database).collection("stores").deleteOne({ storeId: "closing-01" })
    );
    await eventually(async () => assertProblem(await get(amicis, closing), 404, "Store not found"));
    await mongo.kill();

    // A copy would stand in for a day.
    await eventually(async () => assertProblem(await get(amicis, closing), 503, sentence));
  });

  it("goes on past a dead Redis, and uses it again when it is back", async () => {
    await using amicis = await start({ REDIS_BREAKER_OPEN_FOR: "1s" });
    await warm(amicis);
    await redis.kill();
    const answer = await eventually(async () => {
      const answer = await get(amicis, berlin);
      assert.equal(answer.headers.get("x-cache"), "BYPASS");
      return answer;
    });
    assert.equal(answer.status, 200);
    const line = await amicis.awaitLog({
      msg: "Fallback used",
      correlationId: answer.headers.get("x-correlation-id") ?? "",
    });
    assert.equal(line.operation, "redis_get");
    assert.equal(line.fallback, "BYPASS");
    await eventually(async () => {
      assert.equal(await cacheOf(amicis), "BYPASS");
      const { circuitBreakers, status } = await amicis.health();
      assert.equal(circuitBreakers.redis.state, "open");
      assert.equal(circuitBreakers.mongodb.state, "closed");
      assert.equal(status, "degraded");
    });
    assertProblem(await get(amicis, "/api/v1/route?storeId=none"), 404, "Store not found");
    assert.equal((await amicis.ask("/health/ready")).status, 200);

    await redis.restart();
    await eventually(async () => {
      assert.equal(await cacheOf(amicis), "HIT");
      assert.equal((await amicis.health()).status, "healthy");
    }, recovery);
  });

  it("goes on past a Redis that hangs", async () => {
    await using amicis = await start({ REDIS_BREAKER_OPEN_FOR: "1s" });
    await warm(amicis);
    redis.pause();
    try {
      await eventually(async () => {
        const answer = await get(amicis, berlin);
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get("x-cache"), "BYPASS");
      });
    } finally {
      redis.resume();
    }
    // Also when all answers come out of its own memory again.
    await eventually(async () => {
      assert.equal(await cacheOf(amicis), "HIT");
      assert.equal((await amicis.health()).status, "healthy");
    }, recovery);
  });

  it("is not ready while neither can be used, and comes back", async () => {
    await using amicis = await start({ BREAKER_OPEN_FOR: "1s" });
    await warm(amicis);
    await Promise.all([mongo.kill(), redis.kill()]);
    await eventually(async () => assertProblem(await get(amicis, berlin), 503, sentence));
    await eventually(async () => {
      const ready = await amicis.ask("/health/ready");
      assert.equal(ready.status, 503);
      assert.equal(ready.json.error, "Not ready");
    });
    await amicis.awaitHealth(({ status, dependencies }) =>
      status === "degraded" && dependencies.mongodb === "disconnected" &&
      dependencies.redis === "disconnected"
    );
    assert.equal((await amicis.ask("/health")).status, 200);
    assert.equal((await amicis.ask("/health/live")).status, 200);
    assertProblem(await get(amicis, "/api/v1/stores"), 503, sentence);

    await Promise.all([mongo.restart(), redis.restart()]);
    await eventually(async () => assert.equal((await amicis.ask("/health/ready")).status, 200));
    await eventually(async () => {
      assert.equal(await cacheOf(amicis), "HIT");
      await get(amicis, "/api/v1/stores");
      assert.equal((await amicis.health()).status, "healthy");
    }, recovery);
  });

  it("starts while both are away, and makes the index when MongoDB comes", async () => {
    await Promise.all([mongo.kill(), redis.kill()]);
    await using amicis = await start({ BREAKER_OPEN_FOR: "1s", MONGODB_DATABASE: "later" }, {
      until: "answering",
    });
    assert.equal((await amicis.health()).status, "degraded");
    assert.equal((await amicis.ask("/health/ready")).status, 503);
    assertProblem(await get(amicis, berlin), 503, sentence);
    await Promise.all([mongo.restart(), redis.restart()]);
    await mongo.insert("later", "stores", [store("ikea", "berlin-01")]);
    await eventually(async () => assert.equal((await amicis.ask("/health/ready")).status, 200));
    await warm(amicis);
    await eventually(() =>
      assert.rejects(
        mongo.insert("later", "stores", [store("ikea", "berlin-01")]),
        { code: 11000 },
      )
    );
  });

  it("takes what is damaged or foreign in the cache for a miss, and replaces it", async () => {
    await using amicis = await start();
    const key = "store:ikea:berlin-01";
    await warm(amicis);
    const own = String(await redis.command("GET", key));
    await get(amicis, "/api/v1/route?storeId=paris-01");
    const other = "store:ikea:paris-01";
    await eventually(async () => assert.equal(await redis.command("EXISTS", other), 1));
    const changed = (change: Record<string, unknown>) =>
      JSON.stringify({ ...JSON.parse(own), ...change });
    const changedStore = (change: Record<string, unknown>) =>
      changed({ store: { ...JSON.parse(own).store, ...change } });
    const values: Readonly<Record<string, string>> = {
      "nothing": "",
      "no JSON": "{",
      "binary": "\u0000\u0001\u0002",
      "another type": "[1,2]",
      "a text": '"hello"',
      "null": "null",
      "no fields": "{}",
      "another tenant's": changed({ tenantId: "habitat" }),
      "another store's": String(await redis.command("GET", other)),
      "no instant": changed({ freshUntil: undefined }),
      "an instant of another type": changed({ expiresAt: "later" }),
      "expired": changed({ expiresAt: 1 }),
      "a store of another type": changed({ store: "berlin" }),
      "no backendUrl": changedStore({ backendUrl: undefined }),
      "an empty backendUrl": changedStore({ backendUrl: "" }),
      "a backendUrl of another type": changedStore({ backendUrl: 7 }),
      "a location of another type": changedStore({ location: "here" }),
    };
    const put: Record<string, () => Promise<unknown>> = Object.fromEntries(
      Object.entries(values).map(([name, value]) => [name, () => redis.command("SET", key, value)]),
    );
    put["a list"] = () => redis.command("RPUSH", key, "a", "b");
    put["a hash"] = () => redis.command("HSET", key, "name", "value");
    const expected = (await get(amicis, berlin)).json;
    for (const [name, write] of Object.entries(put)) {
      await redis.command("DEL", key);
      await write();
      await eventually(async () => {
        const answer = await get(amicis, berlin);
        assert.deepEqual(answer.json, expected, name);
        assert.equal(answer.headers.get("x-cache"), "MISS", name);
      });
      await eventually(async () => {
        const value = JSON.parse(String(await redis.command("GET", key)));
        assert.equal(value.tenantId, "ikea", name);
        assert.equal(value.store.backendUrl, expected.backendUrl, name);
      });
    }
    const { redis: breaker } = (await amicis.health()).circuitBreakers;
    assert.equal(breaker.counts.totalFailures, 0, "none of it speaks against Redis");
  });

  it("forgets in every process what a third party changes or deletes in Redis", async () => {
    await using one = await start();
    await using another = await start();
    const both = [one, another];
    const key = "store:ikea:berlin-01";
    const nearHits = async (amicis: Amicis) =>
      (await amicis.metrics()).value("cache_requests_total", { cache: "near", result: "hit" }) ?? 0;
    for (const amicis of both) {
      await eventually(async () => {
        const before = await nearHits(amicis);
        await get(amicis, berlin);
        assert.equal(await nearHits(amicis), before + 1, "from its own memory");
      });
    }
    const value = JSON.parse(String(await redis.command("GET", key)));
    value.store.backendUrl = "https://moved.example";
    await redis.command("SET", key, JSON.stringify(value));
    for (const amicis of both) {
      await eventually(async () =>
        assert.equal((await get(amicis, berlin)).json.backendUrl, "https://moved.example")
      );
    }
    await redis.command("DEL", key);
    for (const amicis of both) {
      await eventually(async () =>
        assert.equal(
          (await get(amicis, berlin)).json.backendUrl,
          "https://backend.example/ikea/berlin-01",
        )
      );
    }
  });

  it("does not believe its own memory while nobody tells it of changes", async () => {
    await using one = await start();
    await using another = await start();
    const both = [one, another];
    const key = "store:ikea:berlin-01";
    const hits = async (amicis: Amicis, cache: string) =>
      (await amicis.metrics()).value("cache_requests_total", { cache, result: "hit" }) ?? 0;
    const fromItsMemory = (amicis: Amicis) =>
      eventually(async () => {
        const before = await hits(amicis, "near");
        await get(amicis, berlin);
        assert.equal(await hits(amicis, "near"), before + 1);
      });
    await Promise.all(both.map(fromItsMemory));
    const value = JSON.parse(String(await redis.command("GET", key)));
    for (let round = 1; round <= 3; round++) {
      const backendUrl = `https://moved.example/${round}`;
      const changed = JSON.stringify({ ...value, store: { ...value.store, backendUrl } });
      // The change comes at the moment in which nobody listens, so nobody is told of it.
      await redis.command("CLIENT", "KILL", "TYPE", "pubsub");
      await redis.command("SET", key, changed);
      for (const amicis of both) {
        await eventually(async () =>
          assert.equal((await get(amicis, berlin)).json.backendUrl, backendUrl)
        );
      }
      await Promise.all(both.map(fromItsMemory));
    }
    await redis.command("FLUSHALL");
    for (const amicis of both) {
      await eventually(async () =>
        assert.equal(
          (await get(amicis, berlin)).json.backendUrl,
          "https://backend.example/ikea/berlin-01",
        )
      );
    }
  });
});

/** `/metrics` of the running services: Prometheus' verdict, exact counts under load, bounded labels. */
import assert from "node:assert/strict";
import { Amicis, type Answer } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs } from "../support/Tools.ts";
import { bearer } from "../support/wire/Jwt.ts";
import { MetricsPage } from "../support/wire/MetricsPage.ts";
import { database, insertStores, tenant } from "../e2e/support/Shops.ts";
import { checkMetrics } from "./Promtool.ts";

const documentation = new URL("../../docs/operations/observability.md", import.meta.url);

/** Settings that each bring families of their own. */
const everythingOptional = {
  BREAKER_ADAPTIVE: "true",
  BREAKER_PROBE_INTERVAL: "1s",
  MONGODB_ADAPTIVE_CONCURRENCY: "true",
  MONGODB_HEDGE: "true",
  MONGODB_THROTTLE: "2",
  TOKEN_EXCHANGE_ADAPTIVE_CONCURRENCY: "true",
  TOKEN_EXCHANGE_THROTTLE: "2",
};

const exchange = (amicis: Amicis, userToken: string): Promise<Answer> =>
  amicis.askAuth("/auth/exchange", { method: "POST", body: { userToken } });

/** The calls, so many at once; their answers in no order. */
const together = async (
  calls: ReadonlyArray<() => Promise<Answer>>,
  atOnce: number,
): Promise<ReadonlyArray<Answer>> => {
  const left = calls.values();
  const answers: Array<Answer> = [];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (const call of left) answers.push(await call());
  }));
  return answers;
};

/** How often each status was answered. */
const byStatus = (answers: ReadonlyArray<Answer>): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
};

describe("/metrics", needs("redis-server", "secantusdb", "promtool"), () => {
  let mongo: MongoServer;
  let redis: Redis;
  let endpoint: TokenEndpoint;

  beforeAll(async () => {
    [mongo, redis, endpoint] = await Promise.all([
      MongoServer.start(),
      Redis.start(),
      TokenEndpoint.start(),
    ]);
    await insertStores(mongo);
    await mongo.insert(database, "tenants", [
      tenant("ikea", endpoint.url),
      tenant("habitat", `http://127.0.0.1:9/token`),
    ]);
  });
  afterAll(async () => {
    await Promise.all([mongo?.stop(), redis?.stop(), endpoint?.stop()]);
  });

  const start = (env: Readonly<Record<string, string>> = {}) =>
    Amicis.start({
      service: "all",
      env: {
        MONGODB_URI: mongo.url,
        REDIS_URL: redis.url,
        RETRY_INITIAL_DELAY: "10ms",
        RATE_LIMIT_RPS: "100000",
        RATE_LIMIT_BURST: "100000",
        ...env,
      },
    });

  const pagesOf = async (amicis: Amicis) => ({
    routing: new MetricsPage((await amicis.ask("/metrics")).text),
    auth: new MetricsPage((await amicis.askAuth("/metrics")).text),
  });

  it("passes `promtool check metrics` and has every documented family, in an outage too", async () => {
    await using amicis = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9",
      ...everythingOptional,
    });
    const headers = await bearer("ikea");
    for (const state of ["closed", "open"]) {
      for (let call = 0; call < 6; call += 1) {
        await amicis.ask("/api/v1/route?storeId=berlin-01", { headers });
        await amicis.ask("/api/v1/stores", { headers });
        await exchange(amicis, `ikea:${state}-${call}`);
        await exchange(amicis, `habitat:${state}-${call}`);
      }
      const pages = await pagesOf(amicis);
      for (const [service, page] of Object.entries(pages)) {
        assert.deepEqual(await checkMetrics(page.text), { code: 0, said: "" }, service);
      }
      const documented = [...(await Deno.readTextFile(documentation)).matchAll(
        /^\| `([a-z_]+)` \| (gauge|counter|histogram) \|/gm,
      )].map(([, name = "", type = ""]) => [name, type] as const);
      const shown = new Map([...pages.auth.types, ...pages.routing.types]);
      assert.deepEqual(documented.toSorted(), [...shown].toSorted());
      await mongo.failPoint({ failCommands: ["find"], errorCode: 189 });
    }
    await mongo.clearFailPoint();
  });

  it("counts exactly what was sent and answered under load, and logs it as often", async () => {
    endpoint.forget();
    await using amicis = await start({ RATE_LIMIT_RPS: "50", RATE_LIMIT_BURST: "300" });
    const headers = await bearer("ikea");
    const ask = (path: string) => () => amicis.ask(path, { headers });
    const routes = Array.from(
      { length: 600 },
      (_, index) => ask(`/api/v1/route?storeId=${["berlin-01", "paris-01", "none"][index % 3]}`),
    );
    const lists = Array.from({ length: 60 }, () => ask("/api/v1/stores"));
    const exchanges = Array.from(
      { length: 300 },
      (_, index) => () => exchange(amicis, `ikea:shopper-${index % 40}`),
    );
    const [routed, listed, exchanged] = await Promise.all([
      together(routes, 24),
      together(lists, 4),
      together(exchanges, 12),
    ]);
    const limited = [...routed, ...listed].filter(({ status }) => status === 429).length;
    assert.ok(limited > 0 && limited < 660, `${limited} refused`);

    // What is stored after the answer may still be under way.
    await eventually(async () => {
      const { routing, auth } = await pagesOf(amicis);
      const requests = (page: MetricsPage, route: string) =>
        Object.fromEntries(
          page.series.filter(({ name, labels, value }) =>
            name === "http_requests_total" && labels["route"] === route && value > 0
          ).map(({ labels, value }) => [labels["status"], value]),
        );
      assert.deepEqual(requests(routing, "/api/v1/route"), byStatus(routed));
      assert.deepEqual(requests(routing, "/api/v1/stores"), byStatus(listed));
      assert.deepEqual(requests(auth, "/auth/exchange"), byStatus(exchanged));
      const durations = (page: MetricsPage, route: string) =>
        page.value("http_request_duration_seconds_count", { route });
      assert.equal(durations(routing, "/api/v1/route"), 600);
      assert.equal(durations(routing, "/api/v1/stores"), 60);
      assert.equal(durations(auth, "/auth/exchange"), 300);
      assert.equal(routing.value("rate_limit_rejections_total"), limited);

      // Each lookup at the tier that it reached first, once.
      const lookedUp = routed.filter(({ status }) => status !== 429).length;
      assert.equal(routing.value("cache_requests_total"), lookedUp);
      assert.equal(auth.value("cache_requests_total", { cache: "token" }), 300);

      // What the endpoint saw is what was counted, and what its breaker and its duration say.
      const attempts = endpoint.requests.length;
      const breaker = { breaker: "token-exchange-ikea" };
      assert.ok(attempts >= 40);
      assert.equal(
        auth.value("dependency_call_duration_seconds_count", { dependency: "token-exchange" }),
        attempts,
      );
      assert.equal(
        auth.value("circuit_breaker_calls_total", { ...breaker, outcome: "success" }),
        attempts,
      );
      for (
        const [page, name] of [[routing, "mongodb"], [routing, "redis"], [auth, "redis"]] as const
      ) {
        assert.equal(
          page.value("circuit_breaker_calls_total", { breaker: name }),
          page.value("dependency_call_duration_seconds_count", { dependency: name }),
          name,
        );
        assert.equal(page.value("bulkhead_in_flight", { dependency: name }) ?? 0, 0);
      }
    });
    await amicis.stop();
    const lines = (service: string, route: string) =>
      amicis.logged({ msg: "Request", service, route }).length;
    assert.equal(lines("routing", "/api/v1/route"), 600);
    assert.equal(lines("routing", "/api/v1/stores"), 60);
    assert.equal(lines("auth", "/auth/exchange"), 300);
  });

  it("has no series more for paths, methods, stores, tenants and tokens that callers make up", async () => {
    await using amicis = await start();
    const headers = await bearer("ikea");
    const ask = async (round: number) => {
      const made = Array.from({ length: 60 }, (_, index) => `made-up-${round}-${index}`);
      await together(
        made.flatMap((name) => [
          () => amicis.ask(`/${name}`, { headers }),
          () => amicis.ask(`/api/v1/stores/${name}`, { headers }),
          () => amicis.ask(`/api/v1/route?storeId=${name}`, { headers }),
          () => amicis.ask(`/api/v1/stores`, { headers, method: name.toUpperCase() }),
          () => amicis.ask(`/api/v1/stores`, { headers: { authorization: `Bearer ${name}` } }),
          async () => amicis.ask("/api/v1/stores", { headers: await bearer(name) }),
          () => exchange(amicis, `${name}:token`),
          () => exchange(amicis, `ikea:${name}`),
        ]),
        12,
      );
    };
    const names = async () => {
      const { routing, auth } = await pagesOf(amicis);
      return [...routing.series, ...auth.series]
        .map(({ name, labels }) => `${name}${JSON.stringify(labels)}`).toSorted();
    };
    await ask(1);
    await names(); // itself a request of a route that may be new
    const before = await names();
    await ask(2);
    assert.deepEqual(await names(), before);
    assert.equal(before.some((name) => name.includes("made-up")), false);
  });
});

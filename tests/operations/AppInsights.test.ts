/** What the running program sends to Application Insights, as an ingestion endpoint takes it. */
import assert from "node:assert/strict";
import { Amicis } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, beforeEach, describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TelemetryReceiver } from "../support/servers/TelemetryReceiver.ts";
import { needs } from "../support/Tools.ts";
import { accepted, type Item, itemsOf } from "../support/wire/AppInsightsItems.ts";
import { bearer } from "../support/wire/Jwt.ts";
import { spansOf } from "../support/wire/OtlpJson.ts";
import { insertStores } from "../e2e/support/Shops.ts";

const key = "00000000-1111-2222-3333-444444444444";
const traceId = "0af7651916cd43dd8448eb211c80319c";
const parentId = "b7ad6b7169203331";
const traceparent = `00-${traceId}-${parentId}-01`;
const route = "/api/v1/route?storeId=berlin-01";

const connectionString = (url: string) => `InstrumentationKey=${key};IngestionEndpoint=${url}/`;

describe("Telemetry to Application Insights", needs("redis-server", "secantusdb"), () => {
  let mongo: MongoServer;
  let redis: Redis;
  let headers: Record<string, string>;

  beforeAll(async () => {
    [mongo, redis] = await Promise.all([MongoServer.start(), Redis.start()]);
    await insertStores(mongo);
    headers = { ...await bearer("ikea"), traceparent };
  });
  beforeEach(async () => {
    await mongo.clearFailPoint();
    await redis.command("FLUSHALL");
  });
  afterAll(async () => {
    await Promise.all([mongo?.stop(), redis?.stop()]);
  });

  const start = (receiver: TelemetryReceiver, env: Readonly<Record<string, string>> = {}) =>
    Amicis.start({
      service: "routing",
      env: {
        MONGODB_URI: mongo.url,
        REDIS_URL: redis.url,
        RETRY_INITIAL_DELAY: "10ms",
        NEAR_CACHE_SIZE: "0",
        OTEL_BSP_SCHEDULE_DELAY: "50",
        APPLICATIONINSIGHTS_CONNECTION_STRING: connectionString(receiver.url),
        ...env,
      },
    });

  /** The items of the trace once there are as many of these types. */
  const itemsOnce = (receiver: TelemetryReceiver, wanted: Readonly<Record<string, number>>) =>
    eventually(() => {
      const items = itemsOf(receiver.deliveries, key)
        .filter(({ tags }) => tags["ai.operation.id"] === traceId);
      const found: Record<string, number> = {};
      for (const { type } of items) found[type] = (found[type] ?? 0) + 1;
      assert.deepEqual(found, wanted);
      return items;
    }, { within: "10 seconds" });

  const ofType = (items: ReadonlyArray<Item>, type: string, name?: string): Item => {
    const item = items.find(({ data, ...item }) =>
      item.type === type && (name === undefined || data.name === name)
    );
    assert.ok(item, `${type} ${name}`);
    return item;
  };

  it("sends a request and the dependency calls of its operation", async () => {
    await using receiver = new TelemetryReceiver(accepted);
    await using amicis = await start(receiver, { OTEL_SERVICE_NAME: "store-router" });
    assert.equal((await amicis.ask(route, { headers })).status, 200);
    // The cache with its GET, the find, and the SET.
    const items = await itemsOnce(receiver, { RequestData: 1, RemoteDependencyData: 4 });
    const request = ofType(items, "RequestData");
    assert.equal(request.data.name, "GET /api/v1/route");
    assert.equal(request.data.success, true);
    assert.equal(request.data.responseCode, "200");
    assert.equal(request.data.url, "/api/v1/route");
    assert.equal(request.tags["ai.operation.parentId"], parentId);
    assert.equal(request.tags["ai.operation.name"], "GET /api/v1/route");
    assert.equal(request.tags["ai.cloud.role"], "store-router");
    assert.equal(request.tags["ai.cloud.roleInstance"], Deno.hostname());
    assert.equal(request.data.properties["amicis.cache"], "MISS");
    const find = ofType(items, "RemoteDependencyData", "find stores");
    assert.equal(find.data.type, "mongodb");
    assert.equal(find.data.target, `127.0.0.1:${mongo.port} | amicis`);
    assert.equal(find.data.success, true);
    assert.equal(find.tags["ai.operation.parentId"], request.data.id);
    assert.equal(find.tags["ai.operation.name"], "GET /api/v1/route");
    const cache = ofType(items, "RemoteDependencyData", "cache get");
    assert.equal(cache.data.type, "InProc");
    const get = ofType(items, "RemoteDependencyData", "GET");
    assert.equal(get.data.type, "redis");
    assert.equal(get.tags["ai.operation.parentId"], cache.data.id);
    assert.ok(items.every(({ sampleRate }) => sampleRate === 100));
    assert.equal((await amicis.stop()).code, 0);
  });

  it("sends failed calls, retries, the breaker's change and a failed request", async () => {
    await using receiver = new TelemetryReceiver(accepted);
    await using amicis = await start(receiver, {
      MONGODB_BREAKER_CONSECUTIVE_FAILURES: "3",
      MONGODB_BREAKER_OPEN_FOR: "1h",
    });
    await mongo.failPoint({ failCommands: ["find"], errorCode: 189 });
    assert.equal((await amicis.ask(route, { headers })).status, 503);
    const items = await itemsOnce(receiver, {
      RequestData: 1,
      RemoteDependencyData: 5,
      MessageData: 2,
      EventData: 1,
    });
    const request = ofType(items, "RequestData");
    assert.equal(request.data.success, false);
    assert.equal(request.data.responseCode, "503");
    const finds = items.filter(({ data }) => data.name === "find stores");
    assert.deepEqual(finds.map(({ data }) => data.success), [false, false, false]);
    assert.ok(finds.every(({ data }) => data.resultCode === "TransientFailure"));
    const event = ofType(items, "EventData");
    assert.equal(event.data.name, "Circuit breaker state changed");
    assert.deepEqual(event.data.properties, {
      service: "routing",
      breaker: "mongodb",
      from: "closed",
      to: "open",
      manual: "false",
    });
    assert.equal(event.data.measurements.consecutiveFailures, 3);
    assert.equal(event.tags["ai.operation.parentId"], finds[2]?.data.id);
    const message = ofType(items, "MessageData");
    assert.equal(message.data.message, "Retrying operation");
    assert.equal(message.data.severityLevel, 2);
    assert.equal(message.data.properties.operation, "mongodb_find");
  });

  it("sends an error line with its operation, and a 404 as a request without success", async () => {
    await using receiver = new TelemetryReceiver(accepted);
    await mongo.insert("amicis", "stores", [{
      tenantId: "ikea",
      storeId: "broken",
      name: 42,
      backendUrl: "https://backend.example",
      backendContext: {},
    }]);
    await using amicis = await start(receiver);
    await amicis.ask("/api/v1/route?storeId=broken", { headers });
    await amicis.awaitLog({ level: "error" });
    const missing = await amicis.ask("/api/v1/route?storeId=nowhere", { headers });
    assert.equal(missing.status, 404);
    const item = await eventually(() => {
      const items = itemsOf(receiver.deliveries, key);
      const notFound = items.find(({ data }) => data.responseCode === "404");
      assert.equal(notFound?.data.success, false);
      return items.find(({ data }) => data.severityLevel === 3) ?? assert.fail("no error");
    });
    assert.equal(item.tags["ai.operation.id"], traceId);
    assert.equal(item.tags["ai.operation.name"], "GET /api/v1/route");
  });

  it("says how many traces a sampled one stands for", async () => {
    await using receiver = new TelemetryReceiver(accepted);
    await using amicis = await start(receiver, {
      OTEL_TRACES_SAMPLER: "traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0.25",
    });
    const low = `${"a".repeat(16)}3fffffffffffffff`;
    await amicis.ask(route, {
      headers: { ...headers, traceparent: `00-${low}-${parentId}-01` },
    });
    await amicis.ask(route, { headers }); // 8448… is above the share
    const sampled = await eventually(() => {
      const requests = itemsOf(receiver.deliveries, key)
        .filter(({ type }) => type === "RequestData");
      assert.equal(requests.length, 1);
      return requests[0];
    });
    assert.equal(sampled?.tags["ai.operation.id"], low);
    assert.equal(sampled?.sampleRate, 25);
  });

  it("sends the same spans to an OTLP receiver beside it, with the key in neither log nor spans", async () => {
    await using receiver = new TelemetryReceiver(accepted);
    await using collector = new TelemetryReceiver();
    await using amicis = await start(receiver, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });
    assert.equal((await amicis.ask(route, { headers })).status, 200);
    const items = await itemsOnce(receiver, { RequestData: 1, RemoteDependencyData: 4 });
    await eventually(() => {
      const spans = spansOf(collector.deliveries);
      assert.deepEqual(
        spans.map(({ spanId }) => spanId).toSorted(),
        items.map(({ data }) => data.id).toSorted(),
      );
    });
    await amicis.stop();
    const elsewhere = amicis.stdout + amicis.stderr +
      collector.deliveries.map(({ text }) => text).join();
    assert.equal(elsewhere.includes(key), false);
  });
});

describe("Telemetry with Application Insights in trouble", () => {
  const start = (url: string, env: Readonly<Record<string, string>> = {}) =>
    Amicis.start({
      service: "routing",
      env: {
        APPLICATIONINSIGHTS_CONNECTION_STRING: connectionString(url),
        OTEL_BSP_SCHEDULE_DELAY: "20",
        ...env,
      },
    });

  const use = async (amicis: Amicis) => {
    const headers = await bearer("ikea");
    for (let call = 0; call < 20; call++) {
      assert.equal((await amicis.ask(route, { headers })).status, 200);
    }
  };

  for (
    const { name, behaviour } of [
      { name: "never answers", behaviour: "hangs" },
      { name: "fails", behaviour: "fails" },
    ] as const
  ) {
    it(`answers and ends as ever when the endpoint ${name}`, async () => {
      await using receiver = new TelemetryReceiver();
      receiver.behaviour = behaviour;
      await using amicis = await start(receiver.url);
      await use(amicis);
      await eventually(() => assert.ok(receiver.deliveries.length > 0));
      assert.equal((await amicis.stop()).code, 0);
      assert.equal(amicis.logged({ msg: "Telemetry not delivered", level: "warn" }).length, 1);
    });
  }

  it("answers and ends as ever when nobody listens, and counts what is lost", async () => {
    await using amicis = await start("http://127.0.0.1:9", { OTEL_BSP_EXPORT_TIMEOUT: "1" });
    await use(amicis);
    await eventually(async () => {
      const page = await amicis.metrics();
      const labels = { exporter: "applicationinsights", signal: "items" };
      assert.ok((page.value("telemetry_dropped_total", labels) ?? 0) > 0);
    });
    assert.equal((await amicis.stop()).code, 0);
  });

  it("counts what the endpoint says it did not take", async () => {
    await using receiver = new TelemetryReceiver(({ text }) => {
      const { length } = JSON.parse(text);
      return Response.json({ itemsReceived: length, itemsAccepted: 0, errors: [] }, {
        status: 206,
      });
    });
    await using amicis = await start(receiver.url);
    await use(amicis);
    await eventually(async () => {
      const page = await amicis.metrics();
      const labels = { exporter: "applicationinsights", signal: "items" };
      assert.ok((page.value("telemetry_dropped_total", labels) ?? 0) > 0);
    });
  });
});

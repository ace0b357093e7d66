/** Traces and logs of the running program, as an OTLP receiver decodes them. */
import assert from "node:assert/strict";
import { Amicis } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, beforeEach, describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TelemetryReceiver } from "../support/servers/TelemetryReceiver.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs } from "../support/Tools.ts";
import { bearer } from "../support/wire/Jwt.ts";
import { type OtlpSpan, recordsOf, spansOf } from "../support/wire/OtlpJson.ts";
import { database, insertStores, tenant } from "../e2e/support/Shops.ts";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const parentId = "b7ad6b7169203331";
const traceparent = `00-${traceId}-${parentId}-01`;
const route = "/api/v1/route?storeId=berlin-01";

/** What no receiver may ever be sent. */
const secrets = ["top-secret-header", "shopper-token", "client-secret", "issued-token"];

describe("Telemetry by OTLP", needs("redis-server", "secantusdb"), () => {
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
    await mongo.insert(database, "tenants", [
      tenant("ikea", `${endpoint.url}?realm=secret-realm`, { clientSecret: "client-secret" }),
    ]);
    headers = await bearer("ikea");
  });
  beforeEach(async () => {
    await mongo.clearFailPoint();
    await redis.command("FLUSHALL");
    endpoint.behave({ kind: "ok" });
    endpoint.forget();
  });
  afterAll(async () => {
    await Promise.all([mongo?.stop(), redis?.stop(), endpoint?.stop()]);
  });

  const start = (
    service: "auth" | "routing",
    endpoint: string,
    env: Readonly<Record<string, string>> = {},
  ) =>
    Amicis.start({
      service,
      env: {
        MONGODB_URI: mongo.url,
        REDIS_URL: redis.url,
        RETRY_INITIAL_DELAY: "10ms",
        NEAR_CACHE_SIZE: "0",
        OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
        OTEL_BSP_SCHEDULE_DELAY: "50",
        ...env,
      },
    });

  /** The spans of the trace once its server span has arrived with all that is below it. */
  const traceOf = (receiver: TelemetryReceiver, wanted: ReadonlyArray<string>, id = traceId) =>
    eventually(() => {
      const spans = spansOf(receiver.deliveries).filter((span) => span.traceId === id);
      assert.deepEqual(spans.map(({ name }) => name).toSorted(), wanted.toSorted());
      return spans;
    }, { within: "10 seconds" });

  const named = (spans: ReadonlyArray<OtlpSpan>, name: string): OtlpSpan => {
    const found = spans.find((span) => span.name === name);
    assert.ok(found, name);
    return found;
  };

  it("shows a miss as request ▸ cache ▸ Redis, then MongoDB and the write behind it", async () => {
    await using receiver = new TelemetryReceiver();
    await using amicis = await start("routing", receiver.url, {
      OTEL_SERVICE_NAME: "store-router",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=a%2Cb,service.name=other",
      OTEL_EXPORTER_OTLP_HEADERS: "x-api-key=top-secret-header,x-team=shops%20eu",
    });
    const answer = await amicis.ask(route, { headers: { ...headers, traceparent } });
    assert.equal(answer.headers.get("x-cache"), "MISS");
    const spans = await traceOf(receiver, [
      "GET /api/v1/route",
      "cache get",
      "GET",
      "find stores",
      "SET",
    ]);

    const request = named(spans, "GET /api/v1/route");
    assert.equal(request.parentSpanId, parentId);
    assert.equal(request.kind, "server");
    assert.equal(request.status, "unset");
    assert.deepEqual(request.attributes, {
      "http.request.method": "GET",
      "http.route": "/api/v1/route",
      "url.path": "/api/v1/route",
      "http.response.status_code": 200,
      "amicis.service": "routing",
      "amicis.correlation_id": answer.headers.get("x-correlation-id"),
      "amicis.tenant": "ikea",
      "amicis.cache": "MISS",
    });
    const { "service.instance.id": instance, "host.name": host, ...resource } = request.resource;
    assert.match(String(instance), /^[0-9a-f-]{36}$/);
    assert.equal(host, Deno.hostname());
    assert.deepEqual(resource, {
      "service.name": "store-router",
      "service.version": "0.1.0",
      "deployment.environment.name": "a,b",
    });

    const cache = named(spans, "cache get");
    assert.equal(cache.parentSpanId, request.spanId);
    assert.deepEqual(cache.attributes, { "cache.result": "miss" });
    const get = named(spans, "GET");
    assert.equal(get.parentSpanId, cache.spanId);
    assert.equal(get.kind, "client");
    assert.deepEqual(get.attributes, {
      "db.system.name": "redis",
      "db.operation.name": "GET",
      "server.address": "127.0.0.1",
      "server.port": redis.port,
      "circuit_breaker.name": "redis",
      "circuit_breaker.state": "closed",
      "retry.attempt": 1,
    });
    const find = named(spans, "find stores");
    assert.equal(find.parentSpanId, request.spanId);
    assert.deepEqual(find.attributes, {
      "db.system.name": "mongodb",
      "db.operation.name": "find",
      "db.collection.name": "stores",
      "db.namespace": "amicis",
      "server.address": "127.0.0.1",
      "server.port": mongo.port,
      "circuit_breaker.name": "mongodb",
      "circuit_breaker.state": "closed",
      "retry.attempt": 1,
    });
    assert.equal(named(spans, "SET").parentSpanId, request.spanId);

    const [delivery] = receiver.deliveries;
    assert.equal(delivery?.headers.get("x-api-key"), "top-secret-header");
    assert.equal(delivery?.headers.get("x-team"), "shops eu");
    await eventually(() => {
      const line = recordsOf(receiver.deliveries).find(({ body, attributes }) =>
        body === "Request" && attributes["route"] === "/api/v1/route"
      );
      assert.equal(line?.traceId, traceId);
      assert.equal(line?.spanId, request.spanId);
      assert.equal(line?.severity, "INFO");
    });
    const logged = await amicis.awaitLog({ msg: "Request", route: "/api/v1/route" });
    assert.equal(logged["traceId"], traceId);
    assert.equal(logged["spanId"], request.spanId);
    assert.doesNotMatch(amicis.stdout + receiver.deliveries.map(({ text }) => text).join(), secret);
  });

  const secret = new RegExp(secrets.join("|"));

  it("shows each attempt, the breaker that opens and the call it then refuses", async () => {
    await using receiver = new TelemetryReceiver();
    await using amicis = await start("routing", receiver.url, {
      MONGODB_BREAKER_CONSECUTIVE_FAILURES: "3",
      MONGODB_BREAKER_OPEN_FOR: "1h",
    });
    await mongo.failPoint({ failCommands: ["find"], errorCode: 189 });
    const failed = await amicis.ask(route, { headers: { ...headers, traceparent } });
    assert.equal(failed.status, 503);
    const spans = await traceOf(receiver, [
      "GET /api/v1/route",
      "cache get",
      "GET",
      ...Array<string>(3).fill("find stores"),
    ]);
    const attempts = spans.filter(({ name }) => name === "find stores");
    assert.deepEqual(attempts.map((span) => span.attributes["retry.attempt"]), [1, 2, 3]);
    for (const { status, attributes, message } of attempts) {
      assert.equal(status, "error");
      assert.equal(attributes["error.type"], "TransientFailure");
      assert.match(message ?? "", /^TransientFailure: /);
      assert.equal(attributes["circuit_breaker.state"], "closed");
      assert.equal(attributes["status.interrupted"], undefined);
      assert.equal(attributes["span.label"], undefined);
    }
    assert.deepEqual(attempts.map(({ events }) => events.length), [0, 0, 1]);
    assert.deepEqual(attempts[2]?.events, [{
      name: "circuit_breaker.state_changed",
      attributes: {
        "circuit_breaker.name": "mongodb",
        "circuit_breaker.from": "closed",
        "circuit_breaker.to": "open",
        "circuit_breaker.manual": false,
      },
    }]);
    const request = named(spans, "GET /api/v1/route");
    assert.equal(request.status, "error");
    assert.equal(request.attributes["http.response.status_code"], 503);
    assert.equal(request.attributes["error.type"], "503");

    const other = "4bf92f3577b34da6a3ce929d0e0e4736";
    const refused = await amicis.ask("/api/v1/stores", {
      headers: { ...headers, traceparent: `00-${other}-${parentId}-01` },
    });
    assert.equal(refused.status, 503);
    const [attempt] = (await traceOf(receiver, ["GET /api/v1/stores", "find stores"], other))
      .filter(({ name }) => name === "find stores");
    assert.equal(attempt?.status, "error");
    assert.equal(attempt?.attributes["error.type"], "CircuitOpen");
    assert.equal(attempt?.attributes["circuit_breaker.state"], "open");
    await eventually(() => {
      const lines = recordsOf(receiver.deliveries).filter((line) => line.traceId === traceId);
      const retries = lines.filter(({ body }) => body === "Retrying operation");
      assert.equal(retries.length, 2);
      assert.ok(retries.every(({ severity }) => severity === "WARN"));
      assert.ok(lines.some(({ body }) => body === "Circuit breaker state changed"));
    });
  });

  it("takes the trace to the token endpoint and no secret anywhere else", async () => {
    await using receiver = new TelemetryReceiver();
    await using amicis = await start("auth", receiver.url, {
      TOKEN_CACHE_KEY: btoa("k".repeat(32)),
    });
    const tracestate = "vendor=a1,other=b2";
    const exchange = (more: Record<string, string>) =>
      amicis.ask("/auth/exchange", {
        method: "POST",
        body: { userToken: "ikea:shopper-token" },
        headers: more,
      });
    assert.equal((await exchange({ traceparent, tracestate })).status, 200);
    const spans = await traceOf(receiver, [
      "POST /auth/exchange",
      "find tenants",
      "cache get",
      "GET",
      "POST",
      "SET",
    ]);
    const post = named(spans, "POST");
    assert.equal(post.kind, "client");
    assert.equal(post.parentSpanId, named(spans, "POST /auth/exchange").spanId);
    assert.deepEqual(post.attributes, {
      "http.request.method": "POST",
      "server.address": "127.0.0.1",
      "server.port": endpoint.port,
      "url.scheme": "http",
      "url.full": endpoint.url,
      "http.response.status_code": 200,
      "circuit_breaker.name": "token-exchange-ikea",
      "circuit_breaker.state": "closed",
      "retry.attempt": 1,
    });
    const [sent] = endpoint.requests;
    assert.equal(sent?.headers.get("traceparent"), `00-${traceId}-${post.spanId}-01`);
    assert.equal(sent?.headers.get("tracestate"), tracestate);
    const everything = receiver.deliveries.map(({ text }) => text).join();
    assert.doesNotMatch(everything, secret);
    assert.doesNotMatch(everything, /secret-realm/);
  });

  it("makes one attempt's span for each call that fails, and passes on a trace not sampled", async () => {
    await using receiver = new TelemetryReceiver();
    await using amicis = await start("auth", receiver.url, { RETRY_MAX_ATTEMPTS: "2" });
    endpoint.behave({ kind: "answer", status: 500 });
    const exchange = (flags: string, token: string) =>
      amicis.ask("/auth/exchange", {
        method: "POST",
        body: { userToken: `ikea:${token}` },
        headers: { traceparent: `00-${traceId}-${parentId}-${flags}` },
      });
    assert.equal((await exchange("00", "a")).status, 503);
    assert.deepEqual(
      endpoint.requests.map((sent) => sent.headers.get("traceparent")?.slice(0, 36)),
      [`00-${traceId}-`, `00-${traceId}-`],
    );
    assert.ok(
      endpoint.requests.every((sent) => /-00$/.test(sent.headers.get("traceparent") ?? "")),
    );
    assert.equal((await exchange("01", "b")).status, 503);
    const spans = await traceOf(receiver, [
      "POST /auth/exchange",
      "cache get",
      "POST",
      "POST",
    ]);
    const posts = spans.filter(({ name }) => name === "POST");
    assert.deepEqual(posts.map(({ status }) => status), ["error", "error"]);
    assert.deepEqual(
      posts.map(({ attributes }) => attributes["http.response.status_code"]),
      [500, 500],
    );
    assert.deepEqual(posts.map(({ attributes }) => attributes["error.type"]), ["500", "500"]);
  });

  it("records the share of traces that the sampler says, and nothing of operations", async () => {
    await using receiver = new TelemetryReceiver();
    await using amicis = await start("routing", receiver.url, {
      OTEL_TRACES_SAMPLER: "traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0.5",
      OTEL_LOGS_EXPORTER: "none",
    });
    const ask = (low: string) =>
      amicis.ask(route, {
        headers: { ...headers, traceparent: `00-${"a".repeat(16)}${low}-${parentId}-01` },
      });
    await ask("8000000000000000");
    await ask("ffffffffffffffff");
    await amicis.ask("/health");
    await amicis.ask("/metrics");
    await ask("7fffffffffffffff");
    const kept = await eventually(() => {
      const found = spansOf(receiver.deliveries).filter(({ kind }) => kind === "server");
      assert.ok(found.length > 0);
      return found;
    });
    await amicis.stop();
    const all = spansOf(receiver.deliveries).filter(({ kind }) => kind === "server");
    assert.deepEqual(all, kept);
    assert.deepEqual(all.map((span) => span.traceId), ["a".repeat(16) + "7fffffffffffffff"]);
    assert.deepEqual(recordsOf(receiver.deliveries), []);
  });

  it("makes no span and sends nothing with OTEL_SDK_DISABLED", async () => {
    await using receiver = new TelemetryReceiver();
    await using amicis = await start("routing", receiver.url, { OTEL_SDK_DISABLED: "true" });
    await amicis.ask(route, { headers: { ...headers, traceparent } });
    const line = await amicis.awaitLog({ msg: "Request", route: "/api/v1/route" });
    assert.equal(line["traceId"], undefined);
    assert.equal((await amicis.stop()).code, 0);
    assert.deepEqual(receiver.deliveries, []);
  });
});

describe("Telemetry with a receiver in trouble", () => {
  /** Asks a few times and stops; a program that has not ended after 10 s is killed. */
  const useAndStop = async (amicis: Amicis): Promise<void> => {
    const headers = await bearer("ikea");
    for (let call = 0; call < 20; call++) {
      const answer = await amicis.ask(route, { headers });
      assert.equal(answer.status, 200);
    }
    const { code } = await amicis.stop();
    assert.equal(code, 0, amicis.stderr);
  };

  const start = (endpoint: string, env: Readonly<Record<string, string>> = {}) =>
    Amicis.start({
      service: "routing",
      env: { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_BSP_SCHEDULE_DELAY: "20", ...env },
    });

  it("answers and ends as ever when nobody listens, and says so once", async () => {
    await using amicis = await start("http://127.0.0.1:9");
    await amicis.awaitLog({ msg: "Telemetry not delivered", exporter: "otlp" });
    await useAndStop(amicis);
    const lines = amicis.logged({ msg: "Telemetry not delivered" });
    assert.deepEqual(lines.map(({ level, error }) => [level, error]), [
      ["warn", "it cannot be reached"],
    ]);
    assert.equal(amicis.stderr.includes("Error"), false, amicis.stderr);
  });

  it("answers and ends within the bound when the receiver never answers", async () => {
    await using receiver = new TelemetryReceiver();
    receiver.behaviour = "hangs";
    await using amicis = await start(receiver.url, {
      OTEL_EXPORTER_OTLP_TIMEOUT: "60000",
      OTEL_BSP_EXPORT_TIMEOUT: "60000",
    });
    await eventually(() => assert.ok(receiver.deliveries.length > 0));
    await useAndStop(amicis);
    const [line] = amicis.logged({ msg: "Telemetry not delivered" });
    assert.equal(line?.["error"], "the process ends");
  });

  it("drops what it cannot keep, counts it, and delivers again afterwards", async () => {
    await using receiver = new TelemetryReceiver();
    receiver.behaviour = "fails";
    await using amicis = await start(receiver.url, {
      OTEL_BSP_MAX_QUEUE_SIZE: "20",
      OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "10",
      OTEL_BSP_EXPORT_TIMEOUT: "1",
    });
    const headers = await bearer("ikea");
    const dropped = async () =>
      (await amicis.metrics()).value("telemetry_dropped_total", {
        exporter: "otlp",
        signal: "traces",
      }) ?? 0;
    assert.equal(
      (await amicis.metrics()).value("telemetry_dropped_total", {
        exporter: "otlp",
        signal: "logs",
      }) === undefined,
      false,
    );
    await eventually(async () => {
      assert.equal((await amicis.ask(route, { headers })).status, 200);
      assert.ok(await dropped() > 0);
    });
    receiver.behaviour = "takes";
    await amicis.ask("/api/v1/stores/oslo-01", { headers });
    await amicis.awaitLog({ msg: "Telemetry delivered again", exporter: "otlp" });
    assert.equal((await amicis.stop()).code, 0);
  });
});

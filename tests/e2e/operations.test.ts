/** What operators and their tools see: health, metrics, logs, ports and administration. */
import assert from "node:assert/strict";
import { Amicis, type Answer, runToEnd } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs } from "../support/Tools.ts";
import { bearer } from "../support/wire/Jwt.ts";
import { assertProblem } from "./support/Problems.ts";
import { tenant } from "./support/Shops.ts";

const adminToken = "an-admin-token-of-the-e2e-tests";
const admin = { authorization: `Bearer ${adminToken}` };
const counts = [
  "requests",
  "totalSuccesses",
  "totalFailures",
  "consecutiveSuccesses",
  "consecutiveFailures",
];
const isIso = (value: unknown) =>
  typeof value === "string" && new Date(value).toISOString() === value;

/** A URI at which nothing listens, so that every dependency call fails at once. */
const deadPort = freePort();
const dead = {
  MONGODB_URI: `mongodb://127.0.0.1:${deadPort}/?directConnection=true`,
  REDIS_URL: `redis://127.0.0.1:${deadPort}`,
  MONGODB_TIMEOUT: "300ms",
  RETRY_INITIAL_DELAY: "10ms",
};
globalThis.addEventListener("unload", () => releasePort(deadPort));

const control = (amicis: Amicis, name: string, action: string, query = "") =>
  amicis.ask(`/admin/breakers/${name}${query}`, {
    method: "POST",
    headers: admin,
    body: { action },
  });

const stateOf = async (amicis: Amicis, name: string): Promise<string> =>
  (await amicis.health()).circuitBreakers[name].state;

describe("health", () => {
  it("of routing has exactly the documented fields", async () => {
    await using amicis = await Amicis.start({ service: "routing" });
    const { status, headers, json } = await amicis.ask("/health");
    assert.equal(status, 200);
    assert.equal(headers.get("cache-control"), "no-store");
    const { timestamp, circuitBreakers, ...rest } = json;
    assert.deepEqual(rest, {
      status: "healthy",
      dependencies: { mongodb: "connected", redis: "connected" },
    });
    assert.ok(isIso(timestamp));
    assert.deepEqual(Object.keys(circuitBreakers), ["mongodb", "redis"]);
    for (const breaker of Object.values<Answer["json"]>(circuitBreakers)) {
      assert.deepEqual(Object.keys(breaker), ["state", "counts", "stateChangedAt"]);
      assert.equal(breaker.state, "closed");
      assert.deepEqual(Object.keys(breaker.counts), counts);
      assert.deepEqual(new Set(Object.values(breaker.counts)), new Set([0]));
      assert.ok(isIso(breaker.stateChangedAt));
    }
    assert.deepEqual((await amicis.ask("/health/live")).json, { status: "alive" });
    assert.deepEqual((await amicis.ask("/health/ready")).json, { status: "ready" });
  });

  it("of auth has exactly the documented fields", async () => {
    const file = await Deno.makeTempFile({ suffix: ".json" });
    const tenants = [tenant("ikea", `http://127.0.0.1:${deadPort}/token`)];
    await Deno.writeTextFile(file, JSON.stringify({ tenants, stores: [] }));
    await using amicis = await Amicis.start({
      service: "auth",
      env: { RETRY_MAX_ATTEMPTS: "1", DATA_FILE: file },
    });
    await Deno.remove(file);
    const body = { userToken: "ikea:shopper" };
    await amicis.ask("/auth/exchange", { method: "POST", body });
    const { status, json } = await amicis.ask("/health");
    assert.equal(status, 200);
    const { circuitBreakers, ...rest } = json;
    assert.deepEqual(rest, {
      status: "ok",
      info: { database: { status: "up" }, redis: { status: "up" } },
    });
    assert.deepEqual(Object.keys(circuitBreakers).sort(), [
      "mongodb",
      "redis",
      "token-exchange-ikea",
    ]);
    for (const name of ["mongodb", "redis"]) {
      assert.deepEqual(Object.keys(circuitBreakers[name]), ["state", "counts", "stateChangedAt"]);
      assert.deepEqual(Object.keys(circuitBreakers[name].counts), counts);
    }
    const { stats, ...breaker } = circuitBreakers["token-exchange-ikea"];
    assert.deepEqual(Object.keys(breaker), ["state", "stateChangedAt"]);
    assert.deepEqual(stats, { fires: 1, successes: 0, failures: 1, rejects: 0, timeouts: 0 });
  });

  it("tells when an open breaker lets a call through, and says degraded", async () => {
    await using amicis = await Amicis.start({
      service: "routing",
      env: dead,
      until: "answering",
    });
    const headers = await bearer("ikea");
    for (let call = 0; call < 5; call++) {
      assert.equal((await amicis.ask("/api/v1/stores", { headers })).status, 503);
    }
    const { status, dependencies, circuitBreakers } = await amicis.health();
    assert.equal(status, "degraded");
    assert.deepEqual(dependencies, { mongodb: "disconnected", redis: "disconnected" });
    assert.deepEqual(Object.keys(circuitBreakers.mongodb), [
      "state",
      "counts",
      "stateChangedAt",
      "retryAfterSeconds",
    ]);
    assert.equal(circuitBreakers.mongodb.state, "open");
    assert.deepEqual(circuitBreakers.mongodb.counts, {
      requests: 5,
      totalSuccesses: 0,
      totalFailures: 5,
      consecutiveSuccesses: 0,
      consecutiveFailures: 5,
    });
  });
});

describe("metrics", () => {
  it("have all families from the start, with zeros", async () => {
    await using amicis = await Amicis.start({ service: "routing" });
    const answer = await amicis.ask("/metrics");
    assert.match(answer.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    const page = await amicis.metrics();
    const families: Readonly<Record<string, string>> = {
      circuit_breaker_state: "gauge",
      circuit_breaker_failures_total: "counter",
      circuit_breaker_calls_total: "counter",
      circuit_breaker_rejections_total: "counter",
      circuit_breaker_transitions_total: "counter",
      retry_attempts_total: "counter",
      http_requests_total: "counter",
      http_request_duration_seconds: "histogram",
      cache_requests_total: "counter",
      dependency_call_duration_seconds: "histogram",
      bulkhead_in_flight: "gauge",
      bulkhead_rejections_total: "counter",
      ramp_rejections_total: "counter",
      rate_limit_rejections_total: "counter",
    };
    for (const [family, type] of Object.entries(families)) {
      assert.equal(page.types.get(family), type, family);
    }
    const service = "routing";
    const known: ReadonlyArray<readonly [string, Record<string, string>]> = [
      ...["mongodb", "redis"].flatMap((breaker) =>
        [
          ["circuit_breaker_state", { service, breaker }],
          ["circuit_breaker_failures_total", { service, breaker }],
          ["circuit_breaker_rejections_total", { service, breaker }],
          ["circuit_breaker_transitions_total", { service, breaker, from: "closed", to: "open" }],
          ...["success", "failure", "neutral"].map((outcome) =>
            ["circuit_breaker_calls_total", { service, breaker, outcome }] as const
          ),
        ] as const
      ),
      ["retry_attempts_total", { service, operation: "mongodb_find" }],
      ["http_requests_total", { service, method: "GET", route: "/api/v1/route", status: "200" }],
      ["http_request_duration_seconds_count", { service, method: "GET", route: "/api/v1/route" }],
      ["cache_requests_total", { cache: "memory", result: "hit" }],
      ["dependency_call_duration_seconds_count", {
        dependency: "mongodb",
        operation: "mongodb_find",
      }],
      ["bulkhead_in_flight", { service, dependency: "mongodb" }],
      ["bulkhead_rejections_total", { service, dependency: "mongodb" }],
      ["ramp_rejections_total", { service, dependency: "mongodb" }],
      ["rate_limit_rejections_total", { service }],
    ];
    for (const [name, labels] of known) {
      assert.equal(page.value(name, labels), 0, `${name} ${JSON.stringify(labels)}`);
    }
    assert.ok(page.series.some(({ name }) => name.startsWith("process_")));
  });

  it("count exactly what was asked and answered", async () => {
    await using amicis = await Amicis.start({ service: "routing" });
    const headers = await bearer("ikea");
    const ask = async (times: number, path: string, status: number, init = {}) => {
      for (let call = 0; call < times; call++) {
        assert.equal((await amicis.ask(path, { headers, ...init })).status, status, path);
      }
    };
    await ask(5, "/api/v1/route?storeId=berlin-01", 200);
    await ask(2, "/api/v1/route?storeId=paris-01", 200);
    await ask(3, "/api/v1/route?storeId=none", 404);
    await ask(2, "/api/v1/route", 400);
    await ask(4, "/api/v1/stores", 200);
    await ask(2, "/api/v1/stores/berlin-01", 200);
    await ask(1, "/api/v1/stores/other", 404);
    await ask(3, "/api/v1/stores", 401, { headers: {} });
    await ask(2, "/api/v1/stores", 405, { method: "DELETE" });
    for (const path of ["/a", "/b", "/api/v1/c", "/%00"]) await ask(1, path, 404);
    const page = await amicis.metrics();
    const requests = (method: string, route: string, status: number) =>
      page.value("http_requests_total", {
        service: "routing",
        ...{ method, route, status: String(status) },
      });
    assert.equal(requests("GET", "/api/v1/route", 200), 7);
    assert.equal(requests("GET", "/api/v1/route", 404), 3);
    assert.equal(requests("GET", "/api/v1/route", 400), 2);
    assert.equal(requests("GET", "/api/v1/stores", 200), 4);
    assert.equal(requests("GET", "/api/v1/stores", 401), 3);
    assert.equal(requests("DELETE", "/api/v1/stores", 405), 2);
    assert.equal(requests("GET", "/api/v1/stores/:storeId", 200), 2);
    assert.equal(requests("GET", "/api/v1/stores/:storeId", 404), 1);
    assert.equal(requests("GET", "unmatched", 404), 4);
    assert.equal(
      page.value("http_request_duration_seconds_count", { method: "GET", route: "/api/v1/route" }),
      12,
    );
    assert.equal(
      page.value("http_request_duration_seconds_bucket", { route: "/api/v1/route", le: "+Inf" }),
      12,
    );
    // Found berlin-01, paris-01, none and other in MongoDB once each, and asked for four lists.
    assert.equal(page.value("cache_requests_total", { result: "miss" }), 4);
    assert.equal(page.value("cache_requests_total", { result: "hit" }), 9);
    const finds = { dependency: "mongodb", operation: "mongodb_find" };
    assert.equal(page.value("dependency_call_duration_seconds_count", finds), 8);
    const breaker = { service: "routing", breaker: "mongodb" };
    assert.equal(
      page.value("circuit_breaker_calls_total", { ...breaker, outcome: "success" }),
      8,
    );
    assert.equal(page.value("circuit_breaker_failures_total", breaker), 0);
  });

  it("count failures, retries, rejections and transitions of an outage", async () => {
    await using amicis = await Amicis.start({
      service: "routing",
      env: { ...dead, RETRY_MAX_ATTEMPTS: "2", RETRY_BUDGET: "1" },
      until: "answering",
    });
    const headers = await bearer("ikea");
    for (let call = 0; call < 5; call++) await amicis.ask("/api/v1/stores", { headers });
    const page = await amicis.metrics();
    const breaker = { service: "routing", breaker: "mongodb" };
    // Two calls of two attempts, the fifth failure opens and its retry is turned away with the rest.
    assert.equal(page.value("circuit_breaker_failures_total", breaker), 5);
    assert.equal(
      page.value("circuit_breaker_calls_total", { ...breaker, outcome: "failure" }),
      5,
    );
    assert.equal(page.value("circuit_breaker_rejections_total", breaker), 3);
    assert.equal(page.value("circuit_breaker_state", breaker), 1);
    assert.equal(
      page.value("circuit_breaker_transitions_total", { ...breaker, from: "closed", to: "open" }),
      1,
    );
    assert.equal(page.value("retry_attempts_total", { operation: "mongodb_find" }), 3);
    assert.equal(page.value("dependency_up", { dependency: "mongodb" }), 0);
  });
});

describe("logs", () => {
  it("hold the fixed events with exactly their fields", async () => {
    await using amicis = await Amicis.start({
      service: "routing",
      env: dead,
      until: "answering",
    });
    const headers = await bearer("ikea");
    const path = "/api/v1/route?storeId=berlin-01";
    const answer = await amicis.ask(path, {
      headers: { ...headers, "x-correlation-id": "the-first" },
    });
    assert.equal(answer.status, 503);
    for (let call = 0; call < 3; call++) await amicis.ask(path, { headers });

    const common = ["level", "timestamp", "msg", "service"];
    const retry = await amicis.awaitLog({
      msg: "Retrying operation",
      operation: "mongodb_find",
      correlationId: "the-first",
    });
    assert.deepEqual(Object.keys(retry), [
      ...common,
      ...["correlationId", "operation", "attempt", "error", "nextDelay"],
    ]);
    assert.equal(retry.level, "warn");
    assert.equal(retry.attempt, 1);
    assert.match(String(retry.nextDelay), /^(8|9|1[0-2])ms$/);
    assert.ok(typeof retry.error === "string" && retry.error !== "");

    const change = await amicis.awaitLog({
      msg: "Circuit breaker state changed",
      breaker: "mongodb",
    });
    assert.deepEqual(Object.keys(change).filter((name) => name !== "correlationId"), [
      ...common,
      ...["breaker", "from", "to", "requests", "failures", "consecutiveFailures", "manual"],
    ]);
    const { level, from, to, requests, failures, manual } = change;
    assert.deepEqual({ level, from, to, requests, failures, manual }, {
      ...{ level: "info", from: "closed", to: "open", requests: 5, failures: 5, manual: false },
    });

    const request = await amicis.awaitLog({ msg: "Request", correlationId: "the-first" });
    assert.deepEqual(Object.keys(request), [
      ...common,
      ...["correlationId", "method", "route", "status", "durationMs"],
    ]);
    assert.equal(amicis.logged({ msg: "Request", correlationId: "the-first" }).length, 1);
    for (const line of amicis.logs) {
      assert.ok(isIso(line.timestamp), JSON.stringify(line));
      assert.equal(line.service, "routing", JSON.stringify(line));
      assert.match(String(line.level), /^(debug|info|warn|error)$/);
    }
  });

  it("say at which level they are wanted, and stop at it", async () => {
    await using amicis = await Amicis.start({ service: "routing", env: { LOG_LEVEL: "warn" } });
    await amicis.ask("/health");
    await amicis.stop();
    assert.deepEqual(amicis.logs, []);
  });

  it("name the service of each line when both run in one process", async () => {
    await using amicis = await Amicis.start({ service: "all" });
    await amicis.ask("/health", { headers: { "x-correlation-id": "of-routing" } });
    await amicis.askAuth("/health", { headers: { "x-correlation-id": "of-auth" } });
    assert.equal((await amicis.awaitLog({ correlationId: "of-routing" })).service, "routing");
    assert.equal((await amicis.awaitLog({ correlationId: "of-auth" })).service, "auth");
    const listening = amicis.logged({ msg: "Service listening" });
    assert.deepEqual(listening.map(({ service }) => service).sort(), ["auth", "routing"]);
    assert.equal((await amicis.askAuth("/health")).json.status, "ok");
    assert.equal((await amicis.ask("/health")).json.status, "healthy");
    assert.equal((await amicis.askAuth("/api/v1/stores")).status, 404);
    assert.equal((await amicis.ask("/auth/exchange", { method: "POST" })).status, 404);
  });
});

describe("MANAGEMENT_PORT", () => {
  it("moves operations there alone", async () => {
    await using amicis = await Amicis.start({
      service: "routing",
      hasManagementPort: true,
      env: { ADMIN_TOKEN: adminToken },
    });
    const paths = [
      "/health",
      "/health/live",
      "/health/ready",
      "/metrics",
      "/status",
      "/openapi.json",
    ];
    for (const path of paths) {
      assert.equal((await amicis.askManagement(path)).status, 200, path);
      assertProblem(await amicis.ask(path), 404, "Not found");
    }
    assertProblem(await amicis.ask("/admin/breakers", { headers: admin }), 404, "Not found");
    assert.equal((await amicis.askManagement("/admin/breakers", { headers: admin })).status, 200);
    const headers = await bearer("ikea");
    assert.equal((await amicis.ask("/api/v1/stores", { headers })).status, 200);
    assertProblem(await amicis.askManagement("/api/v1/stores", { headers }), 404, "Not found");
    const page = await amicis.metrics();
    assert.equal(
      page.value("http_requests_total", { route: "/api/v1/stores", status: "200" }),
      1,
      "requests of both ports",
    );
    const env = { PORT: String(amicis.port), MANAGEMENT_PORT: String(amicis.managementPort) };
    assert.equal((await runToEnd(["--service=routing", "--healthcheck"], { env })).code, 0);
  });

  it("goes on answering there while the service drains", async () => {
    const endpoint = await TokenEndpoint.start();
    const file = await Deno.makeTempFile({ suffix: ".json" });
    const data = { stores: [], tenants: [tenant("ikea", endpoint.url)] };
    await Deno.writeTextFile(file, JSON.stringify(data));
    try {
      endpoint.behave({ kind: "hang" });
      await using amicis = await Amicis.start({
        service: "auth",
        hasManagementPort: true,
        env: { DATA_FILE: file, TOKEN_EXCHANGE_TIMEOUT: "1s", RETRY_MAX_ATTEMPTS: "2" },
      });
      const body = { userToken: "ikea:shopper" };
      const request = amicis.ask("/auth/exchange", { method: "POST", body });
      await eventually(() => assert.equal(endpoint.requests.length, 1));
      amicis.signal("SIGTERM");
      await eventually(async () =>
        assert.equal((await amicis.askManagement("/health/ready")).status, 503)
      );
      assert.equal((await amicis.askManagement("/health/live")).status, 200);
      assert.match((await amicis.askManagement("/metrics")).text, /^circuit_breaker_state/m);
      endpoint.behave({ kind: "ok" });
      assert.equal((await request).status, 200);
      assert.equal((await amicis.ended).code, 0);
    } finally {
      await endpoint.stop();
      await Deno.remove(file);
    }
  });
});

describe("administration", () => {
  it("does not exist without ADMIN_TOKEN", async () => {
    await using amicis = await Amicis.start({ service: "routing" });
    for (const path of ["/admin/breakers", "/admin/breakers/mongodb", "/admin/log-level"]) {
      assertProblem(await amicis.ask(path, { headers: admin }), 404, "Not found");
    }
    assert.equal((await amicis.ask("/openapi.json")).text.includes("/admin"), false);
  });

  it("asks for the token, lists, controls, and leaves a line of every use", async () => {
    await using amicis = await Amicis.start({
      service: "routing",
      env: { ADMIN_TOKEN: adminToken, LOG_LEVEL: "error" },
    });
    for (const headers of [{}, { authorization: "Bearer wrong" }, await bearer("ikea")]) {
      const answer = await amicis.ask("/admin/breakers", { headers });
      assertProblem(answer, 401, "Authentication required");
      assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer/);
    }
    await amicis.awaitLog({ msg: "Admin access refused", reason: "no token" });
    await amicis.awaitLog({ msg: "Admin access refused", reason: "wrong token" });

    const { json } = await amicis.ask("/admin/breakers", { headers: admin });
    assert.deepEqual(json.map(({ name }: { name: string }) => name), ["mongodb", "redis"]);
    const headers = await bearer("ikea");
    const stores = async () => await amicis.ask("/api/v1/stores", { headers });

    const opened = await control(amicis, "mongodb", "open");
    assert.equal(opened.status, 200);
    const { breaker, ...rest } = opened.json;
    assert.deepEqual(rest, { name: "mongodb", action: "open", fleet: false });
    assert.equal(breaker.state, "open");
    assert.equal(breaker.mode, "forced-open");
    assert.equal(breaker.openUntil, null);
    const refused = await stores();
    assertProblem(refused, 503, "Service temporarily unavailable");
    assert.equal(refused.json.retryAfterSeconds, 30);
    assert.equal((await amicis.health()).circuitBreakers.mongodb.retryAfterSeconds, 30);

    await control(amicis, "mongodb", "auto");
    for (const state of ["half-open", "half-open", "closed"]) {
      assert.equal((await stores()).status, 200);
      assert.equal(await stateOf(amicis, "mongodb"), state);
    }
    for (const [action, mode] of [["disable", "disabled"], ["observe", "observe"]] as const) {
      const { json } = await control(amicis, "mongodb", action);
      assert.equal(json.breaker.mode, mode);
      assert.equal(json.breaker.state, "closed");
    }
    for (const action of ["auto", "close", "reset"]) {
      assert.equal((await control(amicis, "mongodb", action)).json.breaker.mode, "auto");
    }
    assertProblem(await control(amicis, "mongodb", "explode"), 400, "action is invalid");
    for (const name of ["nothing", "token-exchange-ikea", "jwks", "MONGODB"]) {
      assertProblem(await control(amicis, name, "open"), 404, "Circuit breaker not found");
    }
    const line = await amicis.awaitLog({ msg: "Admin action", action: "open", result: "done" });
    assert.equal(line.breaker, "mongodb");
    assert.equal(line.correlationId, opened.headers.get("x-correlation-id"));
    await amicis.awaitLog({ msg: "Admin action", breaker: "nothing", result: "unknown breaker" });

    const level = (body?: unknown) =>
      amicis.ask("/admin/log-level", {
        headers: admin,
        ...(body === undefined ? {} : { method: "POST", body }),
      });
    assert.deepEqual((await level()).json, { level: "error" });
    assert.deepEqual((await level({ level: "info" })).json, { level: "info" });
    assertProblem(await level({ level: "loud" }), 400, "level is invalid");
    await amicis.ask("/health", { headers: { "x-correlation-id": "now-logged" } });
    await amicis.awaitLog({ correlationId: "now-logged" });
  });

  it("controls a tenant's breaker, known tenants' only, also before its first use", async () => {
    const endpoint = await TokenEndpoint.start();
    const file = await Deno.makeTempFile({ suffix: ".json" });
    await Deno.writeTextFile(
      file,
      JSON.stringify({ stores: [], tenants: [tenant("ikea", endpoint.url)] }),
    );
    try {
      await using amicis = await Amicis.start({
        service: "auth",
        env: { ADMIN_TOKEN: adminToken, DATA_FILE: file },
      });
      assertProblem(
        await control(amicis, "token-exchange-nobody", "open"),
        404,
        "Circuit breaker not found",
      );
      assert.equal((await control(amicis, "token-exchange-ikea", "open")).status, 200);
      const exchange = () =>
        amicis.ask("/auth/exchange", { method: "POST", body: { userToken: "ikea:x" } });
      assert.equal((await exchange()).status, 503);
      assert.equal(endpoint.requests.length, 0);
      assert.equal(await stateOf(amicis, "token-exchange-ikea"), "open");
      await control(amicis, "token-exchange-ikea", "close");
      assert.equal((await exchange()).status, 200);
    } finally {
      await endpoint.stop();
      await Deno.remove(file);
    }
  });

  it(
    "reaches every replica with fleet=true, also one that starts later",
    needs("redis-server"),
    async () => {
      const redis = await Redis.start();
      try {
        const env = { ADMIN_TOKEN: adminToken, REDIS_URL: redis.url };
        const start = () => Amicis.start({ service: "routing", env });
        await using one = await start();
        await using another = await start();
        await eventually(async () => {
          const channels = await redis.command("PUBSUB", "NUMSUB", "amicis:overrides");
          assert.deepEqual(channels, ["amicis:overrides", 2]);
        });
        const local = await control(one, "mongodb", "open");
        assert.equal(local.json.fleet, false);
        assert.equal(await stateOf(one, "mongodb"), "open");
        assert.equal(await stateOf(another, "mongodb"), "closed");
        await control(one, "mongodb", "reset");

        const opened = await control(one, "mongodb", "open", "?fleet=true");
        assert.equal(opened.json.fleet, true);
        await eventually(async () => assert.equal(await stateOf(another, "mongodb"), "open"));
        await another.awaitLog({ msg: "Admin action", breaker: "mongodb", from: "fleet" });
        await using third = await start();
        await eventually(async () => assert.equal(await stateOf(third, "mongodb"), "open"));

        assert.equal((await control(third, "mongodb", "close", "?fleet=true")).status, 200);
        for (const replica of [one, another, third]) {
          await eventually(async () => assert.equal(await stateOf(replica, "mongodb"), "closed"));
        }
        await redis.kill();
        const alone = await control(one, "mongodb", "open", "?fleet=true");
        assert.equal(alone.status, 503);
        assert.equal(alone.json.error, "Fleet cannot be reached");
        assert.equal(await stateOf(one, "mongodb"), "open", "this replica obeys");
        assert.equal(await stateOf(another, "mongodb"), "closed");
      } finally {
        await redis.stop();
      }
    },
  );

  it(
    "spreads no verdict: a breaker that opened by itself is open in its own replica alone",
    needs("redis-server"),
    async () => {
      const redis = await Redis.start();
      const file = await Deno.makeTempFile({ suffix: ".json" });
      const tenants = [tenant("ikea", `http://127.0.0.1:${deadPort}/token`)];
      await Deno.writeTextFile(file, JSON.stringify({ tenants, stores: [] }));
      try {
        const env = {
          ADMIN_TOKEN: adminToken,
          REDIS_URL: redis.url,
          DATA_FILE: file,
          RETRY_MAX_ATTEMPTS: "1",
        };
        await using one = await Amicis.start({ service: "auth", env });
        await using another = await Amicis.start({ service: "auth", env });
        await eventually(async () => {
          const channels = await redis.command("PUBSUB", "NUMSUB", "amicis:overrides");
          assert.deepEqual(channels, ["amicis:overrides", 2]);
        });
        let asked = 0;
        const exchange = (amicis: Amicis) =>
          amicis.ask("/auth/exchange", {
            method: "POST",
            body: { userToken: `ikea:${++asked}` },
          });
        for (let call = 0; call < 6; call++) assert.equal((await exchange(one)).status, 503);
        assert.equal(await stateOf(one, "token-exchange-ikea"), "open");
        assert.equal((await exchange(another)).status, 503);
        const { state, stats } = (await another.health()).circuitBreakers["token-exchange-ikea"];
        assert.equal(state, "closed");
        assert.deepEqual([stats.fires, stats.failures, stats.rejects], [1, 1, 0]);
        assert.deepEqual(await redis.command("HGETALL", "amicis:overrides:auth"), []);
      } finally {
        await redis.stop();
        await Deno.remove(file);
      }
    },
  );
});

describe("status", () => {
  it("is a page, and events that tell of a change when it happens", async () => {
    await using amicis = await Amicis.start({
      service: "routing",
      env: { ADMIN_TOKEN: adminToken },
    });
    const page = await amicis.ask("/status");
    assert.equal(page.headers.get("content-type"), "text/html; charset=utf-8");
    assert.match(page.text, /^<!doctype html>/i);
    const leaving = new AbortController();
    const response = await fetch(`http://127.0.0.1:${amicis.port}/status/events`, {
      signal: leaving.signal,
    });
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    let text = "";
    const reading = (async () => {
      for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += part;
      }
    })().catch(() => {});
    await eventually(() => assert.match(text, /^data: .*"mongodb"/m));
    const before = text.length;
    await control(amicis, "mongodb", "open");
    await eventually(() => assert.match(text.slice(before), /"open"/));
    leaving.abort();
    await reading;
  });
});

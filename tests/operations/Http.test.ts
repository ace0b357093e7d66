/** The operations of both services over a real port: shapes, statuses, headers. */
import assert from "node:assert/strict";
import { Effect, Ref } from "effect";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { start } from "./OperationsServer.ts";

const failure = (timedOut: boolean) =>
  new TransientFailure({
    dependency: "mongodb",
    operation: "mongodb_find",
    reason: "refused",
    timedOut,
    cause: null,
  });

const down = { name: "mongodb", ping: Effect.fail(failure(false)) };
const redisDown = { name: "redis", ping: Effect.fail(failure(false)) };
const redisUp = { name: "redis", ping: Effect.void };

const isoTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

const closed = {
  state: "closed",
  counts: {
    requests: 0,
    totalSuccesses: 0,
    totalFailures: 0,
    consecutiveSuccesses: 0,
    consecutiveFailures: 0,
  },
};

const without = (report: Record<string, unknown>, name: string) => {
  const { [name]: removed, ...rest } = report;
  assert.match(String(removed), isoTime);
  return rest;
};

describe("operations over HTTP", () => {
  it.live("GET /health of routing has exactly the design's shape when all is well", () =>
    Effect.gen(function* () {
      const { get } = yield* start();
      const { status, json, headers } = yield* get("/health");
      assert.equal(status, 200);
      assert.equal(headers.get("cache-control"), "no-store");
      const { mongodb, redis } = json.circuitBreakers;
      assert.deepEqual(without(mongodb, "stateChangedAt"), closed);
      assert.deepEqual(without(redis, "stateChangedAt"), closed);
      assert.deepEqual(without({ ...json, circuitBreakers: {} }, "timestamp"), {
        status: "healthy",
        dependencies: { mongodb: "connected", redis: "connected" },
        circuitBreakers: {},
      });
    }));

  it.live("GET /health of routing is degraded while a breaker is open, and says how long", () =>
    Effect.gen(function* () {
      const { get, breakers } = yield* start();
      const breaker = yield* breakers.get("mongodb");
      yield* breaker.protect(Effect.void);
      for (let index = 0; index < 4; index += 1) {
        yield* Effect.exit(breaker.protect(Effect.fail(failure(false))));
      }
      const { status, json } = yield* get("/health");
      assert.equal(status, 200);
      assert.equal(json.status, "degraded");
      const { mongodb } = json.circuitBreakers;
      assert.equal(mongodb.state, "open");
      assert.deepEqual(mongodb.counts, {
        requests: 5,
        totalSuccesses: 1,
        totalFailures: 4,
        consecutiveSuccesses: 0,
        consecutiveFailures: 4,
      });
      assert.ok(mongodb.retryAfterSeconds >= 29 && mongodb.retryAfterSeconds <= 33);
    }));

  it.live("GET /health of routing shows while forced open what callers are told to wait", () =>
    Effect.gen(function* () {
      const { get, breakers } = yield* start();
      yield* breakers.control("redis", "open");
      const { json } = yield* get("/health");
      assert.equal(json.circuitBreakers.redis.state, "open");
      assert.equal(json.circuitBreakers.redis.retryAfterSeconds, 30);
      assert.equal("retryAfterSeconds" in json.circuitBreakers.mongodb, false);
    }));

  it.live("GET /health of routing is degraded while a dependency does not answer", () =>
    Effect.gen(function* () {
      const { get } = yield* start({
        dependencies: [down, redisUp],
        health: { startWithin: "50 millis" },
      });
      const { status, json } = yield* get("/health");
      assert.equal(status, 200);
      assert.equal(json.status, "degraded");
      assert.deepEqual(json.dependencies, { mongodb: "disconnected", redis: "connected" });
    }));

  it.live("GET /health of auth has exactly the design's shape", () =>
    Effect.gen(function* () {
      const { get, breakers } = yield* start({ service: "auth" });
      const breaker = yield* breakers.get("token-exchange-ikea");
      yield* breaker.protect(Effect.void);
      yield* breaker.protect(Effect.void);
      yield* Effect.exit(breaker.protect(Effect.fail(failure(true))));
      yield* Effect.exit(breaker.protect(Effect.fail(failure(false))));
      yield* breaker.control("open");
      yield* Effect.exit(breaker.protect(Effect.void));
      const { status, json } = yield* get("/health");
      assert.equal(status, 200);
      assert.deepEqual(Object.keys(json), ["status", "info", "circuitBreakers"]);
      assert.equal(json.status, "degraded");
      assert.deepEqual(json.info, { database: { status: "up" }, redis: { status: "up" } });
      const { mongodb, redis, "token-exchange-ikea": ikea, ...others } = json.circuitBreakers;
      assert.deepEqual(others, {});
      assert.deepEqual(without(mongodb, "stateChangedAt"), closed);
      assert.deepEqual(without(redis, "stateChangedAt"), closed);
      assert.deepEqual(without(ikea, "stateChangedAt"), {
        state: "open",
        stats: { fires: 5, successes: 2, failures: 2, rejects: 1, timeouts: 1 },
      });
    }));

  it.live("GET /health of auth lists broken breakers first when there are too many", () =>
    Effect.gen(function* () {
      const { get, breakers } = yield* start({ service: "auth" });
      for (let index = 0; index < 1_500; index += 1) {
        yield* breakers.get(`token-exchange-${index}`);
      }
      yield* breakers.control("token-exchange-1499", "open");
      const { json } = yield* get("/health");
      const names = Object.keys(json.circuitBreakers);
      assert.equal(names.length, 1_000);
      assert.ok(names.includes("token-exchange-1499"));
      assert.ok(names.includes("mongodb"));
    }));

  it.live("GET /health of auth says ok and down by the last ping", () =>
    Effect.gen(function* () {
      const up = yield* start({ service: "auth" });
      assert.equal((yield* up.get("/health")).json.status, "ok");
      const { get } = yield* start({
        service: "auth",
        dependencies: [down, redisUp],
        health: { startWithin: "50 millis" },
      });
      const { json } = yield* get("/health");
      assert.deepEqual(json.info, { database: { status: "down" }, redis: { status: "up" } });
      assert.equal(json.status, "degraded");
    }));

  it.live("GET /health/ready is 503 while starting and while draining, live is not", () =>
    Effect.gen(function* () {
      const { get, lifecycle } = yield* start({ isStarting: true });
      const starting = yield* get("/health/ready");
      assert.equal(starting.status, 503);
      assert.equal(starting.json.error, "Not ready");
      assert.equal(starting.json.detail, "The service is still starting.");
      assert.equal((yield* get("/health/live")).status, 200);
      yield* lifecycle.advance("ready");
      const ready = yield* get("/health/ready");
      assert.deepEqual([ready.status, ready.json], [200, { status: "ready" }]);
      yield* lifecycle.advance("draining");
      const draining = yield* get("/health/ready");
      assert.equal(draining.status, 503);
      assert.match(draining.json.detail, /stopping/);
      assert.deepEqual((yield* get("/health/live")).json, { status: "alive" });
    }));

  it.live("GET /health/ready of routing is 503 only while both store and cache are away", () =>
    Effect.gen(function* () {
      const health = { startWithin: "50 millis" } as const;
      const one = yield* start({ dependencies: [down, redisUp], health });
      assert.equal((yield* one.get("/health/ready")).status, 200);
      const both = yield* start({ dependencies: [down, redisDown], health });
      assert.equal((yield* both.get("/health/ready")).status, 503);
      const auth = yield* start({ service: "auth", dependencies: [down, redisDown], health });
      assert.equal((yield* auth.get("/health/ready")).status, 200);
    }));

  it.live("GET /health/ready of routing counts a breaker that refuses as unusable, until it is due", () =>
    Effect.gen(function* () {
      const { get, breakers } = yield* start({ breakers: { openFor: "300 millis" } });
      yield* breakers.control("redis", "open");
      assert.equal((yield* get("/health/ready")).status, 200);
      const mongodb = yield* breakers.get("mongodb");
      for (let index = 0; index < 5; index += 1) {
        yield* Effect.exit(mongodb.protect(Effect.fail(failure(false))));
      }
      assert.equal((yield* get("/health/ready")).status, 503);
      // Nothing called it meanwhile, yet it must get requests again, or it could never close.
      yield* eventually(Effect.map(get("/health/ready"), ({ status }) => status === 200));
      assert.equal(mongodb.unsafeState(), "open");
    }));

  it.live("GET /health follows a dependency that goes away and comes back", () =>
    Effect.gen(function* () {
      const isUp = yield* Ref.make(true);
      const ping = Effect.flatMap(isUp, (isUp) => isUp ? Effect.void : failure(false));
      const { get, logged, metrics } = yield* start({
        dependencies: [{ name: "mongodb", ping }, redisUp],
        health: { interval: "50 millis" },
      });
      const state = Effect.map(get("/health"), ({ json }) => json.dependencies.mongodb);
      const page = Effect.map(metrics.page, (bytes) => new TextDecoder().decode(bytes));
      assert.equal(yield* state, "connected");
      assert.match(yield* page, /dependency_up\{service="routing",dependency="mongodb"\} 1/);
      yield* Ref.set(isUp, false);
      yield* eventually(Effect.map(state, (state) => state === "disconnected"));
      assert.match(yield* page, /dependency_up\{service="routing",dependency="mongodb"\} 0/);
      yield* Ref.set(isUp, true);
      yield* eventually(Effect.map(state, (state) => state === "connected"));
      yield* eventually(Effect.sync(() => logged().length >= 2));
      const said = logged().map(({ msg, dependency, error }) => ({ msg, dependency, error }));
      assert.deepEqual(said, [
        {
          msg: "Dependency does not answer",
          dependency: "mongodb",
          error: "TransientFailure: mongodb_find failed: refused",
        },
        { msg: "Dependency answers", dependency: "mongodb", error: undefined },
      ]);
    }));

  it.live("GET /health answers while a ping hangs", () =>
    Effect.gen(function* () {
      const { get } = yield* start({
        dependencies: [{ name: "mongodb", ping: Effect.never }, redisUp],
        health: { startWithin: "50 millis", pingTimeout: "10 seconds" },
      });
      const { json } = yield* get("/health");
      assert.deepEqual(json.dependencies, { mongodb: "disconnected", redis: "connected" });
    }));

  it.live("GET /metrics, /openapi.json and HEAD answer with their types", () =>
    Effect.gen(function* () {
      const { get } = yield* start();
      const metrics = yield* get("/metrics");
      assert.equal(metrics.status, 200);
      assert.equal(metrics.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
      assert.match(metrics.text, /^circuit_breaker_state\{service="routing",breaker="redis"\} 0$/m);
      const openapi = yield* get("/openapi.json");
      assert.match(openapi.headers.get("content-type") ?? "", /^application\/json/);
      assert.deepEqual(openapi.json, { openapi: "3.1.0" });
      const head = yield* get("/health", { method: "HEAD" });
      assert.deepEqual([head.status, head.text], [200, ""]);
    }));
});

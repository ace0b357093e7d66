/**
 * What both Fastify peers do on every request beside their own work: correlation id and the headers
 * that the product sends, one access line to a file, Prometheus metrics. Tuned as its users would:
 * pino writes asynchronously in batches, Fastify's own two lines a request are off, metrics have
 * their labels bound once, nothing is parsed twice.
 */
const { randomUUID } = require("node:crypto");
const { performance } = require("node:perf_hooks");
const process = require("node:process");
const Fastify = require("fastify");
const { Redis } = require("ioredis");
const CircuitBreaker = require("opossum");
const pino = require("pino");
const { Counter, Histogram, register } = require("prom-client");

/** As the product has it: a browser that is made to show an answer runs and loads nothing. */
const dataOnly = "default-src 'none'; base-uri 'none'; form-action 'none'; " +
  "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/** Upper bounds of all histograms, in seconds. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

const legalId = /^[A-Za-z0-9._-]{1,128}$/;

/** A value of the environment that the bench must have given. */
const setting = (name) => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};

/** A server with the shared features; `service` is the label of its log lines and metrics. */
const makeServer = (service) => {
  const log = pino(
    {
      level: "info",
      base: undefined,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
    },
    pino.destination({ dest: setting("LOG_FILE"), sync: false, minLength: 8_192 }),
  );
  const server = Fastify({
    loggerInstance: log,
    disableRequestLogging: true,
    routerOptions: { caseSensitive: true },
    bodyLimit: 16_384,
    requestTimeout: 10_000,
    genReqId: ({ headers }) => {
      const given = headers["x-correlation-id"] ?? headers["x-request-id"];
      return given !== undefined && legalId.test(given) ? given : randomUUID();
    },
  });

  const requests = new Counter({
    name: "http_requests_total",
    help: "Requests",
    labelNames: ["service", "method", "route", "status"],
  });
  const durations = new Histogram({
    name: "http_request_duration_seconds",
    help: "Duration of requests",
    labelNames: ["service", "method", "route"],
    buckets,
  });
  const series = new Map();
  const seriesOf = (method, route, status) => {
    const key = `${method} ${route} ${status}`;
    const known = series.get(key);
    if (known !== undefined) return known;
    const made = {
      count: requests.labels(service, method, route, String(status)),
      duration: durations.labels(service, method, route),
    };
    series.set(key, made);
    return made;
  };

  server.addHook("onSend", (request, reply, payload, done) => {
    reply.header("x-correlation-id", request.id);
    reply.header("x-content-type-options", "nosniff");
    reply.header("content-security-policy", dataOnly);
    reply.header("access-control-allow-origin", "*");
    reply.header("access-control-expose-headers", "x-correlation-id, x-cache, age, retry-after");
    done(null, payload);
  });
  server.addHook("onResponse", (request, reply, done) => {
    const durationMs = reply.elapsedTime;
    const route = request.routeOptions.url ?? "unmatched";
    const { method } = request;
    const status = reply.statusCode;
    const { count, duration } = seriesOf(method, route, status);
    count.inc();
    duration.observe(durationMs / 1_000);
    log.info({ service, correlationId: request.id, method, route, status, durationMs }, "Request");
    done();
  });
  server.get("/health/ready", () => ({ status: "ready" }));
  server.get("/metrics", async (_request, reply) => {
    reply.type(register.contentType);
    return await register.metrics();
  });
  return server;
};

/**
 * Redis behind a breaker, and the product's metrics of a read, labels bound once: its duration, and
 * hit or miss.
 */
const makeCache = (service) => {
  const redis = new Redis(setting("REDIS_URL"), redisOptions);
  redis.on("error", () => {});
  const calls = new Histogram({
    name: "dependency_call_duration_seconds",
    help: "Duration of calls to dependencies",
    labelNames: ["service", "dependency", "operation"],
    buckets,
  });
  const lookups = new Counter({
    name: "cache_requests_total",
    help: "Cache lookups",
    labelNames: ["service", "cache", "result"],
  });
  const duration = calls.labels(service, "redis", "redis_get");
  const hits = lookups.labels(service, "redis", "hit");
  const misses = lookups.labels(service, "redis", "miss");
  return {
    connect: () => redis.connect(),
    /** `fire(key)` reads a text or `null`, and rejects when Redis fails or is not asked. */
    breaker: new CircuitBreaker((key) => redis.get(key), breakerOptions),
    /** A read that began at `startedAt`, by `performance.now`, and found this text or `null`. */
    done: (startedAt, text) => {
      duration.observe((performance.now() - startedAt) / 1_000);
      (text === null ? misses : hits).inc();
    },
  };
};

/** Settings of @fastify/rate-limit: counted per tenant after it is known, and never reached. */
const rateLimit = (tenantOf) => ({
  global: false,
  enableDraftSpec: true,
  hook: "preHandler",
  max: 1_000_000_000,
  timeWindow: 1_000,
  cache: 10_000,
  keyGenerator: tenantOf,
});

/** opossum without its own timer: the driver's command timeout is cheaper and does the same. */
const breakerOptions = {
  timeout: false,
  errorThresholdPercentage: 50,
  volumeThreshold: 5,
  resetTimeout: 30_000,
  rollingCountTimeout: 10_000,
  rollingCountBuckets: 10,
};

/** ioredis as the product has it. */
const redisOptions = {
  enableAutoPipelining: true,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  commandTimeout: 250,
  connectTimeout: 1_000,
  lazyConnect: true,
};

module.exports = { makeCache, makeServer, rateLimit, setting };

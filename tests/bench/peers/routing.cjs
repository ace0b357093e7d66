/**
 * The routing service as a Node team would build it: Fastify, fast-jwt with its cache on, opossum
 * around ioredis, @fastify/rate-limit, prom-client, pino. Answers `/api/v1/route` from Redis.
 */
const { performance } = require("node:perf_hooks");
const limiter = require("@fastify/rate-limit");
const { createVerifier } = require("fast-jwt");
const { makeCache, makeServer, rateLimit, setting } = require("./Features.cjs");

const server = makeServer("routing");
const cache = makeCache("routing");

const verify = createVerifier({
  key: setting("JWT_SECRET"),
  algorithms: ["HS256"],
  cache: 10_000,
  clockTolerance: 5_000,
});

const legalTenant = /^[A-Za-z0-9_-]{1,64}$/;
const authenticate = (request, reply, done) => {
  const { authorization } = request.headers;
  if (authorization === undefined || !authorization.startsWith("Bearer ")) {
    return reply.code(401).header("www-authenticate", "Bearer").send({ error: "Unauthorized" });
  }
  try {
    const { sub, tenantId } = verify(authorization.slice(7));
    if (typeof sub !== "string" || !legalTenant.test(tenantId)) {
      return reply.code(403).send({ error: "Forbidden" });
    }
    request.tenantId = tenantId;
  } catch {
    return reply.code(401).header("www-authenticate", "Bearer").send({ error: "Unauthorized" });
  }
  done();
};

const schema = {
  querystring: {
    type: "object",
    required: ["storeId"],
    properties: { storeId: { type: "string", pattern: "^[A-Za-z0-9._-]{1,128}$" } },
  },
  response: {
    200: {
      type: "object",
      properties: {
        storeId: { type: "string" },
        backendUrl: { type: "string" },
        backendContext: {},
      },
    },
  },
};

server.decorateRequest("tenantId", "");
const start = async () => {
  await cache.connect();
  await server.register(limiter, rateLimit((request) => request.tenantId));
  server.get(
    "/api/v1/route",
    { schema, config: { rateLimit: {} }, onRequest: authenticate },
    async (request, reply) => {
      const { storeId } = request.query;
      const startedAt = performance.now();
      let text;
      try {
        text = await cache.breaker.fire(`store:${request.tenantId}:${storeId}`);
        cache.done(startedAt, text);
      } catch {
        return reply.code(503).header("retry-after", "30").send({ error: "Unavailable" });
      }
      if (text === null) return reply.code(404).send({ error: "Store not found" });
      const entry = JSON.parse(text);
      if (entry.freshUntil <= Date.now() || entry.store === null) {
        return reply.code(404).send({ error: "Store not found" });
      }
      const { backendUrl, backendContext } = entry.store;
      reply.header("x-cache", "HIT");
      return { storeId, backendUrl, backendContext };
    },
  );
  await server.listen({ host: "127.0.0.1", port: Number(setting("PORT")) });
};

start();

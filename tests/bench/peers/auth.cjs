/**
 * The token exchange from the cache as a Node team would build it: Fastify, opossum around ioredis,
 * tokens encrypted at rest with AES-256-GCM, @fastify/rate-limit, prom-client, pino. It reads the
 * very entries that the product wrote.
 */
const { createDecipheriv, createHash } = require("node:crypto");
const { Buffer } = require("node:buffer");
const { readFileSync } = require("node:fs");
const { performance } = require("node:perf_hooks");
const limiter = require("@fastify/rate-limit");
const { makeCache, makeServer, rateLimit, setting } = require("./Features.cjs");

const server = makeServer("auth");
const cache = makeCache("auth");

const tokenKey = Buffer.from(setting("TOKEN_CACHE_KEY"), "base64");
const { tenants } = JSON.parse(readFileSync(setting("DATA_FILE"), "utf8"));
const tenantById = new Map(tenants.map((tenant) => [tenant.tenantId, tenant]));

const nonceBytes = 12;
const tagBytes = 16;

/** `{keyId}.{base64 of nonce ‖ tag ‖ ciphertext}`, bound to the key it is stored under. */
const open = (cacheKey, text) => {
  const sealed = Buffer.from(text.slice(text.indexOf(".") + 1), "base64");
  const decipher = createDecipheriv("aes-256-gcm", tokenKey, sealed.subarray(0, nonceBytes));
  decipher.setAAD(Buffer.from(cacheKey));
  decipher.setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes));
  const body = sealed.subarray(nonceBytes + tagBytes);
  return JSON.parse(Buffer.concat([decipher.update(body), decipher.final()]).toString("utf8"));
};

const tenantOf = ({ body: { userToken } }) => userToken.slice(0, userToken.indexOf(":"));

const schema = {
  body: {
    type: "object",
    required: ["userToken"],
    properties: {
      userToken: { type: "string", pattern: "^[A-Za-z0-9_-]{1,64}:[\\s\\S]{1,2048}$" },
    },
  },
  response: {
    200: {
      type: "object",
      properties: {
        accessToken: { type: "string" },
        expiresIn: { type: "integer" },
        tenant: {
          type: "object",
          properties: { id: { type: "string" }, name: { type: "string" } },
        },
      },
    },
  },
};

const start = async () => {
  await cache.connect();
  await server.register(limiter, rateLimit(tenantOf));
  server.post(
    "/auth/exchange",
    { schema, config: { rateLimit: {} } },
    async (request, reply) => {
      reply.header("cache-control", "no-store");
      const { userToken } = request.body;
      const tenant = tenantById.get(tenantOf(request));
      if (tenant === undefined) return reply.code(404).send({ error: "Unknown tenant" });
      const key = `token:${createHash("sha256").update(userToken).digest("hex")}`;
      const startedAt = performance.now();
      let text;
      try {
        text = await cache.breaker.fire(key);
        cache.done(startedAt, text);
      } catch {
        return reply.code(503).header("retry-after", "30").send({ error: "Unavailable" });
      }
      if (text === null) return reply.code(503).send({ error: "Not in the cache" });
      const { accessToken, expiresAt, validUntil } = open(key, text);
      const now = Date.now();
      if (now >= expiresAt) return reply.code(503).send({ error: "Expired" });
      return {
        accessToken,
        expiresIn: Math.floor((validUntil - now) / 1_000),
        tenant: { id: tenant.tenantId, name: tenant.name },
      };
    },
  );
  await server.listen({ host: "127.0.0.1", port: Number(setting("PORT")) });
};

start();

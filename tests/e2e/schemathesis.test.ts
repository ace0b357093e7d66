/**
 * Requests generated from each service's own `/openapi.json`, valid and invalid ones, sent to the
 * service on real servers: no 5xx, no answer the document does not describe.
 */
import assert from "node:assert/strict";
import { Amicis } from "../support/Amicis.ts";
import { describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs, toolPath } from "../support/Tools.ts";
import { tokenOf } from "../support/wire/Jwt.ts";
import { database, insertStores, tenant } from "./support/Shops.ts";

const adminToken = "an-admin-token-for-generated-requests";

/** Runs the generator against one service; what it said, and whether all checks held. */
const explore = async (origin: string, bearer: string, paths: string) => {
  const { success, stdout, stderr } = await new Deno.Command(toolPath("schemathesis"), {
    args: [
      "run",
      `${origin}/openapi.json`,
      "--checks=all",
      // It sends our one token with each request and cannot tell whose refusal it would be.
      "--exclude-checks=ignored_auth",
      `--header=Authorization: Bearer ${bearer}`,
      `--include-path-regex=${paths}`,
      "--exclude-path-regex=/status/events",
      "--max-examples=40",
      "--seed=1",
      "--request-timeout=10",
      "--no-color",
    ],
    env: { NO_COLOR: "1", PYTHONDONTWRITEBYTECODE: "1" },
    cwd: await Deno.makeTempDir({ prefix: "amicis-schemathesis-" }),
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { success, said: decoder.decode(stdout) + decoder.decode(stderr) };
};

const settings = {
  ADMIN_TOKEN: adminToken,
  RATE_LIMIT_RPS: "100000",
  RATE_LIMIT_BURST: "100000",
};

describe(
  "generated requests",
  needs("redis-server", "secantusdb", "openssl", "schemathesis"),
  () => {
    it("find nothing that routing's document does not describe", async () => {
      const [mongo, redis] = await Promise.all([MongoServer.start(), Redis.start()]);
      try {
        await insertStores(mongo);
        await using amicis = await Amicis.start({
          service: "routing",
          env: { ...settings, MONGODB_URI: mongo.url, REDIS_URL: redis.url },
        });
        const origin = `http://127.0.0.1:${amicis.port}`;
        const stores = await explore(
          origin,
          await tokenOf("ikea"),
          "^/(api|health|metrics|status$|openapi)",
        );
        assert.ok(stores.success, stores.said);
        const admin = await explore(origin, adminToken, "^/admin");
        assert.ok(admin.success, admin.said);
      } finally {
        await Promise.all([mongo.stop(), redis.stop()]);
      }
    });

    it("find nothing that auth's document does not describe", async () => {
      const [mongo, redis, endpoint] = await Promise.all([
        MongoServer.start(),
        Redis.start(),
        TokenEndpoint.start(),
      ]);
      try {
        await mongo.insert(database, "tenants", [tenant("ikea", endpoint.url)]);
        await using amicis = await Amicis.start({
          service: "auth",
          env: { ...settings, MONGODB_URI: mongo.url, REDIS_URL: redis.url },
        });
        const origin = `http://127.0.0.1:${amicis.port}`;
        const auth = await explore(origin, "none", "^/(auth|health|metrics|status$|openapi)");
        assert.ok(auth.success, auth.said);
      } finally {
        await Promise.all([mongo.stop(), redis.stop(), endpoint.stop()]);
      }
    });
  },
);

/** The routing service's wire contract, on real Redis and MongoDB-protocol servers. */
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import assert from "node:assert/strict";
import { ask as askRaw } from "../http/support/RawHttp.ts";
import { Amicis } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { needs } from "../support/Tools.ts";
import { bearer, tokenOf } from "../support/wire/Jwt.ts";
import { assertProblem } from "./support/Problems.ts";
import { contexts, database, insertStores, store } from "./support/Shops.ts";

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("routing", needs("redis-server", "secantusdb"), () => {
  let mongo: MongoServer;
  let redis: Redis;
  let amicis: Amicis;

  const env = () => ({ MONGODB_URI: mongo.url, REDIS_URL: redis.url });
  const get = async (path: string, tenantId = "ikea", headers: Record<string, string> = {}) =>
    await amicis.ask(path, { headers: { ...await bearer(tenantId), ...headers } });

  beforeAll(async () => {
    [mongo, redis] = await Promise.all([MongoServer.start(), Redis.start()]);
    await insertStores(mongo);
    amicis = await Amicis.start({
      service: "routing",
      env: { ...env(), RATE_LIMIT_RPS: "10000", RATE_LIMIT_BURST: "10000" },
    });
  });
  afterAll(async () => {
    await amicis?.stop();
    await Promise.all([mongo?.stop(), redis?.stop()]);
  });

  describe("GET /api/v1/route", () => {
    it("answers from MongoDB, then from the cache", async () => {
      await redis.command("FLUSHALL");
      const miss = await get("/api/v1/route?storeId=berlin-01");
      assert.equal(miss.status, 200, miss.text);
      assert.equal(miss.headers.get("x-cache"), "MISS");
      assert.equal(miss.headers.get("age"), null);
      assert.equal(miss.headers.get("content-type"), "application/json");
      assert.deepEqual(miss.json, {
        storeId: "berlin-01",
        backendUrl: "https://backend.example/ikea/berlin-01",
        backendContext: { region: "eu-central", currency: "EUR" },
      });
      await eventually(async () => {
        const hit = await get("/api/v1/route?storeId=berlin-01");
        assert.equal(hit.headers.get("x-cache"), "HIT");
        assert.equal(hit.text, miss.text);
      });
    });

    it("keeps a store under its key with the instant it was read, for TTL and stale time", async () => {
      await get("/api/v1/route?storeId=paris-01");
      const key = "store:ikea:paris-01";
      await eventually(async () => assert.equal(await redis.command("EXISTS", key), 1));
      const value = JSON.parse(String(await redis.command("GET", key)));
      const now = Date.now();
      assert.ok(value.readAt <= now && value.readAt > now - 60_000, JSON.stringify(value));
      const fresh = (value.freshUntil - value.readAt) / 3_600_000;
      assert.ok(fresh >= 0.9 && fresh <= 1.1, `fresh for ${fresh} of CACHE_TTL`);
      assert.equal(value.expiresAt - value.freshUntil, 24 * 3_600_000);
      const ttl = Number(await redis.command("PTTL", key));
      assert.ok(ttl <= value.expiresAt - value.readAt && ttl > value.expiresAt - now - 60_000);
    });

    it("passes any backendContext through unchanged, from MongoDB and from the cache", async () => {
      for (const [storeId, backendContext] of Object.entries(contexts)) {
        const path = `/api/v1/route?storeId=${storeId}`;
        const miss = await get(path, "contexts");
        assert.deepEqual(miss.json.backendContext, backendContext, storeId);
        await eventually(async () => {
          const hit = await get(path, "contexts");
          assert.equal(hit.headers.get("x-cache"), "HIT");
          assert.equal(hit.text, miss.text);
        });
        const record = await get(`/api/v1/stores/${storeId}`, "contexts");
        assert.deepEqual(record.json.backendContext, backendContext, storeId);
      }
    });

    it("answers 404 for a store of another tenant, and each tenant its own of the same name", async () => {
      assertProblem(await get("/api/v1/route?storeId=london-01"), 404, "Store not found");
      const own = await get("/api/v1/route?storeId=london-01", "habitat");
      assert.equal(own.json.backendUrl, "https://backend.example/habitat/london-01");
      assertProblem(await get("/api/v1/route?storeId=london-01"), 404, "Store not found");
      for (const tenantId of ["ikea", "habitat", "ikea"]) {
        const { json } = await get("/api/v1/route?storeId=berlin-01", tenantId);
        assert.equal(json.backendUrl, `https://backend.example/${tenantId}/berlin-01`);
      }
    });

    it("takes legal storeIds of any form, encoded or not", async () => {
      for (const given of ["Oslo_1.a-B", "%4Fslo_1%2Ea%2DB", "zz".repeat(64)]) {
        const answer = await get(`/api/v1/route?storeId=${given}`);
        assert.equal(answer.json.storeId, decodeURIComponent(given), answer.text);
      }
      const other = await get("/api/v1/route?unknown=1&storeId=berlin-01&x");
      assert.equal(other.status, 200, "unknown parameters are ignored");
    });

    it("answers 400 when storeId is missing or empty", async () => {
      for (const query of ["", "?", "?storeId", "?storeId=", "?storeid=berlin-01", "?a=storeId"]) {
        assertProblem(await get(`/api/v1/route${query}`), 400, "storeId is required");
      }
    });

    it("answers 400 when storeId is not a legal one or given twice", async () => {
      const illegal = [
        ...["a".repeat(129), "a b", "a/b", "a:b", "ä", "%00", "a%0Ab", "%", "%zz", "%C3%28"],
        ...["berlin-01%00", "%F0%9F%98%80", "..%2Fstores", '{"$ne":1}', "a+b", "*", "%2A"],
      ].map((value) => `storeId=${value}`);
      const twice = [
        "storeId=berlin-01&storeId=berlin-01",
        "storeId=berlin-01&storeId=",
        "storeId=berlin-01&%73toreId=x",
      ];
      for (const query of [...illegal, ...twice]) {
        assertProblem(await get(`/api/v1/route?${query}`), 400, "storeId is invalid");
      }
      // As operators of a query language would write them: other names, so not given at all.
      for (const query of ["storeId[$ne]=x", "storeId[]=berlin-01"]) {
        assertProblem(await get(`/api/v1/route?${query}`), 400, "storeId is required");
      }
    });

    it("answers 414 for a query over 8 KiB and not for one of 8 KiB", async () => {
      const rest = "storeId=berlin-01&x=";
      const fits = await get(`/api/v1/route?${rest}${"x".repeat(8192 - rest.length)}`);
      assert.equal(fits.status, 200);
      const path = `/api/v1/route?${rest}${"x".repeat(8193 - rest.length)}`;
      assertProblem(await get(path), 414, "Query too long");
    });

    it("reads a store once for all who miss it at the same time", async () => {
      await mongo.insert(database, "stores", [store("ikea", "rush-01")]);
      const reads = async () =>
        (await amicis.metrics()).value("dependency_call_duration_seconds_count", {
          operation: "mongodb_find",
        }) ?? NaN;
      const before = await reads();
      // Held until all have come.
      await mongo.failPoint({ failCommands: ["find"], blockTimeMS: 500, mode: { times: 1 } });
      const answers = await Promise.all(
        Array.from({ length: 40 }, () => get("/api/v1/route?storeId=rush-01")),
      );
      await mongo.clearFailPoint();
      for (const { status } of answers) assert.equal(status, 200);
      assert.equal(await reads(), before + 1);
    });

    it("remembers that a store is not there", async () => {
      assertProblem(await get("/api/v1/route?storeId=new-01"), 404, "Store not found");
      await eventually(async () =>
        assert.equal(await redis.command("EXISTS", "store:ikea:new-01"), 1)
      );
      const ttl = Number(await redis.command("PTTL", "store:ikea:new-01"));
      assert.ok(ttl > 0 && ttl <= 30_000, `remembered for ${ttl} ms`);
      const reads = async () =>
        (await amicis.metrics()).value("dependency_call_duration_seconds_count", {
          operation: "mongodb_find",
        });
      const before = await reads();
      await mongo.insert(database, "stores", [store("ikea", "new-01")]);
      assertProblem(await get("/api/v1/route?storeId=new-01"), 404, "Store not found");
      assert.equal(await reads(), before, "MongoDB was asked again");
      // A third party says otherwise: seen at once.
      await redis.command("DEL", "store:ikea:new-01");
      await eventually(async () =>
        assert.equal((await get("/api/v1/route?storeId=new-01")).status, 200)
      );
    });
  });

  describe("GET /api/v1/stores", () => {
    it("lists the tenant's own stores in the order of their ids", async () => {
      const answer = await get("/api/v1/stores", "habitat");
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("link"), null);
      assert.deepEqual(answer.json, [
        {
          storeId: "berlin-01",
          name: "Berlin Mitte",
          backendUrl: "https://backend.example/habitat/berlin-01",
        },
        {
          storeId: "london-01",
          name: "habitat london-01",
          backendUrl: "https://backend.example/habitat/london-01",
        },
      ]);
      const ids = (await get("/api/v1/stores")).json.map((one: { storeId: string }) => one.storeId);
      // By character codes, so capitals come first.
      assert.deepEqual(ids.filter((id: string) => !/^(new|rush)-01$/.test(id)), [
        "Oslo_1.a-B",
        "berlin-01",
        "paris-01",
        "zz".repeat(64),
      ]);
    });

    it("answers an empty list to a tenant without stores", async () => {
      const answer = await get("/api/v1/stores", "nobody");
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.json, []);
    });

    it("pages by limit and after, and links to the next page until there is none", async () => {
      const seen: Array<string> = [];
      let path = "/api/v1/stores?limit=10";
      const sizes: Array<number> = [];
      for (;;) {
        const answer = await get(path, "pages");
        sizes.push(answer.json.length);
        seen.push(...answer.json.map((one: { storeId: string }) => one.storeId));
        const link = answer.headers.get("link");
        if (link === null) break;
        const next = /^<([^>]+)>; rel="next"$/.exec(link);
        assert.ok(next !== null, link);
        path = next[1] ?? "";
      }
      assert.deepEqual(sizes, [10, 10, 5]);
      assert.deepEqual(
        seen,
        Array.from({ length: 25 }, (_, i) => `store-${String(i).padStart(3, "0")}`),
      );
    });

    it("gives a thousand when nobody asks for fewer", async () => {
      const many = Array.from({ length: 1_001 }, (_, i) => store("many", `s-${1_000 + i}`));
      await mongo.insert(database, "stores", many);
      const first = await get("/api/v1/stores", "many");
      assert.equal(first.json.length, 1_000);
      const link = '</api/v1/stores?limit=1000&after=s-1999>; rel="next"';
      assert.equal(first.headers.get("link"), link);
      const second = await get("/api/v1/stores?limit=1000&after=s-1999", "many");
      assert.equal(second.json.length, 1);
      assert.equal(second.headers.get("link"), null);
    });

    it("gives no link when the page ends with the last store", async () => {
      const answer = await get("/api/v1/stores?limit=25", "pages");
      assert.equal(answer.json.length, 25);
      assert.equal(answer.headers.get("link"), null);
      const last = await get("/api/v1/stores?after=store-024", "pages");
      assert.deepEqual(last.json, []);
      const between = await get("/api/v1/stores?after=store-023x&limit=1", "pages");
      assert.equal(between.json[0].storeId, "store-024");
    });

    it("answers 400 for a limit or an after that is none", async () => {
      const limits = [
        "0",
        "1001",
        "-1",
        "1.5",
        "ten",
        "1e2",
        "%20",
        "+5",
        "0x10",
        "NaN",
        "Infinity",
      ];
      for (const limit of [...limits, "9".repeat(30)]) {
        const answer = await get(`/api/v1/stores?limit=${limit}`);
        assertProblem(answer, 400, "limit is invalid");
      }
      assertProblem(await get("/api/v1/stores?limit=1&limit=2"), 400, "limit is invalid");
      assert.equal((await get("/api/v1/stores?limit=1000")).status, 200);
      for (const after of ["", "a%2Fb", "a".repeat(129), "x&after=y"]) {
        assertProblem(await get(`/api/v1/stores?after=${after}`), 400, "after is invalid");
      }
    });
  });

  describe("GET /api/v1/stores/{storeId}", () => {
    it("answers the record, with a location only where there is one", async () => {
      const answer = await get("/api/v1/stores/berlin-01");
      assert.deepEqual(answer.json, {
        storeId: "berlin-01",
        name: "Berlin Tempelhof",
        backendUrl: "https://backend.example/ikea/berlin-01",
        backendContext: { region: "eu-central", currency: "EUR" },
        location: { lat: 52.46, lon: 13.39 },
      });
      const other = await get("/api/v1/stores/paris-01");
      assert.deepEqual(Object.keys(other.json), [
        "storeId",
        "name",
        "backendUrl",
        "backendContext",
      ]);
      assert.match(other.headers.get("x-cache") ?? "", /^(HIT|MISS)$/);
    });

    it("answers 404 for another tenant's and 400 for an illegal one", async () => {
      assertProblem(await get("/api/v1/stores/london-01"), 404, "Store not found");
      for (const storeId of ["a%2Fb", "a%20b", "%00", "a".repeat(129), "%C3%A4", "a%25b"]) {
        assertProblem(await get(`/api/v1/stores/${storeId}`), 400, "storeId is invalid");
      }
      const { status, body } = await askRaw(amicis.port, [
        "GET /api/v1/stores/%zz HTTP/1.1",
        `Authorization: Bearer ${await tokenOf("ikea")}`,
      ]);
      assert.equal(status, 400);
      assert.equal(JSON.parse(body).error, "storeId is invalid");
    });
  });

  describe("authentication", () => {
    const path = "/api/v1/route?storeId=berlin-01";

    it("answers 401 with a challenge and no error code when no token is sent", async () => {
      for (const headers of [{}, { authorization: "Basic dTpw" }]) {
        for (const where of [path, "/api/v1/stores", "/api/v1/stores/berlin-01", "/api/v1/route"]) {
          const answer = await amicis.ask(where, { headers });
          assertProblem(answer, 401, "Authentication required");
          assert.equal(answer.headers.get("www-authenticate"), 'Bearer realm="amicis"');
        }
      }
    });

    it("answers 401 with the reason when the token does not count", async () => {
      const now = Math.floor(Date.now() / 1000);
      const good = await tokenOf("ikea");
      const [head = "", claims = "", signature = ""] = good.split(".");
      const none = btoa('{"alg":"none"}').replaceAll("=", "");
      const bad: ReadonlyArray<readonly [string, string]> = [
        ["not.a.token", "The token is malformed"],
        ["abc", "The token is malformed"],
        [`${none}.${claims}.`, "The algorithm of the token is not accepted"],
        [`${none}.${claims}.${signature}`, "The algorithm of the token is not accepted"],
        [
          await tokenOf("ikea", { alg: "HS512", secret: "x".repeat(64) }),
          "The algorithm of the token is not accepted",
        ],
        [
          await tokenOf("ikea", { secret: "another-secret-of-32-bytes-and-more" }),
          "The signature of the token is invalid",
        ],
        [
          `${head}.${claims}.${signature.slice(0, -4)}AAAA`,
          "The signature of the token is invalid",
        ],
        [await tokenOf("ikea", { claims: { exp: now - 60 } }), "The token has expired"],
        [await tokenOf("ikea", { claims: { nbf: now + 600 } }), "The token is not valid yet"],
        [await tokenOf("ikea", { claims: { exp: undefined } }), "The token has no claim exp"],
        [await tokenOf("ikea", { claims: { sub: undefined } }), "The token has no claim sub"],
        [
          await tokenOf("ikea", { claims: { tenantId: undefined } }),
          "The token has no claim tenantId",
        ],
        [
          await tokenOf("ikea", { claims: { tenantId: 7 } }),
          "The claim tenantId of the token is invalid",
        ],
        [await tokenOf("ikea", { claims: { sub: "" } }), "The claim sub of the token is invalid"],
      ];
      for (const [token, description] of bad) {
        const answer = await amicis.ask(path, { headers: { authorization: `Bearer ${token}` } });
        assertProblem(answer, 401, "Token is invalid");
        assert.equal(
          answer.headers.get("www-authenticate"),
          `Bearer realm="amicis", error="invalid_token", error_description="${description}"`,
        );
      }
    });

    it("allows a token that expired within the tolerance", async () => {
      const exp = Math.floor(Date.now() / 1000) - 1;
      const headers = await bearer("ikea", { claims: { exp } });
      assert.equal((await amicis.ask(path, { headers })).status, 200);
    });

    it("answers 403 for a good token whose tenant is not a legal one", async () => {
      for (const tenantId of ["a:b", "a b", "a".repeat(65), "ä", "a.b", "*"]) {
        assertProblem(await get(path, tenantId), 403, "Tenant is not valid");
      }
    });

    it("comes after routing: 404 and 405 need no token", async () => {
      for (
        const where of ["/", "/nothing", "/api/v1/routes", "/api/v1/stores/a/b", "/api/v1/route/"]
      ) {
        assertProblem(await amicis.ask(where), 404, "Not found");
      }
      const answer = await amicis.ask(path, { method: "POST", body: {} });
      assertProblem(answer, 405, "Method not allowed");
      assert.equal(answer.headers.get("allow"), "GET, HEAD, OPTIONS");
      for (const method of ["PUT", "DELETE", "PATCH"]) {
        assertProblem(await amicis.ask("/api/v1/stores/x", { method }), 405, "Method not allowed");
      }
    });
  });

  describe("every answer", () => {
    it("answers HEAD as GET without a body", async () => {
      const headers = await bearer("ikea");
      const path = "/api/v1/route?storeId=berlin-01";
      const full = await amicis.ask(path, { headers });
      const head = await amicis.ask(path, { method: "HEAD", headers });
      assert.equal(head.status, 200);
      assert.equal(head.text, "");
      assert.equal(head.headers.get("content-length"), full.headers.get("content-length"));
      assert.equal(head.headers.get("x-cache"), "HIT");
      const missing = await amicis.ask("/api/v1/route?storeId=none", { method: "HEAD", headers });
      assert.equal(missing.status, 404);
      assert.equal((await amicis.ask("/health", { method: "HEAD" })).status, 200);
    });

    it("answers a preflight and lets pages read the headers that matter", async () => {
      const answer = await amicis.ask("/api/v1/route", {
        method: "OPTIONS",
        headers: {
          origin: "https://shop.example",
          "access-control-request-method": "GET",
          "access-control-request-headers": "authorization, x-correlation-id",
        },
      });
      assert.equal(answer.status, 204);
      assert.equal(answer.headers.get("access-control-allow-origin"), "*");
      assert.equal(answer.headers.get("access-control-allow-methods"), "GET, HEAD, OPTIONS");
      assert.match(answer.headers.get("access-control-allow-headers") ?? "", /authorization/);
      const { headers } = await get("/api/v1/stores", "ikea", { origin: "https://shop.example" });
      assert.equal(headers.get("access-control-allow-origin"), "*");
      assert.equal(
        headers.get("access-control-expose-headers"),
        "x-correlation-id, x-cache, age, retry-after",
      );
    });

    it("carries the caller's correlation id, or a new one, and logs it", async () => {
      const id = async (headers: Record<string, string>) =>
        (await amicis.ask("/nothing", { headers })).headers.get("x-correlation-id") ?? "";
      assert.equal(await id({ "x-correlation-id": "shop.1_2-3" }), "shop.1_2-3");
      assert.equal(await id({ "x-request-id": "r".repeat(128) }), "r".repeat(128));
      assert.equal(await id({ "x-correlation-id": "first", "x-request-id": "second" }), "first");
      assert.equal(await id({ "x-correlation-id": "no good", "x-request-id": "second" }), "second");
      for (const bad of ["", " ", "a b", "x".repeat(129), "a,b", "<script>", "ä"]) {
        assert.match(await id({ "x-correlation-id": bad }), uuid);
      }
      assert.notEqual(await id({}), await id({}));
      await get("/api/v1/route?storeId=berlin-01", "ikea", { "x-correlation-id": "logged-1" });
      const line = await amicis.awaitLog({ correlationId: "logged-1" });
      const { timestamp, durationMs, ...rest } = line;
      assert.deepEqual(rest, {
        level: "info",
        msg: "Request",
        service: "routing",
        correlationId: "logged-1",
        method: "GET",
        route: "/api/v1/route",
        status: 200,
      });
      assert.equal(new Date(String(timestamp)).toISOString(), timestamp);
      assert.ok(typeof durationMs === "number" && durationMs >= 0);
    });
  });

  it("answers 429 with Retry-After and RateLimit headers when a tenant asks too often", async () => {
    await using limited = await Amicis.start({
      service: "routing",
      env: { ...env(), RATE_LIMIT_RPS: "0.1", RATE_LIMIT_BURST: "3" },
    });
    const headers = await bearer("ikea");
    const ask = (given = headers) =>
      limited.ask("/api/v1/route?storeId=berlin-01", { headers: given });
    for (const remaining of ["2", "1", "0"]) {
      const { status, headers } = await ask();
      assert.equal(status, 200);
      assert.equal(headers.get("ratelimit-limit"), "3");
      assert.equal(headers.get("ratelimit-remaining"), remaining);
      assert.match(headers.get("ratelimit-reset") ?? "", /^\d+$/);
    }
    const refused = await ask();
    assertProblem(refused, 429, "Rate limit exceeded");
    assert.ok(refused.json.retryAfterSeconds <= 10);
    assert.equal(refused.headers.get("ratelimit-limit"), "3");
    assert.equal(refused.headers.get("ratelimit-remaining"), "0");
    assert.match(refused.headers.get("ratelimit-reset") ?? "", /^(2\d|30)$/);
    assert.equal((await ask(await bearer("habitat"))).status, 200, "another tenant");
    assert.equal((await limited.ask("/health")).status, 200, "operations");
    const page = await limited.metrics();
    assert.equal(page.value("rate_limit_rejections_total", { service: "routing" }), 1);
  });

  it("verifies with a key set, also one that comes late, and then takes no shared secret", async () => {
    const port = freePort();
    const pairs = await Promise.all(
      ["RS256", "ES256", "EdDSA"].map(async (alg) => ({
        alg,
        ...await generateKeyPair(alg, { extractable: true }),
      })),
    );
    const keys = await Promise.all(
      pairs.map(async ({ alg, publicKey }) => ({ ...await exportJWK(publicKey), alg, kid: alg })),
    );
    const sign = async (alg: string, kid: string, key: CryptoKey) => {
      const token = new SignJWT({ tenantId: "ikea" }).setProtectedHeader({ alg, kid });
      return await token.setSubject("shopper").setExpirationTime("1h").sign(key);
    };
    await using amicis = await Amicis.start({
      service: "routing",
      env: {
        JWT_SECRET: "",
        JWT_JWKS_URL: `http://127.0.0.1:${port}/keys`,
        JWKS_BREAKER_OPEN_FOR: "500ms",
      },
    });
    const ask = (token: string) =>
      amicis.ask("/api/v1/stores", { headers: { authorization: `Bearer ${token}` } });
    const [first] = pairs;
    assert.ok(first !== undefined);
    const token = await sign("RS256", "RS256", first.privateKey);
    assertProblem(await ask(token), 503, "Service temporarily unavailable");

    const server = Deno.serve(
      { hostname: "127.0.0.1", port, onListen: () => {} },
      () => Response.json({ keys }),
    );
    try {
      await eventually(async () => assert.equal((await ask(token)).status, 200));
      for (const { alg, privateKey } of pairs) {
        const answer = await ask(await sign(alg, alg, privateKey));
        assert.equal(answer.status, 200, alg);
      }
      const stranger = await generateKeyPair("RS256");
      const forged = await ask(await sign("RS256", "RS256", stranger.privateKey));
      assertProblem(forged, 401, "Token is invalid");
      // The oldest trick: the public key as the shared secret of another algorithm.
      const asSecret = await tokenOf("ikea", { secret: JSON.stringify(keys[0]) });
      assertProblem(await ask(asSecret), 401, "Token is invalid");
      assertProblem(await ask(await tokenOf("ikea")), 401, "Token is invalid");
    } finally {
      await server.shutdown();
      releasePort(port);
    }
    const { alg, privateKey } = first;
    assert.equal((await ask(await sign(alg, alg, privateKey))).status, 200, "keys are kept");
    const { circuitBreakers } = await amicis.health();
    assert.deepEqual(Object.keys(circuitBreakers), ["mongodb", "redis"]);
  });

  it("checks issuer and audience when they are set", async () => {
    await using strict = await Amicis.start({
      service: "routing",
      env: { JWT_ISSUER: "https://issuer.example", JWT_AUDIENCE: "amicis" },
    });
    const status = async (claims: Record<string, unknown>) => {
      const headers = await bearer("ikea", { claims });
      return (await strict.ask("/api/v1/stores", { headers })).status;
    };
    assert.equal(await status({ iss: "https://issuer.example", aud: "amicis" }), 200);
    assert.equal(await status({ iss: "https://issuer.example", aud: ["x", "amicis"] }), 200);
    assert.equal(await status({ iss: "https://issuer.example" }), 401);
    assert.equal(await status({ iss: "https://issuer.example", aud: "other" }), 401);
    assert.equal(await status({ iss: "https://other.example", aud: "amicis" }), 401);
    assert.equal(await status({ aud: "amicis" }), 401);
  });
});

/**
 * Nothing secret gets out: a full run with everything that can go wrong, and then every log line,
 * metric, health report and error answer is searched for every secret that was used.
 */
import assert from "node:assert/strict";
import { Amicis, type Answer, type Ask } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { type TokenBehaviour, TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs } from "../support/Tools.ts";
import { bearer, jwtSecret, tokenOf } from "../support/wire/Jwt.ts";
import { database, insertStores, store, tenant } from "./support/Shops.ts";

const secrets = {
  mongoPassword: "pw-of-mongo-Xq7!",
  redisPassword: "pw-of-redis-Yw8!",
  adminToken: "admin-token-Zt9-to-look-for",
  cacheKey: btoa("cache-key-Ur5-of-32-bytes-in-all"),
  clientSecret: "client-secret-Mn4-to-look-for",
  listedSecret: "listed-secret-Kd2-to-look-for",
  shopperToken: "shopper-token-Bv3-to-look-for",
  accessToken: "access-token-Hj6-to-look-for",
  jwtSecret,
  wrongPassword: "wrong-password-Lp1-to-look-for",
  collectorKey: "collector-key-Gs4-to-look-for",
  insightsKey: "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9",
};

/** Every form in which one of them could appear. */
const formsOf = (secret: string): ReadonlyArray<string> => [
  secret,
  encodeURIComponent(secret),
  btoa(secret),
  btoa(`client-of-ikea:${secret}`),
];

/** Where dependencies are and what their drivers say is nobody's business in an answer. */
const internals = /127\.0\.0\.1|localhost|mongo|redis|ECONN|Error:|\.ts\b|\bat \w+ \(|stack/i;

describe("secrets", needs("redis-server", "secantusdb"), () => {
  let mongo: MongoServer;
  let redis: Redis;
  let endpoint: TokenEndpoint;
  const dead = freePort();
  /** Error answers and what operators are shown, whole. */
  const seen: Array<string> = [];
  const errors: Array<Answer> = [];

  beforeAll(async () => {
    [mongo, redis, endpoint] = await Promise.all([
      MongoServer.start({ auth: { username: "amicis", password: secrets.mongoPassword } }),
      Redis.start({ password: secrets.redisPassword }),
      TokenEndpoint.start(),
    ]);
    await insertStores(mongo);
    await mongo.insert(database, "stores", [store("ikea", "broken", { backendUrl: 7 })]);
    await mongo.insert(database, "tenants", [
      tenant("ikea", endpoint.url, { clientSecret: secrets.clientSecret }),
      tenant("broken", endpoint.url, { clientSecret: [secrets.listedSecret] }),
      tenant("metadata", `https://user:${secrets.clientSecret}@169.254.169.254/`),
      tenant("nowhere", `https://user:${secrets.clientSecret}@nowhere.invalid/`),
    ]);
  });
  afterAll(async () => {
    await Promise.all([mongo?.stop(), redis?.stop(), endpoint?.stop()]);
    releasePort(dead);
  });

  const note = (answer: Answer): Answer => {
    if (answer.status >= 400) {
      errors.push(answer);
      seen.push(answer.text, JSON.stringify([...answer.headers]));
    }
    return answer;
  };

  /** What operators are shown. */
  const look = async (amicis: Amicis) => {
    const headers = { authorization: `Bearer ${secrets.adminToken}` };
    for (const path of ["/health", "/metrics", "/openapi.json", "/status", "/admin/breakers"]) {
      seen.push((await amicis.ask(path, { headers })).text);
      seen.push((await amicis.askAuth(path, { headers })).text);
    }
  };

  let asked = 0;
  const exchange = async (amicis: Amicis, tenantId: string) =>
    note(
      await amicis.askAuth("/auth/exchange", {
        method: "POST",
        body: { userToken: `${tenantId}:${secrets.shopperToken}-${++asked}` },
      }),
    );

  /** Endpoints that give back what they were sent, in every place they can. */
  const echoes: ReadonlyArray<TokenBehaviour> = [
    { kind: "answer", status: 400, body: { error: secrets.shopperToken } },
    {
      kind: "answer",
      status: 401,
      body: { error: "invalid_client", error_description: secrets.clientSecret },
    },
    { kind: "answer", status: 500, body: `failed for ${secrets.shopperToken}` },
    { kind: "answer", status: 200, headers: { "content-type": secrets.shopperToken }, body: "x" },
    { kind: "answer", status: 200, body: { access_token: secrets.accessToken, expires_in: "x" } },
    { kind: "answer", status: 418, headers: { "retry-after": secrets.shopperToken } },
    { kind: "redirect", location: `https://elsewhere.example/${secrets.shopperToken}` },
    { kind: "ok", accessToken: secrets.accessToken, fields: { token_type: null } },
    { kind: "garbage" },
    { kind: "reset" },
  ];

  const askBadly = async (amicis: Amicis) => {
    const token = await tokenOf("ikea");
    const path = `/api/v1/route?storeId=berlin-01`;
    const routing: ReadonlyArray<readonly [string, Ask]> = [
      [path, { headers: { authorization: `Bearer ${token}x` } }],
      [path, { headers: { authorization: `Bearer ${secrets.shopperToken}` } }],
      [path, { headers: { authorization: `Basic ${btoa(`u:${secrets.clientSecret}`)}` } }],
      [`${path}&access_token=${token}&limit=${secrets.shopperToken}`, {}],
      [`/nothing/${secrets.shopperToken}?token=${token}`, {}],
      ["/api/v1/route?storeId=broken", { headers: await bearer("ikea") }],
      ["/api/v1/stores", { headers: await bearer("ikea") }],
      ["/admin/breakers", { headers: { authorization: `Bearer ${secrets.wrongPassword}` } }],
      ["/admin/breakers", { headers: { authorization: `Bearer ${token}` } }],
    ];
    for (const [path, request] of routing) note(await amicis.ask(path, request));
    const bodies = [
      `{"userToken":"ikea:${secrets.shopperToken}`,
      `{"userToken":["ikea:${secrets.shopperToken}"]}`,
      `{"usertoken":"ikea:${secrets.shopperToken}"}`,
      `{"userToken":"no tenant:${secrets.shopperToken}"}`,
      `"${secrets.shopperToken}"`,
    ];
    for (const body of bodies) {
      const headers = { "content-type": "application/json" };
      note(await amicis.askAuth("/auth/exchange", { method: "POST", body, headers }));
    }
    for (const tenantId of ["broken", "metadata", "nowhere", "nobody"]) {
      await exchange(amicis, tenantId);
    }
    for (const behaviour of echoes) {
      endpoint.behave(behaviour);
      await exchange(amicis, "ikea");
    }
  };

  const env = () => ({
    MONGODB_URI: mongo.url,
    REDIS_URL: redis.url,
    LOG_LEVEL: "debug",
    BREAKER_OPEN_FOR: "1s",
    ADMIN_TOKEN: secrets.adminToken,
    TOKEN_CACHE_KEY: secrets.cacheKey,
    TOKEN_EXCHANGE_BREAKER_CONSECUTIVE_FAILURES: "off",
    TOKEN_EXCHANGE_BREAKER_MINIMUM_REQUESTS: "1000",
    TOKEN_EXCHANGE_TIMEOUT: "300ms",
    MONGODB_TIMEOUT: "500ms",
    RETRY_INITIAL_DELAY: "10ms",
    // Nobody is there: every delivery fails, and its failure is logged.
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${dead}`,
    OTEL_EXPORTER_OTLP_HEADERS: `x-api-key=${secrets.collectorKey}`,
    OTEL_BSP_SCHEDULE_DELAY: "100",
    OTEL_BSP_EXPORT_TIMEOUT: "300",
    APPLICATIONINSIGHTS_CONNECTION_STRING:
      `InstrumentationKey=${secrets.insightsKey};IngestionEndpoint=http://127.0.0.1:${dead}`,
  });

  const assertNoneIn = (text: string, where: string) => {
    for (const [name, secret] of Object.entries(secrets)) {
      for (const form of formsOf(secret)) {
        const at = text.indexOf(form);
        const around = text.slice(Math.max(0, at - 200), at + 100);
        assert.equal(at, -1, `${name} is in ${where}: ${around}`);
      }
    }
    const jwt = /eyJ[\w-]{10,}\.[\w-]{10,}/.exec(text);
    assert.equal(jwt?.index, undefined, `a token is in ${where}: ${jwt?.[0]}`);
  };

  it("stay out of logs, metrics, health and errors while all goes well and while all fails", async () => {
    await using amicis = await Amicis.start({ service: "all", env: env() });
    endpoint.behave({ kind: "ok", accessToken: secrets.accessToken });
    await eventually(async () => {
      const given = await exchange(amicis, "ikea");
      assert.equal(given.json.accessToken, secrets.accessToken, "what is searched for was there");
    });
    await askBadly(amicis);
    await look(amicis);

    await Promise.all([mongo.kill(), redis.kill()]);
    endpoint.behave({ kind: "ok", accessToken: secrets.accessToken });
    for (let call = 0; call < 6; call++) {
      for (const path of ["/api/v1/route?storeId=paris-01", "/api/v1/stores"]) {
        note(await amicis.ask(path, { headers: await bearer("ikea") }));
      }
      await exchange(amicis, "unknown");
    }
    await look(amicis);
    await Promise.all([mongo.restart(), redis.restart()]);
    await eventually(async () => assert.equal((await amicis.ask("/health/ready")).status, 200));
    await amicis.awaitLog({ msg: "Telemetry not delivered", exporter: "otlp" });
    await amicis.awaitLog({ msg: "Telemetry not delivered", exporter: "applicationinsights" });
    await amicis.stop();

    const statuses = new Set(errors.map(({ status }) => status));
    for (const status of [400, 401, 404, 502, 503]) assert.ok(statuses.has(status), `${status}`);
    for (const line of ["Malformed document", "Fallback used", "Admin access refused"]) {
      assert.ok(amicis.logged({ msg: line }).length > 0, line);
    }
    assertNoneIn(amicis.stdout, "the log");
    assertNoneIn(amicis.stderr, "standard error");
    seen.forEach((text, index) => assertNoneIn(text, `answer ${index}`));
    for (const { text } of errors) assert.doesNotMatch(text, internals);
  });

  it("stay out of the log when the passwords are wrong", async () => {
    const wrong = (url: string) =>
      url.replace(/:[^:@/]*@/, `:${encodeURIComponent(secrets.wrongPassword)}@`);
    await using amicis = await Amicis.start({
      service: "all",
      until: "answering",
      env: { ...env(), MONGODB_URI: wrong(mongo.url), REDIS_URL: wrong(redis.url) },
    });
    for (let call = 0; call < 3; call++) {
      note(await amicis.ask("/api/v1/stores", { headers: await bearer("ikea") }));
      await exchange(amicis, "ikea");
    }
    await amicis.awaitLog({ msg: "Dependency unreachable", dependency: "mongodb" });
    await amicis.awaitLog({ msg: "Dependency unreachable", dependency: "redis" });
    await look(amicis);
    await amicis.stop();
    assertNoneIn(amicis.stdout, "the log");
    assertNoneIn(amicis.stderr, "standard error");
    seen.forEach((text, index) => assertNoneIn(text, `answer ${index}`));
  });
});

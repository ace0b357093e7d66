/** The auth service's wire contract, on real MongoDB-protocol and Redis servers and endpoints. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { RawConnection } from "../http/support/RawHttp.ts";
import { Amicis } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, beforeEach, describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { type TokenBehaviour, TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { needs } from "../support/Tools.ts";
import { assertProblem } from "./support/Problems.ts";
import { database, tenant } from "./support/Shops.ts";

const sentence = "Token service temporarily unavailable. Please retry.";
const key = (fill: number) => btoa(String.fromCharCode(...new Uint8Array(32).fill(fill)));
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

describe("auth", needs("redis-server", "secantusdb", "openssl"), () => {
  let mongo: MongoServer;
  let redis: Redis;
  let endpoint: TokenEndpoint;
  let secure: TokenEndpoint;
  let amicis: Amicis;

  const env = () => ({
    MONGODB_URI: mongo.url,
    REDIS_URL: redis.url,
    TOKEN_CACHE_KEY: key(1),
    TOKEN_EXCHANGE_TIMEOUT: "700ms",
    RETRY_INITIAL_DELAY: "10ms",
    RATE_LIMIT_BURST: "10000",
    // The cases below fail one after the other; opening has tests of its own.
    TOKEN_EXCHANGE_BREAKER_MINIMUM_REQUESTS: "10000",
    TOKEN_EXCHANGE_BREAKER_CONSECUTIVE_FAILURES: "off",
  });

  /** A token nobody has asked for yet. */
  let issued = 0;
  const fresh = () => `shopper-${++issued}`;
  const exchange = (userToken: unknown, service = amicis) =>
    service.ask("/auth/exchange", { method: "POST", body: { userToken } });
  const post = (body: string, headers: Record<string, string> = {}) =>
    amicis.ask("/auth/exchange", {
      method: "POST",
      body,
      headers: { "content-type": "application/json", ...headers },
    });

  beforeAll(async () => {
    [mongo, redis, endpoint, secure] = await Promise.all([
      MongoServer.start(),
      Redis.start(),
      TokenEndpoint.start(),
      TokenEndpoint.start({ tls: true }),
    ]);
    await mongo.insert(database, "tenants", [
      tenant("ikea", endpoint.url),
      tenant("private", endpoint.url, { clientSecret: "s3cr:t &", scope: "cart orders" }),
      tenant("disabled", endpoint.url, {}, { enabled: false }),
      tenant("enabled", endpoint.url, {}, { enabled: true }),
      tenant("plain", "http://token.example/token"),
      tenant("metadata", "https://169.254.169.254/latest/token"),
      tenant("named-metadata", "https://metadata.google.internal/token"),
      tenant("untrusted", secure.url),
      tenant("nowhere", "https://does-not-exist.invalid/token"),
    ]);
    amicis = await Amicis.start({ service: "auth", env: env() });
  });
  beforeEach(() => {
    endpoint.behave({ kind: "ok" });
    endpoint.forget();
  });
  afterAll(async () => {
    await amicis?.stop();
    await Promise.all([mongo?.stop(), redis?.stop(), endpoint?.stop(), secure?.stop()]);
  });

  describe("POST /auth/exchange", () => {
    it("answers the token that the tenant's endpoint issued", async () => {
      endpoint.behave({ kind: "ok", accessToken: "issued-to-ikea", expiresIn: 3600 });
      const answer = await amicis.ask("/auth/exchange", {
        method: "POST",
        body: { userToken: "ikea:a:b c%\u20ac" },
        headers: { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
      });
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.equal(answer.headers.get("content-type"), "application/json");
      const { expiresIn, ...rest } = answer.json;
      assert.deepEqual(rest, {
        accessToken: "issued-to-ikea",
        tenant: { id: "ikea", name: "IKEA" },
      });
      assert.ok(expiresIn >= 3599 && expiresIn <= 3600);

      const [asked] = endpoint.requests;
      assert.equal(endpoint.requests.length, 1);
      assert.equal(asked?.method, "POST");
      assert.equal(asked?.headers.get("content-type"), "application/x-www-form-urlencoded");
      assert.equal(asked?.headers.get("authorization"), null);
      assert.match(
        asked?.headers.get("traceparent") ?? "",
        /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/,
      );
      assert.deepEqual(Object.fromEntries(asked?.form ?? []), {
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token: "a:b c%\u20ac",
        subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
        client_id: "client-of-ikea",
      });
    });

    it("authenticates by HTTP Basic and sends the scope where the tenant has them", async () => {
      assert.equal((await exchange(`private:${fresh()}`)).status, 200);
      const [asked] = endpoint.requests;
      assert.equal(
        asked?.headers.get("authorization"),
        `Basic ${btoa("client-of-private:s3cr%3At+%26")}`,
      );
      assert.equal(asked?.form.get("scope"), "cart orders");
      assert.equal(asked?.body.includes("s3cr"), false);
    });

    it("does not ask again for a token it has, also in another process, until it is near its end", async () => {
      const token = fresh();
      const first = await exchange(`ikea:${token}`);
      await eventually(async () =>
        assert.equal(await redis.command("EXISTS", `token:${sha256(`ikea:${token}`)}`), 1)
      );
      const second = await exchange(`ikea:${token}`);
      assert.equal(second.json.accessToken, first.json.accessToken);
      assert.ok(second.json.expiresIn <= first.json.expiresIn);
      assert.equal(endpoint.requests.length, 1);
      const ttl = Number(await redis.command("PTTL", `token:${sha256(`ikea:${token}`)}`));
      assert.ok(ttl <= 3_300_000 && ttl > 3_200_000, `kept for ${ttl} ms`);

      // The old key behind a new one still decrypts; without it the value is none.
      await using rotated = await Amicis.start({
        service: "auth",
        env: { ...env(), TOKEN_CACHE_KEY: `${key(2)},${key(1)}` },
      });
      const other = await exchange(`ikea:${token}`, rotated);
      assert.equal(other.json.accessToken, first.json.accessToken);
      assert.equal(endpoint.requests.length, 1);
      await using foreign = await Amicis.start({
        service: "auth",
        env: { ...env(), TOKEN_CACHE_KEY: key(3) },
      });
      const third = await exchange(`ikea:${token}`, foreign);
      assert.notEqual(third.json.accessToken, first.json.accessToken);
      assert.equal(endpoint.requests.length, 2);
    });

    it("keeps a short token for half of its life", async () => {
      const token = fresh();
      endpoint.behave({ kind: "ok", expiresIn: 600 });
      await exchange(`ikea:${token}`);
      const name = `token:${sha256(`ikea:${token}`)}`;
      await eventually(async () => assert.equal(await redis.command("EXISTS", name), 1));
      const ttl = Number(await redis.command("PTTL", name));
      assert.ok(ttl <= 300_000 && ttl > 200_000, `kept for ${ttl} ms`);
    });

    it("puts nothing into Redis from which a token can be read", async () => {
      const token = `${fresh()}-to-look-for`;
      endpoint.behave({ kind: "ok", accessToken: "access-token-to-look-for" });
      await exchange(`ikea:${token}`);
      const name = `token:${sha256(`ikea:${token}`)}`;
      await eventually(async () => assert.equal(await redis.command("EXISTS", name), 1));
      const keys = await redis.command("KEYS", "*");
      assert.ok(Array.isArray(keys) && keys.length > 0);
      for (const key of keys) {
        const value = String(await redis.command("GET", String(key)));
        for (const text of [String(key), value, atob(value.split(".")[1] ?? "")]) {
          assert.equal(/shopper|look-for|issued|ikea|accessToken/.test(text), false, text);
        }
      }
      assert.match(String(await redis.command("GET", name)), /^[0-9a-f]{12}\.[A-Za-z0-9+/]+=*$/);
    });

    it("takes a tampered or moved value in Redis for none", async () => {
      const [one, another] = [fresh(), fresh()];
      const nameOf = (token: string) => `token:${sha256(`ikea:${token}`)}`;
      const first = await exchange(`ikea:${one}`);
      await eventually(async () => assert.equal(await redis.command("EXISTS", nameOf(one)), 1));
      const value = String(await redis.command("GET", nameOf(one)));
      await redis.command("SET", nameOf(another), value);
      const second = await exchange(`ikea:${another}`);
      assert.notEqual(second.json.accessToken, first.json.accessToken);
      for (const bad of ["", "x", `${value.slice(0, -6)}AAAA==`, "{}", value.replace(".", "")]) {
        await redis.command("SET", nameOf(one), bad);
        endpoint.forget();
        assert.equal((await exchange(`ikea:${one}`)).status, 200);
        assert.equal(endpoint.requests.length, 1, bad);
      }
    });

    it("answers 400 to what is not JSON or not of the shape", async () => {
      const notJson = "Request body is not valid JSON";
      for (
        const body of ["{", "nonsense", "{'userToken':'a:b'}", "\u0000", '{"userToken":"a:b"}}']
      ) {
        assertProblem(await post(body), 400, notJson);
      }
      for (const body of ["[]", "null", "1", '"ikea:token"', "true"]) {
        assertProblem(await post(body), 400, "Request body is invalid");
      }
      for (const body of ["{}", '{"usertoken":"ikea:x"}', '{"user_token":"ikea:x"}']) {
        assertProblem(await post(body), 400, "userToken is required");
      }
      assertProblem(
        await post("[".repeat(40) + "]".repeat(40)),
        400,
        "Request body is nested too deeply",
      );
      const none = await amicis.ask("/auth/exchange", { method: "POST" });
      assertProblem(none, 400, "Request body is required");
      const illegal: ReadonlyArray<unknown> = [
        ...["", "ikea", "ikea:", ":token", "ik ea:token", "ik.ea:token", "ä:token"],
        ...[`${"a".repeat(65)}:token`, `ikea:${"t".repeat(2049)}`, 7, null, ["ikea:x"], {}],
        "ikea:\ud800",
      ];
      for (const userToken of illegal) {
        assertProblem(await exchange(userToken), 400, "userToken is invalid");
      }
      assert.equal(endpoint.requests.length, 0);
    });

    it("takes names and tokens of the greatest length", async () => {
      assert.equal((await exchange(`ikea:${"t".repeat(2048)}`)).status, 200);
      assertProblem(await exchange(`${"a".repeat(64)}:t`), 404, "Unknown tenant");
    });

    it("answers 404 to unknown and disabled tenants, which get no breaker", async () => {
      for (const tenantId of ["nobody", "disabled", "IKEA", "ikea2", "__proto__", "constructor"]) {
        assertProblem(await exchange(`${tenantId}:${fresh()}`), 404, "Unknown tenant");
      }
      const { circuitBreakers } = await amicis.health();
      const names = Object.keys(circuitBreakers);
      assert.deepEqual(names.filter((name) => /nobody|disabled|IKEA|proto/.test(name)), []);
      assert.equal(endpoint.requests.length, 0);
      assert.equal((await exchange(`enabled:${fresh()}`)).status, 200);
    });

    it("answers 405, 413 and 415, and 404 for other paths", async () => {
      for (const method of ["GET", "PUT", "DELETE", "HEAD"]) {
        const answer = await amicis.ask("/auth/exchange", { method });
        assert.equal(answer.status, 405);
        assert.equal(answer.headers.get("allow"), "POST, OPTIONS");
        if (method !== "HEAD") assertProblem(answer, 405, "Method not allowed");
      }
      for (const path of ["/", "/auth", "/auth/exchange/", "/api/v1/stores", "/admin/breakers"]) {
        assertProblem(await amicis.ask(path), 404, "Not found");
      }
      const large = JSON.stringify({ userToken: "ikea:x", padding: "x".repeat(16_384) });
      assertProblem(await post(large), 413, "Request body too large");
      const fits = JSON.stringify({ userToken: `ikea:${fresh()}`, padding: "" });
      const padded = fits.replace('""', `"${"x".repeat(16_384 - fits.length)}"`);
      assert.equal(new TextEncoder().encode(padded).length, 16_384);
      assert.equal((await post(padded)).status, 200);
      const body = JSON.stringify({ userToken: `ikea:${fresh()}` });
      for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/xml"]) {
        assertProblem(
          await post(body, { "content-type": type }),
          415,
          "Content type not supported",
        );
      }
      assertProblem(
        await post(body, { "content-encoding": "gzip" }),
        415,
        "Content type not supported",
      );
      using raw = await RawConnection.open(amicis.port);
      await raw.send(
        `POST /auth/exchange HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      assert.equal((await raw.receive()).status, 415, "no content type");
    });

    it("takes a body in chunks, with a charset", async () => {
      using raw = await RawConnection.open(amicis.port);
      const body = JSON.stringify({ userToken: `ikea:${fresh()}` });
      await raw.send(
        "POST /auth/exchange HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" +
          "Content-Type: application/json; charset=utf-8\r\n\r\n",
      );
      for (const chunk of [body.slice(0, 5), body.slice(5)]) {
        await raw.send(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
      }
      await raw.send("0\r\n\r\n");
      assert.equal((await raw.receive()).status, 200);
    });
  });

  describe("token endpoint", () => {
    it("that rejects the token makes a 401 with a challenge, asked once, a success for the breaker", async () => {
      for (const status of [400, 401, 403]) {
        endpoint.forget();
        endpoint.behave({ kind: "answer", status, body: { error: "invalid_grant" } });
        const successes = async () =>
          (await amicis.health()).circuitBreakers["token-exchange-ikea"].stats.successes;
        const before = await successes();
        const answer = await exchange(`ikea:${fresh()}`);
        assertProblem(answer, 401, "Token rejected");
        assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer /);
        assert.equal(endpoint.requests.length, 1);
        assert.equal(await successes(), before + 1);
      }
    });

    it("that gives an unusable answer makes a 502, asked once, a failure for the breaker", async () => {
      const bad: ReadonlyArray<TokenBehaviour> = [
        { kind: "answer", status: 200, headers: { "content-type": "text/html" }, body: "<html>" },
        { kind: "answer", status: 200, headers: { "content-type": "application/json" }, body: "{" },
        { kind: "answer", status: 200, body: [] },
        { kind: "answer", status: 204 },
        { kind: "answer", status: 404, body: "not here" },
        { kind: "oversized", bytes: 70_000 },
        { kind: "redirect", location: endpoint.url },
        { kind: "redirect", location: endpoint.url, status: 302 },
        ...[undefined, 7, "", null].map((access_token) => ({
          kind: "ok" as const,
          fields: { access_token },
        })),
        { kind: "ok", fields: { token_type: undefined } },
        ...[undefined, "3600", 0, -1, 1.5, 31_536_001, null].map((expires_in) => ({
          kind: "ok" as const,
          fields: { expires_in },
        })),
      ];
      const failures = async () =>
        (await amicis.health()).circuitBreakers["token-exchange-ikea"].stats.failures;
      for (const behaviour of bad) {
        endpoint.forget();
        endpoint.behave(behaviour);
        const before = await failures();
        const answer = await exchange(`ikea:${fresh()}`);
        assertProblem(answer, 502, "Token service returned an invalid response");
        assert.equal(endpoint.requests.length, 1, JSON.stringify(behaviour));
        assert.equal(await failures(), before + 1, JSON.stringify(behaviour));
      }
    });

    it("that cannot answer makes a 503 after three attempts, and its recovery within them a 200", async () => {
      const bad: ReadonlyArray<TokenBehaviour> = [
        { kind: "answer", status: 500 },
        { kind: "answer", status: 503, body: "out of order" },
        { kind: "answer", status: 408 },
        { kind: "reset" },
        { kind: "reset", middle: true },
        { kind: "close" },
        { kind: "garbage" },
        { kind: "hang" },
        { kind: "stall" },
      ];
      for (const behaviour of bad) {
        endpoint.forget();
        endpoint.behave(behaviour);
        const answer = await exchange(`ikea:${fresh()}`);
        assertProblem(answer, 503, sentence);
        assert.ok(
          endpoint.requests.length >= 3,
          JSON.stringify([behaviour, endpoint.requests.length]),
        );
      }
      endpoint.behave({ kind: "answer", status: 500 }, { kind: "reset" }, { kind: "ok" });
      assert.equal((await exchange(`ikea:${fresh()}`)).status, 200);
    });

    it("whose 503 names a time passes it on, whole and not shorter", async () => {
      endpoint.behave({ kind: "answer", status: 503, headers: { "retry-after": "120" } });
      const answer = await exchange(`ikea:${fresh()}`);
      assertProblem(answer, 503, sentence);
      assert.equal(answer.json.retryAfterSeconds, 120);
      assert.equal(endpoint.requests.length, 1, "no attempt that would come too early");
    });

    it("that limits the rate makes a 503 with its Retry-After, neutral for the breaker", async () => {
      endpoint.behave({ kind: "answer", status: 429, headers: { "retry-after": "17" } });
      const stats = async () =>
        (await amicis.health()).circuitBreakers["token-exchange-ikea"].stats;
      const before = await stats();
      const answer = await exchange(`ikea:${fresh()}`);
      assertProblem(answer, 503, sentence);
      assert.equal(answer.headers.get("retry-after"), "17");
      assert.equal(endpoint.requests.length, 1);
      assert.deepEqual(await stats(), { ...before, fires: before.fires + 1 });
    });

    it("that must not be called makes a 503 without an attempt, and an error line", async () => {
      const reasons = { "plain": /http/, "metadata": /./, "named-metadata": /./ };
      for (const [tenantId, reason] of Object.entries(reasons)) {
        const answer = await exchange(`${tenantId}:${fresh()}`);
        assertProblem(answer, 503, sentence);
        const line = await amicis.awaitLog({
          level: "error",
          tenantId,
          correlationId: answer.headers.get("x-correlation-id") ?? "",
        });
        assert.equal(line.msg, "Token endpoint refused");
        assert.match(String(line.error), reason);
        assert.equal(/169\.254|internal|example/.test(answer.text), false);
        const { stats } = (await amicis.health()).circuitBreakers[`token-exchange-${tenantId}`];
        assert.equal(stats.failures + stats.successes, 0);
      }
    });

    it("that is not trusted or does not exist makes a 503 that names no host", async () => {
      for (const tenantId of ["untrusted", "nowhere"]) {
        const answer = await exchange(`${tenantId}:${fresh()}`);
        assertProblem(answer, 503, sentence);
        assert.equal(/127\.0\.0|invalid\b|\.ts|certificate/.test(answer.text), false, answer.text);
      }
      assert.equal(secure.requests.length, 0);
    });
  });

  it("frees the place of a caller that goes away", async () => {
    endpoint.behave({ kind: "hang" });
    await using patient = await Amicis.start({
      service: "auth",
      env: { ...env(), TOKEN_EXCHANGE_TIMEOUT: "30s", TOKEN_EXCHANGE_MAX_CONCURRENT: "1" },
    });
    const leaving = new AbortController();
    const gone = patient.ask("/auth/exchange", {
      method: "POST",
      body: { userToken: `ikea:${fresh()}` },
      signal: leaving.signal,
    }).catch((error) => error);
    await eventually(() => assert.equal(endpoint.requests.length, 1));
    const full = await exchange(`ikea:${fresh()}`, patient);
    assertProblem(full, 503, sentence);
    leaving.abort();
    await gone;
    await eventually(async () => {
      const page = await patient.metrics();
      assert.equal(page.value("bulkhead_in_flight", { dependency: "token-exchange" }), 0);
    });
    assert.equal(endpoint.abandoned, 1);
    endpoint.behave({ kind: "ok" });
    assert.equal((await exchange(`ikea:${fresh()}`, patient)).status, 200);
    const page = await patient.metrics();
    assert.equal(page.value("bulkhead_rejections_total", { dependency: "token-exchange" }), 1);
  });

  it("answers 408 to a body that does not come, 429 to a tenant that asks too often", async () => {
    await using strict = await Amicis.start({
      service: "auth",
      env: { ...env(), REQUEST_TIMEOUT: "500ms", RATE_LIMIT_RPS: "0.1", RATE_LIMIT_BURST: "2" },
    });
    using raw = await RawConnection.open(strict.port);
    await raw.send(
      "POST /auth/exchange HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n" +
        'Content-Length: 100\r\n\r\n{"userToken":',
    );
    const { status, body } = await raw.receive();
    assert.equal(status, 408);
    assert.equal(JSON.parse(body).error, "Request body not received in time");

    const statuses = [];
    for (let call = 0; call < 3; call++) {
      const answer = await exchange(`ikea:${fresh()}`, strict);
      statuses.push(answer.status);
      assert.equal(answer.headers.get("ratelimit-limit"), "2");
      if (answer.status === 429) assertProblem(answer, 429, "Rate limit exceeded");
    }
    assert.deepEqual(statuses, [200, 200, 429]);
    assert.equal((await exchange(`enabled:${fresh()}`, strict)).status, 200, "another tenant");
  });

  it("keeps tokens in its own memory only when it has no key", async () => {
    const { TOKEN_CACHE_KEY: _, ...rest } = env();
    await using keyless = await Amicis.start({ service: "auth", env: rest });
    await redis.command("FLUSHALL");
    const token = fresh();
    const first = await exchange(`ikea:${token}`, keyless);
    const second = await exchange(`ikea:${token}`, keyless);
    assert.equal(second.json.accessToken, first.json.accessToken);
    assert.equal(endpoint.requests.length, 1);
    assert.equal(await redis.command("DBSIZE"), 0);
  });
});

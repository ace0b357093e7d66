import { describe, it } from "../support/it.ts";
import { FetchHttpClient, HttpApiClient } from "@effect/platform";
import assert from "node:assert/strict";
import { Context, Effect, Either, Layer, Redacted } from "effect";
import { AuthApi, unavailableSentence } from "../../src/auth/Api.ts";
import { authHandlers } from "../../src/auth/Http.ts";
import * as HttpProvider from "../../src/auth/IdentityProvider/Http.ts";
import type { Tenant } from "../../src/auth/Tenant.ts";
import { Tenants } from "../../src/auth/Tenants.ts";
import { TokenCache } from "../../src/auth/TokenCache.ts";
import * as TokenExchange from "../../src/auth/TokenExchange.ts";
import * as ApiServer from "../../src/http/ApiServer.ts";
import { Lifecycle } from "../../src/http/Lifecycle.ts";
import { openApi } from "../../src/http/OpenApi.ts";
import * as RateLimit from "../../src/http/RateLimit.ts";
import * as RequestContext from "../../src/http/RequestContext.ts";
import type { Settings } from "../../src/resilience/CircuitBreaker.ts";
import { CircuitBreakers } from "../../src/resilience/CircuitBreakers.ts";
import * as Retry from "../../src/resilience/Retry.ts";
import { eventually } from "../support/eventually.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { guardOf, Lines, ScriptedTenants, tenantOf } from "./Fixtures.ts";

interface Setup extends TokenExchange.Options {
  readonly tenants: ReadonlyArray<Tenant>;
  readonly timeout?: string;
  readonly breaker?: Partial<Settings>;
  readonly burst?: number;
  readonly noCache?: boolean;
}

const forgetful = Layer.succeed(TokenCache, {
  get: () => Effect.succeedNone,
  set: () => Effect.void,
});

/** The auth service on a free port, over real HTTP to its tenants' endpoints. */
const serve = ({ tenants, breaker = {}, burst = 1_000, noCache = false, ...options }: Setup) =>
  Effect.gen(function* () {
    const mongodb = yield* guardOf("mongodb");
    const repository = new ScriptedTenants(...tenants);
    const traceHeaders = Effect.withFiberRuntime<Record<string, string>>((fiber) =>
      Effect.succeed({ traceparent: fiber.getFiberRef(RequestContext.current)?.traceparent ?? "" })
    );
    const context = yield* Layer.build(
      TokenExchange.TokenExchange.layer(options).pipe(
        Layer.provideMerge(Layer.mergeAll(
          CircuitBreakers.layer({ openJitter: 0, ...breaker }),
          HttpProvider.layer({ timeout: "1 second", traceHeaders }),
          noCache ? forgetful : TokenCache.layerMemory(),
          Layer.provide(Tenants.layer({ mongodb }), repository.layer),
          RateLimit.RateLimiter.layer({ rps: 0.01, burst }),
          Lifecycle.layer,
        )),
      ),
    );
    const implementation = yield* Effect.provide(authHandlers(), context);
    const server = yield* ApiServer.serve({
      service: "auth",
      hostname: "127.0.0.1",
      port: 0,
      apis: [{ implementation, kind: "service" }],
      unavailable: unavailableSentence,
      shutdownGrace: "1 second",
    }).pipe(Effect.provide(context));
    const baseUrl = `http://127.0.0.1:${server.port}`;
    const client = yield* Effect.provide(
      HttpApiClient.make(AuthApi, { baseUrl }),
      FetchHttpClient.layer,
    );
    return {
      repository,
      url: `${baseUrl}/auth/exchange`,
      breakers: Context.get(context, CircuitBreakers),
      limiter: Context.get(context, RateLimit.RateLimiter),
      exchange: (userToken: string) => client.auth.exchange({ payload: { userToken } }),
    };
  });

const post = (url: string, body: unknown, headers: Record<string, string> = {}) =>
  Effect.promise(async () => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    return { status: response.status, headers: response.headers, json: await response.json() };
  });

describe("auth/Http", () => {
  it.live("POST /auth/exchange answers a token that nobody may store", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const { url } = yield* serve({ tenants: [tenantOf("ikea", endpoint.url)] });
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
      const answer = yield* post(url, { userToken: "ikea:a:b" }, { traceparent });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.equal(answer.headers.get("ratelimit-limit"), "1000");
      assert.deepEqual(answer.json, {
        accessToken: "issued-1",
        expiresIn: 3600,
        tenant: { id: "ikea", name: "Name of ikea" },
      });
      assert.equal(endpoint.requests[0]?.form.get("subject_token"), "a:b");
      assert.equal(endpoint.requests[0]?.headers.get("traceparent"), traceparent);
    }));

  it.live("the derived client reads the answer and its problems", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const { exchange } = yield* serve({ tenants: [tenantOf("ikea", endpoint.url)] });
      assert.equal((yield* exchange("ikea:t")).accessToken, "issued-1");
      const error = yield* Effect.flip(exchange("nobody:t"));
      assert.ok(error._tag === "NotFound");
      assert.equal(error.error, "Unknown tenant");
    }));

  const refusedBodies: ReadonlyArray<readonly [string, unknown, string]> = [
    ["no userToken", {}, "userToken is required"],
    ["a number", { userToken: 7 }, "userToken is invalid"],
    ["no colon", { userToken: "ikea" }, "userToken is invalid"],
    ["no token", { userToken: "ikea:" }, "userToken is invalid"],
    ["no tenant", { userToken: ":token" }, "userToken is invalid"],
    ["an illegal tenant", { userToken: "ik ea:token" }, "userToken is invalid"],
    ["a tenant of 65 characters", { userToken: `${"a".repeat(65)}:t` }, "userToken is invalid"],
    ["a token of 2049", { userToken: `ikea:${"t".repeat(2_049)}` }, "userToken is invalid"],
    ["half a character", '{"userToken":"ikea:\\ud800"}', "userToken is invalid"],
    ["a list", [], "Request body is invalid"],
    ["null", "null", "Request body is invalid"],
    ["no JSON", "{", "Request body is not valid JSON"],
  ];
  it.live("POST /auth/exchange answers 400 for a body that is not as agreed", () =>
    Effect.gen(function* () {
      const { url, repository } = yield* serve({ tenants: [] });
      for (const [what, body, sentence] of refusedBodies) {
        const { status, json } = yield* post(url, body);
        assert.deepEqual([status, json.error], [400, sentence], what);
      }
      assert.deepEqual(repository.asked, []);
    }));

  it.live("POST /auth/exchange takes tokens of 2048 characters of any kind", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const tenant = "a_-9".repeat(16);
      const { url } = yield* serve({ tenants: [tenantOf(tenant, endpoint.url)] });
      for (const character of ["t", ":", "é", "\u{1F6D2}", "\n"]) {
        const token = character.repeat(2_048);
        const { status } = yield* post(url, { userToken: `${tenant}:${token}` });
        assert.equal(status, 200, character);
        assert.equal(endpoint.requests.at(-1)?.form.get("subject_token"), token);
      }
    }));

  it.live("every failure has its status and sentence", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const { url } = yield* serve({
        tenants: [
          tenantOf("ikea", endpoint.url),
          tenantOf("off", endpoint.url, { enabled: false }),
          tenantOf("evil", "https://169.254.169.254/latest/meta-data"),
        ],
      });
      const ask = (userToken: string) => post(url, { userToken });
      const expect = (userToken: string, status: number, error: string) =>
        Effect.map(ask(userToken), (answer) => {
          assert.deepEqual([answer.status, answer.json.error], [status, error]);
          assert.equal(answer.headers.get("cache-control"), "no-store");
          assert.equal(answer.headers.get("content-type"), "application/problem+json");
          return answer;
        });
      yield* expect("nobody:t", 404, "Unknown tenant");
      yield* expect("off:t", 404, "Unknown tenant");
      endpoint.behave({ kind: "answer", status: 400, body: { error: "invalid_grant" } });
      const rejected = yield* expect("ikea:t", 401, "Token rejected");
      assert.match(rejected.headers.get("www-authenticate") ?? "", /^Bearer .*invalid_token/);
      endpoint.behave({ kind: "redirect", location: "http://127.0.0.1:1/" });
      yield* expect("ikea:t", 502, "Token service returned an invalid response");
      endpoint.behave({ kind: "ok", expiresIn: 0 });
      yield* expect("ikea:t", 502, "Token service returned an invalid response");
      endpoint.behave({ kind: "answer", status: 429, headers: { "retry-after": "17" } });
      const throttled = yield* expect("ikea:t", 503, unavailableSentence);
      assert.equal(throttled.headers.get("retry-after"), "17");
      assert.equal(throttled.json.retryAfterSeconds, 17);
      endpoint.behave({ kind: "hang" });
      const silent = yield* expect("ikea:t", 503, unavailableSentence);
      assert.equal(silent.headers.get("retry-after"), "1");
      const forbidden = yield* expect("evil:t", 503, unavailableSentence);
      assert.ok(!JSON.stringify(forbidden.json).includes("169.254"));
    }));

  it.live("only known tenants have a rate limit, each its own", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const { url, limiter } = yield* serve({
        tenants: [tenantOf("ikea", endpoint.url), tenantOf("lego", endpoint.url)],
        burst: 2,
      });
      for (let call = 0; call < 5; call++) {
        assert.equal((yield* post(url, { userToken: `made-up-${call}:t` })).status, 404);
      }
      assert.equal(limiter.unsafeSize(), 0);
      for (const remaining of ["1", "0"]) {
        const { status, headers } = yield* post(url, { userToken: "ikea:t" });
        assert.deepEqual([status, headers.get("ratelimit-remaining")], [200, remaining]);
      }
      const { status, headers, json } = yield* post(url, { userToken: "ikea:t" });
      assert.deepEqual([status, json.error], [429, "Rate limit exceeded"]);
      assert.ok(Number(headers.get("retry-after")) >= 1);
      assert.equal((yield* post(url, { userToken: "lego:t" })).status, 200);
      assert.equal(endpoint.requests.length, 2);
    }));

  it.live("five failures open a tenant's breaker, no other's, and it recovers by itself", () =>
    Effect.gen(function* () {
      const sick = yield* TokenEndpoint.scoped();
      const well = yield* TokenEndpoint.scoped();
      const lines = new Lines();
      const { url, breakers } = yield* Effect.provide(
        serve({
          tenants: [tenantOf("ikea", sick.url), tenantOf("lego", well.url)],
          breaker: { openFor: "1 second" },
          noCache: true,
        }),
        lines.layer,
      );
      const statusOf = (userToken: string) =>
        Effect.map(post(url, { userToken }), ({ status }) => status);
      const breaker = yield* breakers.get("token-exchange-ikea");
      // Half of them fail one way, half another.
      sick.behave(
        { kind: "answer", status: 500 },
        { kind: "reset" },
        { kind: "answer", status: 503 },
        { kind: "close" },
        { kind: "answer", status: 502 },
      );
      for (let call = 0; call < 5; call++) assert.equal(yield* statusOf("ikea:t"), 503);
      assert.equal(breaker.unsafeState(), "open");
      const asked = sick.requests.length;
      const refused = yield* post(url, { userToken: "ikea:t" });
      assert.deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
      assert.equal(sick.requests.length, asked);
      assert.equal(yield* statusOf("lego:t"), 200);
      // Rejections are answers, and three answers close it.
      sick.behave({ kind: "answer", status: 401 }, { kind: "ok" });
      yield* eventually(Effect.map(statusOf("ikea:t"), (status) => status === 401));
      assert.equal(breaker.unsafeState(), "half-open");
      for (let trial = 0; trial < 2; trial++) assert.equal(yield* statusOf("ikea:t"), 200);
      assert.equal(breaker.unsafeState(), "closed");
      for (let call = 0; call < 5; call++) assert.equal(yield* statusOf("ikea:t"), 200);
      assert.ok(lines.of("Fallback used").length >= 6);
    }));

  it.live("a blip of the endpoint is retried and nobody hears of it", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const { url, breakers } = yield* serve({
        tenants: [tenantOf("ikea", endpoint.url)],
        retry: Either.getOrThrow(Retry.policy({ initialDelay: "10 millis" })),
      });
      endpoint.behave({ kind: "reset" }, { kind: "answer", status: 503 }, { kind: "ok" });
      const { status } = yield* post(url, { userToken: "ikea:t" });
      assert.equal(status, 200);
      const totals = yield* Effect.flatMap(
        breakers.get("token-exchange-ikea"),
        (one) => one.totals,
      );
      assert.deepEqual([totals.successes, totals.failures], [1, 2]);
    }));

  it.live("a caller that goes away takes its request to the endpoint along", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      endpoint.behave({ kind: "hang" });
      const { url, breakers } = yield* serve({ tenants: [tenantOf("ikea", endpoint.url)] });
      const caller = new AbortController();
      const gone = fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ userToken: "ikea:t" }),
        signal: caller.signal,
      }).catch((error: unknown) => error);
      yield* eventually(Effect.sync(() => endpoint.requests.length === 1));
      caller.abort();
      yield* Effect.promise(() => gone);
      yield* eventually(Effect.sync(() => endpoint.abandoned === 1));
      const breaker = yield* breakers.get("token-exchange-ikea");
      yield* eventually(Effect.map(breaker.totals, ({ neutral }) => neutral === 1));
      assert.equal((yield* breaker.totals).failures, 0);
    }));

  it.live("secrets of a tenant reach its endpoint and nothing else", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const clientSecret = Redacted.make("s3cret-value");
      const lines = new Lines();
      const tenant = tenantOf("ikea", endpoint.url);
      const { url } = yield* Effect.provide(
        serve({
          tenants: [{ ...tenant, authConfig: { ...tenant.authConfig, clientSecret } }],
          noCache: true,
        }),
        lines.layer,
      );
      endpoint.behave(
        { kind: "ok" },
        { kind: "answer", status: 500, body: "s3cret-value" },
        { kind: "answer", status: 401, body: { error: "invalid_client", hint: "s3cret-value" } },
        { kind: "answer", status: 200, body: "s3cret-value" },
      );
      for (let call = 0; call < 4; call++) {
        const { json, headers } = yield* post(url, { userToken: "ikea:shopper-token" });
        assert.ok(!/s3cret|shopper/.test(JSON.stringify([json, [...headers]])));
      }
      assert.equal(endpoint.requests.length, 4);
      assert.ok(lines.all.length > 0);
      assert.ok(!/s3cret|shopper/.test(Deno.inspect(lines.all, { depth: 9 })));
    }));
});

describe("auth/Api", () => {
  it("has an OpenAPI document with every status and the limits of userToken", () => {
    const document = openApi([AuthApi], {
      title: "auth",
      version: "0",
      description: "",
      license: { name: "MIT", identifier: "MIT" },
      servers: [],
    });
    const operation = document.paths["/auth/exchange"]?.["post"];
    const statuses = new Set(Object.keys(operation?.responses ?? {}));
    const expected = ["200", "400", "401", "404", "408", "413", "415", "429", "502", "503"];
    assert.deepEqual(expected.filter((status) => !statuses.has(status)), []);
    const schema = JSON.stringify(document.components.schemas["UserToken"]);
    assert.match(schema, /"pattern":"\^\[A-Za-z0-9_-\]\{1,64\}:/);
    assert.match(schema, /"examples"/);
  });
});

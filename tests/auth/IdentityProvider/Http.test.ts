import { describe, it } from "../../support/it.ts";
import assert from "node:assert/strict";
import { Cause, Context, Duration, Effect, Exit, Fiber, FiberId, Layer, Redacted } from "effect";
import {
  classify,
  EndpointRefused,
  EndpointThrottled,
  type IdentityFailure,
  IdentityProvider,
  InvalidAnswer,
  isRetryable,
  TokenRejected,
} from "../../../src/auth/IdentityProvider.ts";
import * as Http from "../../../src/auth/IdentityProvider/Http.ts";
import type { Resolve } from "../../../src/auth/IdentityProvider/Connections.ts";
import type { Tenant } from "../../../src/auth/Tenant.ts";
import * as Deadline from "../../../src/resilience/Deadline.ts";
import { PermanentFailure, TransientFailure } from "../../../src/resilience/DependencyFailure.ts";
import { eventually } from "../../support/eventually.ts";
import { TcpProxy } from "../../support/servers/TcpProxy.ts";
import { type TokenBehaviour, TokenEndpoint } from "../../support/servers/TokenEndpoint.ts";

const tenantAt = (tokenEndpoint: string, more: Partial<Tenant["authConfig"]> = {}): Tenant => ({
  tenantId: "acme",
  name: "Acme",
  enabled: true,
  authConfig: { tokenEndpoint, clientId: "shop", ...more },
});

const subject = Redacted.make("subject:token with odd+chars&=%");

const provider = (options: Http.Options = {}) =>
  Effect.map(
    Layer.build(Http.layer({ timeout: "2 seconds", ...options })),
    Context.get(IdentityProvider),
  );

/** The failure of one exchange with an endpoint that behaves like this. */
const failureWhen = (behaviour: TokenBehaviour, options: Http.Options = {}) =>
  Effect.gen(function* () {
    const endpoint = yield* TokenEndpoint.scoped();
    endpoint.behave(behaviour);
    const { exchange } = yield* provider(options);
    return yield* Effect.flip(exchange(tenantAt(endpoint.url), subject));
  });

const outcomeOf = (error: IdentityFailure) => classify(Exit.fail(error));

const json = (body: unknown, status = 200, headers = {}): TokenBehaviour => ({
  kind: "answer",
  status,
  headers: { "content-type": "application/json", ...headers },
  body: typeof body === "string" ? body : JSON.stringify(body),
});

const notUtf8: TokenBehaviour = {
  kind: "answer",
  status: 200,
  headers: { "content-type": "application/json" },
  body: Uint8Array.of(123, 255, 125),
};

const fields = { access_token: "t", token_type: "Bearer", expires_in: 60 };

/** A port whose queue of connections is full: whoever asks gets no answer at all. */
const swallowing = Effect.acquireRelease(
  Effect.promise(async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
    const { port } = listener.addr;
    const full: Array<Deno.TcpConn> = [];
    for (;;) {
      const tooLate = AbortSignal.timeout(200);
      try {
        full.push(await Deno.connect({ hostname: "127.0.0.1", port, signal: tooLate }));
      } catch {
        return { listener, port, full };
      }
    }
  }),
  ({ listener, full }) =>
    Effect.sync(() => {
      for (const conn of full) conn.close();
      listener.close();
    }),
);

/** Connections of this machine to the port that wait for the first answer. */
const attemptsAt = (port: number) =>
  Effect.promise(async () => {
    const target = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
    const lines = (await Deno.readTextFile("/proc/net/tcp")).split("\n");
    return lines.filter((line) => {
      const [, , remote, state] = line.trim().split(/\s+/);
      return remote === target && state === "02"; // SYN-SENT
    }).length;
  });

describe("IdentityProvider/Http", () => {
  it.live("exchange() sends the form of RFC 8693 and gives the checked token", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      endpoint.behave({ kind: "ok", accessToken: "fresh", expiresIn: 1234 });
      const { exchange } = yield* provider();
      const issued = yield* exchange(tenantAt(endpoint.url), subject);
      assert.equal(Redacted.value(issued.accessToken), "fresh");
      assert.equal(issued.expiresIn, 1234);
      assert.equal(issued.tokenType, "Bearer");
      const [request] = endpoint.requests;
      assert.equal(request?.method, "POST");
      assert.deepEqual(Object.fromEntries(request?.form ?? []), {
        grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token: "subject:token with odd+chars&=%",
        subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
        client_id: "shop",
      });
      assert.equal(request?.headers.get("content-type"), "application/x-www-form-urlencoded");
      assert.equal(request?.headers.get("accept"), "application/json");
      assert.equal(request?.headers.get("host"), `127.0.0.1:${endpoint.port}`);
      assert.equal(request?.headers.get("authorization"), null);
      assert.equal(request?.headers.get("traceparent"), null);
    }));

  it.live("exchange() sends scope, traceparent and the endpoint's own query", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
      const { exchange } = yield* provider({ traceHeaders: Effect.succeed({ traceparent }) });
      yield* exchange(tenantAt(`${endpoint.url}?realm=a%20b`, { scope: "shop basket" }), subject);
      const [request] = endpoint.requests;
      assert.equal(request?.form.get("scope"), "shop basket");
      assert.equal(request?.headers.get("traceparent"), traceparent);
      assert.equal(request?.query.get("realm"), "a b");
    }));

  it.live("exchange() form-urlencodes id and secret before HTTP Basic", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const { exchange } = yield* provider();
      const clientId = "shop: ü/&";
      const clientSecret = Redacted.make('p%ss:w+rd é€ "=');
      yield* exchange(tenantAt(endpoint.url, { clientId, clientSecret }), subject);
      const header = endpoint.requests[0]?.headers.get("authorization") ?? "";
      const [id = "", secret = "", ...rest] = atob(header.replace(/^Basic /, "")).split(":");
      const decode = (text: string) => new URLSearchParams(`v=${text}`).get("v");
      assert.equal(decode(id), clientId);
      assert.equal(decode(secret), Redacted.value(clientSecret));
      assert.deepEqual(rest, []);
      // The secret goes nowhere else, and never into the body.
      assert.equal(endpoint.requests[0]?.form.get("client_secret"), null);
      assert.equal(endpoint.requests[0]?.form.get("client_id"), clientId);
    }));

  for (const status of [400, 401, 403]) {
    it.live(`exchange() takes ${status} as a rejected token and a living endpoint`, () =>
      Effect.gen(function* () {
        const error = yield* failureWhen(json({ error: "invalid_grant" }, status));
        assert.ok(error instanceof TokenRejected);
        assert.equal(error.status, status);
        assert.equal(error.code, "invalid_grant");
        assert.equal(outcomeOf(error), "success");
        assert.equal(isRetryable(error), false);
      }));
  }

  it.live("exchange() keeps no code of a rejection that is not well-formed", () =>
    Effect.gen(function* () {
      const error = yield* failureWhen(json({ error: "<script>" }, 400));
      assert.ok(error instanceof TokenRejected);
      assert.equal(error.code, undefined);
      const silent = yield* failureWhen({ kind: "answer", status: 401 });
      assert.ok(silent instanceof TokenRejected);
    }));

  const throttled = (value: string | undefined) =>
    Effect.gen(function* () {
      const headers = value === undefined ? {} : { "retry-after": value };
      const error = yield* failureWhen({ kind: "answer", status: 429, headers });
      assert.ok(error instanceof EndpointThrottled);
      assert.equal(outcomeOf(error), "neutral");
      assert.equal(isRetryable(error), false);
      return Duration.toSeconds(error.retryAfter);
    });

  it.live("exchange() reads the seconds of a 429's Retry-After", () =>
    Effect.map(throttled("17"), (seconds) => assert.equal(seconds, 17)));

  it.live("exchange() reads the date of a 429's Retry-After", () =>
    Effect.gen(function* () {
      const soon = new Date(Date.now() + 40_000).toUTCString();
      const seconds = yield* throttled(soon);
      assert.ok(seconds > 20 && seconds <= 40, String(seconds));
      assert.equal(yield* throttled("Wed, 21 Oct 2015 07:28:00 GMT"), 0);
    }));

  it.live("exchange() waits a second after a 429 without a readable Retry-After", () =>
    Effect.gen(function* () {
      for (const value of [undefined, "soon", "-5", "1.5", "2999-01-01"]) {
        assert.equal(yield* throttled(value), 1, value);
      }
    }));

  for (const status of [408, 500, 501, 502, 503, 504, 599]) {
    it.live(`exchange() takes ${status} as a failure worth another attempt`, () =>
      Effect.gen(function* () {
        const error = yield* failureWhen({ kind: "answer", status });
        assert.ok(error instanceof TransientFailure);
        assert.equal(error.reason, `status ${status}`);
        assert.equal(error.timedOut, false);
        assert.equal(error.retryAfter, undefined);
        assert.equal(outcomeOf(error), "failure");
        assert.ok(isRetryable(error));
      }));
  }

  it.live("exchange() keeps the Retry-After of a 503", () =>
    Effect.gen(function* () {
      const headers = { "retry-after": "120" };
      const error = yield* failureWhen({ kind: "answer", status: 503, headers });
      assert.ok(error instanceof TransientFailure);
      assert.equal(Duration.toSeconds(error.retryAfter ?? 0), 120);
    }));

  const invalid: ReadonlyArray<readonly [string, TokenBehaviour, string]> = [
    ["another content type", json(fields, 200, { "content-type": "text/html" }), "content type"],
    ["no content type", { kind: "answer", status: 200, body: JSON.stringify(fields) }, "content"],
    ["no JSON", json("<html>"), "JSON object"],
    [
      "bytes that are no UTF-8",
      notUtf8,
      "JSON",
    ],
    ["a JSON array", json([fields]), "JSON object"],
    ["JSON null", json("null"), "JSON object"],
    ["an empty body", json(""), "JSON object"],
    ["no access_token", json({ ...fields, access_token: undefined }), "access_token"],
    ["an empty access_token", json({ ...fields, access_token: "" }), "access_token"],
    ["an access_token that is a number", json({ ...fields, access_token: 1 }), "access_token"],
    ["no token_type", json({ ...fields, token_type: undefined }), "token_type"],
    ["no expires_in", json({ ...fields, expires_in: undefined }), "expires_in"],
    ["expires_in 0", json({ ...fields, expires_in: 0 }), "expires_in"],
    ["expires_in -1", json({ ...fields, expires_in: -1 }), "expires_in"],
    ["expires_in 1.5", json({ ...fields, expires_in: 1.5 }), "expires_in"],
    ['expires_in "3600"', json({ ...fields, expires_in: "3600" }), "expires_in"],
    ["expires_in 31536001", json({ ...fields, expires_in: 31_536_001 }), "expires_in"],
    ["expires_in 1e999", json(`{"access_token":"t","token_type":"b","expires_in":1e999}`), "whole"],
    ["more than 64 KiB", { kind: "oversized", bytes: 65_536 }, "larger than 64 KiB"],
    ["201", json(fields, 201), "status is 201"],
    ["204", { kind: "answer", status: 204 }, "status is 204"],
    ["404", json(fields, 404), "status is 404"],
    ["405", json(fields, 405), "status is 405"],
  ];
  for (const [what, behaviour, reason] of invalid) {
    it.live(`exchange() refuses an answer with ${what}`, () =>
      Effect.gen(function* () {
        const error = yield* failureWhen(behaviour);
        assert.ok(error instanceof InvalidAnswer, String(error));
        assert.ok(error.reason.includes(reason), error.reason);
        assert.equal(outcomeOf(error), "failure");
        assert.equal(isRetryable(error), false);
      }));
  }

  for (const status of [301, 302, 303, 307, 308]) {
    it.live(`exchange() does not follow a ${status}`, () =>
      Effect.gen(function* () {
        const trap = yield* TokenEndpoint.scoped();
        const error = yield* failureWhen({ kind: "redirect", status, location: trap.url });
        assert.ok(error instanceof InvalidAnswer);
        assert.equal(error.status, status);
        assert.deepEqual(trap.requests, []);
      }));
  }

  it.live("exchange() accepts the extremes: 64 KiB, 1 s, 365 days, a charset, N_A", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const { exchange } = yield* provider();
      for (const expires_in of [1, 31_536_000]) {
        const body = JSON.stringify({ ...fields, expires_in, token_type: "N_A" });
        const type = { "content-type": "Application/JSON; charset=UTF-8" };
        endpoint.behave(json(body.padEnd(65_536), 200, type));
        const issued = yield* exchange(tenantAt(endpoint.url), subject);
        assert.equal(issued.expiresIn, expires_in);
        assert.equal(issued.tokenType, "N_A");
        endpoint.behave(json(body.padEnd(65_537), 200, type));
        const failure = yield* Effect.flip(exchange(tenantAt(endpoint.url), subject));
        assert.ok(failure instanceof InvalidAnswer && /64 KiB/.test(failure.reason));
      }
    }));

  const broken: ReadonlyArray<readonly [string, TokenBehaviour, string, boolean]> = [
    ["hangs", { kind: "hang" }, "no answer in time", true],
    ["stalls within the body", { kind: "stall" }, "no answer in time", true],
    ["resets", { kind: "reset" }, "connection reset", false],
    ["resets within the body", { kind: "reset", middle: true }, "connection reset", false],
    ["closes without an answer", { kind: "close" }, "connection reset", false],
    ["speaks something else", { kind: "garbage" }, "it does not speak HTTP", false],
  ];
  for (const [what, behaviour, reason, timedOut] of broken) {
    it.live(`exchange() fails transiently when the endpoint ${what}`, () =>
      Effect.gen(function* () {
        const error = yield* failureWhen(behaviour, { timeout: "200 millis" });
        assert.ok(error instanceof TransientFailure, String(error));
        assert.equal(error.reason, reason);
        assert.equal(error.timedOut, timedOut);
        assert.equal(outcomeOf(error), "failure");
      }));
  }

  it.live("exchange() keeps to its time however slowly the body drips", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const proxy = yield* TcpProxy.scoped(endpoint);
      yield* Effect.promise(() => proxy.mode("silent"));
      const { exchange } = yield* provider({ timeout: "200 millis" });
      const error = yield* Effect.flip(exchange(tenantAt(proxy.url(endpoint.url)), subject));
      assert.ok(error instanceof TransientFailure && error.timedOut);
      // What was given up is also closed.
      yield* eventually(Effect.sync(() => proxy.connections === 0));
    }));

  it.live("exchange() ends at the request's deadline when that is nearer", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      endpoint.behave({ kind: "hang" });
      const { exchange } = yield* provider({ timeout: "1 hour" });
      const error = yield* exchange(tenantAt(endpoint.url), subject).pipe(
        Effect.flip,
        Deadline.within("100 millis"),
      );
      assert.ok(error instanceof TransientFailure && error.timedOut);
    }));

  it.live("exchange() fails transiently when the connection is refused", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      yield* Effect.promise(() => endpoint.refuse());
      const { exchange } = yield* provider();
      const error = yield* Effect.flip(exchange(tenantAt(endpoint.url), subject));
      assert.ok(error instanceof TransientFailure);
      assert.equal(error.reason, "connection refused");
      assert.ok(!error.message.includes("127.0.0.1"));
    }));

  it.live("exchange() fails transiently when the name does not resolve", () =>
    Effect.gen(function* () {
      const { exchange } = yield* provider();
      const tenant = tenantAt("https://no-such-host.invalid/token");
      const error = yield* Effect.flip(exchange(tenant, subject));
      assert.ok(error instanceof TransientFailure, String(error));
      assert.equal(error.reason, "its name could not be resolved");
      assert.equal(outcomeOf(error), "failure");
    }));

  it.live("exchange() trusts only known authorities, and does not retry in vain", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped({ tls: true });
      const { exchange } = yield* provider();
      const error = yield* Effect.flip(exchange(tenantAt(endpoint.url), subject));
      assert.ok(error instanceof PermanentFailure, String(error));
      assert.equal(error.reason, "its certificate is not trusted");
      assert.equal(outcomeOf(error), "failure");
      assert.equal(isRetryable(error), false);
      assert.deepEqual(endpoint.requests, []);
      const authorities = [endpoint.certificate?.ca ?? ""];
      const trusting = yield* provider({ authorities });
      yield* trusting.exchange(tenantAt(endpoint.url), subject);
      assert.equal(endpoint.requests.length, 1);
    }));

  it.live("exchange() refuses a certificate made for another name", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped({ tls: true });
      const authorities = [endpoint.certificate?.ca ?? ""];
      const resolve: Resolve = () => Promise.resolve(["127.0.0.1"]);
      const { exchange } = yield* provider({ authorities, resolve });
      const url = endpoint.url.replace("127.0.0.1", "idp.example");
      const error = yield* Effect.flip(exchange(tenantAt(url), subject));
      assert.ok(error instanceof PermanentFailure, String(error));
      yield* exchange(tenantAt(endpoint.url.replace("127.0.0.1", "localhost")), subject);
    }));

  it.live(
    "exchange() closes the connection when no certificate can be for the name",
    () =>
      Effect.gen(function* () {
        const listener = yield* Effect.acquireRelease(
          Effect.sync(() => Deno.listen({ hostname: "127.0.0.1", port: 0 })),
          (listener) => Effect.sync(() => listener.close()),
        );
        const resolve: Resolve = () => Promise.resolve(["127.0.0.1"]);
        const { exchange } = yield* provider({ resolve, timeout: "300 millis" });
        const tenant = tenantAt(`https://-shop-.example:${listener.addr.port}/token`);
        const error = yield* Effect.flip(exchange(tenant, subject));
        assert.ok(error instanceof TransientFailure);
        yield* Effect.promise(async () => {
          const conn = await listener.accept();
          while (await conn.read(new Uint8Array(1_024)) !== null);
          conn.close();
        });
      }),
    { timeout: "5 seconds" },
  );

  it.live("exchange() says of a port that speaks no TLS that the handshake failed", () =>
    Effect.gen(function* () {
      const listener = yield* Effect.acquireRelease(
        Effect.sync(() => Deno.listen({ hostname: "127.0.0.1", port: 0 })),
        (listener) => Effect.sync(() => listener.close()),
      );
      const { exchange } = yield* provider();
      const tenant = tenantAt(`https://127.0.0.1:${listener.addr.port}/token`);
      const waiting = yield* Effect.fork(Effect.flip(exchange(tenant, subject)));
      yield* Effect.promise(async () => {
        const conn = await listener.accept();
        await conn.read(new Uint8Array(1_024));
        await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
        while (await conn.read(new Uint8Array(1_024)).catch(() => null) !== null);
        conn.close();
      });
      const error = yield* waiting;
      assert.ok(error instanceof TransientFailure, String(error));
      assert.equal(error.reason, "TLS handshake failed");
    }));

  it.live("exchange() reports a plain port behind https as a transient failure", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const { exchange } = yield* provider({ timeout: "500 millis" });
      const tenant = tenantAt(endpoint.url.replace("http:", "https:"));
      const error = yield* Effect.flip(exchange(tenant, subject));
      assert.ok(error instanceof TransientFailure, String(error));
    }));

  it.live("exchange() uses a connection again, also after a rejection", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const proxy = yield* TcpProxy.scoped(endpoint);
      const { exchange } = yield* provider();
      const tenant = tenantAt(proxy.url(endpoint.url));
      endpoint.behave(
        { kind: "ok" },
        json({ error: "invalid_grant" }, 400),
        { kind: "answer", status: 503, body: "busy" },
        { kind: "ok" },
      );
      for (let call = 0; call < 5; call++) yield* Effect.exit(exchange(tenant, subject));
      assert.equal(endpoint.requests.length, 5);
      assert.equal(proxy.accepted, 1);
    }));

  it.live("exchange() sends a request once, also when a kept connection ends under it", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const { exchange } = yield* provider();
      for (const kind of ["close", "reset"] as const) {
        endpoint.behave({ kind: "ok" }, { kind }, { kind: "ok" });
        endpoint.forget();
        yield* exchange(tenantAt(endpoint.url), subject);
        const error = yield* Effect.flip(exchange(tenantAt(endpoint.url), subject));
        assert.ok(error instanceof TransientFailure);
        assert.equal(error.reason, "connection reset");
        assert.equal(endpoint.requests.length, 2);
        yield* exchange(tenantAt(endpoint.url), subject);
      }
    }));

  it.live("exchange() does not keep a connection for longer than the endpoint does", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const proxy = yield* TcpProxy.scoped(endpoint);
      const { exchange } = yield* provider();
      const tenant = tenantAt(proxy.url(endpoint.url));
      for (const header of [{ "connection": "close" }, { "keep-alive": "timeout=1, max=5" }]) {
        endpoint.behave(json(fields, 200, header));
        yield* exchange(tenant, subject);
        yield* eventually(Effect.sync(() => proxy.connections === 0));
      }
    }));

  it.live("exchange() takes as many connections as it needs at a time, and no more", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const proxy = yield* TcpProxy.scoped(endpoint);
      endpoint.behave({ kind: "slow", delay: "20 millis" });
      const { exchange } = yield* provider();
      const tenant = tenantAt(proxy.url(endpoint.url));
      for (let round = 0; round < 5; round++) {
        yield* Effect.all(Array.from({ length: 8 }, () => exchange(tenant, subject)), {
          concurrency: "unbounded",
        });
      }
      assert.equal(endpoint.requests.length, 40);
      assert.equal(proxy.accepted, 8);
    }));

  it.live("exchange() tries the other addresses of a name when the first does not answer", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const resolve: Resolve = () => Promise.resolve(["127.0.0.9", "::1", "127.0.0.1"]);
      const { exchange } = yield* provider({ resolve });
      const tenant = tenantAt(endpoint.url.replace("127.0.0.1", "a.localhost"));
      const issued = yield* exchange(tenant, subject);
      assert.equal(issued.expiresIn, 3600);
      assert.equal(endpoint.requests[0]?.headers.get("host"), `a.localhost:${endpoint.port}`);
    }));

  for (const scheme of ["http", "https"]) {
    it.live(`exchange() leaves no connection half made when its time is over (${scheme})`, () =>
      Effect.gen(function* () {
        const { port } = yield* swallowing;
        assert.equal(yield* attemptsAt(port), 0);
        const { exchange } = yield* provider({ timeout: "300 millis" });
        const waiting = yield* Effect.fork(
          Effect.flip(exchange(tenantAt(`${scheme}://127.0.0.1:${port}/token`), subject)),
        );
        yield* eventually(Effect.map(attemptsAt(port), (count) => assert.equal(count, 1)));
        const failure = yield* Fiber.join(waiting);
        assert.ok(failure instanceof TransientFailure && failure.timedOut);
        yield* eventually(Effect.map(attemptsAt(port), (count) => assert.equal(count, 0)));
      }));
  }

  it.live("exchange() keeps no socket of a handshake that was never answered", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped({ tls: true });
      const proxy = yield* TcpProxy.scoped(endpoint);
      yield* Effect.promise(() => proxy.mode("silent"));
      const authorities = [endpoint.certificate?.ca ?? ""];
      const { exchange } = yield* provider({ authorities, timeout: "200 millis" });
      const tenant = tenantAt(proxy.url(endpoint.url));
      const attempts = Array.from({ length: 5 }, () => Effect.flip(exchange(tenant, subject)));
      for (const error of yield* Effect.all(attempts, { concurrency: "unbounded" })) {
        assert.ok(error instanceof TransientFailure && error.timedOut, String(error));
      }
      assert.equal(proxy.accepted, 5);
      // The other side is as silent as before: only ours can have ended them.
      yield* eventually(Effect.sync(() => assert.equal(proxy.connections, 0)));
      yield* Effect.promise(() => proxy.mode("pass"));
      yield* exchange(tenant, subject);
    }));

  it.live("exchange() reads over TLS what it reads without: small, large, and one after the other", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped({ tls: true });
      const proxy = yield* TcpProxy.scoped(endpoint);
      const { exchange } = yield* provider({ authorities: [endpoint.certificate?.ca ?? ""] });
      const tenant = tenantAt(proxy.url(endpoint.url));
      yield* exchange(tenant, subject);
      const access_token = "t".repeat(65_000);
      endpoint.behave(json({ ...fields, access_token }));
      const issued = yield* exchange(tenant, subject);
      assert.equal(Redacted.value(issued.accessToken), access_token);
      endpoint.behave(json({ error: "invalid_grant" }, 400));
      assert.ok((yield* Effect.flip(exchange(tenant, subject))) instanceof TokenRejected);
      assert.equal(proxy.accepted, 1, "all on one connection");
      yield* Effect.promise(() => proxy.drop());
      endpoint.behave(json(fields));
      yield* eventually(exchange(tenant, subject));
      assert.equal(proxy.accepted, 2);
    }));

  it.live("exchange() ends its TLS connection when its caller goes away", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped({ tls: true });
      const proxy = yield* TcpProxy.scoped(endpoint);
      endpoint.behave({ kind: "hang" });
      const { exchange } = yield* provider({ authorities: [endpoint.certificate?.ca ?? ""] });
      const fiber = yield* Effect.fork(exchange(tenantAt(proxy.url(endpoint.url)), subject));
      yield* eventually(Effect.sync(() => assert.equal(endpoint.requests.length, 1)));
      yield* Fiber.interrupt(fiber);
      yield* eventually(Effect.sync(() => assert.equal(proxy.connections, 0)));
    }));

  it.live("exchange() makes a new connection when the kept one has gone", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const proxy = yield* TcpProxy.scoped(endpoint);
      const { exchange } = yield* provider();
      const tenant = tenantAt(proxy.url(endpoint.url));
      yield* exchange(tenant, subject);
      yield* Effect.promise(() => proxy.drop());
      yield* eventually(exchange(tenant, subject));
      assert.equal(proxy.accepted, 2);
    }));

  it.live("exchange() closes the connection when its caller goes away", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      endpoint.behave({ kind: "hang" });
      const { exchange } = yield* provider({ timeout: "1 hour" });
      const fiber = yield* Effect.fork(exchange(tenantAt(endpoint.url), subject));
      yield* eventually(Effect.sync(() => endpoint.requests.length === 1));
      const exit = yield* Fiber.interrupt(fiber);
      assert.ok(Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause));
      assert.equal(classify(exit), "neutral");
      yield* eventually(Effect.sync(() => endpoint.abandoned === 1));
    }));

  it.live("exchange() does not come back to life on another connection when given up", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const proxy = yield* TcpProxy.scoped(endpoint);
      const { exchange } = yield* provider({ timeout: "100 millis" });
      const tenant = tenantAt(proxy.url(endpoint.url));
      endpoint.behave({ kind: "ok" }, { kind: "hang" }, { kind: "ok" });
      yield* exchange(tenant, subject);
      const error = yield* Effect.flip(exchange(tenant, subject));
      assert.ok(error instanceof TransientFailure && error.timedOut);
      yield* exchange(tenant, subject);
      endpoint.behave({ kind: "hang" }, { kind: "ok" });
      const fiber = yield* Effect.fork(exchange(tenant, subject));
      yield* eventually(Effect.sync(() => endpoint.requests.length === 4));
      yield* Fiber.interrupt(fiber);
      yield* exchange(tenant, subject);
      assert.equal(endpoint.requests.length, 5);
    }));

  it.live("exchange() closes the connection when its caller goes away within the body", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      endpoint.behave({ kind: "stall" });
      const { exchange } = yield* provider({ timeout: "1 hour" });
      const fiber = yield* Effect.fork(exchange(tenantAt(endpoint.url), subject));
      yield* eventually(Effect.sync(() => endpoint.requests.length === 1));
      yield* Fiber.interrupt(fiber);
      yield* eventually(Effect.sync(() => endpoint.abandoned === 1));
    }));

  const refused = [
    "http://idp.example/token",
    "http://10.1.2.3/token",
    "https://169.254.169.254/token",
    "https://2852039166/token",
    "https://0xa9fea9fe/token",
    "https://[::ffff:169.254.169.254]/token",
    "https://metadata.google.internal/token",
    "ftp://127.0.0.1/token",
    "nonsense",
  ];
  for (const url of refused) {
    it.live(`exchange() does not call "${url}"`, () =>
      Effect.gen(function* () {
        const asked: Array<string> = [];
        const resolve: Resolve = (hostname) => {
          asked.push(hostname);
          return Promise.reject(new Error("Nothing may be looked up"));
        };
        const { exchange } = yield* provider({ resolve });
        const error = yield* Effect.flip(exchange(tenantAt(url), subject));
        assert.ok(error instanceof EndpointRefused, String(error));
        assert.equal(outcomeOf(error), "neutral");
        assert.equal(isRetryable(error), false);
        assert.deepEqual(asked, []);
      }));
  }

  for (const address of ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "0.0.0.0"]) {
    it.live(`exchange() does not connect to a name that resolves to ${address}`, () =>
      Effect.gen(function* () {
        const resolve: Resolve = () =>
          Promise.resolve([
            "192.0.2.1",
            address,
          ]);
        const { exchange } = yield* provider({ resolve, allowInsecure: true });
        for (const scheme of ["http", "https"]) {
          const tenant = tenantAt(`${scheme}://idp.example/token`);
          const error = yield* Effect.flip(exchange(tenant, subject));
          assert.ok(error instanceof EndpointRefused, String(error));
        }
      }));
  }

  it.live("exchange() connects to the address it checked and asks once per connection", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const answers = ["127.0.0.1", "169.254.169.254", "127.0.0.1"];
      const asked: Array<string> = [];
      // A name whose answer changes between two look-ups, as in DNS rebinding.
      const resolve: Resolve = (hostname) => {
        const address = answers[asked.length] ?? "127.0.0.1";
        asked.push(hostname);
        return Promise.resolve([address]);
      };
      const { exchange } = yield* provider({ resolve, allowInsecure: true });
      const tenant = tenantAt(endpoint.url.replace("127.0.0.1", "idp.example"));
      yield* exchange(tenant, subject);
      yield* exchange(tenant, subject);
      assert.deepEqual(asked, ["idp.example"]);
      endpoint.behave({ kind: "close" }, { kind: "ok" });
      const lost = yield* Effect.flip(exchange(tenant, subject));
      assert.ok(lost instanceof TransientFailure, String(lost));
      const error = yield* Effect.flip(exchange(tenant, subject));
      assert.ok(error instanceof EndpointRefused, String(error));
      yield* exchange(tenant, subject);
      assert.equal(endpoint.requests.length, 4);
      assert.equal(asked.length, 3);
    }));

  it.live("exchange() over http does not leave this host by way of its name", () =>
    Effect.gen(function* () {
      const resolve: Resolve = () => Promise.resolve(["10.0.0.1"]);
      const { exchange } = yield* provider({ resolve });
      const error = yield* Effect.flip(exchange(tenantAt("http://a.localhost/token"), subject));
      assert.ok(error instanceof EndpointRefused, String(error));
      assert.equal(error.reason, "its scheme is not https");
    }));

  it.live("a failure holds neither token nor secret", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const clientSecret = Redacted.make("s3cret-value");
      const { exchange } = yield* provider({ timeout: "100 millis" });
      const tenant = tenantAt(endpoint.url, { clientSecret });
      const behaviours: ReadonlyArray<TokenBehaviour> = [
        { kind: "reset" },
        { kind: "hang" },
        json({ error: "invalid_grant", error_description: "subject:token s3cret-value" }, 400),
        json({ access_token: "leaked", token_type: 1 }),
      ];
      for (const behaviour of behaviours) {
        endpoint.behave(behaviour);
        const error = yield* Effect.flip(exchange(tenant, subject));
        const shown = Deno.inspect({ ...error, text: String(error) }, { depth: 9 });
        assert.ok(!/subject:token|s3cret|leaked/.test(shown), shown);
      }
    }));
});

describe("IdentityProvider", () => {
  it.effect("layerMemory issues a new token at each exchange", () =>
    Effect.gen(function* () {
      const { exchange } = yield* IdentityProvider;
      const one = yield* exchange(tenantAt("https://idp.example"), subject);
      const two = yield* exchange(tenantAt("https://idp.example"), subject);
      assert.equal(Redacted.value(one.accessToken), "demo-acme-1");
      assert.equal(Redacted.value(two.accessToken), "demo-acme-2");
      assert.equal(one.expiresIn, 3600);
    }).pipe(Effect.provide(IdentityProvider.layerMemory)));

  it("classify() is success for a token, failure for a defect, neutral for interruption", () => {
    assert.equal(classify(Exit.succeed("token")), "success");
    assert.equal(classify(Exit.die("bug")), "failure");
    assert.equal(classify(Exit.failCause(Cause.interrupt(FiberId.none))), "neutral");
  });
});

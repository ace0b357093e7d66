/** The HTTP surface of both services, operations and administration included, on real sockets. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { RawConnection } from "../../http/support/RawHttp.ts";
import { TokenEndpoint } from "../../support/servers/TokenEndpoint.ts";
import { tenant } from "../../e2e/support/Shops.ts";
import { bearer } from "../../support/wire/Jwt.ts";
import * as Services from "../Services.ts";
import { byMutation, byProperty, type Target } from "../Target.ts";
import { inTime } from "./Patience.ts";

/** Both services and a token endpoint that issues tokens: nothing fails, so no 5xx is meant. */
async function open() {
  const endpoint = await TokenEndpoint.start();
  const services = await Services.start(
    { REQUEST_TIMEOUT: "2s" },
    [tenant("ikea", endpoint.url), tenant("habitat", endpoint.url, {}, { enabled: false })],
  );
  const close = async () => {
    await services.stop();
    await endpoint.stop();
  };
  return { services, endpoint, close };
}

const latin1 = new TextDecoder("latin1");

/** Everything that comes until the other side closes. */
async function readAll(conn: Deno.TcpConn): Promise<string> {
  const buffer = new Uint8Array(65_536);
  let text = "";
  for (;;) {
    const count = await conn.read(buffer).catch((error) => {
      // Reset in place of closed: it had not read all that was sent.
      if (error instanceof Deno.errors.ConnectionReset) return null;
      throw error;
    });
    if (count === null) return text;
    text += latin1.decode(buffer.subarray(0, count));
    // A stream of events has no end of its own.
    if (text.includes("text/event-stream")) return text;
  }
}

/** Statuses with which the HTTP server itself refuses what is no request. */
const byServer = new Set(["400", "414", "431"]);

export const httpBytes: Target = {
  name: "HTTP bytes",
  weight: 12,
  promise: "any bytes get answers below 500 or a closed connection, in time",
  open: async () => {
    const { services, endpoint, close } = await open();
    const { authorization } = await bearer("ikea");
    const token = authorization ?? "";
    const exchange = async (bytes: Uint8Array, index: number): Promise<string> => {
      if (index % 1_000 === 0) endpoint.forget();
      const port = index % 2 === 0 ? services.routingPort : services.authPort;
      using conn = await Deno.connect({ hostname: "127.0.0.1", port });
      const answer = readAll(conn);
      try {
        for (let sent = 0; sent < bytes.length;) sent += await conn.write(bytes.subarray(sent));
        await conn.closeWrite();
      } catch (error) {
        // It has answered and closed before it had read all.
        const closed = error instanceof Deno.errors.BrokenPipe ||
          error instanceof Deno.errors.ConnectionReset ||
          error instanceof Deno.errors.NotConnected;
        if (!closed) throw error;
      }
      const text = await answer;
      const statuses = Array.from(
        text.matchAll(/(?:^|\n)HTTP\/1\.[01] (\d{3}) /g),
        ([, status = ""]) => status,
      );
      assert.deepEqual(statuses.filter((status) => status >= "500"), [], text.slice(0, 500));
      const [first] = statuses;
      // A SETTINGS frame: the server takes HTTP/2 without TLS from who begins with its preface.
      if (text.startsWith("\0\0") && text.startsWith("\x04\0", 3)) return "HTTP/2";
      if (first === undefined) {
        assert.equal(text, "", "an answer that is no HTTP");
        return "closed";
      }
      const ours = /\r\nx-correlation-id: [A-Za-z0-9._-]{1,128}\r\n/i.test(text);
      assert.ok(ours || byServer.has(first), text.slice(0, 500));
      return ours ? first : `${first} by the server`;
    };
    return {
      run: await byMutation({
        corpus: "http",
        more: [
          `GET /api/v1/route?storeId=berlin-01 HTTP/1.1\r\nhost: a\r\nauthorization: ${token}\r\n\r\n`,
        ]
          .map((text) => new TextEncoder().encode(text)),
        dictionary: [
          ...[
            "GET ",
            "HEAD ",
            "POST ",
            "OPTIONS ",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            " HTTP/1.0",
          ],
          ...[
            "/api/v1/route",
            "/auth/exchange",
            "/health",
            "/metrics",
            "/admin/breakers",
            "/status",
          ],
          ...[
            "content-length: 5\r\n",
            "transfer-encoding: chunked\r\n",
            "expect: 100-continue\r\n",
          ],
          ...[
            "connection: close\r\n",
            "connection: upgrade\r\nupgrade: websocket\r\n",
            "host: b\r\n",
          ],
          ...[
            "content-type: application/json\r\n",
            "\r\n\r\n",
            "0\r\n\r\n",
            "%00",
            "..",
            "://",
            "\0",
          ],
          ...[`authorization: ${token}\r\n`, "authorization: Bearer ", "accept-encoding: gzip\r\n"],
        ],
        check: (bytes, index) => inTime(exchange(bytes, index)),
      }),
      close,
    };
  },
};

const tchar = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Printable ASCII but what ends a request's target. */
const targetCharacter = fc.integer({ min: 0x21, max: 0x7e }).map((code) =>
  String.fromCharCode(code)
);

const known = fc.constantFrom(
  ...["/api/v1/route", "/api/v1/stores", "/api/v1/stores/berlin-01", "/auth/exchange", "/health"],
  ...["/health/live", "/health/ready", "/metrics", "/status", "/openapi.json", "/admin/breakers"],
  ...["/admin/breakers/mongodb", "/admin/breakers/token-exchange-ikea", "/admin/log-level", "/"],
);

const path = fc.oneof(
  { weight: 4, arbitrary: known },
  fc.string({ unit: targetCharacter, maxLength: 40 }).map((text) => `/${text}`),
  fc.tuple(
    fc.constantFrom("/api/v1/stores/", "/admin/breakers/"),
    fc.string({ unit: targetCharacter, maxLength: 140 }),
  ).map(([start, end]) => start + end),
);

const query = fc.oneof(
  fc.constantFrom(
    "",
    "?",
    "?storeId=berlin-01",
    "?storeId=a&storeId=b",
    "?limit=1&after=berlin-01",
  ),
  fc.constantFrom("?limit=0", "?limit=1e3", "?limit=%31", "?storeId=%00", `?${"a".repeat(8_193)}`),
  fc.string({ unit: targetCharacter, maxLength: 60 }).map((text) => `?${text}`),
);

const headerValue = fc.oneof(
  fc.string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
  }),
  fc.string({ unit: "grapheme" }).map((text) => text.replaceAll(/[\r\n\0]/g, " ")),
  fc.constantFrom("", "*", "application/json", "application/json; charset=x", "text/plain"),
  fc.constantFrom(
    "Bearer",
    "Bearer ",
    "Bearer a.b.c",
    "Basic eA==",
    "https://shop.example",
    "null",
  ),
);

const header = fc.tuple(
  fc.oneof(
    fc.constantFrom("x-correlation-id", "x-request-id", "traceparent", "tracestate", "origin"),
    fc.constantFrom("access-control-request-method", "accept", "cookie", "content-type", "host"),
    fc.string({ unit: fc.constantFrom(...tchar), minLength: 1, maxLength: 20 }).map((n) =>
      `x-${n}`
    ),
  ),
  headerValue,
);

const body = fc.oneof(
  fc.constantFrom('{"userToken":"ikea:abc"}', '{"userToken":"habitat:abc"}', "{", "", "[]", "null"),
  fc.constantFrom('{"action":"auto"}', '{"level":"info"}', '{"userToken":"ikea:\\ud800"}'),
  fc.string({ unit: "binary", maxLength: 2_100 }).map((token) =>
    JSON.stringify({ userToken: `ikea:${token}` })
  ),
  fc.json({ noUnicodeString: false }),
  fc.constant(JSON.stringify({ userToken: `ikea:${"x".repeat(20_000)}` })),
);

const request = fc.record({
  toAuth: fc.boolean(),
  method: fc.oneof(
    { weight: 4, arbitrary: fc.constant("GET") },
    { weight: 3, arbitrary: fc.constant("POST") },
    fc.constantFrom("HEAD", "OPTIONS", "PUT", "DELETE", "BREW"),
  ),
  path,
  query,
  headers: fc.array(header, { maxLength: 5 }),
  credentials: fc.constantFrom("none", "token", "token", "token", "admin", "admin"),
  isJson: fc.boolean(),
  isChunked: fc.boolean(),
  body: fc.option(body),
});

type Request = typeof request extends fc.Arbitrary<infer R> ? R : never;

const encoder = new TextEncoder();

const textOf = (asked: Request, token: string): string => {
  const { method, path, query, headers, credentials, isJson, isChunked, body } = asked;
  const size = body === null ? 0 : encoder.encode(body).length;
  const lines = [
    `${method} ${path}${query} HTTP/1.1`,
    // A second Host is for the server itself to refuse.
    ...(headers.some(([name]) => name === "host") ? [] : ["host: localhost"]),
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(credentials === "token" ? [`authorization: ${token}`] : []),
    ...(credentials === "admin" ? ["authorization: Bearer fuzz-admin-token-0123456789"] : []),
    ...(isJson ? ["content-type: application/json"] : []),
  ];
  if (body === null) return [...lines, "", ""].join("\r\n");
  if (!isChunked) return [...lines, `content-length: ${size}`, "", body].join("\r\n");
  const chunk = size === 0 ? "" : `${size.toString(16)}\r\n${body}\r\n`;
  return [...lines, "transfer-encoding: chunked", "", `${chunk}0`, "", ""].join("\r\n");
};

/** Keeps a breaker from being opened by a case: the next ones would be refused, as they should. */
const isSwitch = ({ path, method }: Request) => method === "POST" && path.startsWith("/admin");

export const httpRequests: Target = {
  name: "HTTP requests",
  weight: 18,
  promise: "a request gets one whole answer below 500, which is a problem document from 400 on",
  open: async () => {
    const { services, endpoint, close } = await open();
    const { authorization = "" } = await bearer("ikea");
    const kept = new Map<number, RawConnection>();
    let asked = 0;
    const ask = async (request: Request): Promise<string> => {
      if (++asked % 1_000 === 0) endpoint.forget();
      const port = request.toAuth ? services.authPort : services.routingPort;
      const connection = kept.get(port) ?? await RawConnection.open(port);
      kept.delete(port);
      let isReusable = false;
      try {
        await connection.send(textOf(request, authorization)).catch((error) => {
          // Refused and closed before it was read to its end; the answer is there.
          if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
        });
        const isStream = request.path === "/status/events";
        const { status, headers, body } = await connection.receive({
          head: request.method === "HEAD" || isStream,
        });
        assert.ok(status < 500, `${status} ${body}`);
        if (headers.get("x-correlation-id") === null) {
          assert.ok(byServer.has(String(status)), `${status} without a correlation id`);
          return `${status} by the server`;
        }
        assert.equal(headers.get("x-content-type-options"), "nosniff");
        if (status >= 400 && request.method !== "HEAD") {
          assert.equal(headers.get("content-type"), "application/problem+json");
          const problem = JSON.parse(body);
          assert.equal(problem.status, status);
          assert.equal(problem.correlationId, headers.get("x-correlation-id"));
        }
        // After an answer that came before the whole request the next bytes would be its rest.
        isReusable = status < 400 && !isStream && headers.get("connection") !== "close";
        return String(status);
      } finally {
        if (isReusable) kept.set(port, connection);
        else connection[Symbol.dispose]();
      }
    };
    return {
      run: byProperty(request.filter((one) => !isSwitch(one)), (one) => inTime(ask(one))),
      close: async () => {
        for (const connection of kept.values()) connection[Symbol.dispose]();
        await close();
      },
    };
  },
};

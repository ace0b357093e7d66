/** What only a socket shows: framing tricks, refused bodies, addresses as sent, and exhaustion. */
import assert from "node:assert/strict";
import http2 from "node:http2";
import { ask, type RawAnswer, RawConnection } from "../http/support/RawHttp.ts";
import { Amicis, fromSource } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { tokenOf } from "../support/wire/Jwt.ts";

const adminToken = "an-admin-token-of-the-socket-tests";
const body = '{"userToken":"nobody:token"}';

const head = (...lines: ReadonlyArray<string>) =>
  ["POST /auth/exchange HTTP/1.1", "Host: localhost", ...lines, "", ""].join("\r\n");
const jsonHead = (...lines: ReadonlyArray<string>) =>
  head("Content-Type: application/json", ...lines);

/** A request that would be answered if it were taken for one. */
const smuggled = "GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n";

/** Every answer until the other side closes. */
const answersUntilEnd = async (port: number, text: string): Promise<ReadonlyArray<RawAnswer>> => {
  using connection = await RawConnection.open(port);
  await connection.send(text);
  const answers: Array<RawAnswer> = [];
  for (;;) {
    try {
      answers.push(await connection.receive());
    } catch {
      return answers;
    }
  }
};

describe("sockets", () => {
  let amicis: Amicis;

  beforeAll(async () => {
    amicis = await Amicis.start({
      service: "all",
      env: { ADMIN_TOKEN: adminToken, REQUEST_TIMEOUT: "1s" },
    });
  });
  afterAll(async () => {
    await amicis?.stop();
  });

  const descriptors = () => Array.from(Deno.readDirSync(`/proc/${amicis.pid}/fd`)).length;
  const residentMiB = () => {
    const status = Deno.readTextFileSync(`/proc/${amicis.pid}/status`);
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
  };

  it("a message whose length is in doubt is refused, and nothing behind it is answered", async () => {
    const chunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
    const doubtful: ReadonlyArray<string> = [
      jsonHead("Content-Length: 5", "Transfer-Encoding: chunked") + chunk + smuggled,
      jsonHead("Transfer-Encoding: chunked", "Content-Length: 5") + chunk + smuggled,
      jsonHead(`Content-Length: ${body.length}`, "Content-Length: 5") + body + smuggled,
      jsonHead(`Content-Length: +${body.length}`) + body + smuggled,
      jsonHead("Content-Length: -1") + body + smuggled,
      jsonHead("Content-Length: 0x10") + body + smuggled,
      jsonHead(`Content-Length: ${"9".repeat(25)}`) + body + smuggled,
      jsonHead("Transfer-Encoding: xchunked") + chunk + smuggled,
      jsonHead("Transfer-Encoding: chunked, identity") + chunk + smuggled,
      jsonHead("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + chunk + smuggled,
      jsonHead("Transfer-Encoding: identity", "Transfer-Encoding: chunked", "Content-Length: 5") +
      chunk + smuggled,
      jsonHead("Transfer-Encoding: \u000bchunked") + chunk + smuggled,
      jsonHead("Transfer-Encoding : chunked") + chunk + smuggled,
      jsonHead("Transfer-Encoding: chunked\u0000") + chunk + smuggled,
      jsonHead("Transfer-Encoding: identity", `Content-Length: ${body.length}`) + body + smuggled,
      jsonHead("Content-Length : 5") + body + smuggled,
      jsonHead("X-Folded: a\r\n b", `Content-Length: ${body.length}`) + body + smuggled,
      head("Host: elsewhere") + smuggled,
    ];
    for (const text of doubtful) {
      const answers = await answersUntilEnd(amicis.authPort, text);
      assert.deepEqual(answers.map(({ status }) => status), [400], text);
    }
    // Broken in the middle of a body: said, or simply hung up on.
    for (const chunks of ["zz\r\n", "-1\r\n", "1\r\nab\r\n", `${"1".repeat(30)}\r\n`]) {
      const text = jsonHead("Transfer-Encoding: chunked") + chunks + smuggled;
      const answers = await answersUntilEnd(amicis.authPort, text);
      assert.ok(answers.length <= 1 && answers.every(({ status }) => status === 400), text);
    }
  });

  it("an answer to an unread body ends the connection, and leaves nothing behind", async () => {
    const refused: ReadonlyArray<readonly [number, string]> = [
      [413, jsonHead("Content-Length: 20000")],
      [415, head("Content-Type: text/plain", "Content-Length: 20")],
      [408, jsonHead("Content-Length: 20") + '{"user'],
      [404, "POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n"],
      [405, "POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n"],
    ];
    const before = descriptors();
    for (const [status, text] of refused) {
      using connection = await RawConnection.open(amicis.authPort);
      await connection.send(text);
      const answer = await connection.receive();
      assert.equal(answer.status, status);
      assert.match(answer.headers.get("connection") ?? "", /^close/, String(status));
      assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
      // The rest of the body and another request: the first alone was answered.
      await connection.send("x".repeat(20_000) + smuggled).catch(() => {});
      assert.ok(await connection.ends().catch(() => true), `${status} is followed by an answer`);
    }
    // Callers that never send the rest, and go away.
    const silent = await Promise.all(refused.map(async ([, text]) => {
      const connection = await RawConnection.open(amicis.authPort);
      await connection.send(text);
      await connection.receive();
      return connection;
    }));
    for (const connection of silent) connection[Symbol.dispose]();
    await eventually(() => assert.ok(descriptors() <= before, `${before} → ${descriptors()}`));
  });

  it("what comes after a refusal is thrown away as it comes", async () => {
    const piece = new Uint8Array(65_536).fill(0x78);
    const flood = async (
      text: string,
      encode: (piece: Uint8Array) => ReadonlyArray<Uint8Array>,
    ) => {
      using connection = await RawConnection.open(amicis.authPort);
      await connection.send(text);
      try {
        for (let sent = 0; sent < 100 * 2 ** 20; sent += piece.length) {
          for (const bytes of encode(piece)) {
            for (let rest = bytes; rest.length > 0;) {
              rest = rest.subarray(await connection.conn.write(rest));
            }
          }
        }
      } catch {
        // Hung up on: as good.
      }
      return (await connection.receive()).status;
    };
    const before = residentMiB();
    assert.equal(await flood(jsonHead("Content-Length: 2000000000"), (piece) => [piece]), 413);
    const line = new TextEncoder().encode("10000\r\n");
    const end = new TextEncoder().encode("\r\n");
    const chunked = jsonHead("Transfer-Encoding: chunked");
    assert.equal(await flood(chunked, (piece) => [line, piece, end]), 413);
    const grown = residentMiB() - before;
    assert.ok(grown < 60, `200 MiB were sent, and ${grown.toFixed()} MiB were kept`);
  });

  it("a head that is too large is refused, and the connection ended", async () => {
    const large = [
      `GET /health/live HTTP/1.1\r\nHost: localhost\r\nX-Large: ${"x".repeat(70_000)}\r\n\r\n`,
      `GET /health/live HTTP/1.1\r\nHost: localhost\r\n${"X-Many: x\r\n".repeat(30_000)}\r\n`,
      `GET /${"x".repeat(100_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    ];
    for (const text of large) {
      using connection = await RawConnection.open(amicis.port);
      // It may be hung up on while it still sends.
      await connection.send(text + smuggled).catch(() => {});
      const status = await connection.receive().then((answer) => answer.status, () => "ended");
      assert.ok(status === 400 || status === "ended", `${text.slice(0, 80)}: ${status}`);
      assert.ok(await connection.ends().catch(() => true));
    }
    assert.equal((await amicis.ask("/health/live")).status, 200);
  });

  it("a body over HTTP/2 needs no announced length, and has the same limits", async () => {
    const client = http2.connect(`http://127.0.0.1:${amicis.authPort}`);
    const post = (pieces: ReadonlyArray<string>, headers = {}, isWhole = true) =>
      new Promise<{ status: unknown; error: unknown }>((resolve, reject) => {
        const request = client.request({
          ":method": "POST",
          ":path": "/auth/exchange",
          "content-type": "application/json",
          ...headers,
        });
        let status: unknown;
        let text = "";
        request.on("response", (headers) => status = headers[":status"]);
        request.on("data", (part) => text += part);
        request.on("end", () => resolve({ status, error: JSON.parse(text).error }));
        request.on("error", reject);
        for (const piece of pieces) request.write(piece);
        if (isWhole) request.end();
      });
    try {
      assert.deepEqual(await post([body.slice(0, 9), body.slice(9)]), {
        status: 404,
        error: "Unknown tenant",
      });
      assert.deepEqual(await post([]), { status: 400, error: "Request body is required" });
      assert.deepEqual(await post([body], { "content-type": "text/plain" }), {
        status: 415,
        error: "Content type not supported",
      });
      const large = ["x".repeat(10_000), "x".repeat(10_000)];
      assert.deepEqual(await post(large), { status: 413, error: "Request body too large" });
      assert.deepEqual(await post([body], {}, false), {
        status: 408,
        error: "Request body not received in time",
      });
      // One stream's failure is no other's.
      assert.equal((await post([body])).status, 404);
    } finally {
      await new Promise<void>((closed) => client.close(closed));
    }
  });

  it("no spelling of an address leads past what guards it", async () => {
    const token = await tokenOf("ikea");
    const record = "/api/v1/stores";
    const statuses: Readonly<Record<string, number>> = {
      // Dots are no way up: as a name they are one that does not exist.
      [`${record}/..`]: 404,
      [`${record}/%2e%2e`]: 404,
      [`${record}/%2e%2e/route?storeId=berlin-01`]: 404,
      [`${record}/../route?storeId=berlin-01`]: 404,
      ["/api/v1/../v1/stores"]: 404,
      ["/%2e%2e/api/v1/stores"]: 404,
      // Overlong and broken UTF-8, NUL, and slashes in disguise.
      [`${record}/%c0%ae%c0%ae`]: 400,
      [`${record}/%e0%80%ae`]: 400,
      [`${record}/%ed%a0%80`]: 400,
      [`${record}/berlin-01%00`]: 400,
      [`${record}/berlin-01%2f`]: 400,
      [`${record}/berlin-01%5c`]: 400,
      [`${record}/berlin%2D01`]: 200,
      [`${record}/berlin%252D01`]: 400,
      [`${record}/berlin-01;x=y`]: 400,
      [`${record}//berlin-01`]: 404,
      [`//api/v1/stores`]: 404,
      [`/api%2fv1%2fstores`]: 404,
      [`/api/v1/stores%00`]: 404,
      [`/API/v1/stores`]: 404,
      [`/api/v1/stores/`]: 404,
      [`/api/v1/st%6fres`]: 200,
      [`/api/v1/route?storeId=%c0%ae`]: 400,
      [`/api/v1/route?storeId=berlin-01&storeId=berlin-01`]: 400,
      [`/api/v1/route?storeId=berlin-01&store%49d=paris-01`]: 400,
      [`/api/v1/route?storeId=berlin-01%26storeId=x`]: 400,
      [`/api/v1/route?storeId=berlin-01#x`]: 400,
    };
    for (const [path, expected] of Object.entries(statuses)) {
      const { status, body } = await ask(amicis.port, [
        `GET ${path} HTTP/1.1`,
        `Authorization: Bearer ${token}`,
      ]);
      assert.equal(status, expected, `${path}: ${body}`);
      // Whatever there is, nobody gets it without a token.
      const stranger = await ask(amicis.port, [`GET ${path} HTTP/1.1`]);
      assert.ok([401, 404].includes(stranger.status), `${path}: ${stranger.status}`);
    }
    for (const path of ["/%61dmin/breakers", "/admin/breakers", "/admin/%62reakers"]) {
      assert.equal((await ask(amicis.port, [`GET ${path} HTTP/1.1`])).status, 401, path);
    }
    for (const path of ["/admin%2fbreakers", "//admin/breakers", "/x/../admin/breakers"]) {
      const answer = await ask(amicis.port, [
        `GET ${path} HTTP/1.1`,
        `Authorization: Bearer ${adminToken}`,
      ]);
      assert.equal(answer.status, 404, path);
    }
  });

  it("every address tells its methods, answers HEAD as GET, and has the common headers", async () => {
    const token = await tokenOf("ikea");
    const addresses: ReadonlyArray<readonly [port: number, path: string, allow: string]> = [
      ...["/api/v1/route?storeId=berlin-01", "/api/v1/stores", "/api/v1/stores/berlin-01"]
        .map((path) => [amicis.port, path, "GET, HEAD, OPTIONS"] as const),
      ...["", "/live", "/ready"].flatMap((path) =>
        [amicis.port, amicis.authPort].map((port) =>
          [port, `/health${path}`, "GET, HEAD, OPTIONS"] as const
        )
      ),
      ...["/metrics", "/status", "/status/events", "/openapi.json", "/admin/breakers"]
        .map((path) => [amicis.port, path, "GET, HEAD, OPTIONS"] as const),
      [amicis.port, "/admin/breakers/mongodb", "POST, OPTIONS"],
      [amicis.port, "/admin/log-level", "GET, HEAD, POST, OPTIONS"],
      [amicis.authPort, "/auth/exchange", "POST, OPTIONS"],
    ];
    const assertCommon = ({ headers }: RawAnswer, what: string) => {
      assert.match(headers.get("x-correlation-id") ?? "", /^[0-9a-f-]{36}$/, what);
      assert.equal(headers.get("x-content-type-options"), "nosniff", what);
      assert.equal(headers.get("access-control-allow-origin"), "*", what);
    };
    for (const [port, path, allow] of addresses) {
      const credentials = path.startsWith("/admin") ? adminToken : token;
      const send = (method: string) =>
        ask(port, [`${method} ${path} HTTP/1.1`, `Authorization: Bearer ${credentials}`], {
          head: method === "HEAD" || path === "/status/events",
        });
      const options = await send("OPTIONS");
      assert.deepEqual([options.status, options.headers.get("allow")], [204, allow], path);
      assertCommon(options, path);
      for (const method of ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"]) {
        if (allow.split(", ").includes(method)) continue;
        const answer = await send(method);
        assert.equal(answer.status, 405, `${method} ${path}`);
        assert.equal(answer.headers.get("allow"), allow, `${method} ${path}`);
        assertCommon(answer, `${method} ${path}`);
      }
      if (!allow.startsWith("GET")) continue;
      const [get, headed] = [await send("GET"), await send("HEAD")];
      assert.equal(headed.status, get.status, path);
      assert.equal(headed.headers.get("content-type"), get.headers.get("content-type"), path);
      for (const answer of [get, headed]) assertCommon(answer, path);
    }
  });

  it("listens again when it had run out of file descriptors", async () => {
    await using narrow = await Amicis.start({
      service: "routing",
      program: ["/bin/sh", "-c", 'ulimit -n 100 && exec "$@"', "sh", ...fromSource],
    });
    const callers: Array<RawConnection> = [];
    try {
      await eventually(async () => {
        callers.push(await RawConnection.open(narrow.port));
        assert.ok(narrow.logged({ msg: "Listener lost" }).length > 0);
      }, { every: "1 millis", within: "20 seconds" });
      const [line] = narrow.logged({ level: "error", msg: "Listener lost" });
      assert.match(String(line?.error), /Too many open files/);
      const [first] = callers;
      await first?.send(smuggled);
      assert.equal((await first?.receive())?.status, 200, "those who are in are still served");
    } finally {
      for (const caller of callers) caller[Symbol.dispose]();
    }
    await narrow.awaitLog({ msg: "Listening again" });
    assert.equal((await narrow.ask("/health/live")).status, 200);
    assert.equal((await narrow.stop()).code, 0);
  });
});

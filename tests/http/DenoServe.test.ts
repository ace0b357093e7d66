/**
 * DenoServe: the short way says what the public classes say, on a real server and byte by byte; and
 * it is the one that is taken here.
 */
import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import {
  arrivedBody,
  bodyResponse,
  requestHeader,
  textResponse,
} from "../../src/http/DenoServe.ts";
import * as Header from "../../src/http/Header.ts";
import { RawConnection } from "./support/RawHttp.ts";

/** A connection to a server whose every answer is the given one, for as long as it is used. */
const connected = async <A>(
  answer: (request: Request) => Response | Promise<Response>,
  use: (connection: RawConnection) => Promise<A>,
): Promise<A> => {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  try {
    using connection = await RawConnection.open(server.addr.port);
    return await use(connection);
  } finally {
    await server.shutdown();
  }
};

/** Asks such a server, and gives what comes back. */
const exchange = (lines: ReadonlyArray<string>, answer: (request: Request) => Response) =>
  connected(answer, async (connection) => {
    await connection.send(`${[...lines, "host: localhost"].join("\r\n")}\r\n\r\n`);
    return await connection.receive({ head: lines[0]?.startsWith("HEAD") === true });
  });

const get = "GET / HTTP/1.1";

const shown = ({ status, headers, body }: Awaited<ReturnType<typeof exchange>>) => ({
  status,
  headers: [...headers].filter(([name]) => name !== "date"),
  body,
});

describe("requestHeader()", () => {
  const names = ["x-one", "X-One", "x-two", "x-none", "authorization", "host", "x-empty", "cookie"];
  const given = [
    get,
    "X-ONE: 1",
    "x-two: a",
    "X-Two:  b ",
    "authorization: Bearer t",
    "x-empty:",
    "cookie: a=1",
    "cookie: b=2",
  ];

  it("reads what Headers reads, of a request from the server", async () => {
    let pairs: Array<[string | null, string | null]> = [];
    await exchange(given, (request) => {
      const short = names.map((name) => requestHeader(request, name));
      pairs = names.map((name, index) => [short[index] ?? null, request.headers.get(name)]);
      return new Response();
    });
    assert.equal(pairs.length, names.length);
    for (const [short, plain] of pairs) assert.equal(short, plain);
    assert.deepEqual(pairs[2], ["a, b", "a, b"]);
    assert.equal(pairs[3]?.[0], null);
  });

  it("reads what Headers reads, of a request that was made by hand", () => {
    const request = new Request("http://localhost", { headers: { "x-one": "1" } });
    assert.equal(requestHeader(request, "x-one"), "1");
    assert.equal(requestHeader(request, "x-two"), null);
  });

  it("throws once there is an answer: it does not make the server copy all headers", async () => {
    let kept: Request | undefined;
    await exchange(given, (request) => {
      requestHeader(request, "x-one");
      kept = request;
      return new Response();
    });
    assert.ok(kept !== undefined);
    const request = kept;
    assert.throws(() => requestHeader(request, "x-one"), TypeError);
  });
});

describe("arrivedBody()", () => {
  /** A POST whose body comes in these parts, the last ones once the handler has begun. */
  const post = (
    [first = "", ...rest]: ReadonlyArray<string>,
    answer: (request: Request) => Promise<Response>,
  ) => {
    const begun = Promise.withResolvers<void>();
    const beginning = (request: Request) => {
      const response = answer(request);
      begun.resolve();
      return response;
    };
    return connected(beginning, async (connection) => {
      const length = first.length + rest.join("").length;
      await connection.send(
        `POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${length}\r\n\r\n${first}`,
      );
      await begun.promise;
      for (const part of rest) await connection.send(part);
      return await connection.receive();
    });
  };

  it("is the whole body where that came with the head, once", async () => {
    const text = '{"name":"here"}';
    const answer = await post([text], async (request) => {
      const arrived = arrivedBody(request);
      const { bodyUsed } = request;
      const again = arrivedBody(request);
      await assert.rejects(request.bytes(), TypeError);
      assert.deepEqual([bodyUsed, again], [true, undefined]);
      return new Response(arrived);
    });
    assert.deepEqual([answer.status, answer.body], [200, text]);
  });

  it("is nothing of a body that is still to come, which can be read as ever", async () => {
    let arrived: Uint8Array | undefined;
    const answer = await post(["one ", "two ", "three"], async (request) => {
      arrived = arrivedBody(request);
      return new Response(await request.bytes());
    });
    assert.equal(arrived, undefined);
    assert.deepEqual([answer.status, answer.body], [200, "one two three"]);
  });

  it("is nothing where there is no body, or none from the server", async () => {
    let arrived: Uint8Array | undefined;
    await exchange([get], (request) => {
      arrived = arrivedBody(request);
      return new Response();
    });
    assert.equal(arrived, undefined);
    const request = new Request("http://localhost", { method: "POST", body: "by hand" });
    assert.equal(arrivedBody(request), undefined);
    assert.equal(await request.text(), "by hand");
  });
});

describe("textResponse()", () => {
  const headers = [
    Header.make("content-type", "application/problem+json"),
    Header.make("vary", "Origin"),
    Header.make("x-correlation-id", "abc"),
    Header.make("link", "<a>"),
    Header.make("link", "<b>"),
    Header.make("x-latin", "caf\xe9"),
    Header.make("x-empty", ""),
  ];

  for (const status of [200, 201, 404, 503]) {
    for (const text of ["", "short", "ümlaut €", "x".repeat(70_000)]) {
      for (const method of ["GET", "HEAD"]) {
        it(`is sent like a Response: ${method}, ${status}, ${text.length} characters`, async () => {
          const lines = [`${method} / HTTP/1.1`];
          const short = await exchange(lines, () => textResponse(status, text, headers));
          const plain = await exchange(lines, () => {
            const response = new Response(text, { status });
            response.headers.delete("content-type");
            for (const [name, value] of headers) response.headers.append(name, value);
            return response;
          });
          assert.deepEqual(shown(short), shown(plain));
          assert.equal(short.headers.get("link"), "<a>, <b>");
        });
      }
    }
  }

  it("has the headers it was given and no others", () => {
    const response = textResponse(503, "text", headers);
    assert.equal(response.status, 503);
    assert.deepEqual(
      [...response.headers],
      [...new Headers(headers.map(([name, value]): [string, string] => [name, value]))],
    );
    assert.equal([...textResponse(200, "text", []).headers].length, 0);
  });

  it("refuses a status that no answer can have, as Response does", () => {
    for (const status of [0, 99, 600, NaN]) {
      assert.throws(() => textResponse(status, "text", headers), RangeError);
    }
  });

  it("goes past the checks of Headers", () => {
    // Nothing but Header makes these, and Header would refuse it: that is what makes it safe.
    const unchecked = [["x-a", "1\n2"]] as unknown as ReadonlyArray<Header.Header>;
    assert.throws(() => bodyResponse(200, "text", unchecked), TypeError);
    assert.equal(textResponse(200, "text", unchecked).status, 200);
  });
});

describe("bodyResponse()", () => {
  it("sends bytes, streams and nothing, with the given headers", async () => {
    const bytes = new TextEncoder().encode("bytes");
    const headers = [Header.make("content-type", "text/plain"), Header.make("x-a", "1")];
    for (const body of [bytes, new Blob([bytes]).stream()]) {
      const answer = await exchange([get], () => bodyResponse(202, body, headers));
      assert.deepEqual([answer.status, answer.headers.get("x-a")], [202, "1"]);
      assert.equal(answer.headers.get("content-type"), "text/plain");
    }
    const none = await exchange([get], () => bodyResponse(204, null, [Header.make("x-a", "1")]));
    assert.deepEqual([none.status, none.body, none.headers.get("x-a")], [204, "", "1"]);
    assert.equal(none.headers.get("content-type"), null);
  });
});

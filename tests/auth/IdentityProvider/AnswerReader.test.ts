import { describe, it } from "@std/testing/bdd";
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { AnswerReader, Malformed } from "../../../src/auth/IdentityProvider/AnswerReader.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);

/** What a reader makes of some pieces and then, if asked for, the end of the connection. */
const read = (pieces: ReadonlyArray<Uint8Array>, { limit = 100, ends = false } = {}) => {
  const reader = new AnswerReader(limit);
  let progress = "more";
  for (const piece of pieces) {
    // As a socket does: the buffer is used again.
    const buffer = piece.slice();
    progress = reader.push(buffer);
    buffer.fill(0);
    if (progress === "too large") break;
  }
  if (ends) {
    reader.end();
    progress = "done";
  }
  return {
    progress,
    status: reader.status,
    type: reader.headers.get("content-type"),
    body: progress === "done" ? new TextDecoder().decode(reader.body()) : undefined,
    isReusable: reader.isReusable,
  };
};

const head = (...lines: ReadonlyArray<string>) =>
  ["HTTP/1.1 200 OK", ...lines].map((line) => `${line}\r\n`).join("") + "\r\n";

const whole: ReadonlyArray<readonly [string, string, string]> = [
  ["with a length", `${head("Content-Length: 5")}hello`, "hello"],
  ["of no length", head("content-length: 0"), ""],
  [
    "in chunks",
    `${head("Transfer-Encoding: chunked")}3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n`,
    "hello",
  ],
  ["with a trailer", `${head("transfer-encoding: Chunked")}1\r\nx\r\n0\r\na: b\r\n\r\n`, "x"],
  ["after a 100", `HTTP/1.1 100 Continue\r\n\r\n${head("content-length: 1")}x`, "x"],
  ["after a 103", `HTTP/1.1 103 Early\r\nlink: x\r\n\r\n${head("content-length: 1")}x`, "x"],
  ["without a phrase", "HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nx", "x"],
  ["of 204", "HTTP/1.1 204 No Content\r\n\r\n", ""],
];

describe("AnswerReader", () => {
  for (const [what, text, body] of whole) {
    it(`push() reads an answer ${what}, however it is cut up`, () => {
      const bytes = bytesOf(text);
      const once = read([bytes]);
      assert.deepEqual([once.progress, once.body, once.isReusable], ["done", body, true]);
      fc.assert(fc.property(fc.array(fc.nat(bytes.length)), (cuts) => {
        const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
        const pieces = places.slice(1).map((end, i) => bytes.subarray(places[i], end));
        assert.deepEqual(read(pieces), once);
      }));
    });

    it(`push() wants more of an answer ${what} at every byte before its end`, () => {
      const bytes = bytesOf(text);
      for (let length = 0; length < bytes.length; length++) {
        assert.equal(read([bytes.subarray(0, length)]).progress, "more", String(length));
        assert.throws(() => read([bytes.subarray(0, length)], { ends: true }), Malformed);
      }
    });
  }

  it("push() gives names in lower case and values without blanks around them", () => {
    const { type } = read([
      bytesOf(head("Content-TYPE: \t application/json \t", "content-length: 0")),
    ]);
    assert.equal(type, "application/json");
  });

  it("end() completes an answer without a length, whose connection is used up", () => {
    const answer = read([bytesOf(`${head("connection: keep-alive")}hello`)], { ends: true });
    assert.deepEqual([answer.body, answer.isReusable], ["hello", false]);
  });

  it("isReusable is false for HTTP/1.0, for close, and for bytes behind the answer", () => {
    for (
      const text of [
        "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx",
        `${head("connection: Close", "content-length: 1")}x`,
        `${head("connection: x, close", "content-length: 1")}x`,
        `${head("content-length: 1")}xHTTP/1.1 200 OK\r\n\r\n`,
      ]
    ) {
      const { body, isReusable } = read([bytesOf(text)]);
      assert.deepEqual([body, isReusable], ["x", false], text);
    }
  });

  it("push() puts a body of many small chunks together once, however many they are", () => {
    const size = 200_000;
    const text = `${head("transfer-encoding: chunked")}${"1\r\nx\r\n".repeat(size)}0\r\n\r\n`;
    const { progress, body } = read([bytesOf(text)], { limit: size });
    assert.equal(progress, "done");
    assert.equal(body, "x".repeat(size));
  });

  it("push() stops at a body that is larger than the limit", () => {
    for (
      const text of [
        `${head("content-length: 101")}${"x".repeat(101)}`,
        `${head()}${"x".repeat(101)}`,
        `${head("transfer-encoding: chunked")}${"1\r\nx\r\n".repeat(101)}0\r\n\r\n`,
        `${head("transfer-encoding: chunked")}fffffff\r\n${"x".repeat(101)}`,
      ]
    ) {
      assert.equal(read([bytesOf(text)]).progress, "too large");
      assert.equal(
        read(Array.from(bytesOf(text), (byte) => Uint8Array.of(byte))).progress,
        "too large",
      );
    }
    assert.equal(
      read([bytesOf(`${head("content-length: 100")}${"x".repeat(100)}`)]).progress,
      "done",
    );
  });

  const malformed: ReadonlyArray<readonly [string, string]> = [
    ["another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n"],
    ["HTTP/2", "HTTP/2 200\r\n\r\n"],
    ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
    ["an upgrade", "HTTP/1.1 101 Switching\r\n\r\n"],
    ["a header without a colon", head("nonsense")],
    ["a folded header", head("a: b", " c")],
    ["a blank before the colon", head("content-length : 5")],
    ["a bare line feed in a value", head("a: b\nc: d")],
    ["a NUL in a value", head("a: \0")],
    ["two lengths", head("content-length: 5", "content-length: 6")],
    ["a length and chunks", head("content-length: 5", "transfer-encoding: chunked")],
    ["two encodings", head("transfer-encoding: chunked", "transfer-encoding: chunked")],
    ["an unknown encoding", head("transfer-encoding: gzip, chunked")],
    ["a length that is none", head("content-length: +5")],
    ["a length beyond all numbers", head(`content-length: ${"9".repeat(16)}`)],
    ["a chunk size that is none", `${head("transfer-encoding: chunked")}0x5\r\nhello`],
    [
      "a chunk size beyond all numbers",
      `${head("transfer-encoding: chunked")}${"f".repeat(8)}\r\n`,
    ],
    ["a chunk longer than it says", `${head("transfer-encoding: chunked")}1\r\nxx\r\n`],
    ["a chunk line without end", `${head("transfer-encoding: chunked")}1;${"x".repeat(300)}`],
    ["a head without end", `HTTP/1.1 200 OK\r\n${"a: b\r\n".repeat(3_000)}`],
    [
      "a trailer without end",
      `${head("transfer-encoding: chunked")}0\r\n${"a: b\r\n".repeat(5_000)}`,
    ],
  ];
  for (const [what, text] of malformed) {
    it(`push() refuses ${what}`, () => {
      assert.throws(() => read([bytesOf(text)]), Malformed);
      assert.throws(
        () => read(Array.from(bytesOf(text), (byte) => Uint8Array.of(byte))),
        Malformed,
      );
    });
  }

  it("push() takes any bytes without anything but Malformed", () => {
    const junk = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(
        fc.constantFrom(
          "HTTP/1.1 ",
          "200 OK",
          "\r\n",
          "\r\n\r\n",
          ":",
          "0",
          "5",
          "content-length: ",
          "x",
          "transfer-encoding: chunked\r\n",
        ),
      ).map((parts) => bytesOf(`HTTP/1.1 200 OK\r\n${parts.join("")}`)),
    );
    fc.assert(
      fc.property(junk, (bytes) => {
        try {
          read([bytes]);
        } catch (error) {
          assert.ok(error instanceof Malformed, String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

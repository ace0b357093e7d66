/** Request bodies over a real port: types, sizes, encodings, and bodies that never end. */
import { strict as assert } from "node:assert";
import { Effect } from "effect";
import { depthExceeds } from "../../src/http/Body.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { RawConnection } from "./support/RawHttp.ts";
import { get, openAlone, problemOf } from "./support/Shop.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A POST to `/items`; `null` sends no content type. */
const post = (
  url: string,
  body: BodyInit,
  contentType: string | null = "application/json",
  more: Record<string, string> = {},
) =>
  get(`${url}/items`, {
    method: "POST",
    body: typeof body === "string" ? bytes(body) : body,
    headers: contentType === null ? more : { "content-type": contentType, ...more },
  });

const head = (...lines: ReadonlyArray<string>) =>
  ["POST /items HTTP/1.1", "Host: localhost", ...lines, "", ""].join("\r\n");

const jsonHead = (...lines: ReadonlyArray<string>) =>
  head("Content-Type: application/json", ...lines);

describe("a JSON body", () => {
  it.live("is decoded, whatever way its type is written", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      for (
        const type of [
          "application/json",
          "application/json; charset=utf-8",
          'Application/JSON;charset="UTF-8"',
          "application/json ; foo=bar",
        ]
      ) {
        const answer = yield* post(url, '{"name":"ä"}', type);
        assert.equal(answer.status, 201, type);
        assert.deepEqual(JSON.parse(answer.text), { id: "ä" });
      }
    }));

  it.live("is 415 without a type, or of another one", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      for (
        const type of [
          null,
          "text/plain",
          "text/json",
          "application/jsonp",
          "application/json; charset=latin1",
          "application/x-www-form-urlencoded",
          "json",
          "",
        ]
      ) {
        const answer = yield* post(url, '{"name":"a"}', type);
        assert.equal(answer.status, 415, String(type));
        assert.equal(problemOf(answer).error, "Content type not supported");
      }
      const zipped = yield* post(url, '{"name":"a"}', undefined, { "content-encoding": "gzip" });
      assert.equal(zipped.status, 415);
    }));

  it.live("is 400 with a sentence when malformed or of another shape", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      const error = (body: BodyInit) =>
        Effect.map(post(url, body), (answer) => {
          assert.equal(answer.status, 400);
          return problemOf(answer).error;
        });
      const notJson = "Request body is not valid JSON";
      for (const body of ["{", "", "nope", '{"name":1}}', " "]) {
        const expected = body === "" ? "Request body is required" : notJson;
        assert.equal(yield* error(body), expected, body);
      }
      assert.equal(yield* error(new Uint8Array([0x22, 0xff, 0x22])), notJson);
      assert.equal(yield* error("{}"), "name is required");
      assert.equal(yield* error('{"name":1}'), "name is invalid");
      assert.equal(yield* error('{"name":null}'), "name is invalid");
      for (const body of ["[]", "null", "1", '"name"', '[{"name":"a"}]']) {
        assert.equal(yield* error(body), "Request body is invalid", body);
      }
      // 32 levels are parsed, the object itself among them.
      const nested = (depth: number) => `{"name":${"[".repeat(depth)}${"]".repeat(depth)}}`;
      assert.equal(yield* error(nested(31)), "name is invalid");
      assert.equal(yield* error(nested(32)), "Request body is nested too deeply");
    }));

  it.live("is UTF-8, with or without a byte order mark, announced or not", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      const around = (...inner: ReadonlyArray<number>) =>
        new Uint8Array([...bytes('{"name":"'), ...inner, ...bytes('"}')]);
      const both = (body: Uint8Array<ArrayBuffer>) =>
        Effect.map(
          Effect.all([post(url, body), post(url, new Blob([body]).stream())]),
          (answers) => answers.map(({ status, text }) => [status, JSON.parse(text).id]),
        );
      for (const name of ["ä€😀", "\ufffd", "\ufffd\ufffdä"]) {
        const expected = [[201, name], [201, name]];
        assert.deepEqual(yield* both(around(...bytes(name))), expected);
      }
      assert.deepEqual(yield* both(bytes('\ufeff{"name":"a"}')), [[201, "a"], [201, "a"]]);
      const broken = [
        [0xff],
        [0xc3],
        [0xc0, 0x80],
        [0xed, 0xa0, 0x80],
        [0xe2, 0x82],
        [0xf0, 0x9f],
        [0xf0, 0x9f, 0x98],
      ];
      for (const inner of broken) {
        const refused = [[400, undefined], [400, undefined]];
        assert.deepEqual(yield* both(around(...inner)), refused, String(inner));
        assert.deepEqual(yield* both(around(...bytes("\ufffd"), ...inner)), refused, String(inner));
      }
    }));

  it.live("is 413 over the limit, announced or not", () =>
    Effect.gen(function* () {
      const { url, port } = yield* openAlone({ maxBodyBytes: 100 });
      const body = (size: number) => `{"name":"${"a".repeat(size - '{"name":""}'.length)}"}`;
      assert.equal((yield* post(url, body(100))).status, 201);
      const announced = yield* post(url, body(101));
      assert.equal(announced.status, 413);
      assert.equal(problemOf(announced).error, "Request body too large");
      const chunked = (size: number) =>
        post(url, new Blob([body(size)]).stream(), "application/json");
      assert.equal((yield* chunked(100)).status, 201);
      assert.equal((yield* chunked(101)).status, 413);
      // By the announced length alone, before any of it has come.
      const early = yield* Effect.promise(async () => {
        using connection = await RawConnection.open(port);
        await connection.send(jsonHead("Content-Length: 1000000000"));
        return await connection.receive();
      });
      assert.equal(early.status, 413);
    }));

  it.live("that does not end is 408 when the request's time is over, and ends nothing else", () =>
    Effect.gen(function* () {
      const { url, port, listening, done } = yield* openAlone({ requestTimeout: "100 millis" });
      for (
        const start of [
          jsonHead("Content-Length: 20") + '{"name":',
          jsonHead("Transfer-Encoding: chunked") + '3\r\n{"n\r\n',
          jsonHead("Content-Length: 20"),
        ]
      ) {
        const answer = yield* Effect.promise(async () => {
          using connection = await RawConnection.open(port);
          await connection.send(start);
          return await connection.receive();
        });
        assert.equal(answer.status, 408);
        assert.match(answer.body, /Request body not received in time/);
        assert.equal(answer.headers.get("connection")?.split(",")[0], "close");
      }
      assert.equal(listening.inFlight(), 0);
      assert.deepEqual(done.map(({ status }) => status), [408, 408, 408]);
      assert.equal((yield* post(url, '{"name":"a"}')).status, 201);
    }));

  it.live("whose sender goes away leaves nothing in flight", () =>
    Effect.gen(function* () {
      const { port, listening, done } = yield* openAlone();
      yield* Effect.promise(async () => {
        using connection = await RawConnection.open(port);
        await connection.send(jsonHead("Content-Length: 20") + '{"name":');
        await eventually(() => listening.inFlight() === 1);
      });
      yield* eventually(Effect.sync(() => listening.inFlight() === 0));
      assert.equal(done.length, 1);
    }));

  it.live("may be asked for with Expect: 100-continue", () =>
    Effect.gen(function* () {
      const { port } = yield* openAlone();
      const answers = yield* Effect.promise(async () => {
        using connection = await RawConnection.open(port);
        await connection.send(jsonHead("Content-Length: 12", "Expect: 100-continue"));
        const go = await connection.receive();
        await connection.send('{"name":"a"}');
        return [go.status, (await connection.receive()).status];
      });
      assert.deepEqual(answers, [100, 201]);
    }));
});

describe("depthExceeds()", () => {
  it("counts arrays and objects outside strings", () => {
    assert.equal(depthExceeds("[[{}]]", 3), false);
    assert.equal(depthExceeds("[[{}]]", 2), true);
    assert.equal(depthExceeds("[[],[],[]]", 2), false);
    assert.equal(depthExceeds('["[[[","\\"[[[","\\\\"]', 1), false);
  });
});

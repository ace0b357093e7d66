/** Answers that are kept and given again: what stays the same, and what must not. */
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "@effect/platform";
import { Effect, Schema } from "effect";
import assert from "node:assert/strict";
import * as Answer from "../../src/http/Answer.ts";
import { handlers } from "../../src/http/ApiServer.ts";
import * as Header from "../../src/http/Header.ts";
import { describe, it } from "../support/it.ts";
import { get, openAlone } from "./support/Shop.ts";

const api = HttpApi.make("kept").add(
  HttpApiGroup.make("kept").add(
    HttpApiEndpoint.get("kept", "/kept").addSuccess(Schema.Struct({ n: Schema.Number })),
  ),
);

/** A server that gives one and the same answer to everybody. */
const keeping = (options: Parameters<typeof openAlone>[0] = {}) => {
  const answer = Answer.bytes('{"n":1}', "application/json", {
    headers: [Header.make("x-cache", "HIT")],
  });
  const implementation = handlers(api, { kept: { kept: () => Effect.succeed(answer) } });
  return openAlone(options, [{ implementation, kind: "service" }]);
};

describe("bytes() given again", () => {
  it.live("has the same body and headers each time, and each request its own id", () =>
    Effect.gen(function* () {
      const { url } = yield* keeping();
      const answers = yield* Effect.forEach(
        ["a", "b", "c"],
        (id) => get(`${url}/kept`, { headers: { "x-correlation-id": id } }),
      );
      for (const { status, headers, text } of answers) {
        assert.deepEqual([status, text], [200, '{"n":1}']);
        assert.equal(headers.get("content-type"), "application/json");
        assert.equal(headers.get("x-cache"), "HIT");
        assert.equal(headers.get("x-content-type-options"), "nosniff");
        assert.equal(headers.get("access-control-allow-origin"), "*");
      }
      assert.deepEqual(
        answers.map(({ headers }) => headers.get("x-correlation-id")),
        ["a", "b", "c"],
      );
    }));

  it.live("allows each caller's own origin, when there is a list", () =>
    Effect.gen(function* () {
      const { url } = yield* keeping({ corsOrigins: ["https://a.example", "https://b.example"] });
      for (const origin of ["https://a.example", "https://b.example", "https://c.example"]) {
        const { headers } = yield* get(`${url}/kept`, { headers: { origin } });
        assert.equal(
          headers.get("access-control-allow-origin"),
          origin === "https://c.example" ? null : origin,
        );
        assert.equal(headers.get("vary"), "Origin");
      }
    }));

  it.live("answers HEAD with the length and without the body", () =>
    Effect.gen(function* () {
      const { url } = yield* keeping();
      for (const method of ["HEAD", "GET", "HEAD"]) {
        const { headers, text } = yield* get(`${url}/kept`, { method });
        assert.equal(text, method === "HEAD" ? "" : '{"n":1}');
        assert.equal(headers.get("content-length"), "7");
      }
    }));
});

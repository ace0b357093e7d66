import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import { HttpApiSchema } from "@effect/platform";
import { Duration, Effect, Schema } from "effect";
import * as Problem from "../../src/http/Problem.ts";

const classes = [
  [Problem.BadRequest, 400],
  [Problem.Unauthorized, 401],
  [Problem.Forbidden, 403],
  [Problem.NotFound, 404],
  [Problem.MethodNotAllowed, 405],
  [Problem.RequestTimeout, 408],
  [Problem.PayloadTooLarge, 413],
  [Problem.UriTooLong, 414],
  [Problem.UnsupportedMediaType, 415],
  [Problem.TooManyRequests, 429],
  [Problem.InternalServerError, 500],
  [Problem.BadGateway, 502],
  [Problem.ServiceUnavailable, 503],
] as const;

describe("problems", () => {
  for (const [Class, status] of classes) {
    it(`${status} has its status, its words, and a schema that says so`, () => {
      const problem = new Class();
      assert.equal(problem.status, status);
      assert.ok(Problem.isProblem(problem));
      for (const text of [problem.title, problem.error, problem.detail]) assert.notEqual(text, "");
      assert.doesNotMatch(problem.error, /\.$/);
      assert.equal(HttpApiSchema.getStatusErrorAST(Class.ast), status);
      const { contentType } = HttpApiSchema.getEncoding(Class.ast);
      assert.equal(contentType, "application/problem+json");
    });
  }

  it("decode from what they are encoded to", () => {
    const wire = Problem.wire(
      new Problem.NotFound({ error: "Store not found", retryAfter: Duration.seconds(3) }),
      "id",
    );
    const decoded = Schema.decodeUnknownSync(Problem.NotFound)(wire);
    assert.ok(decoded instanceof Problem.NotFound);
    assert.equal(decoded.error, "Store not found");
    assert.equal(decoded.correlationId, "id");
    assert.deepEqual(Schema.encodeSync(Problem.NotFound)(decoded), wire);
    assert.ok(!(decoded instanceof Problem.BadRequest));
  });

  it("write their body once, and again for another request", () => {
    const problem = new Problem.ServiceUnavailable({ retryAfter: Duration.seconds(3) });
    for (const id of ["one", 'two"\\']) {
      assert.deepEqual(JSON.parse(problem.json(id)), Problem.wire(problem, id));
    }
  });

  it("write their body also when they failed within a span", () => {
    const problem = new Problem.ServiceUnavailable({ retryAfter: Duration.seconds(3) });
    const failure = Effect.runSync(Effect.flip(Effect.withSpan(problem, "traced")));
    assert.deepEqual(JSON.parse(failure.json("id")), Problem.wire(problem, "id"));
  });

  it("fail with themselves when yielded", () => {
    const failure = Effect.runSync(Effect.flip(Effect.gen(function* () {
      return yield* new Problem.Forbidden();
    })));
    assert.ok(failure instanceof Problem.Forbidden);
  });
});

describe("retryAfterSeconds()", () => {
  it("rounds up, never below 1, and forgives fractions of a millisecond", () => {
    const seconds = (millis: number) => Problem.retryAfterSeconds(Duration.millis(millis));
    assert.equal(seconds(0), 1);
    assert.equal(seconds(1), 1);
    assert.equal(seconds(1000), 1);
    assert.equal(seconds(1000.0003), 1);
    assert.equal(seconds(1001), 2);
    assert.equal(seconds(29_000.6), 30);
  });
});

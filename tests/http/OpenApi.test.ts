import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "@effect/platform";
import { Schema } from "effect";
import { Authentication } from "../../src/http/Authentication.ts";
import { openApi, ResponseHeaders } from "../../src/http/OpenApi.ts";
import * as Problem from "../../src/http/Problem.ts";
import { RateLimited } from "../../src/http/RateLimit.ts";

const info = {
  title: "Shop",
  version: "1.2.3",
  description: "Sells things",
  license: { name: "MIT", identifier: "MIT" },
};

const Item = Schema.Struct({ id: Schema.String, any: Schema.Unknown })
  .annotations({ identifier: "Item" });

const Private = HttpApi.make("private").add(
  HttpApiGroup.make("items")
    .add(
      HttpApiEndpoint.get("findItem", "/items").setUrlParams(Schema.Struct({ id: Schema.String }))
        .addSuccess(Item).addError(Problem.NotFound).addError(Problem.ServiceUnavailable)
        .annotate(ResponseHeaders, {
          200: { "X-Cache": { description: "From where", schema: { enum: ["HIT", "MISS"] } } },
        }),
    )
    .add(
      HttpApiEndpoint.post("addItem")`/items/${HttpApiSchema.param("id", Schema.String)}`
        .setPayload(Item).addSuccess(Item, { status: 201 }).annotate(OpenApi.Summary, "Adds"),
    )
    .middleware(Authentication)
    .middleware(RateLimited),
);

const Public = HttpApi.make("public").add(
  HttpApiGroup.make("health").add(HttpApiEndpoint.get("live", "/live").addSuccess(Schema.String)),
);

const document = openApi([Private, Public], info);

describe("openApi()", () => {
  it("holds the operations of all apis, with ids, summaries and security", () => {
    assert.equal(document.openapi, "3.1.0");
    assert.deepEqual(document.info, info);
    const operations = Object.entries(document.paths).flatMap(([path, item]) =>
      Object.entries(item).map(([method, { operationId, summary, security }]) =>
        [method, path, operationId, summary, JSON.stringify(security)].join(" ")
      )
    );
    assert.deepEqual(operations, [
      'get /items items.findItem Find item [{"bearer":[]}]',
      'post /items/{id} items.addItem Adds [{"bearer":[]}]',
      "get /live health.live Live []",
    ]);
    assert.deepEqual(document.components.securitySchemes, {
      bearer: { type: "http", scheme: "bearer" },
    });
  });

  const responses = (path: string, method: string) =>
    document.paths[path]?.[method]?.responses ?? {};

  it("lists what the endpoint declares and what the server itself refuses", () => {
    assert.deepEqual(
      Object.keys(responses("/items", "get")),
      ["200", "400", "401", "403", "404", "414", "429", "500", "503"],
    );
    assert.deepEqual(
      Object.keys(responses("/items/{id}", "post")),
      ["201", "400", "401", "403", "408", "413", "414", "415", "429", "500", "503"],
    );
    assert.deepEqual(Object.keys(responses("/live", "get")), ["200", "414", "500"]);
  });

  it("describes every error as a problem with its headers", () => {
    for (const item of Object.values(document.paths)) {
      for (const operation of Object.values(item)) {
        for (const [status, { content, headers }] of Object.entries(operation.responses)) {
          assert.ok(headers !== undefined && "X-Correlation-Id" in headers);
          if (Number(status) < 400) continue;
          assert.deepEqual(content, {
            "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
          });
        }
      }
    }
    const headersOf = (status: string) =>
      Object.keys(responses("/items", "get")[status]?.headers ?? {});
    assert.ok(headersOf("503").includes("Retry-After"));
    assert.ok(headersOf("429").includes("RateLimit-Reset"));
    assert.ok(headersOf("401").includes("WWW-Authenticate"));
    assert.ok(headersOf("200").includes("X-Cache"));
    assert.ok(headersOf("200").includes("RateLimit-Remaining"));
    assert.ok(
      !Object.keys(responses("/live", "get")["200"]?.headers ?? {}).includes("RateLimit-Limit"),
    );
  });

  it("has exactly the schemas that it refers to, and no identifier twice", () => {
    const text = JSON.stringify(document);
    const referred = new Set(
      Array.from(text.matchAll(/#\/components\/schemas\/(\w+)/g), ([, name]) => name),
    );
    assert.deepEqual(Object.keys(document.components.schemas).toSorted(), [...referred].toSorted());
    assert.ok(referred.has("Item"));
    assert.doesNotMatch(text, /HttpApiDecodeError|\/schemas\/unknown/);
  });

  it("is the same when asked again", () => {
    assert.deepEqual(openApi([Private, Public], info), document);
  });
});

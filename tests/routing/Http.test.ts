/** The routing handlers over a scripted lookup: what each of its results is on the wire. */
import { FetchHttpClient, HttpApiClient, HttpClient, HttpClientRequest } from "@effect/platform";
import assert from "node:assert/strict";
import { Context, Duration, Effect, Layer, Option, Redacted } from "effect";
import * as ApiServer from "../../src/http/ApiServer.ts";
import * as Authentication from "../../src/http/Authentication.ts";
import { Lifecycle } from "../../src/http/Lifecycle.ts";
import { NotFound, ServiceUnavailable } from "../../src/http/Problem.ts";
import * as RateLimit from "../../src/http/RateLimit.ts";
import { TokenVerifier } from "../../src/http/TokenVerifier.ts";
import { RoutingApi } from "../../src/routing/Api.ts";
import { routingHandlers } from "../../src/routing/Http.ts";
import type { Store } from "../../src/routing/Store.ts";
import {
  type Found,
  type Page,
  StoreLookup,
  StoreNotFound,
  StoresUnavailable,
} from "../../src/routing/StoreLookup.ts";
import { describe, it } from "../support/it.ts";
import { jwtSecret, tokenOf } from "../support/wire/Jwt.ts";

const berlin: Store = {
  tenantId: "ikea",
  storeId: "berlin",
  name: "Berlin",
  backendUrl: "https://backend.example",
  backendContext: { region: "eu" },
};

/** A lookup that answers as the test says, and keeps what it was asked. */
class ScriptedLookup {
  found: Effect.Effect<Found, StoreNotFound | StoresUnavailable> = Effect.succeed({
    store: berlin,
    source: "HIT",
  });
  page: Effect.Effect<Page, StoresUnavailable> = Effect.succeed({
    stores: [berlin],
    next: Option.none(),
  });
  readonly asked: Array<ReadonlyArray<unknown>> = [];

  readonly layer = Layer.succeed(StoreLookup, {
    find: (tenantId, storeId) =>
      Effect.suspend(() => {
        this.asked.push([tenantId, storeId]);
        return this.found;
      }),
    list: (tenantId, { after, limit }) =>
      Effect.suspend(() => {
        this.asked.push([tenantId, Option.getOrNull(after), limit]);
        return this.page;
      }),
  });
}

/** The service on a free port. */
const serve = Effect.gen(function* () {
  const lookup = new ScriptedLookup();
  const context = yield* Layer.build(Layer.mergeAll(
    lookup.layer,
    TokenVerifier.layerSecret({ secret: Redacted.make(jwtSecret) }),
    RateLimit.RateLimiter.layer({ rps: 1_000, burst: 1_000 }),
    Lifecycle.layer,
  ));
  const server = yield* Effect.gen(function* () {
    return yield* ApiServer.serve({
      service: "routing",
      hostname: "127.0.0.1",
      port: 0,
      apis: [{ implementation: yield* routingHandlers, kind: "service" }],
      gates: [
        yield* Authentication.gate(),
        RateLimit.gate(Context.get(context, RateLimit.RateLimiter), () => {}),
      ],
      shutdownGrace: "1 second",
    });
  }).pipe(Effect.provide(context));
  const baseUrl = `http://127.0.0.1:${server.port}`;
  const token = yield* Effect.promise(() => tokenOf("ikea"));
  const get = (path: string) =>
    Effect.promise(async () => {
      const response = await fetch(`${baseUrl}${path}`, {
        headers: { authorization: `Bearer ${token}` },
      });
      return { status: response.status, headers: response.headers, json: await response.json() };
    });
  const client = yield* Effect.provide(
    HttpApiClient.make(RoutingApi, {
      baseUrl,
      transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken(token)),
    }),
    FetchHttpClient.layer,
  );
  return { lookup, get, client };
});

describe("routingHandlers", () => {
  it.live("route and record say where the answer came from", () =>
    Effect.gen(function* () {
      const { lookup, get } = yield* serve;
      for (const source of ["HIT", "MISS", "BYPASS"] as const) {
        lookup.found = Effect.succeed({ store: berlin, source });
        for (const path of ["/api/v1/route?storeId=berlin", "/api/v1/stores/berlin"]) {
          const { status, headers } = yield* get(path);
          assert.equal(status, 200);
          assert.equal(headers.get("x-cache"), source);
          assert.equal(headers.get("age"), null);
        }
      }
      lookup.found = Effect.succeed({ store: berlin, source: "STALE", ageSeconds: 0 });
      const { headers } = yield* get("/api/v1/route?storeId=berlin");
      assert.equal(headers.get("x-cache"), "STALE");
      assert.equal(headers.get("age"), "0");
      assert.deepEqual(lookup.asked[0], ["ikea", "berlin"]);
    }));

  it.live("route, record and list show their own fields of a store and no others", () =>
    Effect.gen(function* () {
      const { lookup, get } = yield* serve;
      const store: Store = { ...berlin, backendContext: [null, 1], location: { lat: 1, lon: 2 } };
      lookup.found = Effect.succeed({ store, source: "HIT" });
      lookup.page = Effect.succeed({ stores: [store], next: Option.none() });
      const { storeId, name, backendUrl, backendContext, location } = store;
      assert.deepEqual((yield* get("/api/v1/route?storeId=berlin")).json, {
        ...{ storeId, backendUrl, backendContext },
      });
      assert.deepEqual((yield* get("/api/v1/stores/berlin")).json, {
        ...{ storeId, name, backendUrl, backendContext, location },
      });
      assert.deepEqual((yield* get("/api/v1/stores")).json, [{ storeId, name, backendUrl }]);
      lookup.found = Effect.succeed({ store: { ...berlin, backendContext }, source: "HIT" });
      assert.deepEqual((yield* get("/api/v1/stores/berlin")).json, {
        ...{ storeId, name, backendUrl, backendContext },
      });
    }));

  it.live("list passes limit and after on, and links to the next page", () =>
    Effect.gen(function* () {
      const { lookup, get } = yield* serve;
      yield* get("/api/v1/stores");
      yield* get("/api/v1/stores?limit=7&after=a.b-C_1");
      assert.deepEqual(lookup.asked, [["ikea", null, 1000], ["ikea", "a.b-C_1", 7]]);
      lookup.page = Effect.succeed({ stores: [berlin], next: Option.some("berlin") });
      const { headers } = yield* get("/api/v1/stores?limit=1");
      assert.equal(headers.get("link"), '</api/v1/stores?limit=1&after=berlin>; rel="next"');
    }));

  it.live("answer 404 and 503 for what the lookup fails with", () =>
    Effect.gen(function* () {
      const { lookup, get, client } = yield* serve;
      lookup.found = new StoreNotFound({ storeId: "berlin" });
      assert.equal((yield* get("/api/v1/route?storeId=berlin")).status, 404);
      const none = yield* Effect.flip(client.stores.record({ path: { storeId: "berlin" } }));
      assert.ok(none instanceof NotFound);
      assert.equal(none.error, "Store not found");

      const unavailable = new StoresUnavailable({ retryAfter: Duration.millis(1_001) });
      lookup.found = unavailable;
      lookup.page = unavailable;
      for (const path of ["/api/v1/route?storeId=a", "/api/v1/stores/a", "/api/v1/stores"]) {
        const { status, headers, json } = yield* get(path);
        assert.equal(status, 503);
        assert.equal(headers.get("retry-after"), "2");
        assert.equal(json.error, "Service temporarily unavailable");
      }
      const failed = yield* Effect.flip(client.stores.list({ urlParams: {} }));
      assert.ok(failed instanceof ServiceUnavailable);
      assert.equal(Duration.toSeconds(failed.retryAfter ?? 0), 2);
    }));

  it.live("serve the client that is derived from the same contract", () =>
    Effect.gen(function* () {
      const { lookup, client } = yield* serve;
      const { storeId, name, backendUrl, backendContext } = berlin;
      const route = yield* client.stores.route({ urlParams: { storeId: "berlin" } });
      assert.deepEqual(route, { storeId, backendUrl, backendContext });
      const list = yield* client.stores.list({ urlParams: { limit: 5, after: "a" } });
      assert.deepEqual(list, [{ storeId, name, backendUrl }]);
      assert.deepEqual(lookup.asked.at(-1), ["ikea", "a", 5]);
    }));
});

/** The wire rules that every service shares, over a real port. */
import { strict as assert } from "node:assert";
import {
  FetchHttpClient,
  HttpApi,
  HttpApiClient,
  HttpApiEndpoint,
  HttpApiGroup,
} from "@effect/platform";
import { Cause, Deferred, Effect, Exit, HashMap, Logger, Option, Schema } from "effect";
import { handlers, type Implementation, ListenFailed, serve } from "../../src/http/ApiServer.ts";
import { Lifecycle } from "../../src/http/Lifecycle.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { ask, RawConnection } from "./support/RawHttp.ts";
import { get, open, openAlone, problemOf, Shop, Sold } from "./support/Shop.ts";

const Operations = HttpApi.make("operations").add(
  HttpApiGroup.make("health").add(HttpApiEndpoint.get("live", "/live").addSuccess(Schema.String)),
);

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe("serve() answers", () => {
  it.live("a value by the endpoint's schema, without what the schema does not name", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      const answer = yield* get(`${url}/items?id=a.B_1-2&limit=7`);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers.get("content-type"), "application/json");
      assert.deepEqual(JSON.parse(answer.text), { id: "a.B_1-2", note: "7" });
    }));

  it.live("with a handler's headers, status and bytes", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      const one = yield* get(`${url}/items/x`);
      assert.equal(one.headers.get("x-cache"), "HIT");
      assert.deepEqual(JSON.parse(one.text), { id: "x", note: "one" });
      const raw = yield* get(`${url}/raw`);
      assert.equal(raw.status, 202);
      assert.equal(raw.text, '{"raw":true}');
    }));

  it.live("text as text and nothing with 204", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      const text = yield* get(`${url}/text`);
      assert.equal(text.headers.get("content-type"), "text/plain");
      assert.equal(text.text, "plain");
      const dropped = yield* get(`${url}/items/x`, { method: "DELETE" });
      assert.equal(dropped.status, 204);
      assert.equal(dropped.text, "");
    }));

  it.live("what the derived client understands, errors included", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      const client = yield* HttpApiClient.make(Shop, { baseUrl: url });
      assert.deepEqual(yield* client.items.one({ path: { id: "x" } }), { id: "x", note: "one" });
      const gone = yield* Effect.flip(client.items.one({ path: { id: "gone" } }));
      assert.equal(gone._tag, "NotFound");
      assert.equal(gone._tag === "NotFound" && gone.error, "Item not found");
      const sold = yield* Effect.flip(client.items.one({ path: { id: "sold" } }));
      assert.ok(sold instanceof Sold);
      assert.equal(sold.by, "ann");
    }).pipe(Effect.provide(FetchHttpClient.layer)));

  it.live("nosniff, a policy and CORS on every answer, errors and unknown paths included", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      for (const path of ["/items/x", "/items", "/nowhere", "/die", "/text"]) {
        const { headers } = yield* get(`${url}${path}`);
        assert.equal(headers.get("x-content-type-options"), "nosniff", path);
        assert.equal(headers.get("access-control-allow-origin"), "*", path);
        assert.match(headers.get("content-security-policy") ?? "", /^default-src 'none'; /, path);
        assert.match(headers.get("x-correlation-id") ?? "", uuid, path);
      }
    }));
});

describe("problems", () => {
  it.live("have all members, their content type and no-store", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      const answer = yield* get(`${url}/busy`, { headers: { "x-correlation-id": "me.1" } });
      assert.equal(answer.status, 503);
      assert.equal(answer.headers.get("content-type"), "application/problem+json");
      assert.equal(answer.headers.get("cache-control"), "no-store");
      assert.equal(answer.headers.get("retry-after"), "2");
      assert.deepEqual(JSON.parse(answer.text), {
        type: "about:blank",
        title: "Service Unavailable",
        status: 503,
        detail: "The request can be sent again after the time in the Retry-After header.",
        error: "Service temporarily unavailable",
        correlationId: "me.1",
        retryAfterSeconds: 2,
      });
    }));

  it.live("say nothing of a defect, which is logged with its cause, and the server goes on", () =>
    Effect.gen(function* () {
      const logged: Array<{ message: unknown; cause: string; route: unknown; level: string }> = [];
      const logger = Logger.make(({ message, cause, annotations, logLevel }) => {
        logged.push({
          message,
          cause: Cause.pretty(cause),
          route: Option.getOrNull(HashMap.get(annotations, "route")),
          level: logLevel.label,
        });
      });
      const { url } = yield* Effect.provide(openAlone(), Logger.add(logger));
      for (const path of ["/die", "/throw"]) {
        const answer = yield* get(`${url}${path}`);
        assert.equal(answer.status, 500);
        assert.equal(problemOf(answer).error, "Internal server error");
        assert.doesNotMatch(answer.text, /hunter2|postgres/);
        const line = logged.pop();
        assert.equal(line?.level, "ERROR");
        assert.deepEqual(line?.message, ["Request failed"]);
        assert.equal(line?.route, path);
        assert.match(line?.cause ?? "", /hunter2/);
      }
      assert.equal((yield* get(`${url}/undeclared`)).status, 500);
      assert.equal((yield* get(`${url}/items/broken`)).status, 500);
      assert.equal((yield* get(`${url}/text`)).status, 200);
    }));
});

describe("routing", () => {
  it.live("answers 404 for an unknown path and 405 with Allow for another method", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      for (const path of ["/nowhere", "/items/", "/items/a/b", "//items", "/Items", "/"]) {
        assert.equal((yield* get(`${url}${path}`)).status, 404, path);
      }
      const put = yield* get(`${url}/items`, { method: "PUT", body: "{}" });
      assert.equal(put.status, 405);
      assert.equal(put.headers.get("allow"), "GET, HEAD, POST, OPTIONS");
      assert.equal(problemOf(put).error, "Method not allowed");
      const post = yield* get(`${url}/items/x`, { method: "POST" });
      assert.equal(post.headers.get("allow"), "GET, HEAD, DELETE, OPTIONS");
    }));

  it.live("answers HEAD like GET without the body", () =>
    Effect.gen(function* () {
      const { port, watch } = yield* openAlone();
      const head = yield* Effect.promise(() => ask(port, ["HEAD /text HTTP/1.1"], { head: true }));
      assert.equal(head.status, 200);
      assert.equal(head.headers.get("content-length"), "5");
      assert.equal(head.body, "");
      const missing = yield* Effect.promise(() => ask(port, ["HEAD /no HTTP/1.1"], { head: true }));
      assert.equal(missing.status, 404);
      yield* Effect.promise(() => ask(port, ["HEAD /feed HTTP/1.1"], { head: true }));
      yield* eventually(Effect.sync(() => watch.feedCancelled));
    }));

  it.live("never answers 500 to a strange address", () =>
    Effect.gen(function* () {
      const { port } = yield* openAlone();
      const status = (target: string, ...more: ReadonlyArray<string>) =>
        Effect.promise(async () => (await ask(port, [`${target} HTTP/1.1`, ...more])).status);
      assert.equal(yield* status("GET /items/%ZZ"), 400);
      assert.equal(yield* status("GET /items/%FF"), 400);
      assert.equal(yield* status("GET /items/a%2Fb"), 400);
      assert.equal(yield* status("GET /%ZZ"), 404);
      assert.equal(yield* status("GET /items%2Fx"), 404);
      assert.equal(yield* status("GET /te%78t"), 200);
      assert.equal(yield* status("GET /%2574ext"), 404);
      assert.equal(yield* status("GET /nowhere/../text"), 404);
      assert.equal(yield* status("GET /items?id=%ZZ"), 400);
      assert.equal(yield* status("GET /items?id=%FF"), 400);
      assert.equal(yield* status("GET /items?__proto__=x"), 400);
      assert.equal(yield* status("GET /items?id=a&__proto__=x&&=&%ZZ=%"), 200);
      assert.equal(yield* status("GET http://elsewhere/text"), 200);
      assert.equal(yield* status("OPTIONS *"), 404);
      assert.equal(yield* status("CONNECT other:443"), 404);
      assert.equal(yield* status("BREW /text"), 405);
      assert.equal(yield* status("get /text"), 405);
      assert.equal(yield* status("TRACE /text"), 405);
    }));

  it.live("refuses a Host header that would move the path", () =>
    Effect.gen(function* () {
      const { port } = yield* openAlone();
      const answer = yield* Effect.promise(async () => {
        using connection = await RawConnection.open(port);
        await connection.send("GET /text HTTP/1.1\r\nHost: x/items/y?\r\n\r\n");
        return await connection.receive();
      });
      assert.equal(answer.status, 400);
      assert.match(answer.body, /Host header is invalid/);
    }));

  it.live("refuses a query over 8 KiB with 414", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      const query = (length: number) => `id=x&f=${"f".repeat(length - "id=x&f=".length)}`;
      assert.equal((yield* get(`${url}/items?${query(8192)}`)).status, 200);
      const long = yield* get(`${url}/items?${query(8193)}`);
      assert.equal(long.status, 414);
      assert.equal(problemOf(long).error, "Query too long");
    }));
});

describe("parameters", () => {
  const sentence = (path: string) =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      const answer = yield* get(`${url}${path}`);
      assert.equal(answer.status, 400);
      return problemOf(answer).error;
    });
  const cases = [
    ["/items", "id is required"],
    ["/items?id=", "id is required"],
    ["/items?id=a%20b", "id is invalid"],
    ["/items?id=a&id=b", "id is invalid"],
    ["/items?id=a&id=a", "id is invalid"],
    [`/items?id=${"a".repeat(129)}`, "id is invalid"],
    ["/items?id=a&limit=0", "limit is invalid"],
    ["/items?id=a&limit=1.5", "limit is invalid"],
    ["/items?id=a&limit=x", "limit is invalid"],
    ["/items?id=a&limit=1&limit=2", "limit is invalid"],
    ["/quick", "id is required"],
    ["/quick?id=", "id is required"],
    ["/quick?id=a&id=b", "id is invalid"],
    ["/quick?id=a+b", "id is invalid"],
    ["/items/a%20b", "id is invalid"],
  ] as const;
  for (const [path, error] of cases) {
    it.live(`${path.slice(0, 30)} is a 400 that says "${error}"`, () =>
      Effect.map(sentence(path), (actual) => assert.equal(actual, error)));
  }
});

describe("correlation", () => {
  const idFor = (port: number, ...lines: ReadonlyArray<string>) =>
    Effect.promise(async () => {
      const { headers } = await ask(port, ["GET /text HTTP/1.1", ...lines]);
      return headers.get("x-correlation-id") ?? "";
    });

  it.live("takes the caller's id, then the request id, then a new one", () =>
    Effect.gen(function* () {
      const { port } = yield* openAlone();
      const own = "x-correlation-id: Own.1_2-3";
      const other = "x-request-id: other";
      assert.equal(yield* idFor(port, own, other), "Own.1_2-3");
      assert.equal(yield* idFor(port, other), "other");
      assert.equal(yield* idFor(port, "x-correlation-id: not legal", other), "other");
      assert.equal(yield* idFor(port, own, "x-correlation-id: twice", other), "other");
      assert.equal(yield* idFor(port, `x-correlation-id: ${"a".repeat(129)}`, other), "other");
      const longest = "a".repeat(128);
      assert.equal(yield* idFor(port, `x-correlation-id: ${longest}`), longest);
      assert.match(yield* idFor(port, "x-correlation-id: <b>", "x-request-id: ä"), uuid);
    }));

  it.live("gives handlers and their fibers the context of their own request", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone({ requestTimeout: "7 seconds" });
      const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
      const answer = yield* get(`${url}/context`, {
        headers: { "x-correlation-id": "c-1", traceparent: trace },
      });
      assert.deepEqual(JSON.parse(answer.text), {
        same: true,
        service: "routing",
        correlationId: "c-1",
        traceparent: trace,
        secondsLeft: 7,
      });
    }));
});

describe("CORS", () => {
  const preflight = { origin: "https://shop.example", "access-control-request-method": "POST" };

  it.live("answers a preflight with the methods of the path", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone();
      const answer = yield* get(`${url}/items`, { method: "OPTIONS", headers: preflight });
      assert.equal(answer.status, 204);
      assert.equal(answer.headers.get("access-control-allow-origin"), "*");
      const methods = answer.headers.get("access-control-allow-methods");
      assert.equal(methods, "GET, HEAD, POST, OPTIONS");
      assert.match(answer.headers.get("access-control-allow-headers") ?? "", /authorization/);
      assert.equal(answer.headers.get("access-control-max-age"), "86400");
      const unknown = yield* get(`${url}/no`, { method: "OPTIONS", headers: preflight });
      assert.equal(unknown.status, 404);
    }));

  it.live("exposes our headers and allows listed origins only, when there is a list", () =>
    Effect.gen(function* () {
      const { url } = yield* openAlone({ corsOrigins: ["https://shop.example"] });
      const allowed = yield* get(`${url}/text`, { headers: { origin: "https://shop.example" } });
      assert.equal(
        allowed.headers.get("access-control-allow-origin"),
        "https://shop.example",
      );
      assert.equal(
        allowed.headers.get("access-control-expose-headers"),
        "x-correlation-id, x-cache, age, retry-after",
      );
      assert.equal(allowed.headers.get("vary"), "Origin");
      for (const origin of ["https://evil.example", "null"]) {
        const other = yield* get(`${url}/text`, { headers: { origin } });
        assert.equal(other.status, 200);
        assert.equal(other.headers.get("access-control-allow-origin"), null);
        assert.equal(other.headers.get("vary"), "Origin");
        const asked = yield* get(`${url}/items`, {
          method: "OPTIONS",
          headers: { ...preflight, origin },
        });
        assert.equal(asked.status, 204);
        assert.equal(asked.headers.get("access-control-allow-methods"), null);
      }
    }));
});

describe("observe()", () => {
  it.live("is called once for each answer, with a bounded method and route", () =>
    Effect.gen(function* () {
      const { url, port, done } = yield* openAlone();
      yield* get(`${url}/items/x`, { headers: { "x-correlation-id": "me" } });
      yield* get(`${url}/die`);
      yield* get(`${url}/no/such/path`);
      yield* Effect.promise(() => ask(port, ["BREW /text HTTP/1.1"]));
      const seen = done.map(({ method, route, status }) => `${method} ${route} ${status}`);
      assert.deepEqual(seen, [
        "GET /items/:id 200",
        "GET /die 500",
        "GET unmatched 404",
        "OTHER /text 405",
      ]);
      assert.equal(done[0]?.correlationId, "me");
      assert.ok((done[0]?.durationMs ?? -1) >= 0);
    }));
});

describe("serve()", () => {
  it.live("sheds service requests over the limit with 503 and Retry-After", () =>
    Effect.gen(function* () {
      const { url, watch } = yield* openAlone({ maxInFlight: 2, unavailable: "Too busy" });
      const slow = yield* Effect.fork(Effect.all([get(`${url}/slow`), get(`${url}/slow`)], {
        concurrency: 2,
      }));
      yield* eventually(Effect.sync(() => watch.slowBegun === 2));
      const shed = yield* get(`${url}/text`);
      assert.equal(shed.status, 503);
      assert.equal(shed.headers.get("retry-after"), "1");
      assert.equal(problemOf(shed).error, "Too busy");
      yield* Deferred.succeed(watch.release, undefined);
      const ended = yield* slow;
      assert.deepEqual(ended.map(({ status }) => status), [200, 200]);
      assert.equal((yield* get(`${url}/text`)).status, 200);
    }));

  it.live("serves several apis, and sheds none of the operations", () =>
    Effect.gen(function* () {
      const operations = handlers(Operations, { health: { live: () => Effect.succeed("yes") } });
      const { url, watch } = yield* openAlone({ maxInFlight: 1 }, [
        { implementation: operations, kind: "operations" },
      ]);
      const slow = yield* Effect.fork(get(`${url}/slow`));
      yield* eventually(Effect.sync(() => watch.slowBegun === 1));
      assert.equal((yield* get(`${url}/text`)).status, 503);
      assert.equal((yield* get(`${url}/live`)).text, '"yes"');
      yield* Deferred.succeed(watch.release, undefined);
      assert.equal((yield* slow).status, 200);
    }));

  it.live("answers also when whoever observes it throws, and when its own code does", () =>
    Effect.gen(function* () {
      const logged: Array<string> = [];
      const logger = Logger.make(({ cause }) => {
        logged.push(Cause.pretty(cause));
      });
      let broken = false;
      const lifecycle = {
        ...yield* Lifecycle,
        unsafeState: () => {
          if (broken) throw new Error("broken server");
          return "ready" as const;
        },
      };
      const { url } = yield* open({
        observe: () => {
          throw new Error("broken observer");
        },
      }).pipe(Effect.provideService(Lifecycle, lifecycle), Effect.provide(Logger.add(logger)));
      assert.equal((yield* get(`${url}/text`)).status, 200);
      assert.match(logged.join(), /broken observer/);
      broken = true;
      const answer = yield* get(`${url}/nowhere`);
      broken = false;
      assert.equal(answer.status, 500);
      assert.equal(problemOf(answer).correlationId, answer.headers.get("x-correlation-id"));
      assert.match(logged.join(), /broken server/);
    }).pipe(Effect.provide(Lifecycle.layer)));

  it.live("logs a defect that comes after the answer", () =>
    Effect.gen(function* () {
      const logged: Array<string> = [];
      const logger = Logger.make(({ cause }) => {
        logged.push(Cause.pretty(cause));
      });
      const { url } = yield* Effect.provide(
        openAlone({ requestTimeout: "30 millis" }),
        Logger.add(logger),
      );
      assert.equal((yield* get(`${url}/late`)).status, 503);
      yield* eventually(Effect.sync(() => logged.join().includes("late defect")));
    }));

  it.live("fails typed when the port is taken", () =>
    Effect.gen(function* () {
      const { port } = yield* openAlone();
      const failure = yield* Effect.flip(openAlone({ port }));
      assert.ok(failure instanceof ListenFailed);
      assert.equal(failure.message, `Cannot listen on "127.0.0.1:${port}": address is in use`);
    }));

  it.live("dies at start of an api that lacks a handler", () =>
    Effect.gen(function* () {
      const implementation: Implementation<never> = { api: Shop, handlers: {} };
      const exit = yield* Effect.exit(serve({
        service: "routing",
        hostname: "127.0.0.1",
        port: 0,
        apis: [{ implementation, kind: "service" }],
      }));
      assert.ok(Exit.isFailure(exit));
      assert.match(Cause.pretty(exit.cause), /Cannot serve "items.find": it has no handler/);
    }).pipe(Effect.provide(Lifecycle.layer)));
});

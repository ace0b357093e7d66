/** Administration over a real port: who may, what it does, and the line each use leaves. */
import assert from "node:assert/strict";
import { Effect, Layer, Redacted, Stream } from "effect";
import { Fleet } from "../../src/operations/Fleet.ts";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { adminToken, lineOf, start } from "./OperationsServer.ts";

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

/** The lines of uses, without what every line has. */
const uses = (lines: ReadonlyArray<Record<string, unknown>>) =>
  lines.filter(({ msg }) => msg === "Admin action")
    .map(({ level: _level, timestamp: _timestamp, msg: _msg, service: _service, ...own }) => own);

describe("Admin", () => {
  it.live("is not there without an admin token", () =>
    Effect.gen(function* () {
      const { admin, get } = yield* start({ hasAdmin: false });
      assert.equal((yield* admin("/admin/breakers")).status, 404);
      assert.equal((yield* admin("/admin/breakers/mongodb", { action: "open" })).status, 404);
      assert.equal((yield* get("/admin/log-level")).status, 404);
    }));

  it.live("refuses all who do not send the token, says so in the log, and never the token", () =>
    Effect.gen(function* () {
      const { get, breakers, logged } = yield* start();
      const refused = [
        yield* get("/admin/breakers"),
        yield* get("/admin/breakers", bearer("wrong-token-value")),
        yield* get("/admin/breakers", bearer(`${adminToken}x`)),
        yield* get("/admin/breakers", bearer(adminToken.slice(0, -1))),
        yield* get("/admin/breakers", { headers: { authorization: `Basic ${adminToken}` } }),
        yield* get("/admin/breakers", { headers: { authorization: "Bearer" } }),
        yield* get("/admin/breakers/mongodb", {
          ...bearer("wrong-token-value"),
          method: "POST",
          body: "no json at all",
        }),
      ];
      for (const { status, headers, json } of refused) {
        assert.equal(status, 401);
        assert.equal(headers.get("www-authenticate"), 'Bearer realm="admin"');
        assert.equal(json.error, "Authentication required");
      }
      assert.equal((yield* breakers.get("mongodb")).unsafeState(), "closed");
      yield* eventually(Effect.sync(() => assert.equal(logged().length, refused.length)));
      for (const line of logged()) assert.equal(line["msg"], "Admin access refused");
      assert.deepEqual(logged().map(({ reason }) => reason), [
        "no token",
        "wrong token",
        "wrong token",
        "wrong token",
        "no token",
        "no token",
        "wrong token",
      ]);
      assert.doesNotMatch(JSON.stringify(logged()), /wrong-token-value|an-admin-token/);
    }));

  it.live("GET /admin/breakers lists each breaker with its counts", () =>
    Effect.gen(function* () {
      const { admin, breakers, logged } = yield* start();
      const mongodb = yield* breakers.get("mongodb");
      yield* mongodb.protect(Effect.void);
      yield* breakers.control("redis", "open");
      const { status, json } = yield* admin("/admin/breakers");
      assert.equal(status, 200);
      assert.deepEqual(json.map(({ name }: { name: string }) => name), ["mongodb", "redis"]);
      const { stateChangedAt, ...shown } = json[0];
      assert.match(stateChangedAt, /^\d{4}-.*Z$/);
      assert.deepEqual(shown, {
        name: "mongodb",
        state: "closed",
        mode: "auto",
        counts: {
          requests: 1,
          totalSuccesses: 1,
          totalFailures: 0,
          consecutiveSuccesses: 1,
          consecutiveFailures: 0,
        },
        failureRate: null,
        rejected: 0,
        openUntil: null,
      });
      assert.equal(json[1].mode, "forced-open");
      yield* eventually(Effect.sync(() => lineOf(logged(), "Admin action")));
      assert.deepEqual(uses(logged()), [{ correlationId: "admin-1", action: "list" }]);
    }));

  it.live("POST /admin/breakers/{name} does each action, and leaves a line of it", () =>
    Effect.gen(function* () {
      const { admin, breakers, logged } = yield* start();
      const expected = [
        ["open", "open", "forced-open"],
        ["auto", "open", "auto"],
        ["close", "closed", "auto"],
        ["disable", "closed", "disabled"],
        ["observe", "closed", "observe"],
        ["reset", "closed", "auto"],
      ] as const;
      for (const [action, state, mode] of expected) {
        const { status, json } = yield* admin("/admin/breakers/mongodb", { action });
        assert.equal(status, 200);
        assert.deepEqual(
          [json.name, json.action, json.fleet, json.breaker.state, json.breaker.mode],
          ["mongodb", action, false, state, mode],
        );
        const snapshot = yield* (yield* breakers.get("mongodb")).snapshot;
        assert.deepEqual([snapshot.state, snapshot.mode], [state, mode]);
      }
      yield* eventually(Effect.sync(() => assert.equal(uses(logged()).length, 6)));
      assert.deepEqual(
        uses(logged()),
        expected.map(([action]) => ({
          correlationId: "admin-1",
          action,
          breaker: "mongodb",
          fleet: false,
          result: "done",
        })),
      );
    }));

  it.live("POST /admin/breakers/{name} waits for a breaker that is not made yet", () =>
    Effect.gen(function* () {
      const { admin, breakers } = yield* start({ service: "auth" });
      const { json } = yield* admin("/admin/breakers/token-exchange-ikea", { action: "open" });
      assert.equal(json.breaker, null);
      const breaker = yield* breakers.get("token-exchange-ikea");
      assert.equal(breaker.unsafeState(), "open");
    }));

  it.live("POST /admin/breakers/{name} is 404 for what cannot exist and 400 for no action", () =>
    Effect.gen(function* () {
      const { admin, breakers, logged } = yield* start();
      const unknown = yield* admin("/admin/breakers/nonsense", { action: "open" });
      assert.deepEqual([unknown.status, unknown.json.error], [404, "Circuit breaker not found"]);
      for (const body of [{ action: "explode" }, {}, { action: 1 }, [], null]) {
        assert.equal((yield* admin("/admin/breakers/mongodb", body)).status, 400);
      }
      assert.equal(
        (yield* admin("/admin/breakers/mongodb?fleet=maybe", { action: "open" })).status,
        400,
      );
      assert.equal((yield* breakers.get("mongodb")).unsafeState(), "closed");
      yield* eventually(Effect.sync(() => lineOf(logged(), "Admin action")));
      assert.equal(lineOf(logged(), "Admin action")["result"], "unknown breaker");
    }));

  it.live("POST /admin/log-level changes what is logged, and is itself always on record", () =>
    Effect.gen(function* () {
      const { admin, logged } = yield* start();
      assert.deepEqual((yield* admin("/admin/log-level")).json, { level: "debug" });
      const { status, json } = yield* admin("/admin/log-level", { level: "error" });
      assert.deepEqual([status, json], [200, { level: "error" }]);
      yield* admin("/admin/log-level");
      yield* eventually(Effect.sync(() => assert.equal(uses(logged()).length, 3)));
      assert.deepEqual(uses(logged())[1], {
        correlationId: "admin-1",
        action: "set log level",
        from: "debug",
        to: "error",
      });
      assert.equal((yield* admin("/admin/log-level", { level: "loud" })).status, 400);
    }));

  it.live("answers are not to be stored, refusals included", () =>
    Effect.gen(function* () {
      const { admin, get } = yield* start();
      const answers = [
        yield* admin("/admin/breakers"),
        yield* admin("/admin/breakers/mongodb", { action: "reset" }),
        yield* admin("/admin/log-level"),
        yield* admin("/admin/log-level", { level: "debug" }),
        yield* admin("/admin/breakers/nothing", { action: "reset" }),
        yield* get("/admin/breakers"),
      ];
      assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200, 200, 404, 401]);
      for (const { headers } of answers) assert.equal(headers.get("cache-control"), "no-store");
    }));

  it.live("?fleet=true says when it reached this replica only", () =>
    Effect.gen(function* () {
      const failure = new TransientFailure({
        dependency: "redis",
        operation: "redis_publish",
        reason: "not connected",
        timedOut: false,
        cause: Redacted.make("secret"),
      });
      const fleet = Layer.succeed(Fleet, {
        publish: () => failure,
        overrides: Stream.never,
      });
      const { admin, breakers, logged } = yield* start({ fleet });
      const { status, json } = yield* admin("/admin/breakers/mongodb?fleet=true", {
        action: "open",
      });
      assert.deepEqual([status, json.error], [503, "Fleet cannot be reached"]);
      assert.equal((yield* breakers.get("mongodb")).unsafeState(), "open");
      yield* eventually(Effect.sync(() => lineOf(logged(), "Admin action")));
      assert.equal(lineOf(logged(), "Admin action")["result"], "this replica only");
    }));
});

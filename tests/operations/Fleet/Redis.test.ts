/** The fleet over a real Redis: replicas that run, that start later, and that lose Redis. */
import assert from "node:assert/strict";
import { Effect, Layer, Redacted } from "effect";
import { RedisConnection } from "../../../src/connections/Redis.ts";
import * as FleetRedis from "../../../src/operations/Fleet/Redis.ts";
import { eventually } from "../../support/eventually.ts";
import { describe, it } from "../../support/it.ts";
import { Redis } from "../../support/servers/Redis.ts";
import { needs } from "../../support/Tools.ts";
import { type OperationsServer, start } from "../OperationsServer.ts";

/** One replica of a service over this Redis. */
const replica = (
  redis: Redis,
  options: {
    service?: "auth" | "routing";
    reconcileEvery?: string & "100 millis";
    capacity?: number;
  } = {},
) => {
  const service = options.service ?? "routing";
  return start({
    service,
    fleet: FleetRedis.layer({
      service,
      reconcileEvery: options.reconcileEvery ?? "30 seconds",
      capacity: options.capacity ?? 10_000,
    }).pipe(Layer.provide(RedisConnection.layer({ url: Redacted.make(redis.url) }))),
  });
};

/** Until the replica answers that the whole fleet knows, which it cannot before it is connected. */
const tellAll = (server: OperationsServer, breaker: string, action: string) =>
  eventually(
    Effect.gen(function* () {
      const { status } = yield* server.admin(`/admin/breakers/${breaker}?fleet=true`, { action });
      assert.equal(status, 200);
    }),
  );

const modeOf = (server: OperationsServer, breaker: string) =>
  Effect.flatMap(
    server.breakers.get(breaker),
    ({ snapshot }) => Effect.map(snapshot, ({ mode }) => mode),
  );

const becomes = (server: OperationsServer, breaker: string, mode: string) =>
  eventually(Effect.map(modeOf(server, breaker), (found) => assert.equal(found, mode)));

const subscribers = (redis: Redis, count: number) =>
  eventually(() =>
    redis.command("PUBSUB", "NUMSUB", "amicis:overrides").then((reply) =>
      assert.deepEqual(reply, ["amicis:overrides", count])
    )
  );

const appliedOf = (server: OperationsServer) =>
  server.logged().filter(({ from }) => from === "fleet").map(({ action, breaker, result }) => ({
    action,
    breaker,
    result,
  }));

describe("Fleet/Redis", needs("redis-server"), () => {
  it.live("publish() reaches every other replica of the service, and not the sender again", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.scoped();
      const one = yield* replica(redis);
      const two = yield* replica(redis);
      const auth = yield* replica(redis, { service: "auth" });
      yield* Effect.promise(() => subscribers(redis, 3));
      yield* tellAll(one, "mongodb", "open");
      yield* becomes(two, "mongodb", "forced-open");
      yield* tellAll(one, "mongodb", "auto");
      yield* becomes(two, "mongodb", "auto");
      assert.deepEqual(appliedOf(one), []);
      assert.equal(yield* modeOf(auth, "mongodb"), "auto");
      yield* eventually(Effect.sync(() => assert.equal(appliedOf(two).length, 2)));
      assert.deepEqual(appliedOf(two), [
        { action: "open", breaker: "mongodb", result: "done" },
        { action: "auto", breaker: "mongodb", result: "done" },
      ]);
    }));

  it.live("overrides begins with what stands, for a replica that starts later", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.scoped();
      const one = yield* replica(redis);
      yield* tellAll(one, "mongodb", "disable");
      yield* tellAll(one, "redis", "open");
      yield* tellAll(one, "redis", "reset");
      const late = yield* replica(redis);
      yield* becomes(late, "mongodb", "disabled");
      assert.equal(yield* modeOf(late, "redis"), "auto");
    }));

  it.live("`close` ends a standing `open`, but not `disable`", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.scoped();
      const one = yield* replica(redis);
      yield* tellAll(one, "mongodb", "open");
      yield* tellAll(one, "mongodb", "close");
      yield* tellAll(one, "redis", "disable");
      yield* tellAll(one, "redis", "close");
      const standing = yield* Effect.promise(() =>
        redis.command("HGETALL", "amicis:overrides:routing")
      );
      assert.deepEqual(standing, ["redis", "disable"]);
    }));

  it.live("overrides makes up for what happened while Redis could not be reached", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.scoped({ persistent: true });
      const one = yield* replica(redis);
      yield* Effect.promise(() => subscribers(redis, 1));
      yield* Effect.promise(() =>
        redis.command("HSET", "amicis:overrides:routing", "mongodb", "open")
      );
      yield* Effect.promise(() => redis.kill());
      yield* eventually(
        Effect.map(
          one.admin("/admin/breakers/redis?fleet=true", { action: "disable" }),
          ({ status }) => assert.equal(status, 503),
        ),
      );
      assert.equal(yield* modeOf(one, "redis"), "disabled");
      yield* Effect.promise(() => redis.restart());
      yield* becomes(one, "mongodb", "forced-open");
      // What only this replica was told stays.
      assert.equal(yield* modeOf(one, "redis"), "disabled");
      yield* Effect.promise(() => subscribers(redis, 1));
    }));

  it.live("overrides finds a change whose message was lost, and ends what ended", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.scoped();
      const one = yield* replica(redis, { reconcileEvery: "100 millis" });
      yield* tellAll(one, "mongodb", "observe");
      yield* Effect.promise(() => redis.command("DEL", "amicis:overrides:routing"));
      yield* becomes(one, "mongodb", "auto");
      yield* Effect.promise(() =>
        redis.command("HSET", "amicis:overrides:routing", "redis", "observe", "x", "rubbish")
      );
      yield* becomes(one, "redis", "observe");
    }));

  it.live("overrides obeys no more than its capacity, whatever Redis holds", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.scoped();
      const standing = Array.from({ length: 50 }, (_, i) => [`made-up-${i}`, "open"]).flat();
      yield* Effect.promise(() => redis.command("HSET", "amicis:overrides:routing", ...standing));
      const one = yield* replica(redis, { capacity: 3, reconcileEvery: "100 millis" });
      yield* Effect.promise(() => subscribers(redis, 1));
      yield* eventually(Effect.sync(() => assert.equal(appliedOf(one).length, 3)));
      const message = { replica: "x", service: "routing", breaker: "made-up-99", action: "open" };
      yield* Effect.promise(() =>
        redis.command("PUBLISH", "amicis:overrides", JSON.stringify(message))
      );
      // What frees a place is obeyed, and so is what then fits.
      yield* Effect.promise(() => redis.command("DEL", "amicis:overrides:routing"));
      yield* Effect.promise(() =>
        redis.command("HSET", "amicis:overrides:routing", "mongodb", "open")
      );
      yield* becomes(one, "mongodb", "forced-open");
      // The line follows the change.
      const names = () => new Set(appliedOf(one).map(({ breaker }) => breaker));
      yield* eventually(Effect.sync(() => assert.ok(names().has("mongodb"))));
      assert.equal(names().has("made-up-99"), false);
      assert.equal(names().size, 4);
    }));

  it.live("overrides passes over messages that make no sense or name no breaker of ours", () =>
    Effect.gen(function* () {
      const redis = yield* Redis.scoped();
      const one = yield* replica(redis);
      yield* Effect.promise(() => subscribers(redis, 1));
      const message = { replica: "x", service: "routing", breaker: "mongodb", action: "open" };
      const messages = [
        "no json",
        "{}",
        JSON.stringify({ ...message, action: "explode" }),
        JSON.stringify({ ...message, breaker: "nonsense" }),
        JSON.stringify({ ...message, service: "auth" }),
        JSON.stringify({ ...message, breaker: "redis" }),
      ];
      for (const text of messages) {
        yield* Effect.promise(() => redis.command("PUBLISH", "amicis:overrides", text));
      }
      yield* becomes(one, "redis", "forced-open");
      assert.equal(yield* modeOf(one, "mongodb"), "auto");
      yield* eventually(Effect.sync(() =>
        assert.deepEqual(appliedOf(one), [
          { action: "open", breaker: "nonsense", result: "unknown breaker" },
          { action: "open", breaker: "redis", result: "done" },
        ])
      ));
    }));
});

/** RedisConnection against a real server that comes, goes and hangs. */
import { Context, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect";
import assert from "node:assert/strict";
import { RedisConnection, type RedisOptions } from "../../src/connections/Redis.ts";
import type { InvalidRedisUrl } from "../../src/connections/RedisUrl.ts";
import * as Immediate from "../../src/resilience/Immediate.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TcpProxy } from "../support/servers/TcpProxy.ts";
import { needs } from "../support/Tools.ts";

type Connection = Context.Tag.Service<RedisConnection>;

const connect = (
  url: string,
  options: Partial<RedisOptions> = {},
): Effect.Effect<Connection, InvalidRedisUrl, Scope.Scope> =>
  Layer.build(RedisConnection.layer({ url: Redacted.make(url), ...options })).pipe(
    Effect.map(Context.get(RedisConnection)),
  );

const get = (redis: Connection, key = "key") => redis.run("redis_get", (client) => client.get(key));

const promise = <A>(body: () => Promise<A>) => Effect.promise(body);

describe("RedisConnection", needs("redis-server"), () => {
  it.live("layer connects in the background", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const redis = yield* connect(server.url);
      yield* eventually(redis.ping);
      assert.equal(yield* redis.status, "connected");
      assert.equal(yield* get(redis), null);
    }));

  it.live("layer is built at once and run and ping fail at once when nothing listens", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      yield* promise(() => server.kill());
      const redis = yield* connect(server.url);
      for (const call of [get(redis), redis.ping]) {
        const failure = yield* Effect.flip(Effect.asVoid(call));
        assert.equal(failure._tag, "TransientFailure");
        assert.match(failure.reason, /^not connected/);
      }
      assert.equal(yield* redis.status, "disconnected");
      yield* eventually(
        Effect.flip(redis.ping).pipe(
          Effect.tap(({ reason }) =>
            assert.equal(reason, "not connected: connection lost (ECONNREFUSED)")
          ),
        ),
      );
    }));

  it.live("layer connects by itself when the server is started later", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      yield* promise(() => server.kill());
      const redis = yield* connect(server.url);
      yield* eventually(Effect.flip(redis.ping));
      yield* promise(() => server.restart());
      yield* eventually(redis.ping);
    }));

  it.live("run() works again by itself after the server was killed and restarted", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const redis = yield* connect(server.url);
      yield* eventually(redis.ping);
      yield* promise(() => server.kill());
      const failure = yield* eventually(Effect.flip(get(redis)));
      assert.equal(failure._tag, "TransientFailure");
      yield* promise(() => server.restart());
      yield* eventually(get(redis));
      assert.equal(yield* redis.status, "connected");
    }));

  it.live("run() lets no rejection escape when the server is killed under load", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const redis = yield* connect(server.url);
      yield* eventually(redis.ping);
      // The test runner fails on any unhandled rejection; here each call must end in a typed one.
      const load = yield* Effect.forkScoped(Effect.forEach(
        Array.from({ length: 20_000 }),
        (_, index) => Effect.exit(get(redis, `key${index}`)),
        { concurrency: 500 },
      ));
      yield* Effect.sleep("30 millis");
      yield* promise(() => server.kill());
      const failures = (yield* Fiber.join(load)).filter(Exit.isFailure);
      assert.ok(failures.length > 0);
      for (const { cause } of failures) {
        assert.equal(cause._tag === "Fail" && cause.error._tag, "TransientFailure");
      }
    }));

  it.live("run() fails within its limit when the server is frozen, and recovers", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const redis = yield* connect(server.url, { timeout: "100 millis" });
      yield* eventually(redis.ping);
      server.pause();
      const failure = yield* eventually(Effect.flip(get(redis)));
      assert.ok(failure._tag === "TransientFailure" && failure.timedOut);
      // The hung connection is given up; a new one hangs as well.
      yield* eventually(
        Effect.flip(redis.ping).pipe(
          Effect.tap(({ reason }) => assert.match(reason, /^not connected/)),
        ),
      );
      server.resume();
      yield* eventually(get(redis));
    }));

  it.live("run() ends once, though its command fails again when the connection is given up", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const redis = yield* connect(server.url, { timeout: "100 millis" });
      yield* eventually(redis.ping);
      server.pause();
      const call = get(redis);
      assert.ok(call instanceof Immediate.Wait);
      const ends: Array<unknown> = [];
      call.start((end) => ends.push(end));
      yield* eventually(Effect.sync(() => assert.equal(ends.length, 1)));
      server.resume();
      yield* eventually(get(redis));
      assert.equal(ends.length, 1);
    }));

  it.live("run() works again after its connection was reset", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const proxy = yield* TcpProxy.scoped({ port: server.port });
      const redis = yield* connect(proxy.url(server.url));
      yield* eventually(redis.ping);
      yield* promise(() => proxy.mode("refuse"));
      yield* eventually(Effect.flip(get(redis)));
      yield* promise(() => proxy.mode("pass"));
      yield* eventually(get(redis));
    }));

  it.live("run() fails with a permanent failure when the password is wrong or missing", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped({ password: "right" });
      const cases = [
        [":wrong@", "not connected: WRONGPASS"],
        ["", "not connected: NOAUTH"],
      ] as const;
      for (const [credentials, reason] of cases) {
        const redis = yield* connect(server.url.replace(":right@", credentials));
        const failure = yield* eventually(
          Effect.flip(get(redis)).pipe(
            Effect.tap((failure) => assert.equal(failure.reason, reason)),
          ),
        );
        assert.ok(failure._tag === "PermanentFailure" && !failure.answered);
      }
    }));

  it.live("layer uses password, user and database of the URL", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped({ password: "p@ss:w/rd" });
      const redis = yield* connect(`${server.url}/1`);
      yield* eventually(redis.ping);
      yield* redis.run("redis_set", (client) => client.set("key", "in 1"));
      yield* promise(() =>
        server.command("ACL", "SETUSER", "shop", "on", ">own secret", "~*", "+@all")
      );
      const url = `redis://shop:own%20secret@127.0.0.1:${server.port}`;
      const other = yield* connect(url);
      yield* eventually(other.ping);
      assert.equal(yield* get(other), null);
      assert.equal(yield* get(redis), "in 1");
    }));

  it.live("layer speaks TLS with an authority it trusts, and with no other", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped({ tls: true });
      const ca = server.certificate?.ca;
      assert.ok(ca !== undefined);
      const redis = yield* connect(server.url, { ca });
      yield* eventually(redis.ping);
      const stranger = yield* connect(server.url);
      const failure = yield* eventually(
        Effect.flip(stranger.ping).pipe(
          Effect.tap((failure) => assert.equal(failure._tag, "PermanentFailure")),
        ),
      );
      assert.equal(failure.reason, "not connected: certificate not trusted");
    }));

  it.live("layer waits for a server that is reading its data, and then works", () =>
    Effect.gen(function* () {
      const args = [
        ...["--enable-debug-command", "yes", "--key-load-delay", "20000"],
        ...["--loading-process-events-interval-bytes", "1024"],
      ];
      const server = yield* Redis.scoped({ args });
      yield* promise(async () => {
        for (let index = 0; index < 50; index++) {
          await server.command("SET", `key${index}`, crypto.randomUUID().repeat(60));
        }
      });
      const reload = server.command("DEBUG", "RELOAD").catch(() => {});
      const redis = yield* connect(server.url);
      yield* eventually(
        Effect.flip(get(redis)).pipe(
          Effect.tap((failure) => assert.equal(failure._tag, "TransientFailure")),
        ),
      );
      yield* promise(() => reload);
      yield* eventually(get(redis));
    }));

  it.live("layer closes within a bound when the server is frozen", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const scope = yield* Scope.make();
      const redis = yield* connect(server.url).pipe(Scope.extend(scope));
      yield* eventually(redis.ping);
      server.pause();
      // Ends while the server is still frozen, or this test runs out of time.
      yield* Scope.close(scope, Exit.void);
      server.resume();
    }), { timeout: "25 seconds" });

  it.live("layer leaves no connection open when its scope closes, at whatever moment", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const proxy = yield* TcpProxy.scoped({ port: server.port });
      for (let pause = 0; pause < 20; pause += 2) {
        yield* Effect.scoped(Effect.gen(function* () {
          const redis = yield* connect(proxy.url(server.url));
          yield* redis.open({ connectionName: "second" });
          yield* Effect.sleep(pause);
        }));
      }
      yield* eventually(Effect.sync(() => proxy.connections === 0));
    }));

  it.live("open() gives a further client that reconnects by itself", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const redis = yield* connect(server.url);
      const other = yield* redis.open({ connectionName: "second" });
      yield* eventually(promise(() => other.ping()));
      yield* promise(() => server.restart());
      yield* eventually(Effect.tryPromise(() => other.ping()));
    }));
});

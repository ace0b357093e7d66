/**
 * fromRedis() over errors that the real driver had from a real server; the few that one server
 * cannot be made to give are built by hand at the end.
 */
import { Redis as Client, type RedisOptions as ClientOptions } from "ioredis";
import assert from "node:assert/strict";
import { fromRedis } from "../../src/connections/RedisFailure.ts";
import {
  type DependencyFailure,
  PermanentFailure,
  TransientFailure,
} from "../../src/resilience/DependencyFailure.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { Redis, type RedisOptions } from "../support/servers/Redis.ts";
import { TcpProxy } from "../support/servers/TcpProxy.ts";
import { needs } from "../support/Tools.ts";

const withServer = async (
  options: RedisOptions,
  body: (server: Redis) => Promise<void>,
): Promise<void> => {
  const server = await Redis.start(options);
  try {
    await body(server);
  } finally {
    await server.stop();
  }
};

/** A client with the connection's settings, and every error of its connection. */
const withClient = async <A>(
  url: string,
  body: (client: Client, errors: ReadonlyArray<unknown>) => Promise<A>,
  options: Omit<ClientOptions, "replyMapping"> = {},
): Promise<A> => {
  const errors: Array<unknown> = [];
  const client = new Client(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    commandTimeout: 300,
    connectTimeout: 300,
    disconnectTimeout: 100,
    socketTimeout: 600,
    enableAutoPipelining: true,
    retryStrategy: () => 50,
    ...options,
  });
  client.on("error", (error) => errors.push(error));
  client.connect().catch(() => {});
  try {
    return await body(client, errors);
  } finally {
    client.disconnect();
    // A client without a connection keeps its timer of `disconnectTimeout` nevertheless.
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
};

const ready = (client: Client) => eventually(() => client.status === "ready");

const failureOf = async (call: Promise<unknown>): Promise<DependencyFailure> => {
  try {
    await call;
  } catch (error) {
    return fromRedis("redis_get", error);
  }
  throw new Error("The call did not fail");
};

const assertTransient = (
  failure: DependencyFailure,
  expected: { reason: string | RegExp; timedOut?: boolean },
) => {
  assert.ok(failure instanceof TransientFailure, `${failure.reason} is not transient`);
  assert.equal(failure.dependency, "redis");
  assert.equal(failure.operation, "redis_get");
  assert.equal(failure.timedOut, expected.timedOut ?? false, failure.reason);
  assertReason(failure, expected.reason);
};

const assertPermanent = (
  failure: DependencyFailure,
  expected: { reason: string; answered: boolean },
) => {
  assert.ok(failure instanceof PermanentFailure, `${failure.reason} is not permanent`);
  assert.equal(failure.answered, expected.answered);
  assertReason(failure, expected.reason);
};

const assertReason = ({ reason, cause }: DependencyFailure, expected: string | RegExp) => {
  if (typeof expected === "string") assert.equal(reason, expected);
  else assert.match(reason, expected);
  assert.doesNotMatch(reason, /127\.0|localhost|invalid\b|:\d|secret|@|\//, reason);
  // ioredis puts the command on its errors, and AUTH's argument is the password.
  assert.ok(!(cause instanceof Error && "command" in cause));
};

describe("fromRedis() with a running server", needs("redis-server"), () => {
  it("fromRedis() gives an answered permanent failure for WRONGTYPE", () =>
    withServer({}, (server) =>
      withClient(server.url, async (client) => {
        await ready(client);
        await client.lpush("secret", "a");
        const failure = await failureOf(client.get("secret"));
        assertPermanent(failure, { reason: "WRONGTYPE", answered: true });
      })));

  it("fromRedis() gives an answered permanent failure for a command that does not exist", () =>
    withServer({}, (server) =>
      withClient(server.url, async (client) => {
        await ready(client);
        const failure = await failureOf(client.call("SECRET", "secret"));
        assertPermanent(failure, { reason: "ERR", answered: true });
      })));

  it("fromRedis() gives a transient failure for OOM", () =>
    withServer({ maxmemory: "1mb" }, (server) =>
      withClient(server.url, async (client) => {
        await ready(client);
        await client.set("a", "x".repeat(2_000_000)).catch(() => {});
        assertTransient(await failureOf(client.set("b", "x")), { reason: "OOM" });
      })));

  it("fromRedis() gives a transient failure for READONLY and MASTERDOWN of a replica", () =>
    withServer(
      {},
      (primary) =>
        withServer(
          { args: ["--replica-serve-stale-data", "no"] },
          (replica) =>
            withClient(replica.url, async (client) => {
              await ready(client);
              await client.replicaof("127.0.0.1", primary.port);
              await eventually(async () => (await client.role())[3] === "connected");
              assertTransient(await failureOf(client.set("a", "x")), { reason: "READONLY" });
              await primary.kill();
              await eventually(async () => {
                assertTransient(await failureOf(client.get("a")), { reason: "MASTERDOWN" });
              });
            }),
        ),
    ));

  it("fromRedis() gives a transient failure for BUSY while a script runs", () =>
    withServer(
      { args: ["--lua-time-limit", "50"] },
      (server) =>
        withClient(server.url, (other) =>
          withClient(server.url, async (client) => {
            await Promise.all([ready(client), ready(other)]);
            const script = other.eval("while true do end", 0).catch(() => {});
            await eventually(async () => {
              assertTransient(await failureOf(client.get("a")), { reason: "BUSY" });
            });
            await server.command("SCRIPT", "KILL");
            await script;
          })),
    ));

  it("fromRedis() gives a transient failure for LOADING while the server reads its data", () =>
    withServer({
      // Reads its data slowly (microseconds a key) and answers others in between.
      args: [
        ...["--enable-debug-command", "yes", "--key-load-delay", "20000"],
        ...["--loading-process-events-interval-bytes", "1024"],
      ],
    }, (server) =>
      withClient(server.url, async (client) => {
        await ready(client);
        for (let index = 0; index < 50; index++) {
          await client.set(`key${index}`, crypto.randomUUID().repeat(60));
        }
        const reload = server.command("DEBUG", "RELOAD").catch(() => {});
        await eventually(async () => {
          assertTransient(await failureOf(client.get("key1")), { reason: "LOADING" });
        });
        await reload;
      })));

  it("fromRedis() gives an unanswered permanent failure for NOAUTH", () =>
    withServer(
      { password: "secret" },
      (server) =>
        withClient(server.url.replace(":secret@", ""), async (_, errors) => {
          await eventually(() => errors.length > 0);
          const failure = fromRedis("redis_get", errors[0]);
          assertPermanent(failure, { reason: "NOAUTH", answered: false });
        }),
    ));

  it("fromRedis() gives an unanswered permanent failure for WRONGPASS", () =>
    withServer(
      { password: "secret" },
      (server) =>
        withClient(server.url.replace(":secret@", ":secret2@"), async (_, errors) => {
          await eventually(() => errors.length > 0);
          const failure = fromRedis("redis_get", errors[0]);
          assertPermanent(failure, { reason: "WRONGPASS", answered: false });
        }),
    ));

  it("fromRedis() gives an unanswered permanent failure for NOPERM", () =>
    withServer({}, async (server) => {
      await server.command("ACL", "SETUSER", "limited", "on", ">secret", "~*", "+@all", "-get");
      const url = server.url.replace("redis://", "redis://limited:secret@");
      await withClient(url, async (client) => {
        await ready(client);
        const failure = await failureOf(client.get("a"));
        assertPermanent(failure, { reason: "NOPERM", answered: false });
      });
    }));

  it("fromRedis() gives a timed-out failure when the server is frozen", () =>
    withServer({}, (server) =>
      withClient(server.url, async (client) => {
        await ready(client);
        server.pause();
        const failure = await failureOf(client.get("a"));
        server.resume();
        assertTransient(failure, { reason: "no answer in time", timedOut: true });
      })));

  it("fromRedis() gives a timed-out failure when the socket is given up", () =>
    withServer({}, (server) =>
      withClient(server.url, async (client, errors) => {
        await ready(client);
        server.pause();
        client.get("a").catch(() => {});
        await eventually(() => errors.length > 0);
        server.resume();
        const failure = fromRedis("redis_get", errors[0]);
        assertTransient(failure, { reason: "no answer in time", timedOut: true });
      })));

  it("fromRedis() gives a transient failure for each call in flight when the server is killed", () =>
    withServer({}, (server) =>
      withClient(server.url, async (client) => {
        await ready(client);
        server.pause();
        const calls = Array.from({ length: 50 }, (_, index) => failureOf(client.get(`${index}`)));
        await eventually(() => client.status === "ready");
        await server.kill();
        for (const failure of await Promise.all(calls)) {
          assertTransient(failure, { reason: /^(connection|not connected)/ });
        }
        const after = await failureOf(client.get("a"));
        assertTransient(after, { reason: "not connected" });
      }, { commandTimeout: 5_000 })));

  it("fromRedis() gives a transient failure when nothing listens", () =>
    withServer({}, async (server) => {
      await server.kill();
      await withClient(server.url, async (_, errors) => {
        await eventually(() => errors.length > 0);
        assertTransient(fromRedis("redis_get", errors[0]), {
          reason: "connection lost (ECONNREFUSED)",
        });
      });
    }));

  it("fromRedis() gives a transient failure when a connection is reset", () =>
    withServer({}, async (server) => {
      const proxy = await TcpProxy.start({ port: server.port });
      try {
        await withClient(proxy.url(server.url), async (client) => {
          await ready(client);
          await proxy.mode("reset");
          assertTransient(await failureOf(client.get("a")), { reason: "connection lost" });
        });
      } finally {
        await proxy.stop();
      }
    }));

  it("fromRedis() gives a transient failure when an answer is cut off", () =>
    withServer({}, async (server) => {
      await server.command("SET", "long", "x".repeat(200_000));
      const proxy = await TcpProxy.start({ port: server.port });
      try {
        await withClient(proxy.url(server.url), async (client) => {
          await ready(client);
          await proxy.mode({ cutAfter: 50_000 });
          assertTransient(await failureOf(client.get("long")), { reason: "connection lost" });
        });
      } finally {
        await proxy.stop();
      }
    }));

  it("fromRedis() gives a timed-out failure when the network is silent while connecting", () =>
    withServer({}, async (server) => {
      const proxy = await TcpProxy.start({ port: server.port });
      try {
        await proxy.mode("silent");
        await withClient(proxy.url(server.url), async (_, errors) => {
          await eventually(() => errors.length > 0);
          const failure = fromRedis("redis_get", errors[0]);
          assertTransient(failure, { reason: "no answer in time", timedOut: true });
        });
      } finally {
        await proxy.stop();
      }
    }));

  it("fromRedis() gives a transient failure when the server speaks no TLS", () =>
    withServer(
      {},
      (server) =>
        withClient(server.url.replace("redis:", "rediss:"), async (_, errors) => {
          await eventually(() => errors.length > 0);
          assert.equal(fromRedis("redis_get", errors[0])._tag, "TransientFailure");
        }),
    ));

  it("fromRedis() gives an unanswered permanent failure when the issuer is unknown", () =>
    withServer({ tls: true }, (server) =>
      withClient(server.url, async (_, errors) => {
        await eventually(() => errors.length > 0);
        const failure = fromRedis("redis_get", errors[0]);
        assertPermanent(failure, { reason: "certificate not trusted", answered: false });
      })));
});

describe("fromRedis()", () => {
  it("fromRedis() gives a transient failure when the host's name is not known", () =>
    withClient("redis://nonexistent.invalid:6379", async (_, errors) => {
      await eventually(() => errors.length > 0);
      assertTransient(fromRedis("redis_get", errors[0]), { reason: /connection lost \(E/ });
    }));

  it("fromRedis() gives a timed-out failure when the connection is not made in time", () => {
    const error = Object.assign(new Error("connect ETIMEDOUT"), { code: "ETIMEDOUT" });
    const failure = fromRedis("redis_get", error);
    assertTransient(failure, { reason: "no connection in time", timedOut: true });
  });

  for (const code of ["CLUSTERDOWN", "TRYAGAIN"]) {
    it(`fromRedis() gives a transient failure for ${code}`, () => {
      const error = Object.assign(new Error(`${code} secret`), { name: "ReplyError" });
      assertTransient(fromRedis("redis_get", error), { reason: code });
    });
  }

  it("fromRedis() gives an unanswered permanent failure for errors that no server gave", () => {
    for (const error of [new TypeError("secret"), "secret", undefined, null]) {
      const failure = fromRedis("redis_get", error);
      assert.ok(failure instanceof PermanentFailure && !failure.answered);
      assertReason(failure, /^(TypeError|string|undefined|object)$/);
    }
  });
});

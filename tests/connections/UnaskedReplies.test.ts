/** Replies that belong to no command, put between a real server's by a proxy. */
import { Context, Effect, Layer, Redacted } from "effect";
import assert from "node:assert/strict";
import { RedisConnection } from "../../src/connections/Redis.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TcpProxy } from "../support/servers/TcpProxy.ts";
import { needs } from "../support/Tools.ts";

const promise = <A>(body: () => Promise<A>) => Effect.promise(body);

const until = (condition: () => boolean) => eventually(Effect.sync(condition));

/** A server with two keys, and a connection to it through a proxy. */
const connected = Effect.gen(function* () {
  const server = yield* Redis.scoped();
  for (const key of ["one", "two"]) yield* promise(() => server.command("SET", key, `of ${key}`));
  const proxy = yield* TcpProxy.scoped({ port: server.port });
  const url = Redacted.make(proxy.url(server.url));
  const redis = yield* Effect.map(
    Layer.build(RedisConnection.layer({ url })),
    Context.get(RedisConnection),
  );
  yield* eventually(redis.ping);
  const get = (key: string) => redis.run("redis_get", (client) => client.get(key));
  const getsRight = eventually(Effect.gen(function* () {
    const [one, two] = yield* Effect.all([get("one"), get("two")], { concurrency: 2 });
    assert.deepEqual([one, two], ["of one", "of two"]);
  }));
  /** Resolves when the driver waits for a reply. */
  const isAsking = until(() => redis.client.commandQueue.length > 0);
  return { server, proxy, isAsking, get, getsRight };
});

/** Errors that nobody caught while the effect ran. */
const uncaught = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const errors: Array<unknown> = [];
    const listener = (event: ErrorEvent) => {
      event.preventDefault();
      errors.push(event.error);
    };
    globalThis.addEventListener("error", listener);
    yield* Effect.ensuring(
      effect,
      Effect.sync(() => globalThis.removeEventListener("error", listener)),
    );
    return errors;
  });

describe("a reply that nobody asked for", needs("redis-server"), () => {
  for (const reply of ["$-1\r\n", "_\r\n", "+OK\r\n", "-ERR oddity\r\n", ":1\r\n+OK\r\n"]) {
    it.live(`${JSON.stringify(reply)} ends the connection, and nothing else`, () =>
      Effect.gen(function* () {
        const { proxy, getsRight } = yield* connected;
        const before = proxy.accepted;
        const errors = yield* uncaught(Effect.gen(function* () {
          proxy.inject(reply);
          yield* until(() => proxy.accepted === before + 1);
          yield* getsRight;
        }));
        assert.deepEqual(errors, []);
      }));
  }

  it.live("leaves no command with the reply of another", () =>
    Effect.gen(function* () {
      const { server, proxy, isAsking, get, getsRight } = yield* connected;
      const before = proxy.accepted;
      server.pause();
      const answer = yield* Effect.fork(get("one"));
      // The reply of a command that asked for one key, before the server's own.
      yield* isAsking;
      proxy.inject("*1\r\n$5\r\nother\r\n");
      assert.equal(yield* answer, "other");
      server.resume();
      yield* until(() => proxy.accepted === before + 1);
      yield* getsRight;
    }));
});

describe("a reply of another shape", needs("redis-server"), () => {
  it.live("fails the reads that it came for, and ends the connection", () =>
    Effect.gen(function* () {
      const { server, proxy, isAsking, get, getsRight } = yield* connected;
      const before = proxy.accepted;
      server.pause();
      const reads = yield* Effect.fork(Effect.flip(get("one")));
      yield* isAsking;
      proxy.inject("+PONG\r\n");
      const failure = yield* reads;
      assert.equal(failure._tag, "TransientFailure");
      server.resume();
      yield* until(() => proxy.accepted === before + 1);
      yield* getsRight;
    }));
});

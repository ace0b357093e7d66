/** Reads that are gathered, against a real server that counts its commands. */
import { Context, Effect, Layer, Redacted } from "effect";
import assert from "node:assert/strict";
import { RedisConnection } from "../../src/connections/Redis.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { Redis } from "../support/servers/Redis.ts";
import { needs } from "../support/Tools.ts";

const promise = <A>(body: () => Promise<A>) => Effect.promise(body);

const connect = (url: string) =>
  Layer.build(RedisConnection.layer({ url: Redacted.make(url) })).pipe(
    Effect.map(Context.get(RedisConnection)),
    Effect.tap((redis) => eventually(redis.ping)),
    Effect.map(({ client }) => client),
  );

/** How often the server has run a command. */
const calls = (server: Redis, command: string) =>
  promise(async () => {
    const stats = String(await server.command("INFO", "commandstats"));
    return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
  });

describe("BatchingRedis", needs("redis-server"), () => {
  it.live("get() gives every reader its own key's value, of one command for all of a turn", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const client = yield* connect(server.url);
      for (let i = 0; i < 20; i++) yield* promise(() => server.command("SET", `k${i}`, `v${i}`));
      const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
      const values = yield* promise(() => Promise.all(keys.map((key) => client.get(key))));
      assert.deepEqual(values, keys.map((_, i) => i < 20 ? `v${i}` : null));
      assert.equal(yield* calls(server, "mget"), 1);
    }));

  it.live("get() asks for no more than 128 keys at a time", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const client = yield* connect(server.url);
      const keys = Array.from({ length: 300 }, (_, i) => `k${i}`);
      yield* promise(() => server.command("SET", "k299", "last"));
      const values = yield* promise(() => Promise.all(keys.map((key) => client.get(key))));
      assert.equal(values.at(-1), "last");
      assert.equal(yield* calls(server, "mget"), 3);
    }));

  it.live("get() goes on gathering while others are under way, and forgets nobody", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const client = yield* connect(server.url);
      yield* promise(() => server.command("SET", "key", "value"));
      const first = client.get("key");
      // The first command is sent, and its answer has not been read, when these come.
      yield* promise(() => new Promise<void>((resolve) => setImmediate(resolve)));
      const later = Array.from({ length: 10 }, () => client.get("key"));
      const values = yield* promise(() => Promise.all([first, ...later]));
      assert.deepEqual(new Set(values), new Set(["value"]));
      assert.equal(yield* calls(server, "mget"), 2);
    }));

  it.live("get() reads what is no string as none", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const client = yield* connect(server.url);
      yield* promise(() => server.command("RPUSH", "list", "a"));
      yield* promise(() => server.command("SET", "key", "value"));
      const values = yield* promise(() => Promise.all([client.get("list"), client.get("key")]));
      assert.deepEqual(values, [null, "value"]);
    }));

  it.live("get() fails for all who wait when the server is killed", () =>
    Effect.gen(function* () {
      const server = yield* Redis.scoped();
      const client = yield* connect(server.url);
      server.pause();
      const first = client.get("key");
      yield* promise(() => new Promise<void>((resolve) => setImmediate(resolve)));
      const settled = Promise.allSettled([first, client.get("key")]);
      yield* promise(() => server.kill());
      const results = yield* promise(() => settled);
      assert.deepEqual(results.map(({ status }) => status), ["rejected", "rejected"]);
    }));
});

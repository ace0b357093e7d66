/** App: which backends the settings choose, and what two services in one process share. */
import assert from "node:assert/strict";
import { Effect, Exit, Fiber, Layer, type Scope } from "effect";
import * as App from "../src/App.ts";
import type { ServiceName } from "../src/Config.ts";
import * as ConfigCheck from "../src/ConfigCheck.ts";
import * as EmbeddedData from "../src/EmbeddedData.ts";
import { ListenFailed } from "../src/http/ApiServer.ts";
import { Logging } from "../src/operations/Logging.ts";
import { Telemetry } from "../src/operations/Telemetry.ts";
import { eventually } from "./support/eventually.ts";
import { describe, it } from "./support/it.ts";
import { freePort, isFree, releasePort } from "./support/ports.ts";
import { Redis } from "./support/servers/Redis.ts";
import { needs } from "./support/Tools.ts";
import { bearer, jwtSecret } from "./support/wire/Jwt.ts";

const port = Effect.acquireRelease(
  Effect.sync(freePort),
  (port) => Effect.sync(() => releasePort(port)),
);

const quiet = Layer.provideMerge(
  Telemetry.layerOff,
  Logging.layer({ writer: { sink: { write: (bytes) => Promise.resolve(bytes.length) } } }),
);

/** Runs services as the environment says, on free ports; they end with the scope. */
const run = (service: ServiceName, environment: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function* () {
    const [authPort, routingPort] = [yield* port, yield* port];
    const all: Readonly<Record<string, string>> = {
      HOST: "127.0.0.1",
      AUTH_PORT: String(authPort),
      ROUTING_PORT: String(routingPort),
      JWT_SECRET: jwtSecret,
      ...environment,
    };
    const settings = yield* ConfigCheck.load(service, (name) => all[name]);
    const data = yield* EmbeddedData.load(settings.dataFile);
    const fiber = yield* App.run(service, settings, App.backends(settings, data)).pipe(
      Effect.provide(quiet),
      Effect.fork,
    );
    yield* Effect.addFinalizer(() => Fiber.interrupt(fiber));
    return { fiber, authPort, routingPort };
  });

const get = (port: number, path: string, headers: Record<string, string> = {}) =>
  Effect.tryPromise(async () => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    return { status: response.status, headers: response.headers, text: await response.text() };
  });

const isReady = (port: number) =>
  eventually(Effect.map(get(port, "/health/ready"), ({ status }) => status === 200));

/** Names of the connections that Redis has now, but the one that asks. */
const connections = (redis: Redis): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () =>
    String(await redis.command("CLIENT", "LIST")).trim().split("\n")
      .filter((line) => !line.includes("cmd=client|list"))
      .map((line) => /\bname=(\S*)/.exec(line)?.[1] ?? "").sort()
  );

const redisOf = (): Effect.Effect<Redis, never, Scope.Scope> => Redis.scoped();

describe("App", () => {
  it.live("run() serves what is embedded, with a cache in memory", () =>
    Effect.gen(function* () {
      const { routingPort } = yield* run("routing");
      yield* isReady(routingPort);
      const headers = yield* Effect.promise(() => bearer("ikea"));
      const path = "/api/v1/route?storeId=berlin-01";
      assert.equal((yield* get(routingPort, path, headers)).headers.get("x-cache"), "MISS");
      assert.equal((yield* get(routingPort, path, headers)).headers.get("x-cache"), "HIT");
      const { text } = yield* get(routingPort, "/metrics");
      assert.match(text, /^cache_requests_total\{cache="memory",result="hit"\} 1$/m);
    }));

  it.live("run() drains and frees its ports when it is interrupted", () =>
    Effect.gen(function* () {
      const { fiber, authPort, routingPort } = yield* run("all");
      yield* isReady(authPort);
      yield* isReady(routingPort);
      yield* Fiber.interrupt(fiber);
      assert.ok(isFree(authPort) && isFree(routingPort));
    }));

  it.live("run() fails, and stops the other service, when a port is in use", () =>
    Effect.gen(function* () {
      const taken = yield* port;
      const listener = Deno.listen({ hostname: "127.0.0.1", port: taken });
      yield* Effect.addFinalizer(() => Effect.sync(() => listener.close()));
      const { fiber, authPort } = yield* run("all", { ROUTING_PORT: String(taken) });
      const exit = yield* Fiber.await(fiber);
      assert.ok(Exit.isFailure(exit) && exit.cause._tag !== "Empty");
      const error = yield* Effect.flip(Fiber.join(fiber));
      assert.ok(error instanceof ListenFailed);
      assert.equal(error.port, taken);
      assert.ok(isFree(authPort));
    }));

  describe("with Redis", needs("redis-server"), () => {
    it.live("run() shares one connection for commands between two services", () =>
      Effect.gen(function* () {
        const redis = yield* redisOf();
        const { authPort, routingPort } = yield* run("all", { REDIS_URL: redis.url });
        yield* isReady(authPort);
        yield* isReady(routingPort);
        // And one for each that listens: the near cache's, and either service's for its fleet.
        yield* eventually(Effect.map(connections(redis), (names) => {
          assert.deepEqual(names, ["amicis", "amicis", "amicis", "amicis-near-cache"]);
        }));
      }));

    it.live("run() has no near cache when its size is 0", () =>
      Effect.gen(function* () {
        const redis = yield* redisOf();
        const { routingPort } = yield* run("routing", {
          REDIS_URL: redis.url,
          NEAR_CACHE_SIZE: "0",
        });
        yield* isReady(routingPort);
        const headers = yield* Effect.promise(() => bearer("ikea"));
        yield* eventually(Effect.map(
          get(routingPort, "/api/v1/route?storeId=berlin-01", headers),
          ({ headers }) => headers.get("x-cache") === "HIT",
        ));
        const { text } = yield* get(routingPort, "/metrics");
        assert.match(text, /^cache_requests_total\{cache="near",result="hit"\} 0$/m);
        assert.match(text, /^cache_requests_total\{cache="redis",result="hit"\} [1-9]/m);
        assert.deepEqual(yield* connections(redis), ["amicis", "amicis"]);
      }));

    it.live("run() leaves no connection behind when it ends", () =>
      Effect.gen(function* () {
        const redis = yield* redisOf();
        const { fiber, routingPort } = yield* run("routing", { REDIS_URL: redis.url });
        yield* isReady(routingPort);
        yield* Fiber.interrupt(fiber);
        yield* eventually(Effect.map(connections(redis), (names) => names.length === 0));
      }));
  });
});

/** The operations of one service on a real port, with everything they need and a log to read. */
import assert from "node:assert/strict";
import { Effect, Layer, Redacted, type Scope } from "effect";
import * as ApiServer from "../../src/http/ApiServer.ts";
import { Lifecycle } from "../../src/http/Lifecycle.ts";
import * as Admin from "../../src/operations/Admin.ts";
import { Fleet } from "../../src/operations/Fleet.ts";
import { type Dependency, Health, type HealthOptions } from "../../src/operations/Health.ts";
import * as Http from "../../src/operations/Http.ts";
import { Logging } from "../../src/operations/Logging.ts";
import { Metrics } from "../../src/operations/Metrics.ts";
import { StatusFeed, type StatusFeedOptions } from "../../src/operations/StatusFeed.ts";
import type { Settings } from "../../src/resilience/CircuitBreaker.ts";
import { CircuitBreakers } from "../../src/resilience/CircuitBreakers.ts";

export const adminToken = "an-admin-token-of-the-tests";

export interface Given {
  readonly service?: "routing" | "auth";
  readonly dependencies?: ReadonlyArray<Dependency>;
  readonly health?: Partial<HealthOptions>;
  readonly feed?: Partial<StatusFeedOptions>;
  readonly breakers?: Partial<Settings>;
  /** Without it there is no admin api. */
  readonly hasAdmin?: boolean;
  readonly fleet?: Layer.Layer<Fleet, unknown>;
  /** Left out, the process is ready. */
  readonly isStarting?: boolean;
}

/** A service's operations that listen. */
export interface OperationsServer {
  readonly url: string;
  readonly breakers: typeof CircuitBreakers.Service;
  readonly metrics: typeof Metrics.Service;
  readonly lifecycle: typeof Lifecycle.Service;
  readonly feed: typeof StatusFeed.Service;
  readonly fleet: typeof Fleet.Service;
  /** All lines logged so far. */
  readonly logged: () => ReadonlyArray<Record<string, unknown>>;
  readonly get: (path: string, init?: RequestInit) => Effect.Effect<Answered>;
  /** With the admin token. */
  readonly admin: (path: string, body?: unknown) => Effect.Effect<Answered>;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // deno-lint-ignore no-explicit-any -- the tests compare it with what it should be
  readonly json: any;
}

const names: ReadonlyArray<string> = ["mongodb", "redis", "token-exchange-ikea"];

const healthy: ReadonlyArray<Dependency> = [
  { name: "mongodb", ping: Effect.void },
  { name: "redis", ping: Effect.void },
];

/** Starts one; it ends with the scope. */
export const start = (
  given: Given = {},
): Effect.Effect<OperationsServer, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const service = given.service ?? "routing";
    let text = "";
    const sink = {
      write: (bytes: Uint8Array) => {
        text += new TextDecoder().decode(bytes);
        return Promise.resolve(bytes.length);
      },
    };
    const logging = Logging.layer({ level: "debug", service, writer: { sink, batchMillis: 0 } });
    const base = Layer.mergeAll(CircuitBreakers.layer(given.breakers ?? {}), Lifecycle.layer).pipe(
      Layer.provideMerge(given.fleet ?? Fleet.layerMemory),
    );
    const health = Health.layer({
      dependencies: given.dependencies ?? healthy,
      needsOneOf: service === "routing" ? ["mongodb", "redis"] : [],
      ...given.health,
    });
    const feed = StatusFeed.layer({
      service,
      version: "1.2.3",
      hasAdmin: given.hasAdmin ?? true,
      ...given.feed,
    });
    const layer = feed.pipe(
      Layer.provideMerge(health),
      Layer.provideMerge(Metrics.layer({ service })),
      Layer.provideMerge(base),
      Layer.provideMerge(logging),
    );
    return yield* Effect.gen(function* () {
      const log = yield* Logging;
      const lifecycle = yield* Lifecycle;
      const handlers = service === "routing" ? Http.routing : Http.auth;
      const operations = yield* handlers({ openapi: Effect.succeed('{"openapi":"3.1.0"}') });
      const admin = yield* Admin.make({
        service,
        isBreakerName: (name) => Effect.succeed(names.includes(name)),
      });
      const hasAdmin = given.hasAdmin ?? true;
      const { port } = yield* ApiServer.serve({
        service,
        hostname: "127.0.0.1",
        port: 0,
        apis: [
          { implementation: operations, kind: "operations" },
          ...(hasAdmin ? [{ implementation: admin, kind: "operations" } as const] : []),
        ],
        gates: [Admin.gate(Redacted.make(adminToken), log)],
        shutdownGrace: "1 second",
      });
      if (given.isStarting !== true) yield* lifecycle.advance("ready");
      const url = `http://127.0.0.1:${port}`;
      const get = (path: string, init: RequestInit = {}) =>
        Effect.promise(async () => {
          const response = await fetch(url + path, init);
          const { status, headers } = response;
          const text = await response.text();
          const isJson = /json/.test(headers.get("content-type") ?? "");
          return {
            status,
            headers,
            text,
            json: isJson && text !== "" ? JSON.parse(text) : undefined,
          };
        });
      return {
        url,
        breakers: yield* CircuitBreakers,
        metrics: yield* Metrics,
        lifecycle,
        feed: yield* StatusFeed,
        fleet: yield* Fleet,
        logged: () =>
          text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line)),
        get,
        admin: (path: string, body?: unknown) =>
          get(path, {
            headers: {
              authorization: `Bearer ${adminToken}`,
              "content-type": "application/json",
              "x-correlation-id": "admin-1",
            },
            ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
          }),
      };
    }).pipe(Effect.provide(yield* Layer.build(layer)));
  });

/** The one of these lines that has this message. */
export const lineOf = (
  lines: ReadonlyArray<Record<string, unknown>>,
  msg: string,
): Record<string, unknown> => {
  const found = lines.filter((line) => line["msg"] === msg);
  assert.equal(found.length, 1, `${found.length} lines say "${msg}"`);
  return found[0] ?? {};
};

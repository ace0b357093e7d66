/** From settings to telemetry: what turns it on, and every problem at once. */
import assert from "node:assert/strict";
import { Duration, Effect, Either, Redacted } from "effect";
import { serverOf } from "../src/CallSpans.ts";
import { config } from "../src/Config.ts";
import { telemetryOptions } from "../src/TelemetryOptions.ts";
import { describe, it } from "./support/it.ts";

const optionsOf = (env: Readonly<Record<string, string>>, service: "auth" | "all" = "auth") =>
  Effect.map(
    config((name) => env[name]),
    (settings) => telemetryOptions(settings, service, "pod-1"),
  );

const on = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" };
const connection = "InstrumentationKey=00000000-1111-2222-3333-444444444444";

const legal = (env: Readonly<Record<string, string>>, service?: "auth" | "all") =>
  Effect.map(optionsOf(env, service), (options) => Either.getOrThrow(options));

describe("telemetryOptions()", () => {
  for (
    const env of [
      {},
      { OTEL_SERVICE_NAME: "a", OTEL_RESOURCE_ATTRIBUTES: "a=b" },
      { ...on, OTEL_SDK_DISABLED: "true" },
      { APPLICATIONINSIGHTS_CONNECTION_STRING: connection, OTEL_SDK_DISABLED: "true" },
      { ...on, OTEL_TRACES_EXPORTER: "none", OTEL_LOGS_EXPORTER: "none" },
    ]
  ) {
    it.effect(`is off with ${JSON.stringify(env)}`, () =>
      Effect.map(legal(env), (options) => assert.equal(options, undefined)));
  }

  it.effect("has OpenTelemetry's defaults", () =>
    Effect.map(legal(on), (options) => {
      assert.deepEqual(options?.batch, {
        delayMillis: 5_000,
        maxQueue: 2_048,
        maxBatch: 512,
        exportMillis: 30_000,
      });
      assert.deepEqual(options?.sampler, { name: "parentbased_always_on", ratio: 1 });
      assert.equal(options?.otlp?.timeoutMillis, 10_000);
      assert.equal(options?.otlp?.traces && options.otlp.logs, true);
      assert.equal(options?.appInsights, undefined);
      assert.equal(options?.sender.serviceName, "amicis-auth");
    }));

  it.effect("takes the service's name from its own variable before the attributes", () =>
    Effect.gen(function* () {
      const attributes = { ...on, OTEL_RESOURCE_ATTRIBUTES: "service.name=a" };
      assert.equal((yield* legal(attributes))?.sender.serviceName, "a");
      const both = { ...attributes, OTEL_SERVICE_NAME: "b" };
      assert.equal((yield* legal(both))?.sender.serviceName, "b");
      assert.equal((yield* legal(on, "all"))?.sender.serviceName, "amicis");
    }));

  it.effect("waits at the end for 3 s, or for SHUTDOWN_GRACE when that is shorter", () =>
    Effect.gen(function* () {
      const long = yield* legal({ ...on, SHUTDOWN_GRACE: "20s" });
      assert.equal(Duration.toMillis(long?.flushWithin ?? 0), 3_000);
      const short = yield* legal({ ...on, SHUTDOWN_GRACE: "1s" });
      assert.equal(Duration.toMillis(short?.flushWithin ?? 0), 1_000);
    }));

  it.effect("names every problem and no value", () =>
    Effect.gen(function* () {
      const options = yield* optionsOf({
        OTEL_EXPORTER_OTLP_HEADERS: "hush",
        OTEL_RESOURCE_ATTRIBUTES: "a",
        OTEL_BSP_MAX_QUEUE_SIZE: "10",
        APPLICATIONINSIGHTS_CONNECTION_STRING: "hush",
      });
      const problems = Either.getOrThrow(Either.flip(options));
      assert.deepEqual(problems.map((line) => line.split(" ")[0]).toSorted(), [
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_RESOURCE_ATTRIBUTES",
      ]);
      assert.doesNotMatch(problems.join(), /hush/);
    }));
});

describe("serverOf()", () => {
  const servers: Readonly<Record<string, unknown>> = {
    "mongodb://host": { "server.address": "host" },
    "mongodb://user:p%40ss@host:27017/amicis": { "server.address": "host", "server.port": 27017 },
    "mongodb+srv://user:hush@cluster.example.net/?tls=true": {
      "server.address": "cluster.example.net",
    },
    "mongodb://user:hush@a:1,b:2,c/x": { "server.address": "a:1,b:2,c" },
    "redis://:hush@[::1]:6379/0": { "server.address": "[::1]", "server.port": 6379 },
    "redis://user:hu@sh@host:6379": { "server.address": "host", "server.port": 6379 },
    "mongodb://user:12/34@host": {},
    "mongodb://user:12/3?4@host": {},
  };
  for (const [address, attributes] of Object.entries(servers)) {
    it(`shows of ${address} only ${JSON.stringify(attributes)}`, () => {
      assert.deepEqual(serverOf(Redacted.make(address)), attributes);
    });
  }
});

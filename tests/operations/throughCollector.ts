/**
 * Traces and logs through a real OpenTelemetry Collector, to be looked at:
 * `deno run -A tests/operations/throughCollector.ts path/to/otelcol [path/to/amicis]`.
 *
 * The collector needs the receiver `otlp` and the exporter `otlphttp`, as every distribution has
 * them. Routing (from source, or the binary given) answers a miss, a hit and a failure of MongoDB on
 * real servers; what the collector passes on is decoded, compared, and printed as trees. Exit code 1
 * when a span or record is missing or not as meant.
 */
import assert from "node:assert/strict";
import { Amicis, fromSource } from "../support/Amicis.ts";
import { eventually } from "../support/eventually.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { ServerProcess } from "../support/servers/ServerProcess.ts";
import { TelemetryReceiver } from "../support/servers/TelemetryReceiver.ts";
import { bearer } from "../support/wire/Jwt.ts";
import { type OtlpSpan, recordsOf, spansOf } from "../support/wire/OtlpJson.ts";
import { insertStores } from "../e2e/support/Shops.ts";

const [collector, binary] = Deno.args;
if (collector === undefined) throw new Error("Which collector?");

const parentId = "b7ad6b7169203331";
const traces = { miss: "a", hit: "b", failure: "c" } as const;
const idOf = (letter: string) => letter.repeat(32);

const encoder = new TextEncoder();
const say = (text: string) => void Deno.stdout.writeSync(encoder.encode(`${text}\n`));

/** A collector that passes on to the receiver, in JSON. */
const startCollector = async (port: number, receiver: string) => {
  const file = await Deno.makeTempFile({ prefix: "amicis-collector-", suffix: ".yaml" });
  const pipeline = { receivers: ["otlp"], exporters: ["otlphttp"] };
  // JSON is YAML.
  await Deno.writeTextFile(
    file,
    JSON.stringify({
      receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}` } } } },
      exporters: { otlphttp: { endpoint: receiver, encoding: "json", compression: "none" } },
      service: {
        telemetry: { metrics: { level: "none" } },
        pipelines: { traces: pipeline, logs: pipeline },
      },
    }),
  );
  const process = await ServerProcess.start({
    program: collector,
    args: [`--config=${file}`],
    isReady: async () => {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return true;
    },
  });
  return { process, file };
};

const shown = ["error.type", "retry.attempt", "circuit_breaker.state", "http.response.status_code"];

/** The spans below a parent, each with what tells most. */
const tree = (spans: ReadonlyArray<OtlpSpan>, parent: string, depth = 1): void => {
  for (const span of spans.filter(({ parentSpanId }) => parentSpanId === parent)) {
    const told = shown.filter((name) => name in span.attributes)
      .map((name) => `${name}=${span.attributes[name]}`);
    const events = span.events.map(({ name, attributes }) =>
      `[${name} → ${attributes["circuit_breaker.to"]}]`
    );
    say([" ".repeat(depth * 2) + span.name, span.kind, ...told, ...events].join("  "));
    tree(spans, span.spanId, depth + 1);
  }
};

const run = async (protocol: "http/json" | "http/protobuf"): Promise<void> => {
  const port = freePort();
  await using receiver = new TelemetryReceiver();
  const { process, file } = await startCollector(port, receiver.url);
  const [mongo, redis] = await Promise.all([MongoServer.start(), Redis.start()]);
  try {
    await insertStores(mongo);
    await using amicis = await Amicis.start({
      service: "routing",
      program: binary === undefined ? fromSource : [binary],
      env: {
        MONGODB_URI: mongo.url,
        REDIS_URL: redis.url,
        NEAR_CACHE_SIZE: "0",
        MONGODB_BREAKER_CONSECUTIVE_FAILURES: "3",
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
        OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      },
    });
    const headers = await bearer("ikea");
    const ask = async (letter: string, path: string) => {
      const traceparent = `00-${idOf(letter)}-${parentId}-01`;
      return (await amicis.ask(path, { headers: { ...headers, traceparent } })).status;
    };
    const route = "/api/v1/route?storeId=berlin-01";
    assert.equal(await ask(traces.miss, route), 200);
    assert.equal(await ask(traces.hit, route), 200);
    await mongo.failPoint({ failCommands: ["find"], errorCode: 189 });
    assert.equal(await ask(traces.failure, "/api/v1/stores"), 503);
    assert.equal((await amicis.stop()).code, 0);

    const wanted = {
      miss: ["GET", "GET /api/v1/route", "SET", "cache get", "find stores"],
      hit: ["GET", "GET /api/v1/route", "cache get"],
      failure: ["GET /api/v1/stores", "find stores", "find stores", "find stores"],
    };
    const spans = await eventually(() => {
      const found = spansOf(receiver.deliveries);
      for (const [name, letter] of Object.entries(traces)) {
        const own = found.filter(({ traceId }) => traceId === idOf(letter));
        assert.deepEqual(
          own.map((span) => span.name).toSorted(),
          wanted[name as keyof typeof wanted],
        );
      }
      return found;
    });
    const events = spans.flatMap((span) => span.events.map(({ name }) => name));
    assert.deepEqual(events, ["circuit_breaker.state_changed"]);
    const records = await eventually(() => {
      const found = recordsOf(receiver.deliveries);
      const lines = amicis.logs.map(({ msg }) => msg);
      // The first lines are written before there is anything to send them.
      assert.ok(found.length >= lines.length - 1, `${found.length} of ${lines.length}`);
      return found;
    });
    say(`${protocol}: ${spans.length} spans, ${records.length} log records`);
    for (const [name, letter] of Object.entries(traces)) {
      say(` ${name}`);
      tree(spans.filter(({ traceId }) => traceId === idOf(letter)), parentId);
      for (const { body, severity } of records.filter(({ traceId }) => traceId === idOf(letter))) {
        say(`    ${severity} ${body}`);
      }
    }
  } finally {
    await Promise.all([process.stop(), mongo.stop(), redis.stop()]);
    releasePort(port);
    await Deno.remove(file);
  }
};

await run("http/json");
await run("http/protobuf");

/** Spans, samplers, and what reaches the receivers when all is put together in one process. */
import assert from "node:assert/strict";
import { Cause, Duration, Effect, Exit, Fiber, Layer, Option, Redacted, Tracer } from "effect";
import { Logging } from "../../src/operations/Logging.ts";
import * as Sampler from "../../src/operations/Sampler.ts";
import { Telemetry } from "../../src/operations/Telemetry.ts";
import type { TelemetryOptions } from "../../src/operations/TelemetrySettings.ts";
import { makeTracer, RecordedSpan, under } from "../../src/operations/Tracing.ts";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import { describe, it } from "../support/it.ts";
import { type Behaviour, TelemetryReceiver } from "../support/servers/TelemetryReceiver.ts";
import { accepted, itemsOf } from "../support/wire/AppInsightsItems.ts";
import { recordsOf, spansOf } from "../support/wire/OtlpJson.ts";

const external = (sampled: boolean) =>
  Option.some(Tracer.externalSpan({ traceId: "a".repeat(32), spanId: "b".repeat(16), sampled }));

const idOf = (low: string) => `${"c".repeat(16)}${low.padEnd(16, "0")}`;

describe("Sampler", () => {
  const kept = (
    name: Sampler.SamplerSettings["name"],
    parent: Option.Option<Tracer.AnySpan>,
    ratio = 1,
    traceId = idOf("8"),
  ) => Sampler.make({ name, ratio })(parent, traceId).sampled;

  it("make() always keeps or drops by the name", () => {
    assert.equal(kept("always_on", external(false)), true);
    assert.equal(kept("always_off", external(true)), false);
  });

  it("make() follows the caller where it is asked to, and else its own rule", () => {
    assert.equal(kept("parentbased_always_off", external(true)), true);
    assert.equal(kept("parentbased_always_on", external(false)), false);
    assert.equal(kept("parentbased_always_on", Option.none()), true);
    assert.equal(kept("parentbased_always_off", Option.none()), false);
    assert.equal(kept("parentbased_traceidratio", external(true), 0), true);
  });

  it("make() decides by the lower half of the id, and knows what the trace stands for", () => {
    const half = Sampler.make({ name: "traceidratio", ratio: 0.5 });
    assert.deepEqual(half(Option.none(), idOf("7fff")), { sampled: true, rate: 50 });
    assert.equal(half(Option.none(), idOf("8")).sampled, false);
    assert.equal(kept("traceidratio", external(false), 1, "f".repeat(32)), true);
    assert.equal(kept("traceidratio", external(true), 0, idOf("0")), false);
  });
});

describe("Tracing", () => {
  const all = Sampler.make({ name: "always_on", ratio: 1 });
  const recorded = () => {
    const ended: Array<RecordedSpan> = [];
    return { ended, tracer: makeTracer(all, (span) => ended.push(span)) };
  };

  it.effect("makeTracer() hands over spans when they end, inner ones first", () =>
    Effect.gen(function* () {
      const { ended, tracer } = recorded();
      yield* Effect.void.pipe(
        Effect.withSpan("inner"),
        Effect.withSpan("outer"),
        Effect.withTracer(tracer),
      );
      const [inner, outer] = ended;
      assert.deepEqual(ended.map(({ name }) => name), ["inner", "outer"]);
      assert.equal(inner?.traceId, outer?.traceId);
      assert.equal(Option.getOrThrow(inner?.parent ?? Option.none()), outer);
      assert.match(`${outer?.traceId}-${outer?.spanId}`, /^[0-9a-f]{32}-[0-9a-f]{16}$/);
    }));

  it.effect("RecordedSpan says what failed, without secrets", () =>
    Effect.gen(function* () {
      const { ended, tracer } = recorded();
      const failure = new TransientFailure({
        dependency: "mongodb",
        operation: "mongodb_find",
        reason: "no answer from mongodb://user:hush@host/db",
        timedOut: false,
        cause: null,
      });
      const defect = Effect.die(new RangeError("token=abcdefgh"));
      yield* Effect.all([
        Effect.exit(Effect.withSpan(Effect.fail(failure), "fails")),
        Effect.exit(Effect.withSpan(defect, "dies")),
      ]).pipe(Effect.withTracer(tracer));
      assert.deepEqual(ended.map(({ error }) => error?.type), ["TransientFailure", "RangeError"]);
      assert.doesNotMatch(ended.map(({ error }) => error?.message).join(), /hush|abcdefgh/);
      assert.equal(ended[0]?.attributes.get("error.type"), "TransientFailure");
    }));

  it.effect("RecordedSpan does not take an interruption for a failure", () =>
    Effect.gen(function* () {
      const { ended, tracer } = recorded();
      const fiber = yield* Effect.never.pipe(
        Effect.withSpan("waits"),
        Effect.withTracer(tracer),
        Effect.fork,
      );
      yield* Effect.yieldNow();
      yield* Fiber.interrupt(fiber);
      assert.equal(ended[0]?.error, undefined);
      assert.equal(ended[0]?.attributes.get("status.interrupted"), true);
    }));

  it("RecordedSpan keeps a bounded number of attributes and events", () => {
    const { tracer, ended } = recorded();
    const span = tracer.span(
      "busy",
      Option.none(),
      Tracer.externalSpan({
        traceId: "",
        spanId: "",
      }).context,
      [],
      0n,
      "internal",
    );
    for (let index = 0; index < 1_000; index++) {
      span.attribute(`key-${index}`, index);
      span.event("again", 0n);
    }
    span.end(1n, Exit.void);
    span.end(2n, Exit.void);
    assert.equal(ended.length, 1);
    assert.equal(ended[0]?.attributes.size, 128);
    assert.equal(ended[0]?.events.length, 128);
    assert.equal(ended[0]?.endTime, 1n);
  });

  it.effect("makeTracer() gives spans below one that is not recorded its decision", () =>
    Effect.gen(function* () {
      const ended: Array<RecordedSpan> = [];
      const tracer = makeTracer(
        Sampler.make({ name: "parentbased_always_on", ratio: 1 }),
        (span) => ended.push(span),
      );
      const inner = yield* Effect.currentSpan.pipe(
        Effect.withSpan("inner"),
        Effect.withSpan("outer", { parent: Option.getOrThrow(external(false)) }),
        Effect.withTracer(tracer),
      );
      assert.equal(inner.sampled, false);
      assert.equal(inner.traceId, "a".repeat(32));
      assert.equal(ended.length, 0);
    }));

  it.effect("under() puts what runs elsewhere into the trace, and leaves it alone without one", () =>
    Effect.gen(function* () {
      const { tracer, ended } = recorded();
      const span = yield* Effect.withTracer(Effect.makeSpan("outer"), tracer);
      yield* Effect.withTracer(under(span)(Effect.withSpan(Effect.void, "inner")), tracer);
      assert.equal(ended[0]?.traceId, span.traceId);
      const plain = Effect.void;
      assert.equal(under(undefined)(plain), plain);
    }));
});

const key = "00000000-1111-2222-3333-444444444444";

/** Runs `body` with telemetry to two receivers and answers what they were sent until its end. */
const delivered = (
  body: Effect.Effect<unknown, never, Telemetry | Logging>,
  options: Partial<TelemetryOptions> = {},
  behaviour: Behaviour = "takes",
) =>
  Effect.gen(function* () {
    const open = (respond?: typeof accepted) =>
      Effect.acquireRelease(
        Effect.sync(() => new TelemetryReceiver(respond)),
        (receiver) => Effect.promise(() => receiver[Symbol.asyncDispose]()),
      );
    const [collector, insights] = yield* Effect.all([open(), open(accepted)]);
    collector.behaviour = behaviour;
    const telemetry = Telemetry.layer({
      sender: { serviceName: "amicis", version: "1.2.3", host: "here", attributes: {} },
      sampler: { name: "always_on", ratio: 1 },
      batch: { delayMillis: 60_000, maxQueue: 100, maxBatch: 10, exportMillis: 1_000 },
      otlp: {
        endpoint: `${collector.url}/`,
        headers: Redacted.make({}),
        protocol: "http/json",
        timeoutMillis: 1_000,
        traces: true,
        logs: true,
      },
      appInsights: { instrumentationKey: Redacted.make(key), endpoint: insights.url },
      flushWithin: Duration.millis(500),
      ...options,
    });
    const sink = { write: (bytes: Uint8Array) => Promise.resolve(bytes.length) };
    yield* Effect.provide(
      body,
      Layer.provideMerge(telemetry, Logging.layer({ writer: { sink } })),
    );
    return { collector, insights };
  });

describe("Telemetry", () => {
  it.live("layer() delivers a defect as an event, a record and an exception, scrubbed", () =>
    Effect.gen(function* () {
      const defect = new RangeError("No place for token=abcdefgh");
      const body = Effect.logError("Request failed", Cause.die(defect)).pipe(
        Effect.withSpan("GET /here", { kind: "server" }),
      );
      const { collector, insights } = yield* delivered(body);

      const [span] = spansOf(collector.deliveries);
      const [event, ...more] = span?.events ?? [];
      assert.deepEqual(more, []);
      assert.equal(event?.name, "exception");
      assert.equal(event?.attributes["exception.type"], "RangeError");
      assert.equal(event?.attributes["exception.message"], "No place for token=<redacted>");
      assert.match(String(event?.attributes["exception.stacktrace"]), /^at /);
      const record = recordsOf(collector.deliveries).find(({ body }) => body === "Request failed");
      assert.equal(record?.severity, "ERROR");
      assert.equal(record?.traceId, span?.traceId);

      const items = itemsOf(insights.deliveries, key);
      const exception = items.find(({ type }) => type === "ExceptionData");
      assert.equal(exception?.tags["ai.operation.id"], span?.traceId);
      assert.equal(exception?.tags["ai.operation.parentId"], span?.spanId);
      const [details] = exception?.data.exceptions ?? [];
      assert.equal(details.typeName, "RangeError");
      assert.equal(details.message, "No place for token=<redacted>");
      const all = [...collector.deliveries, ...insights.deliveries].map(({ text }) => text).join();
      assert.equal(all.includes("abcdefgh"), false);
    }));

  it.live("layer() sends full batches at once and the rest at the end, each span once", () =>
    Effect.gen(function* () {
      const { collector, insights } = yield* delivered(
        Effect.forEach(
          Array.from({ length: 25 }, (_, index) => `span ${index}`),
          (name) => Effect.withSpan(Effect.void, name),
        ),
      );
      const names = spansOf(collector.deliveries).map(({ name }) => name);
      assert.equal(new Set(names).size, 25);
      assert.equal(names.length, 25);
      const sizes = insights.deliveries.map(({ text }) => JSON.parse(text).length);
      assert.deepEqual(sizes, [10, 10, 5]);
    }));

  it.live("layer() ends in time and gives up what a receiver does not take", () =>
    Effect.gen(function* () {
      let losses: Telemetry["Type"]["losses"] = () => [];
      yield* delivered(
        Effect.gen(function* () {
          losses = (yield* Telemetry).losses;
          yield* Effect.withSpan(Effect.void, "lost");
        }),
        { appInsights: undefined },
        "hangs",
      );
      assert.deepEqual(losses(), [
        { exporter: "otlp", signal: "traces", count: 1 },
        { exporter: "otlp", signal: "logs", count: 1 },
      ]);
    }));

  it.live("layer() speaks protobuf when that is asked for", () =>
    Effect.gen(function* () {
      const { collector } = yield* delivered(Effect.withSpan(Effect.void, "encoded"), {
        otlp: undefined,
      });
      assert.deepEqual(collector.deliveries, []);
      const receiver = new TelemetryReceiver();
      yield* Effect.addFinalizer(() => Effect.promise(() => receiver[Symbol.asyncDispose]()));
      yield* delivered(Effect.withSpan(Effect.void, "encoded"), {
        otlp: {
          endpoint: receiver.url,
          headers: Redacted.make({ "x-key": "1" }),
          protocol: "http/protobuf",
          timeoutMillis: 1_000,
          traces: true,
          logs: false,
        },
      });
      const [delivery, ...more] = receiver.deliveries;
      assert.deepEqual(more, []);
      assert.equal(delivery?.path, "/v1/traces");
      assert.equal(delivery?.headers.get("content-type"), "application/x-protobuf");
      assert.match(delivery?.text ?? "", /encoded/);
    }));

  it.effect("layerOff makes no spans and has lost nothing", () =>
    Effect.gen(function* () {
      const { tracing, losses } = yield* Telemetry;
      assert.equal(tracing, false);
      assert.deepEqual(losses(), []);
    }).pipe(Effect.provide(Telemetry.layerOff)));
});

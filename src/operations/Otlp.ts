/**
 * Spans and log records as OTLP over HTTP, by the encoders of @effect/opentelemetry.
 *
 * Those batch and encode; the sending is ours, as theirs has no time limit, sends any number of
 * batches at once and loses all of a minute after one failure. They are given a client that only
 * puts what they would send into the outbox. Metrics are not sent: `/metrics` has them.
 */
import * as OtlpLogger from "@effect/opentelemetry/OtlpLogger";
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization";
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer";
import { type HttpBody, HttpClient, HttpClientResponse } from "@effect/platform";
import {
  Cause,
  ConfigProvider,
  Context,
  Effect,
  Exit,
  FiberId,
  FiberRef,
  FiberRefs,
  HashMap,
  List,
  Logger,
  LogLevel,
  Redacted,
  type Scope,
  Tracer,
} from "effect";
import type { Exporter } from "./Exporter.ts";
import { exportedFields, type Level, type LogRecord } from "./LogLine.ts";
import * as OtlpBodies from "./OtlpBodies.ts";
import type { Batch, Outbox, Signal } from "./Outbox.ts";
import type { BatchOptions, OtlpOptions, Sender } from "./TelemetrySettings.ts";
import type { RecordedSpan } from "./Tracing.ts";

/** The name under which deliveries are logged and counted. */
export const exporterName = "otlp";

/** Items that a receiver says, in an answer of 2xx, it did not take. */
export const rejected = (answer: string): number => {
  const [, count] = /"rejected(?:Spans|LogRecords)"\s*:\s*"?(\d{1,9})/.exec(answer) ?? [];
  return count === undefined ? 0 : Number(count);
};

export interface Options {
  readonly otlp: OtlpOptions;
  readonly batch: BatchOptions;
  readonly sender: Sender;
  readonly outbox: Outbox;
}

/** A client that hands over: it takes everything at once, and nobody waits for the network. */
const handingOver = (
  options: Options,
  noted: (body: HttpBody.HttpBody) => Pick<Batch, "signal" | "items">,
): HttpClient.HttpClient =>
  HttpClient.make((request, url) =>
    Effect.sync(() => {
      const { body } = request;
      options.outbox.offer({
        url: url.href,
        headers: {
          ...Redacted.value(options.otlp.headers),
          "user-agent": `amicis/${options.sender.version}`,
        },
        body,
        ...noted(body),
      });
      return HttpClientResponse.fromWeb(request, new Response(null, { status: 200 }));
    })
  );

/** The encoders, with what they write put right and each body's items noted. */
const serialization = (
  protocol: OtlpOptions["protocol"],
  version: string,
  notes: WeakMap<HttpBody.HttpBody, Pick<Batch, "signal" | "items">>,
) =>
  Effect.map(OtlpSerialization.OtlpSerialization, (base) => {
    const noting = (signal: Signal, body: HttpBody.HttpBody, items: number) => {
      notes.set(body, { signal, items });
      return body;
    };
    return OtlpSerialization.OtlpSerialization.of({
      metrics: base.metrics,
      traces: (data) => {
        const items = OtlpBodies.tidySpans(data, version);
        return noting("traces", base.traces(data), items);
      },
      logs: (data) => {
        const items = OtlpBodies.tidyLogs(data, version);
        return noting("logs", base.logs(data), items);
      },
    });
  }).pipe(
    Effect.provide(
      protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf,
    ),
  );

/** Gives a finished span to the encoder, under the ids that it already has. */
const replay = (tracer: Tracer.Tracer) => (span: RecordedSpan): void => {
  const { name, parent, context, links, startTime, kind, traceId, spanId } = span;
  const copy = tracer.span(name, parent, context, links, startTime, kind);
  // The encoder invents ids, as plain properties.
  Object.assign(copy, { traceId, spanId });
  for (const [key, value] of span.attributes) copy.attribute(key, value);
  for (const { name, at, attributes } of span.events) copy.event(name, at, attributes);
  copy.end(span.endTime, span.error === undefined ? Exit.void : Exit.fail(span.error.message));
};

const logLevels: Readonly<Record<Level, LogLevel.LogLevel>> = {
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warn: LogLevel.Warning,
  error: LogLevel.Error,
};

/** Any fiber: the encoder reads the span from what a fiber has, and nothing else. */
const nobody = FiberId.runtime(0, 0);

/** Gives a record to the encoder: what was written to standard output, and its span's ids. */
const record = (logger: Logger.Logger<unknown, void>) => (line: LogRecord): void => {
  const { span, service, correlationId } = line;
  const services = span === undefined ? Context.empty() : Context.make(Tracer.ParentSpan, span);
  const annotations = {
    ...(service === undefined ? {} : { "amicis.service": service }),
    ...(correlationId === undefined ? {} : { "amicis.correlation_id": correlationId }),
    ...exportedFields(line),
  };
  logger.log({
    fiberId: FiberId.none,
    logLevel: logLevels[line.level],
    message: line.msg,
    cause: Cause.empty,
    context: FiberRefs.unsafeMake(new Map([[FiberRef.currentContext, [[nobody, services]]]])),
    spans: List.empty(),
    annotations: HashMap.fromIterable(Object.entries(annotations)),
    date: new Date(line.at),
  });
};

/** Encodes until the scope closes; then hands the last batches over. */
export const make = (options: Options): Effect.Effect<Exporter, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { otlp, batch, sender } = options;
    const notes = new WeakMap<HttpBody.HttpBody, Pick<Batch, "signal" | "items">>();
    const client = handingOver(
      options,
      (body) => notes.get(body) ?? { signal: "traces", items: 0 },
    );
    const { "service.name": _name, "service.version": given, ...attributes } = sender.attributes;
    const common = {
      resource: {
        serviceName: sender.serviceName,
        serviceVersion: given ?? sender.version,
        attributes: {
          "service.instance.id": crypto.randomUUID(),
          "host.name": sender.host,
          ...attributes,
        },
      },
      exportInterval: batch.delayMillis,
      maxBatchSize: batch.maxBatch,
    };
    const base = otlp.endpoint.replace(/\/+$/, "");
    const made = Effect.all({
      tracer: OtlpTracer.make({ ...common, url: `${base}/v1/traces` }),
      logger: OtlpLogger.make({ ...common, url: `${base}/v1/logs` }),
    });
    const { tracer, logger } = yield* made.pipe(
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.provideServiceEffect(
        OtlpSerialization.OtlpSerialization,
        serialization(otlp.protocol, sender.version, notes),
      ),
      // They would read the same variables again, and less exactly.
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map())),
    );
    const ignore = () => {};
    return {
      span: otlp.traces ? replay(tracer) : ignore,
      log: otlp.logs ? record(logger) : ignore,
      // Changes are events of spans and lines of the log.
      stateChanged: ignore,
    };
  });

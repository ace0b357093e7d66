/**
 * The envelopes of Application Insights: one JSON object for a request, a dependency call, an
 * exception, a message or an event, as its ingestion endpoint (`/v2.1/track`) takes them.
 *
 * A trace is an operation there: the trace's id is `ai.operation.id`, the parent span's is
 * `ai.operation.parentId`. Requests fail from status 400 on, as with Microsoft's own SDKs.
 */
import { Redacted, type Tracer } from "effect";
import type { StateChange } from "../resilience/CircuitBreaker.ts";
import { exportedFields, type LogRecord, timestamp } from "./LogLine.ts";
import type { AppInsightsConnection, Sender } from "./TelemetrySettings.ts";
import { RecordedSpan } from "./Tracing.ts";

/** One item as it is sent. */
export interface Envelope {
  readonly ver: 1;
  readonly name: string;
  /** ISO 8601. */
  readonly time: string;
  /** For what percentage of all such items this one stands. */
  readonly sampleRate: number;
  readonly iKey: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly data: {
    readonly baseType: string;
    readonly baseData: Readonly<Record<string, unknown>>;
  };
}

/** Longest texts that the endpoint takes, in characters. */
const longest = { name: 1_024, value: 8_192, key: 150, message: 32_768, target: 1_024 };

/** Makes envelopes with one key and one sender. */
export const envelopes = ({ instrumentationKey }: AppInsightsConnection, sender: Sender) => {
  const { attributes } = sender;
  const namespace = attributes["service.namespace"];
  const iKey = Redacted.value(instrumentationKey);
  const common = {
    "ai.cloud.role": namespace === undefined
      ? sender.serviceName
      : `${namespace}.${sender.serviceName}`,
    "ai.cloud.roleInstance": attributes["service.instance.id"] ?? sender.host,
    "ai.application.ver": attributes["service.version"] ?? sender.version,
    "ai.internal.sdkVersion": `amicis:${sender.version}`,
  };
  const envelope = (
    type: string,
    at: number,
    rate: number,
    tags: Readonly<Record<string, string>>,
    baseData: Readonly<Record<string, unknown>>,
  ): Envelope => ({
    ver: 1,
    name: `Microsoft.ApplicationInsights.${type}`,
    time: timestamp(at),
    sampleRate: rate,
    iKey,
    tags: { ...common, ...tags },
    data: {
      baseType: type === "RemoteDependency" ? "RemoteDependencyData" : `${type}Data`,
      baseData: { ver: 2, ...baseData },
    },
  });

  return {
    /** A request for a span of kind server, else a dependency. */
    span: (span: RecordedSpan): Envelope => {
      const type = span.kind === "server" ? "Request" : "RemoteDependency";
      const data = span.kind === "server" ? requestOf(span) : dependencyOf(span);
      return envelope(type, millisOf(span.startTime), span.rate, tagsOfSpan(span), {
        ...data,
        id: span.spanId,
        duration: timeSpan(span.endTime - span.startTime),
        properties: properties(Object.fromEntries(span.attributes)),
      });
    },

    /** An exception for an error, a message for all else. */
    log: (record: LogRecord): Envelope => {
      const { error, stack, ...fields } = exportedFields(record);
      const { service, correlationId } = record;
      const common = { ...fields, service, correlationId };
      const tags = tagsUnder(record.span);
      const rate = rateOf(record.span);
      if (record.level !== "error" || typeof error !== "string") {
        return envelope("Message", record.at, rate, tags, {
          message: record.msg.slice(0, longest.message),
          severityLevel: severities[record.level],
          properties: properties({ ...common, error, stack }),
        });
      }
      const [, typeName = "Error", message = error] = /^([\w.$]{1,100}): (.*)$/s.exec(error) ?? [];
      return envelope("Exception", record.at, rate, tags, {
        severityLevel: severities.error,
        exceptions: [{
          typeName,
          message: message.slice(0, longest.message),
          hasFullStack: false,
          ...(typeof stack === "string" ? { stack: stack.slice(0, longest.message) } : {}),
        }],
        properties: properties({ ...common, msg: record.msg }),
      });
    },

    /** A custom event. */
    stateChanged: (
      change: StateChange,
      service: string,
      span: Tracer.AnySpan | undefined,
    ): Envelope => {
      const { breaker, from, to, at, counts, manual, observed = false } = change;
      return envelope("Event", at, 100, tagsUnder(span), {
        name: observed ? "Circuit breaker would have opened" : "Circuit breaker state changed",
        properties: properties({ service, breaker, from, to, manual }),
        measurements: {
          requests: counts.requests,
          failures: counts.totalFailures,
          consecutiveFailures: counts.consecutiveFailures,
        },
      });
    },
  };
};

const severities = { debug: 0, info: 1, warn: 2, error: 3 } as const;

const millisOf = (nanos: bigint): number => Number(nanos / 1_000_000n);

/** `hh:mm:ss.fffffff`, with whole days and a dot in front where there are some. */
export const timeSpan = (nanos: bigint): string => {
  const ticks = nanos < 0n ? 0n : nanos / 100n;
  const [seconds, fraction] = [ticks / 10_000_000n, ticks % 10_000_000n];
  const two = (value: bigint) => value.toString().padStart(2, "0");
  const days = seconds / 86_400n;
  return `${days > 0n ? `${days}.` : ""}${two(seconds / 3_600n % 24n)}:${
    two(seconds / 60n % 60n)
  }:${two(seconds % 60n)}.${fraction.toString().padStart(7, "0")}`;
};

/** Values as text: the endpoint takes no other. */
const properties = (fields: Readonly<Record<string, unknown>>): Record<string, string> => {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    found[name.slice(0, longest.key)] = text.slice(0, longest.value);
  }
  return found;
};

const textOf = (span: RecordedSpan, name: string): string | undefined => {
  const value = span.attributes.get(name);
  return value === undefined ? undefined : String(value);
};

const requestOf = (span: RecordedSpan) => {
  const status = Number(span.attributes.get("http.response.status_code") ?? 0);
  return {
    name: span.name.slice(0, longest.name),
    success: span.error === undefined && status > 0 && status < 400,
    responseCode: String(status),
    url: textOf(span, "url.path"),
  };
};

const dependencyOf = (span: RecordedSpan) => {
  const system = textOf(span, "db.system.name");
  const address = textOf(span, "server.address");
  const port = textOf(span, "server.port");
  const host = address === undefined || port === undefined ? address : `${address}:${port}`;
  const isHttp = span.attributes.has("http.request.method");
  const type = isHttp ? "HTTP" : system ?? (span.kind === "internal" ? "InProc" : "Other");
  const name = textOf(span, "db.namespace");
  return {
    name: span.name.slice(0, longest.name),
    type,
    target: ([host ?? system, name].filter((part) => part !== undefined).join(" | ") || undefined)
      ?.slice(0, longest.target),
    data: textOf(span, "url.full") ?? span.name,
    success: span.error === undefined,
    resultCode: textOf(span, "http.response.status_code") ?? span.error?.type ?? "0",
  };
};

/** The request at the top of this process's part of the trace. */
const topOf = (span: Tracer.AnySpan): Tracer.AnySpan => {
  let top = span;
  while (
    top._tag === "Span" && top.parent._tag === "Some" && top.parent.value._tag === "Span"
  ) top = top.parent.value;
  return top;
};

const tagsOfSpan = (span: RecordedSpan): Readonly<Record<string, string>> => ({
  "ai.operation.id": span.traceId,
  ...(span.parent._tag === "Some" ? { "ai.operation.parentId": span.parent.value.spanId } : {}),
  ...operationName(span),
});

/** Of what happened in a span. */
const tagsUnder = (span: Tracer.AnySpan | undefined): Readonly<Record<string, string>> =>
  span === undefined ? {} : {
    "ai.operation.id": span.traceId,
    "ai.operation.parentId": span.spanId,
    ...operationName(span),
  };

const operationName = (span: Tracer.AnySpan): Readonly<Record<string, string>> => {
  const top = topOf(span);
  return top._tag === "Span" && top.kind === "server"
    ? { "ai.operation.name": top.name.slice(0, longest.name) }
    : {};
};

const rateOf = (span: Tracer.AnySpan | undefined): number =>
  span instanceof RecordedSpan ? span.rate : 100;

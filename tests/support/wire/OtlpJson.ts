/**
 * OTLP/JSON as a receiver reads it: requests decoded into plain spans and records, or refused. What
 * is empty or 0 may be missing, and a whole number may be text, as in JSON made by protobuf.
 */
import assert from "node:assert/strict";
import type { Delivery } from "../servers/TelemetryReceiver.ts";

/** Attributes as a plain record. */
export type Attributes = Readonly<Record<string, unknown>>;

/** A span, its attributes and events decoded. */
export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: "internal" | "server" | "client";
  readonly attributes: Attributes;
  readonly events: ReadonlyArray<{ readonly name: string; readonly attributes: Attributes }>;
  readonly status: "unset" | "error";
  readonly message: string | undefined;
  readonly durationMs: number;
  readonly resource: Attributes;
  readonly scope: string;
}

/** A log record, decoded. */
export interface OtlpRecord {
  readonly severity: string;
  readonly body: unknown;
  readonly traceId: string | undefined;
  readonly spanId: string | undefined;
  readonly attributes: Attributes;
}

// deno-lint-ignore no-explicit-any -- what arrives is JSON; every field is checked below
type Json = any;

const scalar = (value: Json): unknown => {
  const [kind, ...more] = Object.keys(value);
  assert.deepEqual(more, [], `Value with several kinds: ${JSON.stringify(value)}`);
  assert.match(kind ?? "", /^(string|int|double|bool)Value$/);
  const content = value[kind ?? ""];
  return kind === "intValue" ? Number(content) : content;
};

const attributesOf = (list: ReadonlyArray<Json> = []): Attributes => {
  const names = list.map(({ key }) => key);
  assert.equal(new Set(names).size, names.length, `Keys given twice: ${names.join(", ")}`);
  return Object.fromEntries(list.map(({ key, value }) => [key, scalar(value)]));
};

const hex = (text: unknown, length: number): string => {
  assert.ok(typeof text === "string" && new RegExp(`^[0-9a-f]{${length}}$`).test(text), `${text}`);
  assert.match(text, /[^0]/);
  return text;
};

const optionalHex = (text: unknown, length: number): string | undefined =>
  text === undefined || text === "" ? undefined : hex(text, length);

const kinds = { 1: "internal", 2: "server", 3: "client" } as const;
const statuses = { 0: "unset", 2: "error" } as const;

const pick = <A>(names: Readonly<Record<number, A>>, code: number): A => {
  const name = names[code];
  assert.ok(name !== undefined, `Code ${code}`);
  return name;
};

const spanOf = (span: Json, resource: Attributes, scope: string): OtlpSpan => {
  const [start, end] = [BigInt(span.startTimeUnixNano), BigInt(span.endTimeUnixNano)];
  assert.ok(end >= start, span.name);
  return {
    traceId: hex(span.traceId, 32),
    spanId: hex(span.spanId, 16),
    parentSpanId: optionalHex(span.parentSpanId, 16),
    name: span.name,
    kind: pick(kinds, span.kind),
    attributes: attributesOf(span.attributes),
    events: (span.events ?? []).map((event: Json) => ({
      name: event.name,
      attributes: attributesOf(event.attributes),
    })),
    status: pick(statuses, span.status?.code ?? 0),
    message: span.status?.message || undefined,
    durationMs: Number(end - start) / 1e6,
    resource,
    scope: `${scope}`,
  };
};

const recordOf = (record: Json): OtlpRecord => ({
  severity: record.severityText,
  body: scalar(record.body),
  traceId: optionalHex(record.traceId, 32),
  spanId: optionalHex(record.spanId, 16),
  attributes: attributesOf(record.attributes),
});

const jsonOf = (deliveries: ReadonlyArray<Delivery>, path: string): ReadonlyArray<Json> =>
  deliveries.filter((delivery) => delivery.path === path).map(({ headers, text }) => {
    assert.equal(headers.get("content-type"), "application/json");
    return JSON.parse(text);
  });

/** Every span that was delivered, in the order of arrival. */
export const spansOf = (deliveries: ReadonlyArray<Delivery>): ReadonlyArray<OtlpSpan> =>
  jsonOf(deliveries, "/v1/traces").flatMap(({ resourceSpans }) =>
    resourceSpans.flatMap(({ resource, scopeSpans }: Json) =>
      scopeSpans.flatMap(({ scope, spans }: Json) =>
        spans.map((span: Json) => spanOf(span, attributesOf(resource.attributes), scope.name))
      )
    )
  );

/** Every log record that was delivered. */
export const recordsOf = (deliveries: ReadonlyArray<Delivery>): ReadonlyArray<OtlpRecord> =>
  jsonOf(deliveries, "/v1/logs").flatMap(({ resourceLogs }) =>
    resourceLogs.flatMap(({ scopeLogs }: Json) =>
      scopeLogs.flatMap(({ logRecords }: Json) => logRecords.map(recordOf))
    )
  );

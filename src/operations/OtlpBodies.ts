/**
 * Puts right what @effect/opentelemetry writes into its OTLP messages: every failed span says that
 * it was interrupted and repeats its failure as an exception, every other one that it is `Ok`, which
 * only people may say, and the instrumentation is called like the service.
 */

interface Attribute {
  readonly key: string;
}

interface Span {
  status: { code: number; message?: string };
  attributes: Array<Attribute>;
  readonly events: Array<unknown>;
}

interface LogEntry {
  attributes: Array<Attribute>;
}

interface Scoped {
  scope: { name: string; version?: string };
}

/** What `OtlpTracer` gives to its serialization; it does not export the type. */
interface TraceData {
  readonly resourceSpans: ReadonlyArray<{
    readonly scopeSpans: ReadonlyArray<Scoped & { readonly spans: ReadonlyArray<Span> }>;
  }>;
}

/** What `OtlpLogger` gives to its serialization. */
interface LogData {
  readonly resourceLogs: ReadonlyArray<{
    readonly scopeLogs: ReadonlyArray<Scoped & { readonly logRecords: ReadonlyArray<LogEntry> }>;
  }>;
}

/** OTLP's status codes. */
const unset = 0;
const error = 2;

/** Added by the library to every failed span. */
const untrue = new Set(["span.label", "status.interrupted"]);

const tidySpan = (span: Span): void => {
  if (span.status.code !== error) {
    span.status = { code: unset };
    return;
  }
  span.attributes = span.attributes.filter(({ key }) => !untrue.has(key));
  // The last one is the library's own copy of the failure; exceptions that are some come before.
  span.events.pop();
};

/** Changes the message in place; answers how many spans it holds. */
export const tidySpans = (data: unknown, version: string): number => {
  let items = 0;
  for (const { scopeSpans } of (data as TraceData).resourceSpans) {
    for (const scoped of scopeSpans) {
      scoped.scope = { name: "amicis", version };
      scoped.spans.forEach(tidySpan);
      items += scoped.spans.length;
    }
  }
  return items;
};

/** Changes the message in place; answers how many records it holds. */
export const tidyLogs = (data: unknown, version: string): number => {
  let items = 0;
  for (const { scopeLogs } of (data as LogData).resourceLogs) {
    for (const scoped of scopeLogs) {
      scoped.scope = { name: "amicis", version };
      for (const entry of scoped.logRecords) {
        entry.attributes = entry.attributes.filter(({ key }) => key !== "fiberId");
      }
      items += scoped.logRecords.length;
    }
  }
  return items;
};

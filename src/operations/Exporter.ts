/** What every receiver of telemetry is told, in the form this program keeps it. */
import type { Tracer } from "effect";
import type { StateChange } from "../resilience/CircuitBreaker.ts";
import type { LogRecord } from "./LogLine.ts";
import type { RecordedSpan } from "./Tracing.ts";

/** Takes what is to be sent; all methods are synchronous and never throw. */
export interface Exporter {
  /** A span that has ended. */
  readonly span: (span: RecordedSpan) => void;
  /** A record that was written to the log. */
  readonly log: (record: LogRecord) => void;
  /** A breaker's change, and the span in which it happened. */
  readonly stateChanged: (
    change: StateChange,
    service: string,
    span: Tracer.AnySpan | undefined,
  ) => void;
}

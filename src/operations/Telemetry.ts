/**
 * Traces, and the log beside them, for OTLP receivers and for Application Insights.
 *
 * Off unless a receiver is set, and then nothing of it is loaded and no span is made. On, the
 * program's tracer records spans and every receiver gets them from its own outbox; at the end what
 * is left is sent, within a bounded time.
 */
import {
  type Clock,
  Context,
  Duration,
  Effect,
  Fiber,
  Layer,
  Logger,
  Option,
  type Scope,
} from "effect";
import type { StateChange } from "../resilience/CircuitBreaker.ts";
import type { Exporter } from "./Exporter.ts";
import { Logging } from "./Logging.ts";
import type { LogRecord } from "./LogLine.ts";
import type { Outbox, Signal } from "./Outbox.ts";
import * as Sampler from "./Sampler.ts";
import type { BatchOptions, TelemetryOptions } from "./TelemetrySettings.ts";
import { makeTracer, RecordedSpan } from "./Tracing.ts";

/** Items that one receiver did not get since the start. */
export interface Loss {
  readonly exporter: string;
  readonly signal: Signal;
  readonly count: number;
}

/** What leaves the process beside metrics and the log. */
export class Telemetry extends Context.Tag("operations/Telemetry")<Telemetry, {
  /** Whether requests and calls are to make spans. */
  readonly tracing: boolean;
  /** A listener for `CircuitBreakers.unsafeOnChange`: an event of the span it happens in. */
  readonly stateChanged: (service: string) => (change: StateChange) => void;
  readonly losses: () => ReadonlyArray<Loss>;
}>() {
  /** No telemetry at all. */
  static readonly layerOff: Layer.Layer<Telemetry> = Layer.succeed(this, {
    tracing: false,
    stateChanged: () => () => {},
    losses: () => [],
  });

  /** Telemetry to the receivers given, and the tracer that feeds it; off without any. */
  static readonly layer = (options: TelemetryOptions): Layer.Layer<Telemetry, never, Logging> =>
    options.otlp === undefined && options.appInsights === undefined
      ? this.layerOff
      : Layer.unwrapScoped(
        Effect.map(make(options), ({ telemetry, tracer }) =>
          Layer.mergeAll(
            Layer.succeed(this, telemetry),
            Layer.setTracer(tracer),
            // It would copy every line, its errors unscrubbed, into the span.
            Logger.remove(Logger.tracerLogger),
          )),
      );
}

interface Receiver {
  readonly name: string;
  readonly outbox: Outbox;
  readonly exporter: Effect.Effect<Exporter, never, Scope.Scope>;
}

const outboxLimits = ({ maxQueue, exportMillis }: BatchOptions) => ({
  maxItems: maxQueue,
  exportMillis,
});

/** The modules are loaded here: they are not, while telemetry is off. */
const receivers = (options: TelemetryOptions): Effect.Effect<Array<Receiver>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { otlp, appInsights, batch, sender } = options;
    const Outboxes = yield* Effect.promise(() => import("./Outbox.ts"));
    const found: Array<Receiver> = [];
    if (otlp !== undefined) {
      const Otlp = yield* Effect.promise(() => import("./Otlp.ts"));
      const outbox = yield* Outboxes.withFetch(Outboxes.make({
        ...outboxLimits(batch),
        exporter: Otlp.exporterName,
        signals: ["traces", "logs"],
        timeoutMillis: otlp.timeoutMillis,
        rejected: Otlp.rejected,
      }));
      const exporter = Otlp.make({ otlp, batch, sender, outbox });
      found.push({ name: Otlp.exporterName, outbox, exporter });
    }
    if (appInsights !== undefined) {
      const AppInsights = yield* Effect.promise(() => import("./AppInsights.ts"));
      const outbox = yield* Outboxes.withFetch(Outboxes.make({
        ...outboxLimits(batch),
        exporter: AppInsights.exporterName,
        signals: ["items"],
        timeoutMillis: appInsightsTimeout,
        rejected: AppInsights.rejected,
      }));
      const exporter = AppInsights.make({ connection: appInsights, batch, sender, outbox });
      found.push({ name: AppInsights.exporterName, outbox, exporter });
    }
    return found;
  });

/** Milliseconds for one request to Application Insights. */
const appInsightsTimeout = 10_000;

const make = (options: TelemetryOptions) =>
  Effect.gen(function* () {
    const logging = yield* Logging;
    const clock = yield* Effect.clock;
    const found = yield* receivers(options);
    // Runs after the exporters' own end, which hands their last batches over.
    yield* Effect.addFinalizer(() =>
      Effect.forEach(found, ({ outbox }) => outbox.drain(options.flushWithin), {
        concurrency: "unbounded",
        discard: true,
      })
    );
    const exporters = yield* Effect.forEach(found, ({ exporter }) => exporter);
    const tracer = makeTracer(Sampler.make(options.sampler), (span) => {
      for (const exporter of exporters) exporter.span(span);
    });
    const untee = logging.tee((record) => {
      noteException(clock, record);
      for (const exporter of exporters) exporter.log(record);
    });
    yield* Effect.addFinalizer(() => Effect.sync(untee));
    yield* Effect.logInfo("Telemetry on", {
      exporters: found.map(({ name }) => name).join(", "),
      sampler: options.sampler.name,
    });

    const telemetry = Telemetry.of({
      tracing: true,
      stateChanged: (service) => (change) => {
        const span = Option.getOrUndefined(Fiber.getCurrentFiber())?.currentSpan;
        noteChange(clock, change, span);
        for (const exporter of exporters) exporter.stateChanged(change, service, span);
      },
      losses: () =>
        found.flatMap(({ name, outbox }) =>
          Array.from(outbox.dropped(), ([signal, count]) => ({ exporter: name, signal, count }))
        ),
    });
    return { telemetry, tracer };
  });

/** A defect is an event of the span in which it was logged. */
const noteException = (clock: Clock.Clock, { level, span, fields }: LogRecord): void => {
  if (level !== "error" || !(span instanceof RecordedSpan)) return;
  const { error, stack } = Object.fromEntries(fields);
  if (typeof error !== "string" || typeof stack !== "string") return;
  const [type = "Error"] = error.split(":");
  span.event("exception", clock.unsafeCurrentTimeNanos(), {
    "exception.type": type,
    "exception.message": error.slice(type.length + 2),
    "exception.stacktrace": stack,
  });
};

const noteChange = (clock: Clock.Clock, change: StateChange, span: unknown): void => {
  if (!(span instanceof RecordedSpan)) return;
  const { breaker, from, to, manual, observed = false } = change;
  span.event(
    observed ? "circuit_breaker.would_have_opened" : "circuit_breaker.state_changed",
    clock.unsafeCurrentTimeNanos(),
    {
      "circuit_breaker.name": breaker,
      "circuit_breaker.from": from,
      "circuit_breaker.to": to,
      "circuit_breaker.manual": manual,
    },
  );
};

/** Longest wait at the end, whatever the grace is. */
export const longestFlush = Duration.seconds(3);

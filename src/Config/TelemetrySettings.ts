/**
 * The settings of traces: OpenTelemetry's own variables, as far as they mean something here, and the
 * connection string of Application Insights. Times are whole milliseconds, as that standard has it.
 */
import { Either } from "effect";
import { all, declare, optional } from "./Declaration.ts";
import { decimal, flag, oneOf, secret, text, urlOf, whole } from "./SettingText.ts";

/** The longest that a timer can wait. */
const millis = whole(1, 2 ** 31 - 1);

/** Declares them. */
export const telemetry = () =>
  all({
    sdkDisabled: declare("OTEL_SDK_DISABLED", flag, "false", "No traces, whatever else is set"),
    endpoint: optional(
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      urlOf("https", "http"),
      "no OTLP",
      "Base address for OTLP over HTTP; `/v1/traces` and `/v1/logs` are added",
    ),
    headers: declare(
      "OTEL_EXPORTER_OTLP_HEADERS",
      secret,
      "",
      "Headers sent with it: `name=value,name=value`, values percent-encoded",
    ),
    protocol: declare(
      "OTEL_EXPORTER_OTLP_PROTOCOL",
      oneOf("http/json", "http/protobuf"),
      "http/json",
      "Encoding; gRPC is not spoken",
    ),
    timeout: declare("OTEL_EXPORTER_OTLP_TIMEOUT", millis, "10000", "Milliseconds for a request"),
    tracesExporter: declare(
      "OTEL_TRACES_EXPORTER",
      oneOf("otlp", "none"),
      "otlp",
      "Whether traces are sent by OTLP",
    ),
    logsExporter: declare(
      "OTEL_LOGS_EXPORTER",
      oneOf("otlp", "none"),
      "otlp",
      "Whether the log is sent by OTLP too",
    ),
    serviceName: optional(
      "OTEL_SERVICE_NAME",
      text,
      "amicis-auth, amicis-routing; amicis under `all`",
      "`service.name` of traces; the role in Application Insights",
    ),
    resourceAttributes: declare(
      "OTEL_RESOURCE_ATTRIBUTES",
      Either.right<string>,
      "",
      "Further attributes: `name=value,name=value`, values percent-encoded",
    ),
    sampler: declare(
      "OTEL_TRACES_SAMPLER",
      oneOf(
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
      ),
      "parentbased_always_on",
      "Which traces are recorded",
    ),
    samplerRatio: declare(
      "OTEL_TRACES_SAMPLER_ARG",
      decimal("from 0 to 1", (value) => value >= 0 && value <= 1),
      "1",
      "Share of traces that the samplers by ratio record",
    ),
    batchDelay: declare(
      "OTEL_BSP_SCHEDULE_DELAY",
      millis,
      "5000",
      "Milliseconds for which spans and records are gathered",
    ),
    maxQueue: declare(
      "OTEL_BSP_MAX_QUEUE_SIZE",
      whole(1),
      "2048",
      "Most of them that wait for a receiver; more are dropped and counted",
    ),
    maxBatch: declare(
      "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
      whole(1),
      "512",
      "Most of them in a request",
    ),
    exportTimeout: declare(
      "OTEL_BSP_EXPORT_TIMEOUT",
      millis,
      "30000",
      "Milliseconds for a batch with its retries",
    ),
    appInsights: optional(
      "APPLICATIONINSIGHTS_CONNECTION_STRING",
      secret,
      "no Application Insights",
      "Where requests, dependencies, exceptions and breaker changes are sent",
    ),
  });

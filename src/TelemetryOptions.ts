/** The settings of telemetry as the rooms want them, or everything that is wrong with them. */
import { Duration, Either } from "effect";
import type { AppConfig, ServiceName } from "./Config.ts";
import { longestFlush, Telemetry } from "./operations/Telemetry.ts";
import {
  parseAttributes,
  parseConnection,
  parseHeaders,
  type TelemetryOptions,
} from "./operations/TelemetrySettings.ts";
import { version } from "./Version.ts";

type Problems = ReadonlyArray<string>;

/** The options, whether telemetry is on or not; `undefined` when it is off. */
export const telemetryOptions = (
  settings: AppConfig,
  service: ServiceName,
  host: string,
): Either.Either<TelemetryOptions | undefined, Problems> => {
  const { telemetry, shutdownGrace } = settings;
  const { endpoint, appInsights: connectionString } = telemetry;
  const problems: Array<string> = [];
  const legal = <A>(name: string, parsed: Either.Either<A, string>): A | undefined => {
    if (Either.isLeft(parsed)) problems.push(`${name} ${parsed.left}`);
    return Either.getOrUndefined(parsed);
  };
  const headers = legal("OTEL_EXPORTER_OTLP_HEADERS", parseHeaders(telemetry.headers));
  const attributes = legal(
    "OTEL_RESOURCE_ATTRIBUTES",
    parseAttributes(telemetry.resourceAttributes),
  );
  const appInsights = connectionString === undefined
    ? undefined
    : legal("APPLICATIONINSIGHTS_CONNECTION_STRING", parseConnection(connectionString));
  if (telemetry.maxBatch > telemetry.maxQueue) {
    problems.push("OTEL_BSP_MAX_EXPORT_BATCH_SIZE must not exceed OTEL_BSP_MAX_QUEUE_SIZE");
  }
  if (problems.length > 0 || headers === undefined || attributes === undefined) {
    return Either.left(problems);
  }
  const traces = telemetry.tracesExporter === "otlp";
  const logs = telemetry.logsExporter === "otlp";
  const otlp = endpoint === undefined || !(traces || logs) ? undefined : {
    endpoint,
    headers,
    protocol: telemetry.protocol,
    timeoutMillis: telemetry.timeout,
    traces,
    logs,
  };
  if (telemetry.sdkDisabled || (otlp === undefined && appInsights === undefined)) {
    return Either.right(undefined);
  }
  const serviceName = telemetry.serviceName ?? attributes["service.name"] ??
    (service === "all" ? "amicis" : `amicis-${service}`);
  return Either.right({
    sender: { serviceName, version, host, attributes },
    sampler: { name: telemetry.sampler, ratio: telemetry.samplerRatio },
    batch: {
      delayMillis: telemetry.batchDelay,
      maxQueue: telemetry.maxQueue,
      maxBatch: telemetry.maxBatch,
      exportMillis: telemetry.exportTimeout,
    },
    otlp,
    appInsights,
    flushWithin: Duration.min(longestFlush, shutdownGrace),
  });
};

/** What is wrong with the settings of telemetry. */
export const telemetryProblems = (settings: AppConfig, service: ServiceName): Problems =>
  Either.match(telemetryOptions(settings, service, ""), {
    onLeft: (problems) => problems,
    onRight: () => [],
  });

/** Telemetry as set; the settings have been found legal. */
export const telemetry = (settings: AppConfig, service: ServiceName) =>
  Either.match(telemetryOptions(settings, service, Deno.hostname()), {
    onLeft: () => Telemetry.layerOff,
    onRight: (options) => options === undefined ? Telemetry.layerOff : Telemetry.layer(options),
  });

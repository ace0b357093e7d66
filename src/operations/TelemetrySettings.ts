/**
 * What telemetry is made from, and how the texts of its variables are read: the lists of OpenTelemetry
 * and the connection string of Application Insights.
 */
import { type Duration, Either, Redacted } from "effect";
import type { SamplerSettings } from "./Sampler.ts";

/** Where OTLP goes, and what of it. */
export interface OtlpOptions {
  /** Base address; `/v1/traces` and `/v1/logs` are added. */
  readonly endpoint: string;
  readonly headers: Redacted.Redacted<Readonly<Record<string, string>>>;
  readonly protocol: "http/json" | "http/protobuf";
  /** Time for one request in milliseconds. */
  readonly timeoutMillis: number;
  readonly traces: boolean;
  readonly logs: boolean;
}

/** How items are gathered, and how many may wait. */
export interface BatchOptions {
  /** Longest wait of an item before it is sent, in milliseconds. */
  readonly delayMillis: number;
  /** Most items kept in memory for one receiver; more are dropped. */
  readonly maxQueue: number;
  readonly maxBatch: number;
  /** Time for one batch with its retries, in milliseconds. */
  readonly exportMillis: number;
}

/** Who sends. */
export interface Sender {
  readonly serviceName: string;
  readonly version: string;
  /** Name of this machine or pod. */
  readonly host: string;
  /** Further attributes, those of `OTEL_RESOURCE_ATTRIBUTES`. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** Telemetry that is on; without any receiver there is none. */
export interface TelemetryOptions {
  readonly sender: Sender;
  readonly sampler: SamplerSettings;
  readonly batch: BatchOptions;
  readonly otlp: OtlpOptions | undefined;
  readonly appInsights: AppInsightsConnection | undefined;
  /** Longest wait at the end for what is still to be sent. */
  readonly flushWithin: Duration.Duration;
}

/** What a connection string says. */
export interface AppInsightsConnection {
  readonly instrumentationKey: Redacted.Redacted<string>;
  /** Base address; `/v2.1/track` is added. */
  readonly endpoint: string;
}

const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text.trim());
  } catch {
    return undefined; // a stray % sign
  }
};

/** `name=value,name=value` with values percent-encoded, as OpenTelemetry writes its lists. */
const pairs = (text: string): Either.Either<Readonly<Record<string, string>>, string> => {
  const found: Record<string, string> = {};
  for (const part of text.split(",")) {
    if (part.trim() === "") continue;
    const at = part.indexOf("=");
    const name = decoded(part.slice(0, Math.max(0, at)));
    const value = decoded(part.slice(at + 1));
    if (at < 1 || name === undefined || name === "" || value === undefined) {
      return Either.left("must be a list such as name=value,name=value, values percent-encoded");
    }
    found[name] = value;
  }
  return Either.right(found);
};

/** Attributes as `OTEL_RESOURCE_ATTRIBUTES` has them. */
export const parseAttributes = pairs;

const headerName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// deno-lint-ignore no-control-regex -- what no header may hold
const illegalInHeader = /[\u0000-\u0008\u000a-\u001f\u007f]|[^\u0000-\u00ff]/;

/** Headers as `OTEL_EXPORTER_OTLP_HEADERS` has them; names in lower case. */
export const parseHeaders = (
  text: Redacted.Redacted<string>,
): Either.Either<Redacted.Redacted<Readonly<Record<string, string>>>, string> =>
  pairs(Redacted.value(text)).pipe(
    Either.filterOrLeft(
      (found) =>
        Object.entries(found).every(([name, value]) =>
          headerName.test(name) && !illegalInHeader.test(value)
        ),
      () => "must hold legal names and values of headers only",
    ),
    Either.map((found) =>
      Redacted.make(
        Object.fromEntries(
          Object.entries(found).map(([name, value]) => [name.toLowerCase(), value]),
        ),
      )
    ),
  );

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

const publicEndpoint = "https://dc.services.visualstudio.com";

/** `InstrumentationKey=…;IngestionEndpoint=…`, in any order; what else it says is not used. */
export const parseConnection = (
  text: Redacted.Redacted<string>,
): Either.Either<AppInsightsConnection, string> => {
  const fields = new Map(
    Redacted.value(text).split(";").map((part) => {
      const at = part.indexOf("=");
      return [part.slice(0, Math.max(0, at)).trim().toLowerCase(), part.slice(at + 1).trim()];
    }),
  );
  const key = fields.get("instrumentationkey") ?? "";
  if (!uuid.test(key)) return Either.left("must hold InstrumentationKey=, which is a UUID");
  const suffix = fields.get("endpointsuffix");
  const location = fields.get("location");
  const derived = suffix === undefined
    ? publicEndpoint
    : `https://${location === undefined ? "" : `${location}.`}dc.${suffix}`;
  const endpoint = URL.parse(fields.get("ingestionendpoint") ?? derived);
  if (
    endpoint === null || !/^https?:$/.test(endpoint.protocol) ||
    endpoint.username + endpoint.password !== ""
  ) {
    return Either.left("must hold an IngestionEndpoint= that is a URL without credentials");
  }
  return Either.right({
    instrumentationKey: Redacted.make(key),
    endpoint: endpoint.href.replace(/\/+$/, ""),
  });
};

/**
 * One service's metrics in Prometheus text format: every family of the design, by its exact name.
 *
 * Families of its own per service (never in prom-client's global registry), so that two services in
 * one process show each only its own. What can be read when a scrape asks (breakers, bulkheads, memory)
 * costs nothing before; what must be counted is a plain field, resolved once per label set.
 */
import { Context, Effect, Layer } from "effect";
import type { Occupancy } from "../resilience/Bulkhead.ts";
import { CircuitBreakers } from "../resilience/CircuitBreakers.ts";
import * as BreakerMetrics from "./BreakerMetrics.ts";
import * as Durations from "./Durations.ts";
import {
  type Cell,
  counters,
  Families,
  gauges,
  keyed,
  readCounter,
  readCounters,
  sums,
} from "./MetricFamilies.ts";
import * as OptionalFamilies from "./OptionalFamilies.ts";
import * as ProcessMetrics from "./ProcessMetrics.ts";
import type { Loss } from "./Telemetry.ts";

/** The media type of {@link Metrics}' text. */
export const contentType = "text/plain; version=0.0.4; charset=utf-8";

/** What is known beforehand; its series exist with 0 from the start. */
export interface MetricsOptions {
  readonly service: string;
  /** Shown as `amicis_build_info`. */
  readonly version?: string;
  /** Every route, also the shared one of unmatched paths, with the statuses it may answer. */
  readonly routes?: ReadonlyArray<{
    readonly method: string;
    readonly route: string;
    readonly statuses: ReadonlyArray<number>;
  }>;
  /** Operations that may be retried, as in the log. */
  readonly operations?: ReadonlyArray<string>;
  /** Dependencies with a bulkhead. */
  readonly bulkheads?: ReadonlyArray<string>;
  /** Calls whose duration is measured. */
  readonly calls?: ReadonlyArray<{ readonly dependency: string; readonly operation: string }>;
  /** What a caller may get in place of the real answer: `BYPASS`, `STALE`, `503`, … */
  readonly fallbacks?: ReadonlyArray<{ readonly operation: string; readonly fallback: string }>;
  /** Caches asked before a dependency. */
  readonly caches?: ReadonlyArray<string>;
  /** Most breakers with series of their own [10,000]. */
  readonly maxBreakers?: number;
  /** Lines the log has lost so far. */
  readonly logLinesDropped?: () => number;
  /** Spans and log records that a receiver of telemetry did not get so far. */
  readonly telemetryDropped?: () => ReadonlyArray<Loss>;
}

/** All methods are synchronous and never fail; durations are milliseconds. */
export class Metrics extends Context.Tag("operations/Metrics")<Metrics, {
  readonly service: string;
  /** Counts one answered request. `route` is the pattern, never the path with its values. */
  readonly request: (method: string, route: string, status: number, durationMs: number) => void;
  /** Counts one lookup at the tier it reached first. */
  readonly cacheRequest: (cache: string, result: "hit" | "miss") => void;
  readonly dependencyCall: (dependency: string, operation: string, durationMs: number) => void;
  /** Counts one attempt beyond the first. */
  readonly retry: (operation: string) => void;
  /** Counts one fallback, as `Fallback used` in the log. */
  readonly fallback: (operation: string, fallback: string) => void;
  readonly rateLimitRejection: () => void;
  /** Shows what a bulkhead does (several of one dependency are added up) until it is taken off. */
  readonly bulkhead: (dependency: string, occupancy: Occupancy) => () => void;
  /** Shows the calls that a ramp has refused (several of one dependency are added up). */
  readonly ramp: (dependency: string, rejections: () => number) => () => void;
  /** Shows the calls that a throttle has refused (several of one dependency are added up). */
  readonly throttle: (dependency: string, rejections: () => number) => () => void;
  /** Families that show only once something is in them. */
  readonly optional: OptionalFamilies.OptionalFamilies;
  /** Shows 1 while the dependency answers its pings, else 0. */
  readonly dependencyUp: (dependency: string, isUp: () => boolean) => () => void;
  /** The whole page, as {@link contentType}; encoded in pieces, as it may be megabytes. */
  readonly page: Effect.Effect<Uint8Array<ArrayBuffer>>;
}>() {
  static readonly layer = (options: MetricsOptions): Layer.Layer<Metrics, never, CircuitBreakers> =>
    Layer.effect(
      this,
      Effect.map(CircuitBreakers, ({ breakers }) => {
        const { text, ...methods } = make(options);
        const page = Effect.zipWith(
          Effect.promise(text),
          BreakerMetrics.make(options, breakers),
          (own, ofBreakers) => joined([new TextEncoder().encode(own), ...ofBreakers]),
        );
        return Metrics.of({ service: options.service, ...methods, page });
      }),
    );
}

const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array<ArrayBuffer> => {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
};

/** Shared by all methods that are none of HTTP's own, as the server names them too. */
const anyMethod = "OTHER";

const methods = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "TRACE",
  "CONNECT",
  anyMethod,
]);

interface RouteCells {
  readonly duration: Durations.Observer;
  readonly statuses: Map<number, Cell>;
}

const make = (options: MetricsOptions) => {
  const { service } = options;
  const families = new Families();
  ProcessMetrics.register(families);
  gauges(families, "amicis_build_info", "The version that runs; always 1.", ["service", "version"])(
    { service, version: options.version ?? "unknown" },
    () => 1,
  );

  const requests = counters(
    families,
    "http_requests_total",
    "Requests answered.",
    ["service", "method", "route", "status"],
  );
  const requestDurations = Durations.make(
    "http_request_duration_seconds",
    "Time from a request's arrival to its answer.",
  );
  const routes = keyed((route) => ({ route, methods: new Map<string, RouteCells>() }));
  /** The two maps are asked with strings the caller holds anyway: nothing is joined per request. */
  const cellsOf = (method: string, route: string): RouteCells => {
    const known = routes(route);
    const cells = known.methods.get(method);
    if (cells !== undefined) return cells;
    // A method is the client's word: unknown ones share a label.
    if (!methods.has(method)) return cellsOf(anyMethod, route);
    const made = {
      duration: requestDurations.child({ service, method, route: known.route }),
      statuses: new Map<number, Cell>(),
    };
    known.methods.set(method, made);
    return made;
  };
  const statusCell = (method: string, route: string, cells: RouteCells, status: number): Cell => {
    const known = cells.statuses.get(status);
    if (known !== undefined) return known;
    const labels = {
      service,
      method: methods.has(method) ? method : anyMethod,
      route: routes(route).route,
      status: String(status),
    };
    const cell = requests(labels);
    cells.statuses.set(status, cell);
    return cell;
  };
  for (const { method, route, statuses } of options.routes ?? []) {
    const cells = cellsOf(method, route);
    for (const status of statuses) statusCell(method, route, cells, status);
  }

  const newCacheCell = counters(
    families,
    "cache_requests_total",
    "Lookups by the cache they reached first and what it answered.",
    ["cache", "result"],
  );
  const caches = keyed((cache) => ({
    hit: newCacheCell({ cache, result: "hit" }),
    miss: newCacheCell({ cache, result: "miss" }),
  }));
  options.caches?.forEach(caches);

  const callDurations = Durations.make(
    "dependency_call_duration_seconds",
    "Time of one attempt at a dependency, also failed ones.",
  );
  const calls = keyed((dependency) =>
    keyed((operation) => callDurations.child({ dependency, operation }))
  );
  for (const { dependency, operation } of options.calls ?? []) calls(dependency)(operation);

  const newRetryCell = counters(
    families,
    "retry_attempts_total",
    "Attempts beyond the first.",
    ["service", "operation"],
  );
  const retries = keyed((operation) => newRetryCell({ service, operation }));
  options.operations?.forEach(retries);

  const newFallbackCell = counters(
    families,
    "fallbacks_total",
    "Requests that got a fallback in place of the real answer.",
    ["service", "operation", "fallback"],
  );
  const fallbacks = keyed((operation) =>
    keyed((fallback) => newFallbackCell({ service, operation, fallback }))
  );
  for (const { operation, fallback } of options.fallbacks ?? []) fallbacks(operation)(fallback);

  const newInFlight = gauges(
    families,
    "bulkhead_in_flight",
    "Calls running inside the bulkhead.",
    ["service", "dependency"],
  );
  /** Children are never taken off: what a bulkhead has refused it has, and counters never go back. */
  const newRefused = sums(
    families,
    "bulkhead_rejections_total",
    "Calls refused because the bulkhead was full.",
    ["service", "dependency"],
  );
  options.bulkheads?.forEach((dependency) => {
    newRefused({ service, dependency }, () => 0);
    newInFlight({ service, dependency }, () => 0);
  });

  const rateLimited = counters(
    families,
    "rate_limit_rejections_total",
    "Requests refused by the rate limit.",
    ["service"],
  )({ service });

  const newRamp = sums(
    families,
    "ramp_rejections_total",
    "Calls refused because load comes back in steps after an outage.",
    ["service", "dependency"],
  );
  const newThrottle = sums(
    families,
    "throttle_rejections_total",
    "Calls refused because the dependency accepted too few of them.",
    ["service", "dependency"],
  );

  const newUp = gauges(
    families,
    "dependency_up",
    "Whether the dependency answers pings: 1 yes, 0 no.",
    ["service", "dependency"],
  );

  const { logLinesDropped } = options;
  if (logLinesDropped !== undefined) {
    readCounter(
      families,
      "log_lines_dropped_total",
      "Log lines lost because the reader of standard output was slow or gone.",
      logLinesDropped,
    );
  }

  const { telemetryDropped } = options;
  if (telemetryDropped !== undefined) {
    readCounters(
      families,
      "telemetry_dropped_total",
      "Spans and log records that a receiver of telemetry did not get.",
      ["exporter", "signal"],
      () =>
        telemetryDropped().map(({ exporter, signal, count }) => ({
          labels: { exporter, signal },
          count,
        })),
    );
  }

  return {
    text: async () => await families.text() + requestDurations.text() + callDurations.text(),
    request: (method: string, route: string, status: number, durationMs: number): void => {
      const cells = cellsOf(method, route);
      const cell = cells.statuses.get(status) ?? statusCell(method, route, cells, status);
      cell.count += 1;
      cells.duration.observe(durationMs / 1_000);
    },
    cacheRequest: (cache: string, result: "hit" | "miss"): void => {
      caches(cache)[result].count += 1;
    },
    dependencyCall: (dependency: string, operation: string, durationMs: number): void =>
      calls(dependency)(operation).observe(durationMs / 1_000),
    retry: (operation: string): void => {
      retries(operation).count += 1;
    },
    fallback: (operation: string, fallback: string): void => {
      fallbacks(operation)(fallback).count += 1;
    },
    rateLimitRejection: (): void => {
      rateLimited.count += 1;
    },
    bulkhead: (dependency: string, occupancy: Occupancy) => {
      newRefused({ service, dependency }, () => occupancy.rejections);
      return newInFlight({ service, dependency }, () => occupancy.inFlight);
    },
    ramp: (dependency: string, rejections: () => number) =>
      newRamp({ service, dependency }, rejections),
    throttle: (dependency: string, rejections: () => number) =>
      newThrottle({ service, dependency }, rejections),
    optional: OptionalFamilies.make(families, service),
    dependencyUp: (dependency: string, isUp: () => boolean) =>
      newUp({ service, dependency }, () => isUp() ? 1 : 0),
  };
};

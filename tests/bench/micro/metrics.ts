/**
 * Counting one answered request with its duration, beside prom-client as it is mostly used; and all
 * that one request can count, which must stay below 2 µs.
 */
import { Effect } from "effect";
import { Metrics } from "../../../src/operations/Metrics.ts";
import { CircuitBreakers } from "../../../src/resilience/CircuitBreakers.ts";
import { calling, measure, peer } from "./Measure.ts";

interface Child {
  inc(): void;
  observe(value: number): void;
}

interface Metric {
  inc(labels: Readonly<Record<string, string>>): void;
  observe(labels: Readonly<Record<string, string>>, value: number): void;
  labels(labels: Readonly<Record<string, string>>): Child;
}

// What the package exports is known from its documentation.
const { Counter, Histogram } = peer("prom-client") as Record<
  "Counter" | "Histogram",
  new (options: unknown) => Metric
>;

const labels = { service: "routing", method: "GET", route: "/api/v1/route" };
const counter = new Counter({
  name: "http_requests_total",
  help: "Requests",
  labelNames: ["service", "method", "route", "status"],
});
const histogram = new Histogram({
  name: "http_request_duration_seconds",
  help: "Duration",
  labelNames: ["service", "method", "route"],
});
const boundCounter = counter.labels({ ...labels, status: "200" });
const boundHistogram = histogram.labels(labels);

const program = Effect.flatMap(Metrics, (metrics) =>
  Effect.promise(() =>
    measure({
      "ours": calling((i) => metrics.request("GET", "/api/v1/route", 200, i % 16)),
      // A miss that MongoDB answers at the second attempt, past a cache that is away.
      "ours whole": calling((i) => {
        metrics.request("GET", "/api/v1/route", 200, i % 16);
        metrics.cacheRequest("redis", "miss");
        metrics.dependencyCall("redis", "redis_get", i % 4);
        metrics.dependencyCall("mongodb", "mongodb_find", i % 16);
        metrics.dependencyCall("mongodb", "mongodb_find", i % 8);
        metrics.retry("mongodb_find");
        metrics.fallback("redis_get", "BYPASS");
      }),
      "prom-client": calling((i) => {
        counter.inc({ ...labels, status: "200" });
        histogram.observe(labels, (i % 16) / 1_000);
      }),
      "prom-client bound": calling((i) => {
        boundCounter.inc();
        boundHistogram.observe((i % 16) / 1_000);
      }),
    })
  ));

await Effect.runPromise(program.pipe(
  Effect.provide(Metrics.layer({ service: "routing" })),
  Effect.provide(CircuitBreakers.layer()),
));

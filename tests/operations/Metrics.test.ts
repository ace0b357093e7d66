/** Metrics: names, labels and zeros as the design has them, exact counts, and promtool's verdict. */
import assert from "node:assert/strict";
import { type Context, Effect, Exit, Layer } from "effect";
import { Metrics, type MetricsOptions } from "../../src/operations/Metrics.ts";
import { CircuitBreakers } from "../../src/resilience/CircuitBreakers.ts";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import { describe, it } from "../support/it.ts";
import { needs } from "../support/Tools.ts";
import { checkMetrics } from "./Promtool.ts";

const options: MetricsOptions = {
  service: "routing",
  version: "1.2.3",
  routes: [
    { method: "GET", route: "/api/v1/route", statuses: [200, 503] },
    { method: "GET", route: "/health", statuses: [200] },
  ],
  operations: ["mongodb_find"],
  bulkheads: ["mongodb"],
  calls: [{ dependency: "mongodb", operation: "mongodb_find" }],
  caches: ["near", "redis"],
  fallbacks: [{ operation: "mongodb_find", fallback: "STALE" }],
  logLinesDropped: () => 7,
};

const layer = (given: Partial<MetricsOptions> = {}, capacity = 10_000) =>
  Layer.provideMerge(
    Metrics.layer({ ...options, ...given }),
    CircuitBreakers.layer({}, { capacity }),
  );

const textOf = (metrics: Context.Tag.Service<Metrics>) =>
  Effect.map(metrics.page, (bytes) => new TextDecoder().decode(bytes));

/** The value of one series, or `undefined` when it is not there. */
const valueOf = (text: string, series: string): number | undefined => {
  const line = text.split("\n").find((line) => line.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
};

const timeout = new TransientFailure({
  dependency: "mongodb",
  operation: "mongodb_find",
  reason: "No answer in time",
  timedOut: true,
  cause: null,
});

describe("Metrics", () => {
  it.effect("page has every known series with 0 before anything happened", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers;
      yield* breakers.get("mongodb");
      const text = yield* Effect.flatMap(Metrics, textOf);
      const route = `service="routing",method="GET",route="/api/v1/route"`;
      const breaker = `service="routing",breaker="mongodb"`;
      for (
        const series of [
          `http_requests_total{${route},status="200"}`,
          `http_requests_total{${route},status="503"}`,
          `http_request_duration_seconds_count{${route}}`,
          `circuit_breaker_state{${breaker}}`,
          `circuit_breaker_failures_total{${breaker}}`,
          `circuit_breaker_calls_total{${breaker},outcome="success"}`,
          `circuit_breaker_calls_total{${breaker},outcome="failure"}`,
          `circuit_breaker_calls_total{${breaker},outcome="neutral"}`,
          `circuit_breaker_rejections_total{${breaker}}`,
          `circuit_breaker_transitions_total{${breaker},from="closed",to="open"}`,
          `circuit_breaker_transitions_total{${breaker},from="half-open",to="closed"}`,
          `retry_attempts_total{service="routing",operation="mongodb_find"}`,
          `fallbacks_total{service="routing",operation="mongodb_find",fallback="STALE"}`,
          `cache_requests_total{cache="near",result="hit"}`,
          `cache_requests_total{cache="redis",result="miss"}`,
          `dependency_call_duration_seconds_count{dependency="mongodb",operation="mongodb_find"}`,
          `bulkhead_in_flight{service="routing",dependency="mongodb"}`,
          `bulkhead_rejections_total{service="routing",dependency="mongodb"}`,
          `rate_limit_rejections_total{service="routing"}`,
        ]
      ) {
        assert.equal(valueOf(text, series), 0, series);
      }
      assert.equal(valueOf(text, `amicis_build_info{service="routing",version="1.2.3"}`), 1);
      assert.equal(valueOf(text, "log_lines_dropped_total"), 7);
      for (
        const series of [
          "process_resident_memory_bytes",
          "process_heap_bytes",
          "process_start_time_seconds",
          "process_cpu_seconds_total",
        ]
      ) {
        assert.ok((valueOf(text, series) ?? 0) > 0, series);
      }
    }).pipe(Effect.provide(layer())));

  it.effect("request() counts by method, route and status and puts seconds in buckets", () =>
    Effect.gen(function* () {
      const metrics = yield* Metrics;
      metrics.request("GET", "/api/v1/route", 200, 3);
      metrics.request("GET", "/api/v1/route", 200, 40);
      metrics.request("GET", "/api/v1/route", 429, 0.1);
      const text = yield* textOf(metrics);
      const route = `service="routing",method="GET",route="/api/v1/route"`;
      assert.equal(valueOf(text, `http_requests_total{${route},status="200"}`), 2);
      assert.equal(valueOf(text, `http_requests_total{${route},status="429"}`), 1);
      assert.equal(valueOf(text, `http_request_duration_seconds_count{${route}}`), 3);
      assert.equal(
        valueOf(text, `http_request_duration_seconds_bucket{le="0.005",${route}}`),
        2,
      );
      const sum = valueOf(text, `http_request_duration_seconds_sum{${route}}`) ?? 0;
      assert.ok(Math.abs(sum - 0.0431) < 1e-9);
    }).pipe(Effect.provide(layer())));

  it.effect("ramp() adds up what the ramps of one dependency refused", () =>
    Effect.gen(function* () {
      const metrics = yield* Metrics;
      const series = `ramp_rejections_total{service="routing",dependency="token-exchange"}`;
      const forget = metrics.ramp("token-exchange", () => 3);
      metrics.ramp("token-exchange", () => 4);
      assert.equal(valueOf(yield* textOf(metrics), series), 7);
      forget();
      assert.equal(valueOf(yield* textOf(metrics), series), 4);
    }).pipe(Effect.provide(layer())));

  it.effect("throttle() adds up what the throttles of one dependency refused", () =>
    Effect.gen(function* () {
      const metrics = yield* Metrics;
      const series = `throttle_rejections_total{service="routing",dependency="token-exchange"}`;
      assert.equal(valueOf(yield* textOf(metrics), series), undefined);
      const forget = metrics.throttle("token-exchange", () => 3);
      metrics.throttle("token-exchange", () => 4);
      assert.equal(valueOf(yield* textOf(metrics), series), 7);
      forget();
      assert.equal(valueOf(yield* textOf(metrics), series), 4);
    }).pipe(Effect.provide(layer())));

  it.effect("request() bounds its labels when methods and routes are made up", () =>
    Effect.gen(function* () {
      const metrics = yield* Metrics;
      for (let index = 0; index < 1_000; index += 1) {
        metrics.request(`M${index}`, "/health", 405, 1);
        metrics.request("GET", `/${index}`, 404, 1);
      }
      const lines = (yield* textOf(metrics)).split("\n")
        .filter((line) => line.startsWith("http_requests_total{"));
      assert.ok(lines.length < 250, `${lines.length} series`);
      const total = lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
      assert.equal(total, 2_000);
    }).pipe(Effect.provide(layer())));

  it.effect("page shows what the breakers themselves have counted", () =>
    Effect.gen(function* () {
      const breaker = yield* Effect.flatMap(CircuitBreakers, ({ get }) => get("mongodb"));
      yield* breaker.protect(Effect.void);
      for (let index = 0; index < 6; index += 1) {
        yield* Effect.exit(breaker.protect(Effect.fail(timeout)));
      }
      const text = yield* Effect.flatMap(Metrics, textOf);
      const labels = `service="routing",breaker="mongodb"`;
      assert.equal(valueOf(text, `circuit_breaker_state{${labels}}`), 1);
      assert.equal(valueOf(text, `circuit_breaker_calls_total{${labels},outcome="success"}`), 1);
      assert.equal(valueOf(text, `circuit_breaker_failures_total{${labels}}`), 4);
      assert.equal(valueOf(text, `circuit_breaker_rejections_total{${labels}}`), 2);
      const opened = `circuit_breaker_transitions_total{${labels},from="closed",to="open"}`;
      assert.equal(valueOf(text, opened), 1);
    }).pipe(Effect.provide(layer())));

  it.effect("page loses a breaker's series when the registry has forgotten it", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers;
      const metrics = yield* Metrics;
      yield* breakers.get("token-exchange-a");
      assert.match(yield* textOf(metrics), /breaker="token-exchange-a"/);
      yield* breakers.get("token-exchange-b");
      const text = yield* textOf(metrics);
      assert.doesNotMatch(text, /token-exchange-a/);
      assert.match(text, /token-exchange-b/);
    }).pipe(Effect.provide(layer({}, 1))));

  it.effect("page adds up breakers beyond the cap as `other`, and never goes back", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers;
      const metrics = yield* Metrics;
      const calls = `circuit_breaker_calls_total{service="routing",breaker="other"`;
      const call = (name: string) =>
        Effect.flatMap(breakers.get(name), (breaker) => breaker.protect(Effect.void));
      yield* call("a");
      yield* call("b");
      yield* call("c");
      const first = yield* textOf(metrics);
      assert.equal(valueOf(first, `${calls},outcome="success"}`), 2);
      yield* call("c");
      yield* breakers.control("b", "open");
      const second = yield* textOf(metrics);
      assert.equal(valueOf(second, `${calls},outcome="success"}`), 3);
      const state = `circuit_breaker_state{service="routing",breaker="other"}`;
      assert.equal(valueOf(second, state), 1);
      yield* call("d"); // takes the place of "a", which is closed and failure-free
      const third = yield* textOf(metrics);
      assert.ok((valueOf(third, `${calls},outcome="success"}`) ?? 0) >= 3);
    }).pipe(Effect.provide(layer({ maxBreakers: 1 }, 3))));

  it.effect("every counting method adds to its own series and no other", () =>
    Effect.gen(function* () {
      const metrics = yield* Metrics;
      const before = yield* textOf(metrics);
      metrics.cacheRequest("redis", "hit");
      metrics.cacheRequest("redis", "hit");
      metrics.dependencyCall("mongodb", "mongodb_find", 30);
      metrics.retry("mongodb_find");
      metrics.fallback("mongodb_find", "STALE");
      metrics.fallback("redis_get", "BYPASS");
      metrics.bulkhead("mongodb", { inFlight: 0, waiting: 0, rejections: 1 });
      metrics.rateLimitRejection();
      const changed = (yield* textOf(metrics)).split("\n").filter((line) =>
        !before.includes(line) && !line.startsWith("process_")
      );
      const call = `dependency="mongodb",operation="mongodb_find"`;
      assert.deepEqual(changed.filter((line) => !line.includes("_bucket")).toSorted(), [
        `bulkhead_rejections_total{service="routing",dependency="mongodb"} 1`,
        `cache_requests_total{cache="redis",result="hit"} 2`,
        `dependency_call_duration_seconds_count{${call}} 1`,
        `dependency_call_duration_seconds_sum{${call}} 0.03`,
        `fallbacks_total{service="routing",operation="mongodb_find",fallback="STALE"} 1`,
        `fallbacks_total{service="routing",operation="redis_get",fallback="BYPASS"} 1`,
        `rate_limit_rejections_total{service="routing"} 1`,
        `retry_attempts_total{service="routing",operation="mongodb_find"} 1`,
      ]);
    }).pipe(Effect.provide(layer())));

  it.effect("bulkhead() shows the sum of a dependency's bulkheads until each is taken off", () =>
    Effect.gen(function* () {
      const metrics = yield* Metrics;
      const occupancy = { inFlight: 3, waiting: 0, rejections: 5 };
      const remove = metrics.bulkhead("token-exchange", occupancy);
      metrics.bulkhead("token-exchange", { inFlight: 4, waiting: 0, rejections: 1 });
      const labels = `{service="routing",dependency="token-exchange"}`;
      const shown = Effect.map(textOf(metrics), (text) => [
        valueOf(text, `bulkhead_in_flight${labels}`),
        valueOf(text, `bulkhead_rejections_total${labels}`),
      ]);
      assert.deepEqual(yield* shown, [7, 6]);
      occupancy.inFlight = 2;
      occupancy.rejections = 6;
      assert.deepEqual(yield* shown, [6, 7]);
      remove();
      // A counter never goes back.
      assert.deepEqual(yield* shown, [4, 7]);
    }).pipe(Effect.provide(layer())));

  it.effect("optional shows a family with all its results once something is in it", () =>
    Effect.gen(function* () {
      const metrics = yield* Metrics;
      const pattern = /^(?:bulkhead_limit|hedged_calls_total|recovery_probes_total)\b.*$/gm;
      const shown = Effect.map(textOf(metrics), (text) => text.match(pattern) ?? []);
      assert.deepEqual(yield* shown, []);
      const { optional } = metrics;
      const remove = optional.bulkheadLimit("mongodb", () => 41);
      optional.hedges("mongodb_find")("won");
      optional.recoveryProbes("redis")(false);
      optional.recoveryProbes("redis")(true);
      optional.recoveryProbes("redis")(true);
      const hedge = `service="routing",operation="mongodb_find"`;
      assert.deepEqual(yield* shown, [
        `bulkhead_limit{service="routing",dependency="mongodb"} 41`,
        `hedged_calls_total{${hedge},result="won"} 1`,
        `hedged_calls_total{${hedge},result="lost"} 0`,
        `hedged_calls_total{${hedge},result="refused"} 0`,
        `recovery_probes_total{service="routing",dependency="redis",result="success"} 2`,
        `recovery_probes_total{service="routing",dependency="redis",result="failure"} 1`,
      ]);
      remove();
      assert.equal((yield* shown).some((line) => line.startsWith("bulkhead_limit{")), false);
    }).pipe(Effect.provide(layer())));

  it.effect("layer() gives each service a registry of its own", () =>
    Effect.gen(function* () {
      const other = yield* Effect.provide(Metrics, layer({ service: "auth" }));
      const metrics = yield* Metrics;
      metrics.rateLimitRejection();
      assert.equal(
        valueOf(yield* textOf(metrics), `rate_limit_rejections_total{service="routing"}`),
        1,
      );
      assert.equal(valueOf(yield* textOf(other), `rate_limit_rejections_total{service="auth"}`), 0);
      assert.doesNotMatch(yield* textOf(other), /service="routing"/);
    }).pipe(Effect.provide(layer())));

  it.live(
    "page passes `promtool check metrics`, also with odd breaker names",
    () =>
      Effect.gen(function* () {
        const breakers = yield* CircuitBreakers;
        const metrics = yield* Metrics;
        for (const name of ["mongodb", "redis", "token-exchange-ikea", 'odd"\\\nname']) {
          const breaker = yield* breakers.get(name);
          yield* Effect.exit(breaker.protect(Effect.fail(timeout)));
        }
        metrics.request("GET", "/api/v1/route", 200, 1);
        metrics.request("GET", '/odd"\\\nroute', 200, 1);
        metrics.cacheRequest("near", "hit");
        metrics.dependencyCall("redis", "redis_get", 1);
        metrics.retry("mongodb_find");
        metrics.bulkhead("mongodb", { inFlight: 1, waiting: 0, rejections: 1 });
        metrics.optional.bulkheadLimit("mongodb", () => 41);
        metrics.optional.hedges("mongodb_find")("won");
        metrics.optional.recoveryProbes("redis")(true);
        metrics.dependencyUp("mongodb", () => true);
        const text = yield* textOf(metrics);
        const { code, said } = yield* Effect.promise(() => checkMetrics(text));
        assert.equal(code, 0, said);
        assert.equal(said, "");
      }).pipe(Effect.provide(layer())),
    needs("promtool"),
  );

  it.live("promtool would find fault with a page that is wrong", () =>
    Effect.promise(async () => {
      const { code } = await checkMetrics("# TYPE bad counter\nbad 1\n");
      assert.notEqual(code, 0);
    }), needs("promtool"));

  it.live("page gives other work its turn while ten thousand breakers are written", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers;
      const metrics = yield* Metrics;
      for (let index = 0; index < 10_000; index += 1) yield* breakers.get(`tenant-${index}`);
      let turns = 0;
      const timer = setInterval(() => turns += 1, 0);
      const exit = yield* Effect.exit(textOf(metrics));
      clearInterval(timer);
      assert.ok(Exit.isSuccess(exit));
      assert.ok(exit.value.includes('breaker="tenant-9999"'));
      assert.ok(turns > 5, `${turns} turns`);
    }).pipe(Effect.provide(layer())));
});

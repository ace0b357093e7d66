/**
 * The addresses that operators and their tools use, as `HttpApi` values: health, metrics, the status
 * page, this service's OpenAPI document, and the administration of breakers.
 *
 * They are apis of their own, so that the App can serve them beside a service's or on another port.
 */
import {
  HttpApi,
  HttpApiEndpoint,
  HttpApiGroup,
  HttpApiMiddleware,
  HttpApiSchema,
  HttpApiSecurity,
  OpenApi,
} from "@effect/platform";
import { Schema } from "effect";
import { BadRequest, NotFound, ServiceUnavailable, Unauthorized } from "../http/Problem.ts";
import { AuthHealth, RoutingHealth } from "./HealthReport.ts";
import { contentType as metricsType } from "./Metrics.ts";

/** `GET /health/live`. */
export const Live = Schema.Struct({ status: Schema.Literal("alive") })
  .annotations({ identifier: "Live" });

/** `GET /health/ready`, when it is. */
export const Ready = Schema.Struct({ status: Schema.Literal("ready") })
  .annotations({ identifier: "Ready" });

const text = (contentType: string) => HttpApiSchema.Text({ contentType });

/** Media type of server-sent events. */
export const eventStreamType = "text/event-stream";

const operations = HttpApiGroup.make("operations")
  .add(
    HttpApiEndpoint.get("live", "/health/live").addSuccess(Live).addError(ServiceUnavailable)
      .annotate(OpenApi.Summary, "Whether the process is past saving; asks no dependency"),
  )
  .add(
    HttpApiEndpoint.get("ready", "/health/ready").addSuccess(Ready).addError(ServiceUnavailable)
      .annotate(OpenApi.Summary, "Whether to send requests here"),
  )
  .add(
    HttpApiEndpoint.get("metrics", "/metrics").addSuccess(text(metricsType))
      .annotate(OpenApi.Summary, "Metrics in Prometheus text format"),
  )
  .add(
    HttpApiEndpoint.get("openapi", "/openapi.json").addSuccess(Schema.Unknown)
      .annotate(OpenApi.Summary, "This document"),
  )
  .add(
    HttpApiEndpoint.get("status", "/status").addSuccess(text("text/html"))
      .annotate(OpenApi.Summary, "The live status page, for people"),
  )
  .add(
    HttpApiEndpoint.get("statusEvents", "/status/events").addSuccess(text(eventStreamType))
      .addError(ServiceUnavailable)
      .annotate(OpenApi.Summary, "What the status page shows, as server-sent events"),
  )
  .annotate(OpenApi.Description, "Health, metrics and status, for operators and their tools");

const health = <A, I>(schema: Schema.Schema<A, I>) =>
  HttpApiEndpoint.get("health", "/health").addSuccess(schema)
    .annotate(OpenApi.Summary, "Dependencies and breakers; always 200 while the process runs");

/** Operations of the routing service. */
export const RoutingOperations = HttpApi.make("routing-operations")
  .add(operations.add(health(RoutingHealth)));

/** Operations of the auth service. */
export const AuthOperations = HttpApi.make("auth-operations")
  .add(operations.add(health(AuthHealth)));

/** Lets only those pass who send the admin token as `Authorization: Bearer …`. */
export class AdminAuthentication
  extends HttpApiMiddleware.Tag<AdminAuthentication>()("operations/AdminAuthentication", {
    failure: Unauthorized,
    security: { adminToken: HttpApiSecurity.bearer },
  }) {}

/** What an operator can do to a breaker. */
export const BreakerAction = Schema.Literal(
  "open",
  "close",
  "reset",
  "disable",
  "observe",
  "auto",
);

/** A breaker as an operator sees it; times are ISO 8601. */
export const BreakerView = Schema.Struct({
  name: Schema.String,
  state: Schema.Literal("closed", "open", "half-open"),
  mode: Schema.Literal("auto", "forced-open", "disabled", "observe"),
  counts: Schema.Struct({
    requests: Schema.NonNegativeInt,
    totalSuccesses: Schema.NonNegativeInt,
    totalFailures: Schema.NonNegativeInt,
    consecutiveSuccesses: Schema.NonNegativeInt,
    consecutiveFailures: Schema.NonNegativeInt,
  }),
  failureRate: Schema.NullOr(Schema.Number)
    .annotations({ description: "Of the rolling window; null below the minimum of requests" }),
  rejected: Schema.NonNegativeInt,
  stateChangedAt: Schema.String,
  openUntil: Schema.NullOr(Schema.String),
  adaptive: Schema.optionalWith(
    Schema.Struct({
      threshold: Schema.Number,
      baseline: Schema.Number,
      reason: Schema.NullOr(Schema.String),
    }),
    { exact: true },
  ).annotations({ description: "Only where thresholds are adaptive" }),
}).annotations({ identifier: "BreakerView" });

/** The answer to an action. */
export const ActionResult = Schema.Struct({
  name: Schema.String,
  action: BreakerAction,
  fleet: Schema.Boolean.annotations({ description: "Also sent to all other replicas" }),
  breaker: Schema.NullOr(BreakerView)
    .annotations({ description: "null: not made yet; the action waits for it" }),
}).annotations({ identifier: "ActionResult" });

const LogLevel = Schema.Struct({ level: Schema.Literal("debug", "info", "warn", "error") })
  .annotations({ identifier: "LogLevel" });

const nameParam = HttpApiSchema.param("name", Schema.String);

/** `?fleet=true`: on every replica, also on those that start later. */
const FleetParam = Schema.Struct({
  fleet: Schema.optionalWith(Schema.Literal("true", "false"), { exact: true }),
});

/** Administration, served only when there is an admin token. */
export const AdminApi = HttpApi.make("admin").add(
  HttpApiGroup.make("admin")
    .add(
      HttpApiEndpoint.get("breakers", "/admin/breakers").addSuccess(Schema.Array(BreakerView))
        .annotate(OpenApi.Summary, "All breakers of this replica"),
    )
    .add(
      HttpApiEndpoint.post("control")`/admin/breakers/${nameParam}`
        .setUrlParams(FleetParam)
        .setPayload(Schema.Struct({ action: BreakerAction }))
        .addSuccess(ActionResult)
        .addError(BadRequest)
        .addError(NotFound)
        .addError(ServiceUnavailable)
        .annotate(OpenApi.Summary, "Acts on one breaker"),
    )
    .add(
      HttpApiEndpoint.get("logLevel", "/admin/log-level").addSuccess(LogLevel)
        .annotate(OpenApi.Summary, "The least severe level that is logged"),
    )
    .add(
      HttpApiEndpoint.post("setLogLevel", "/admin/log-level").setPayload(LogLevel)
        .addSuccess(LogLevel)
        .addError(BadRequest)
        .annotate(OpenApi.Summary, "Changes the log level until the process ends"),
    )
    .middleware(AdminAuthentication)
    .annotate(OpenApi.Description, "Control of breakers and of the log level"),
);

/**
 * The administration of breakers and of the log level, as an `HttpApi` value of its own: it is served,
 * and loaded, only where there is an admin token.
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

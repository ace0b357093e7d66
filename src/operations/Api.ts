/**
 * The addresses that operators and their tools use, as `HttpApi` values: health, metrics, the status
 * page and this service's OpenAPI document.
 *
 * They are apis of their own, so that the App can serve them beside a service's or on another port.
 */
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "@effect/platform";
import { Schema } from "effect";
import { ServiceUnavailable } from "../http/Problem.ts";
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

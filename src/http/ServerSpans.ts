/**
 * The span of a request: it begins when the route is known, and ends with the answer.
 *
 * Attributes are those of OpenTelemetry's HTTP conventions. Paths are shown for routes that exist
 * only, and queries never: both are the caller's words. 5xx alone is an error here, as a 4xx is an
 * answer that the caller should not have asked for.
 */
import { type Clock, Context, Exit, Option, type Tracer } from "effect";
import type { RequestContext } from "./RequestContext.ts";
import { callerOf } from "./TraceContext.ts";

/** What a span says of a request at its beginning. */
export interface Begun {
  readonly request: Request;
  readonly context: RequestContext;
  /** One of the standard methods, else `OTHER`. */
  readonly method: string;
  /** The route's pattern and the request's path; `undefined` where nothing matches. */
  readonly route: string | undefined;
  readonly path: string;
}

/** Spans of one server's requests. */
export class ServerSpans {
  constructor(
    /** `auth` or `routing`. */
    readonly service: string,
    readonly tracer: Tracer.Tracer,
    readonly clock: Clock.Clock,
  ) {}

  /** Begins the request's span, under the caller's if it sent one. */
  begin({ request, context, method, route, path }: Begun): void {
    const { traceparent } = context;
    const parent = traceparent === undefined
      ? Option.none()
      : Option.some(callerOf(traceparent, request.headers.get("tracestate")));
    const shown = method === "OTHER" ? "HTTP" : method;
    const span = this.tracer.span(
      route === undefined ? shown : `${shown} ${route}`,
      parent,
      Context.empty(),
      [],
      this.clock.unsafeCurrentTimeNanos(),
      "server",
    );
    context.span = span;
    if (!span.sampled) return;
    span.attribute("http.request.method", method === "OTHER" ? "_OTHER" : method);
    span.attribute("amicis.service", this.service);
    span.attribute("amicis.correlation_id", context.correlationId);
    if (route === undefined) return;
    span.attribute("http.route", route);
    span.attribute("url.path", path);
  }

  /** Ends the request's span; 499 stands for a caller that did not wait. */
  end(span: Tracer.Span, context: RequestContext, status: number): void {
    if (span.sampled) {
      span.attribute("http.response.status_code", status);
      if (status >= 500) span.attribute("error.type", String(status));
      if (context.principal !== null) span.attribute("amicis.tenant", context.principal.tenantId);
    }
    span.end(this.clock.unsafeCurrentTimeNanos(), status >= 500 ? failed : Exit.void);
  }
}

/** The status says it all. */
const failed = Exit.fail("");

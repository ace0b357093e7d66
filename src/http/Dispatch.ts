/**
 * From a request to its route, or to the answer when there is none. Routing comes first: what does
 * not exist is 404 for everyone, what exists asks for credentials afterwards.
 */
import * as Correlation from "./Correlation.ts";
import { requestHeader } from "./DenoServe.ts";
import { Exchange, unavailable } from "./Exchange.ts";
import * as Header from "./Header.ts";
import * as Problem from "./Problem.ts";
import { RequestContext } from "./RequestContext.ts";
import { type Asked, methodLabel, respond, respondProblem } from "./Respond.ts";
import type { Match } from "./Router.ts";
import type { Route } from "./RouteTable.ts";
import type { ServerSpans } from "./ServerSpans.ts";
import type { Serving } from "./Serving.ts";
import { isLegalHost, maxQueryLength, pathStart } from "./Target.ts";

/** The route of requests to addresses that do not exist. */
const unmatched = "unmatched";

/** Answers one request, at once where nothing has to be waited for. */
export const dispatch = (serving: Serving, request: Request): Response | Promise<Response> => {
  const startedAt = performance.now();
  const { url } = request;
  const start = pathStart(url);
  const mark = url.indexOf("?", start);
  const match = serving.router(mark < 0 ? url.slice(start) : url.slice(start, mark));
  const context = new RequestContext(
    Correlation.correlationId(request),
    serving.service,
    Correlation.traceparent(request),
    startedAt,
    startedAt + serving.timeout + serving.clockOffset,
  );
  const label = match === undefined ? unmatched : match.place.path;
  const asked: Asked = { serving, request, context, label };
  if (serving.spans !== undefined) beginSpan(serving.spans, asked, match);
  if (!isLegalHost(requestHeader(request, "host") ?? "")) {
    return respondProblem(asked, new Problem.BadRequest({ error: "Host header is invalid" }));
  }
  if (mark >= 0 && url.length - mark - 1 > maxQueryLength) {
    return respondProblem(asked, new Problem.UriTooLong());
  }
  if (match === undefined) return respondProblem(asked, new Problem.NotFound());
  const { method } = request;
  const { methods } = match.place;
  const route = methods.get(method) ?? (method === "HEAD" ? methods.get("GET") : undefined);
  if (route === undefined) return withoutRoute(asked, match);
  if (route.service && serving.inFlight.service >= serving.maxInFlight) {
    return respondProblem(asked, unavailable(serving));
  }
  const query = mark < 0 ? "" : url.slice(mark + 1);
  return new Exchange(serving, request, context, label, route, match.params, query).start();
};

/** Probes and scrapes would be most of all spans and say nothing: operations have none. */
const beginSpan = (
  spans: ServerSpans,
  { request, context, label }: Asked,
  match: Match<Route> | undefined,
): void => {
  for (const route of match?.place.methods.values() ?? []) if (!route.service) return;
  const start = pathStart(request.url);
  spans.begin({
    request,
    context,
    method: methodLabel(request),
    route: match === undefined ? undefined : label,
    path: request.url.slice(start).replace(/[?#].*$/s, ""),
  });
};

const withoutRoute = (asked: Asked, { place }: Match<Route>): Response => {
  const { serving, request } = asked;
  const allow = Header.make("allow", place.allow);
  if (request.method !== "OPTIONS") {
    return respondProblem(asked, new Problem.MethodNotAllowed({ headers: [allow] }));
  }
  return respond(asked, {
    status: 204,
    body: null,
    contentType: "",
    headers: [allow, ...serving.cors.permit(request, place.allow)],
  });
};

/**
 * From an outcome to a `Response` with the headers that every answer has, and the one report of it
 * to whoever observes the server. Headers are appended to the finished `Response`: measured five
 * times cheaper than giving them to its constructor, which converts and copies them twice.
 */
import { Cause } from "effect";
import * as Problem from "./Problem.ts";
import type { RequestContext } from "./RequestContext.ts";
import { logDefect, type Serving } from "./Serving.ts";

/** What can be sent. */
export type Body = string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;

/** An answer before it has the common headers. */
export interface Outcome {
  readonly status: number;
  readonly body: Body;
  /** `""` for none. */
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** A request as far as its answer needs it. */
export interface Asked {
  readonly serving: Serving;
  readonly request: Request;
  readonly context: RequestContext;
  /** The route for logs and metrics. */
  readonly label: string;
}

const standardMethods = new Set([
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "PATCH",
  "DELETE",
  "OPTIONS",
  "TRACE",
  "CONNECT",
]);

/** The method for logs, metrics and spans: one of the standard ones, else `OTHER`. */
export const methodLabel = ({ method }: Request): string =>
  standardMethods.has(method) ? method : "OTHER";

const policyHeader = "content-security-policy";

/**
 * For answers that are data: a browser that is made to show one runs and loads nothing.
 *
 * Its length counts, too. `Deno.serve` sends head and body in one piece only if both fit into the
 * connection's buffer, which has 512 bytes until a longer head has made it grow. Without this the
 * head is short enough to leave it so and long enough to leave the body out: two system calls on
 * both sides of each answer, which is more than all the rest of this folder costs (measured: 6 µs of
 * 22 µs).
 */
const dataOnly = "default-src 'none'; base-uri 'none'; form-action 'none'; " +
  "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/** The `Response` of an outcome; to be called once a request. */
export const respond = (asked: Asked, outcome: Outcome): Response => {
  const response = general(asked, outcome);
  asked.serving.cors.expose(asked.request.headers, response.headers);
  return particular(asked, response, outcome.status);
};

/**
 * The `Response` of an answer that has been given before: a copy of it is a quarter of the cost of
 * having the same headers checked, character by character, once more.
 */
export const respondAgain = (
  asked: Asked,
  kept: { template: Response | undefined },
  outcome: Outcome,
): Response => {
  if (kept.template === undefined) {
    kept.template = general(asked, outcome);
    asked.serving.cors.exposeToAny(kept.template.headers);
  }
  const response = kept.template.clone();
  asked.serving.cors.exposeToSome(asked.request.headers, response.headers);
  return particular(asked, response, outcome.status);
};

/** What does not depend on the request. */
const general = (asked: Asked, outcome: Outcome): Response => {
  const { status, contentType } = outcome;
  const body = sendable(asked, outcome);
  const response = status === 200 ? new Response(body) : new Response(body, { status });
  const { headers } = response;
  // `set`: a text body has already been given a content type of its own.
  if (contentType !== "") headers.set("content-type", contentType);
  headers.append("x-content-type-options", "nosniff");
  if (outcome.headers?.[policyHeader] === undefined) headers.append(policyHeader, dataOnly);
  if (outcome.headers !== undefined) {
    for (const name in outcome.headers) headers.append(name, outcome.headers[name] ?? "");
  }
  return response;
};

/** Adds what does, and reports the request as answered. */
const particular = (asked: Asked, response: Response, status: number): Response => {
  const { serving, context } = asked;
  const { headers } = response;
  headers.append("x-correlation-id", context.correlationId);
  const added = context.answerHeaders;
  if (added !== null) {
    for (let i = 0; i + 1 < added.length; i += 2) {
      headers.append(added[i] ?? "", added[i + 1] ?? "");
    }
  }
  // Keep-alive connections move on to another process.
  if (serving.lifecycle.unsafeState() === "draining") headers.append("connection", "close");
  observe(asked, status);
  return response;
};

/** The `Response` of a problem. */
export const respondProblem = (asked: Asked, problem: Problem.AnyProblem): Response =>
  respond(asked, {
    status: problem.status,
    body: problem.json(asked.context.correlationId),
    contentType: Problem.contentType,
    headers: problemHeaders(problem),
  });

/** Reports a request that is over; `respond` does so itself. */
export const observe = ({ serving, request, context, label }: Asked, status: number): void => {
  const { span } = context;
  if (span !== null) serving.spans?.end(span, context, status);
  try {
    serving.observe({
      service: serving.service,
      method: methodLabel(request),
      route: label,
      status,
      durationMs: performance.now() - context.startedAt,
      correlationId: context.correlationId,
      span,
    });
  } catch (defect) {
    // Whoever looks on must not keep the caller from its answer.
    logDefect(serving.runtime, context, label, Cause.die(defect));
  }
};

const problemHeaders = (problem: Problem.AnyProblem): Record<string, string> => {
  const headers: Record<string, string> = { "cache-control": "no-store" };
  if (problem.retryAfter !== undefined) {
    headers["retry-after"] = String(Problem.retryAfterSeconds(problem.retryAfter));
  }
  return problem.headers === undefined ? headers : { ...headers, ...problem.headers };
};

/** For HEAD the server below drops a finished body and keeps its length; a stream has to be ended. */
const sendable = ({ serving, request }: Asked, { body }: Outcome): Body => {
  if (!(body instanceof ReadableStream)) return body;
  if (request.method !== "HEAD") return serving.streams.track(body);
  body.cancel().catch(() => {});
  return null;
};

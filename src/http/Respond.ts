/**
 * From an outcome to a `Response` with the headers that every answer has, and the one report of it
 * to whoever observes the server.
 */
import { Cause } from "effect";
import { bodyResponse, textResponse } from "./DenoServe.ts";
import * as Header from "./Header.ts";
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
  readonly headers?: ReadonlyArray<Header.Header> | undefined;
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

const dataOnlyPolicy = Header.make(policyHeader, dataOnly);
const noSniff = Header.make("x-content-type-options", "nosniff");
const contentTypeHeader = Header.named("content-type");
const correlationIdHeader = Header.named("x-correlation-id");
const retryAfterHeader = Header.named("retry-after");

/** The `Response` of an outcome; to be called once a request. */
export const respond = (asked: Asked, outcome: Outcome): Response => {
  const { status } = outcome;
  const headers = headersOf(asked, outcome);
  const body = sendable(asked, outcome);
  const response = typeof body === "string"
    ? textResponse(status, body, headers)
    : bodyResponse(status, body, headers);
  observe(asked, status);
  return response;
};

const headersOf = ({ serving, request, context }: Asked, outcome: Outcome) => {
  const { contentType, headers = Header.none } = outcome;
  const all: Array<Header.Header> = [];
  if (contentType !== "") all.push(contentTypeHeader(contentType));
  all.push(noSniff);
  let hasPolicy = false;
  for (const header of headers) {
    all.push(header);
    if (header[0] === policyHeader) hasPolicy = true;
  }
  if (!hasPolicy) all.push(dataOnlyPolicy);
  serving.cors.expose(request, all);
  all.push(correlationIdHeader(context.correlationId));
  for (const header of context.answerHeaders) all.push(header);
  // Keep-alive connections move on to another process.
  if (serving.lifecycle.unsafeState() === "draining") all.push(Header.closing);
  return all;
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

const problemHeaders = ({ retryAfter, headers }: Problem.AnyProblem) => {
  const all = [Header.noStore];
  if (retryAfter !== undefined) {
    all.push(retryAfterHeader(String(Problem.retryAfterSeconds(retryAfter))));
  }
  if (headers !== undefined) all.push(...headers);
  return all;
};

/** For HEAD the server below drops a finished body and keeps its length; a stream has to be ended. */
const sendable = ({ serving, request }: Asked, { body }: Outcome): Body => {
  if (!(body instanceof ReadableStream)) return body;
  if (request.method !== "HEAD") return serving.streams.track(body);
  body.cancel().catch(() => {});
  return null;
};

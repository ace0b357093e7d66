/** What every error answer has in common, checked in one place. */
import assert from "node:assert/strict";
import type { Answer } from "../../support/Amicis.ts";

const titles: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  429: "Too Many Requests",
  502: "Bad Gateway",
  503: "Service Unavailable",
};

/** Statuses that tell when to come back. */
const hasRetryAfter = (status: number) => status === 429 || status === 503;

/**
 * The answer is a problem of this status with this sentence: content type, fields and no others,
 * no-store, correlation id in header and body, and Retry-After where it belongs.
 */
export function assertProblem(answer: Answer, status: number, error: string): void {
  const { headers, json, text } = answer;
  assert.equal(answer.status, status, text);
  assert.equal(headers.get("content-type"), "application/problem+json");
  assert.equal(headers.get("cache-control"), "no-store");
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  assert.equal(json.error, error);
  assert.equal(json.type, "about:blank");
  assert.equal(json.title, titles[status]);
  assert.equal(json.status, status);
  assert.ok(typeof json.detail === "string" && json.detail !== "");
  assert.equal(json.correlationId, headers.get("x-correlation-id"));
  const names = ["correlationId", "detail", "error", "status", "title", "type"];
  if (hasRetryAfter(status)) {
    const seconds = Number(headers.get("retry-after"));
    assert.ok(Number.isInteger(seconds) && seconds >= 1, `Retry-After is ${seconds}`);
    assert.equal(json.retryAfterSeconds, seconds);
    names.splice(3, 0, "retryAfterSeconds");
  } else {
    assert.equal(headers.get("retry-after"), null);
  }
  assert.deepEqual(Object.keys(json).sort(), names);
}

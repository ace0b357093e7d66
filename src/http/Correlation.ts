/** Which request a log line, an answer and an outgoing call belong to. */
import { requestHeader } from "./DenoServe.ts";

const legalId = /^[A-Za-z0-9._-]{1,128}$/;

/**
 * The caller's own id, from `x-correlation-id` or else `x-request-id`, or a new UUID. A header that
 * was sent twice arrives joined by a comma, so it is not legal and falls through as well.
 */
export const correlationId = (request: Request): string => {
  const given = requestHeader(request, "x-correlation-id");
  if (given !== null && legalId.test(given)) return given;
  const other = requestHeader(request, "x-request-id");
  if (other !== null && legalId.test(other)) return other;
  return crypto.randomUUID();
};

// Version ff, and trace and parent ids of zeros only, are forbidden; a later version may add fields.
const legalTraceparent =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$/;

/** The caller's W3C trace context; an invalid one is as good as none. */
export const traceparent = (request: Request): string | undefined => {
  const given = requestHeader(request, "traceparent");
  if (given === null || given.length > 512 || !legalTraceparent.test(given)) return undefined;
  return given.startsWith("00-") && given.length !== 55 ? undefined : given;
};

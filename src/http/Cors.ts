/** Which pages of other origins may read the answers, and what their browsers ask beforehand. */

/** The CORS rules of a server. */
export interface Cors {
  /** Adds what a browser needs to let the page see this answer. */
  readonly expose: (request: Headers, answer: Headers) => void;
  /** The part of {@link expose} that is the same for all requests. */
  readonly exposeToAny: (answer: Headers) => void;
  /** The rest of it. */
  readonly exposeToSome: (request: Headers, answer: Headers) => void;
  /** Adds the answer to a preflight for an address with these methods, if `expose` allowed it. */
  readonly permit: (answer: Headers, methods: string) => void;
}

/** Response headers that a page may read beyond the few it always may. */
export const exposedHeaders = "x-correlation-id, x-cache, age, retry-after";

const allowedHeaders =
  "authorization, content-type, x-correlation-id, x-request-id, traceparent, tracestate";

/** Seconds for which a browser need not ask again; browsers cap it themselves. */
const maxAge = "86400";

/** `*` among the origins allows all; an origin is scheme, host and port, as browsers send it. */
export const make = (origins: ReadonlyArray<string>): Cors => {
  const any = origins.includes("*");
  const allowed = new Set(origins.map((origin) => origin.toLowerCase()));
  const allow = (answer: Headers, origin: string) => {
    answer.append("access-control-allow-origin", origin);
    answer.append("access-control-expose-headers", exposedHeaders);
  };
  const exposeToAny = (answer: Headers) => {
    if (any) allow(answer, "*");
    // With a list the answer depends on who asks, which caches have to be told.
    else answer.append("vary", "Origin");
  };
  const exposeToSome = (request: Headers, answer: Headers) => {
    if (any) return;
    const origin = request.get("origin");
    if (origin !== null && allowed.has(origin.toLowerCase())) allow(answer, origin);
  };
  return {
    expose: (request, answer) => {
      exposeToAny(answer);
      exposeToSome(request, answer);
    },
    exposeToAny,
    exposeToSome,
    permit: (answer, methods) => {
      if (!answer.has("access-control-allow-origin")) return;
      answer.append("access-control-allow-methods", methods);
      answer.append("access-control-allow-headers", allowedHeaders);
      answer.append("access-control-max-age", maxAge);
    },
  };
};

/** A browser asking whether it may send another request. */
export const isPreflight = (request: Request): boolean =>
  request.method === "OPTIONS" && request.headers.get("origin") !== null &&
  request.headers.get("access-control-request-method") !== null;

/** Which pages of other origins may read the answers, and what their browsers ask beforehand. */

import { requestHeader } from "./DenoServe.ts";
import * as Header from "./Header.ts";

/** The CORS rules of a server. */
export interface Cors {
  /** Adds what a browser needs to let the page see the answer to this request. */
  readonly expose: (request: Request, headers: Array<Header.Header>) => void;
  /** What answers a preflight for an address with these methods; nothing for other requests. */
  readonly permit: (request: Request, methods: string) => ReadonlyArray<Header.Header>;
}

/** Response headers that a page may read beyond the few it always may. */
export const exposedHeaders = "x-correlation-id, x-cache, age, retry-after";

const exposed = Header.make("access-control-expose-headers", exposedHeaders);
const allowOrigin = Header.named("access-control-allow-origin");
const anyOrigin = allowOrigin("*");
const varying = Header.make("vary", "Origin");
const allowMethods = Header.named("access-control-allow-methods");
const allowHeaders = Header.make(
  "access-control-allow-headers",
  "authorization, content-type, x-correlation-id, x-request-id, traceparent, tracestate",
);

/** Seconds for which a browser need not ask again; browsers cap it themselves. */
const maxAge = Header.make("access-control-max-age", "86400");

/** `*` among the origins allows all; an origin is scheme, host and port, as browsers send it. */
export const make = (origins: ReadonlyArray<string>): Cors => {
  const any = origins.includes("*");
  const allowed = new Set(origins.map((origin) => origin.toLowerCase()));
  const allowedOrigin = (request: Request): Header.Header | undefined => {
    if (any) return anyOrigin;
    const origin = requestHeader(request, "origin");
    return origin !== null && allowed.has(origin.toLowerCase()) ? allowOrigin(origin) : undefined;
  };
  return {
    expose: (request, headers) => {
      // With a list the answer depends on who asks, which caches have to be told.
      if (!any) headers.push(varying);
      const origin = allowedOrigin(request);
      if (origin !== undefined) headers.push(origin, exposed);
    },
    permit: (request, methods) =>
      isPreflight(request) && allowedOrigin(request) !== undefined
        ? [allowMethods(methods), allowHeaders, maxAge]
        : Header.none,
  };
};

/** A browser asking whether it may send another request. */
const isPreflight = (request: Request): boolean =>
  request.method === "OPTIONS" && requestHeader(request, "origin") !== null &&
  requestHeader(request, "access-control-request-method") !== null;

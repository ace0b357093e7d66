/** Which pages of other origins may read the answers, and what their browsers ask beforehand. */

import { requestHeader } from "./DenoServe.ts";
import * as Header from "./Header.ts";

/** The CORS rules of a server. */
export interface Cors {
  /** Adds what a browser needs to let the page see the answer to this request. */
  readonly expose: (request: Request, headers: Array<Header.Header>) => void;
  /** Adds the answer to a preflight for an address with these methods, if `expose` allowed it. */
  readonly permit: (headers: Array<Header.Header>, methods: string) => void;
}

/** Response headers that a page may read beyond the few it always may. */
export const exposedHeaders = "x-correlation-id, x-cache, age, retry-after";

const allowedHeaders =
  "authorization, content-type, x-correlation-id, x-request-id, traceparent, tracestate";

const allowOrigin = "access-control-allow-origin";
const anyOrigin = Header.make(allowOrigin, "*");
const exposed = Header.make("access-control-expose-headers", exposedHeaders);
const varying = Header.make("vary", "Origin");

/** Seconds for which a browser need not ask again; browsers cap it themselves. */
const maxAge = "86400";

/** `*` among the origins allows all; an origin is scheme, host and port, as browsers send it. */
export const make = (origins: ReadonlyArray<string>): Cors => {
  const any = origins.includes("*");
  const allowed = new Set(origins.map((origin) => origin.toLowerCase()));
  return {
    expose: (request, headers) => {
      if (any) {
        headers.push(anyOrigin, exposed);
        return;
      }
      // With a list the answer depends on who asks, which caches have to be told.
      headers.push(varying);
      const origin = requestHeader(request, "origin");
      if (origin === null || !allowed.has(origin.toLowerCase())) return;
      headers.push(Header.make(allowOrigin, origin), exposed);
    },
    permit: (headers, methods) => {
      if (!headers.some(([name]) => name === allowOrigin)) return;
      headers.push(
        Header.make("access-control-allow-methods", methods),
        Header.make("access-control-allow-headers", allowedHeaders),
        Header.make("access-control-max-age", maxAge),
      );
    },
  };
};

/** A browser asking whether it may send another request. */
export const isPreflight = (request: Request): boolean =>
  request.method === "OPTIONS" && requestHeader(request, "origin") !== null &&
  requestHeader(request, "access-control-request-method") !== null;

/**
 * The floor with headers: `Deno.serve` that reads the request headers which the product has to read,
 * answers with all those which it sends, in the cheapest way known, which is the product's own, and
 * does nothing else. A body with `{id}` in it is one that tells the request's correlation id.
 */
import { requestHeader, textResponse } from "../../../src/http/DenoServe.ts";
import * as Header from "../../../src/http/Header.ts";

const [before = "", after] = (Deno.env.get("BODY") ?? "{}").split("{id}");
const status = Number(Deno.env.get("STATUS") ?? 200);
const sent: ReadonlyArray<[string, string]> = JSON.parse(Deno.env.get("HEADERS") ?? "[]");
const varies = ([name]: readonly [string, string]) => name.startsWith("ratelimit-");
const fixed = sent.filter((header) => !varies(header)).map(([name, value]) =>
  Header.make(name, value)
);
const varying = sent.filter(varies).map(([name, value]) => ({ of: Header.named(name), value }));
const correlationId = Header.named("x-correlation-id");

Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")), onListen: () => {} },
  (request) => {
    requestHeader(request, "x-request-id");
    requestHeader(request, "traceparent");
    requestHeader(request, "host");
    requestHeader(request, "authorization");
    const id = requestHeader(request, "x-correlation-id") ?? crypto.randomUUID();
    const headers = [...fixed, correlationId(id)];
    for (const { of, value } of varying) headers.push(of(value));
    return textResponse(status, after === undefined ? before : `${before}${id}${after}`, headers);
  },
);

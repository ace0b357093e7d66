/**
 * The floor with headers: `Deno.serve` that reads the request headers which the product has to read,
 * answers with all those which it sends, in the cheapest way known, and does nothing else. A body with
 * `{id}` in it is one that tells the request's correlation id, so it cannot be kept ready.
 */
const [before = "", after] = (Deno.env.get("BODY") ?? "{}").split("{id}");
const status = Number(Deno.env.get("STATUS") ?? 200);
const sent: ReadonlyArray<[string, string]> = JSON.parse(Deno.env.get("HEADERS") ?? "[]");
const varies = (name: string) => name.startsWith("ratelimit-");
const varying = sent.filter(([name]) => varies(name));

/** An answer with all headers that are the same for each request. */
const answer = (body: string): Response => {
  const response = status === 200 ? new Response(body) : new Response(body, { status });
  for (const [name, value] of sent) {
    if (name === "content-type") response.headers.set(name, value);
    else if (!varies(name)) response.headers.append(name, value);
  }
  return response;
};

const template = answer(before);

Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")), onListen: () => {} },
  (request) => {
    const { headers } = request;
    headers.get("x-request-id");
    headers.get("traceparent");
    headers.get("host");
    headers.get("authorization");
    const id = headers.get("x-correlation-id") ?? crypto.randomUUID();
    const response = after === undefined ? template.clone() : answer(`${before}${id}${after}`);
    response.headers.append("x-correlation-id", id);
    for (const [name, value] of varying) response.headers.append(name, value);
    return response;
  },
);

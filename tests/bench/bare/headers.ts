/**
 * The floor with headers: `Deno.serve` that reads the request headers which the product has to read,
 * answers with all those which it sends, in the cheapest way known, and does nothing else.
 */
const body = Deno.env.get("BODY") ?? "{}";
const sent: ReadonlyArray<[string, string]> = JSON.parse(Deno.env.get("HEADERS") ?? "[]");
const varies = (name: string) => name.startsWith("ratelimit-");

const template = new Response(body);
for (const [name, value] of sent) {
  if (!varies(name)) template.headers.set(name, value);
}
const varying = sent.filter(([name]) => varies(name));

Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")), onListen: () => {} },
  (request) => {
    const { headers } = request;
    headers.get("x-request-id");
    headers.get("traceparent");
    headers.get("host");
    headers.get("authorization");
    const response = template.clone();
    response.headers.append(
      "x-correlation-id",
      headers.get("x-correlation-id") ?? crypto.randomUUID(),
    );
    for (const [name, value] of varying) response.headers.append(name, value);
    return response;
  },
);

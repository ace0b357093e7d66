/** The floor: `Deno.serve` that answers every request with the same JSON, and does nothing else. */
const body = Deno.env.get("BODY") ?? "{}";
const init = { headers: { "content-type": "application/json" } };

Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")), onListen: () => {} },
  () => new Response(body, init),
);

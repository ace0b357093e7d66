/** The floor with Redis: `Deno.serve` that answers every request with the value of one GET. */
import { Redis } from "ioredis";

const key = Deno.env.get("KEY") ?? "";
const redis = new Redis(Deno.env.get("REDIS_URL") ?? "", { enableAutoPipelining: true });
const init = { headers: { "content-type": "application/json" } };

Deno.serve(
  { hostname: "127.0.0.1", port: Number(Deno.env.get("PORT")), onListen: () => {} },
  async () => new Response(await redis.get(key), init),
);

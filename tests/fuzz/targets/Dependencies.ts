/**
 * Dependencies that answer with anything at all, behind the whole service: a real Redis with any
 * bytes under our keys, and a token endpoint that writes any bytes.
 */
import assert from "node:assert/strict";
import { Redis as Client } from "ioredis";
import { Buffer } from "node:buffer";
import { tenant } from "../../e2e/support/Shops.ts";
import { freePort, releasePort } from "../../support/ports.ts";
import { Redis } from "../../support/servers/Redis.ts";
import { bearer } from "../../support/wire/Jwt.ts";
import * as Services from "../Services.ts";
import { byMutation, type Target } from "../Target.ts";
import { inTime } from "./Patience.ts";

export const redisValues: Target = {
  name: "Redis' values",
  weight: 4,
  promise:
    "with any bytes in the cache a store is answered as MongoDB has it, or as the cache does",
  needs: ["redis-server"],
  open: async () => {
    const redis = await Redis.start();
    const services = await Services.start({ REDIS_URL: redis.url, NEAR_CACHE_SIZE: "0" });
    const client = new Client(redis.url);
    const headers = await bearer("ikea");
    const url = `http://127.0.0.1:${services.routingPort}/api/v1/route?storeId=berlin-01`;
    return {
      run: await byMutation({
        corpus: "store-cache",
        dictionary: [
          '"store":null',
          '"backendContext":',
          "1e999",
          "\\u0000",
          "\xff",
          '"ikea"',
          "{}",
        ],
        check: async (bytes) => {
          await client.set("store:ikea:berlin-01", Buffer.from(bytes));
          const answer = await inTime(fetch(url, { headers }));
          const body = await answer.json();
          const cache = answer.headers.get("x-cache");
          // A cached "no such store" is as good an answer as a cached store.
          if (answer.status === 404) return "404";
          assert.equal(answer.status, 200);
          assert.equal(body.storeId, "berlin-01");
          assert.equal(typeof body.backendUrl, "string");
          assert.ok("backendContext" in body);
          if (cache === "MISS") {
            assert.equal(body.backendUrl, "https://eu-central.backend.example/ikea");
          }
          return String(cache);
        },
      }),
      close: async () => {
        await client.quit();
        await services.stop();
        await redis.stop();
      },
    };
  },
};

/** A server that writes the same bytes to each connection, whatever it is asked, and closes it. */
function anyAnswer(port: number) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const server: { bytes: Uint8Array; readonly close: () => void } = {
    bytes: new Uint8Array(),
    close: () => listener.close(),
  };
  const answer = async (conn: Deno.TcpConn) => {
    try {
      await conn.read(new Uint8Array(8_192));
      for (let sent = 0; sent < server.bytes.length;) {
        sent += await conn.write(server.bytes.subarray(sent));
      }
    } catch {
      // The client has seen enough.
    } finally {
      conn.close();
    }
  };
  (async () => {
    for await (const conn of listener) answer(conn);
  })();
  return server;
}

export const tokenEndpoints: Target = {
  name: "token endpoints",
  weight: 4,
  promise: "with any bytes for an answer a caller gets a token, 401, 502 or 503, in time",
  open: async () => {
    const port = freePort();
    const endpoint = anyAnswer(port);
    const services = await Services.start({
      TOKEN_EXCHANGE_BREAKER_MINIMUM_REQUESTS: "1000000000",
      TOKEN_EXCHANGE_BREAKER_CONSECUTIVE_FAILURES: "off",
      RETRY_MAX_ATTEMPTS: "1",
    }, [tenant("ikea", `http://127.0.0.1:${port}/token`)]);
    let asked = 0;
    return {
      run: await byMutation({
        corpus: "token-answers",
        dictionary: ["HTTP/1.1 200 OK\r\n", "\r\n\r\n", "content-length: 5\r\n", "0\r\n\r\n", "{}"],
        check: async (bytes) => {
          endpoint.bytes = bytes;
          const answer = await inTime(fetch(`http://127.0.0.1:${services.authPort}/auth/exchange`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            // A token that nobody has exchanged before.
            body: JSON.stringify({ userToken: `ikea:${++asked}` }),
          }));
          const body = await answer.json();
          if (answer.status === 200) {
            assert.ok(
              body.accessToken !== "" && body.expiresIn >= 1 && body.expiresIn <= 31_536_000,
            );
            return "token";
          }
          assert.ok([401, 502, 503].includes(answer.status), JSON.stringify(body));
          if (answer.status === 503) assert.match(answer.headers.get("retry-after") ?? "", /^\d+$/);
          return String(answer.status);
        },
      }),
      close: async () => {
        await services.stop();
        endpoint.close();
        releasePort(port);
      },
    };
  },
};

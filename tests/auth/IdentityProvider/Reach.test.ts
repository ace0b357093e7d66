/** Asking a token endpoint for a sign of life: a connection under the rules of an exchange. */
import { describe, it } from "../../support/it.ts";
import assert from "node:assert/strict";
import { Context, Effect, Exit, Fiber, Layer } from "effect";
import { EndpointRefused, IdentityProvider } from "../../../src/auth/IdentityProvider.ts";
import * as Http from "../../../src/auth/IdentityProvider/Http.ts";
import { PermanentFailure, TransientFailure } from "../../../src/resilience/DependencyFailure.ts";
import { eventually } from "../../support/eventually.ts";
import { TcpProxy } from "../../support/servers/TcpProxy.ts";
import { TokenEndpoint } from "../../support/servers/TokenEndpoint.ts";
import { tenantOf } from "../Fixtures.ts";

const provider = (options: Http.Options = {}) =>
  Effect.map(
    Layer.build(Http.layer({ timeout: "2 seconds", ...options })),
    Context.get(IdentityProvider),
  );

/** Takes one connection and tells when the other side has closed it, having sent nothing. */
const listening = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => Deno.listen({ hostname: "127.0.0.1", port: 0 })),
    (listener) => Effect.sync(() => listener.close()),
  ),
  (listener) => ({
    port: listener.addr.port,
    accept: Effect.promise(() => listener.accept()),
  }),
);

const endOf = (conn: Deno.TcpConn) =>
  Effect.promise(async () => {
    const count = await conn.read(new Uint8Array(1));
    conn.close();
    return count;
  });

describe("IdentityProvider/Http reach()", () => {
  it.live("connects, sends nothing, and keeps no connection", () =>
    Effect.gen(function* () {
      const { port, accept } = yield* listening;
      const { reach } = yield* provider();
      yield* reach(tenantOf("acme", `http://127.0.0.1:${port}/token`));
      assert.equal(yield* Effect.flatMap(accept, endOf), null);
    }));

  it.live("needs a TLS handshake with a trusted certificate behind https", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped({ tls: true });
      const tenant = tenantOf("acme", endpoint.url);
      const untrusting = yield* provider();
      const error = yield* Effect.flip(untrusting.reach(tenant));
      assert.ok(error instanceof PermanentFailure, String(error));
      const { reach } = yield* provider({ authorities: [endpoint.certificate?.ca ?? ""] });
      yield* reach(tenant);
      assert.deepEqual(endpoint.requests, []);
    }));

  it.live("fails while connections are refused, and succeeds when they are taken again", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped();
      const { reach } = yield* provider();
      const tenant = tenantOf("acme", endpoint.url);
      yield* Effect.promise(() => endpoint.refuse());
      const error = yield* Effect.flip(reach(tenant));
      assert.ok(error instanceof TransientFailure && !error.timedOut, String(error));
      yield* Effect.promise(() => endpoint.listen());
      yield* reach(tenant);
    }));

  it.live("is not content with a port that takes connections and shakes no hands", () =>
    Effect.gen(function* () {
      const endpoint = yield* TokenEndpoint.scoped({ tls: true });
      const proxy = yield* TcpProxy.scoped(endpoint);
      yield* Effect.promise(() => proxy.mode("silent"));
      const authorities = [endpoint.certificate?.ca ?? ""];
      const { reach } = yield* provider({ authorities, timeout: "300 millis" });
      const tenant = tenantOf("acme", proxy.url(endpoint.url));
      const error = yield* Effect.flip(reach(tenant));
      assert.ok(error instanceof TransientFailure && error.timedOut, String(error));
      yield* Effect.promise(() => proxy.mode("pass"));
      yield* reach(tenant);
    }));

  it.live("connects to no address that an exchange must not go to", () =>
    Effect.gen(function* () {
      const resolve = () => Promise.resolve(["169.254.169.254"]);
      const { reach } = yield* provider({ resolve });
      for (const url of ["https://idp.example/token", "http://idp.example/token"]) {
        const error = yield* Effect.flip(reach(tenantOf("acme", url)));
        assert.ok(error instanceof EndpointRefused, String(error));
      }
    }));

  it.live("gives up its connection when it is interrupted", () =>
    Effect.gen(function* () {
      const { port, accept } = yield* listening;
      const { reach } = yield* provider({ timeout: "1 hour" });
      const fiber = yield* Effect.fork(reach(tenantOf("acme", `https://127.0.0.1:${port}/token`)));
      const conn = yield* accept;
      const hello = yield* Effect.promise(() => conn.read(new Uint8Array(16_384)));
      assert.ok((hello ?? 0) > 0, "the handshake has begun");
      assert.ok(Exit.isInterrupted(yield* Fiber.interrupt(fiber)));
      // An alert may come before the end.
      yield* eventually(Effect.promise(async () => await conn.read(new Uint8Array(64)) === null));
      conn.close();
    }));
});

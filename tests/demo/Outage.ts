/** Dependencies of the demo that can be unplugged and plugged in again while everything runs. */
import { Effect, Layer } from "effect";
import type { Tenant } from "../../src/auth/Tenant.ts";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import type { Store } from "../../src/routing/Store.ts";
import { StoreRepository } from "../../src/routing/StoreRepository.ts";

/** An embedded store whose plug can be pulled: then every read fails as a lost connection does. */
export class UnpluggableStore {
  isPlugged = true;

  readonly #whilePlugged = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.suspend((): Effect.Effect<A, E | TransientFailure, R> =>
      this.isPlugged ? self : new TransientFailure({
        dependency: "mongodb",
        operation: "mongodb_find",
        reason: "connection lost",
        timedOut: false,
        cause: undefined,
      })
    );

  layer(stores: ReadonlyArray<Store>): Layer.Layer<StoreRepository> {
    return Layer.effect(
      StoreRepository,
      Effect.map(StoreRepository, ({ find, list }) => ({
        find: (tenantId, storeId) => this.#whilePlugged(find(tenantId, storeId)),
        list: (tenantId, page) => this.#whilePlugged(list(tenantId, page)),
      })),
    ).pipe(Layer.provide(StoreRepository.layerMemory(stores)));
  }
}

/** One HTTP server with a token endpoint for each tenant: `/{tenantId}/token`. */
export class TokenEndpoints {
  readonly #down = new Set<string>();
  #issued = 0;
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const tenantId = new URL(request.url).pathname.split("/")[1] ?? "";
      const form = new URLSearchParams(await request.text());
      if (this.#down.has(tenantId)) return new Response("out of order", { status: 503 });
      if (!(form.get("subject_token") ?? "").startsWith("shopper")) {
        return Response.json({ error: "invalid_grant" }, { status: 400 });
      }
      return Response.json({
        access_token: `${tenantId}-${++this.#issued}`,
        token_type: "Bearer",
        expires_in: 3_600,
      });
    },
  );

  break(tenantId: string): void {
    this.#down.add(tenantId);
  }

  repair(tenantId: string): void {
    this.#down.delete(tenantId);
  }

  /** The tenants with their endpoints moved here. */
  adopt(tenants: ReadonlyArray<Tenant>): ReadonlyArray<Tenant> {
    return tenants.map((tenant) => ({
      ...tenant,
      authConfig: {
        ...tenant.authConfig,
        tokenEndpoint: `http://127.0.0.1:${this.#server.addr.port}/${tenant.tenantId}/token`,
      },
    }));
  }

  stop(): Promise<void> {
    return this.#server.shutdown();
  }
}

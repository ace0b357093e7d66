/**
 * Where tenants are kept.
 */
import { Context, Effect, Layer, Option } from "effect";
import type { DependencyFailure } from "../resilience/DependencyFailure.ts";
import type { Tenant } from "./Tenant.ts";

/** Reads tenants. Calls are single attempts with the driver's deadlines. */
export class TenantRepository extends Context.Tag("auth/TenantRepository")<TenantRepository, {
  /** The tenant, disabled ones included, or none. */
  readonly find: (tenantId: string) => Effect.Effect<Option.Option<Tenant>, DependencyFailure>;
}>() {
  /** Keeps the given tenants; of several with the same name the last one counts. */
  static readonly layerMemory = (tenants: ReadonlyArray<Tenant>): Layer.Layer<TenantRepository> =>
    Layer.sync(this, () => {
      const known = new Map(tenants.map((tenant) => [tenant.tenantId, tenant]));
      return { find: (tenantId) => Effect.sync(() => Option.fromNullable(known.get(tenantId))) };
    });
}

/**
 * A store and the backend that serves it: what the routing service knows about one shop.
 */
import { Schema } from "effect";

/** A store's name within its tenant: 1 to 128 of letters, digits, `.`, `_` and `-`. */
export const StoreId = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9._-]{1,128}$/),
  Schema.annotations({ identifier: "StoreId" }),
);

/** A tenant's name: 1 to 64 of letters, digits, `_` and `-`; never a `:`, which ends it in keys. */
export const TenantId = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9_-]{1,64}$/),
  Schema.annotations({ identifier: "TenantId" }),
);

/** Where a store stands, in degrees. */
export const Location = Schema.Struct({
  lat: Schema.Finite,
  lon: Schema.Finite,
});

/** One store of one tenant. `backendContext` is any JSON value, passed through unchanged. */
export const Store = Schema.Struct({
  tenantId: TenantId,
  storeId: StoreId,
  name: Schema.String,
  backendUrl: Schema.NonEmptyString,
  backendContext: Schema.Unknown,
  location: Schema.optionalWith(Location, { exact: true, nullable: true }),
});

export interface Store extends Schema.Schema.Type<typeof Store> {}

/** True for a text that can name a store. */
export const isStoreId: (input: unknown) => input is string = Schema.is(StoreId);

/** True for a text that can name a tenant. */
export const isTenantId: (input: unknown) => input is string = Schema.is(TenantId);

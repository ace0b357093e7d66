/**
 * A tenant, and where and how its tokens are exchanged.
 */
import { Schema } from "effect";

/** A tenant's name: 1 to 64 of letters, digits, `_` and `-`. */
export const TenantId = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9_-]{1,64}$/),
  Schema.annotations({ identifier: "TenantId" }),
);

/** How to speak to a tenant's own token endpoint. Which addresses are allowed is checked there. */
export const AuthConfig = Schema.Struct({
  /** An absolute URL. */
  tokenEndpoint: Schema.String.pipe(
    Schema.filter((text) => URL.canParse(text) || "Expected an absolute URL"),
  ),
  clientId: Schema.NonEmptyString,
  /** Sent by HTTP Basic when there is one. */
  clientSecret: Schema.optionalWith(Schema.Redacted(Schema.String), {
    exact: true,
    nullable: true,
  }),
  scope: Schema.optionalWith(Schema.String, { exact: true, nullable: true }),
});

/** One tenant; enabled unless its record says otherwise. */
export const Tenant = Schema.Struct({
  tenantId: TenantId,
  name: Schema.String,
  enabled: Schema.optionalWith(Schema.Boolean, {
    exact: true,
    nullable: true,
    default: () => true,
  }),
  authConfig: AuthConfig,
});

export interface Tenant extends Schema.Schema.Type<typeof Tenant> {}

/** True for a text that can name a tenant. */
export const isTenantId: (input: unknown) => input is string = Schema.is(TenantId);

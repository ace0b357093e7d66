/**
 * What the shops of the load sell and what is right about it. Both tenants have stores of the same
 * names with other contents, so that one tenant's data in another's answer is noticed.
 */
import type { Document } from "mongodb";
import type { TokenBehaviour, TokenRequest } from "../support/servers/TokenEndpoint.ts";

export const database = "amicis";

/** The tenant whose token endpoint faults are done to, and the one whose endpoint is always well. */
export const tenants = ["ikea", "habitat"] as const;
export type TenantId = typeof tenants[number];

/** Stores that are asked for over and over. */
export const knownStores = ["berlin-01", "berlin-02", "oslo-01"];

/** A chain with so many stores that each is asked for once; its list is never asked for. */
export const largeTenant = "muji";
export const manyStores = 6_000;

/** The store as its collection holds it. */
export const storeOf = (tenantId: string, storeId: string): Document => ({
  tenantId,
  storeId,
  name: `${storeId} of ${tenantId}`,
  backendUrl: `https://${tenantId}.example/${storeId}`,
  backendContext: { chain: tenantId, store: storeId },
});

/** A store that only this tenant has; the last of its stores. */
export const ownStore = (tenantId: TenantId): string => `z-only-${tenantId}`;

/** Every store. */
export const stores: ReadonlyArray<Document> = [
  ...tenants.flatMap((tenantId) =>
    [...knownStores, ownStore(tenantId)].map((storeId) => storeOf(tenantId, storeId))
  ),
  ...Array.from({ length: manyStores }, (_, number) => storeOf(largeTenant, `store-${number}`)),
];

/** The tenant as its collection holds it. */
export const tenantOf = (tenantId: TenantId, tokenEndpoint: string): Document => ({
  tenantId,
  name: `The ${tenantId}`,
  authConfig: { tokenEndpoint, clientId: `client-of-${tenantId}` },
});

/** The token that this shopper of this tenant must be given, and nobody else. */
export const accessTokenOf = (tenantId: string, shopper: string): string =>
  `access-of-${shopper}-at-${tenantId}`;

/** How a well endpoint answers: with a token that says for whom it is. */
export const issue = ({ form }: TokenRequest): TokenBehaviour => {
  const tenantId = (form.get("client_id") ?? "").replace(/^client-of-/, "");
  return { kind: "ok", accessToken: accessTokenOf(tenantId, form.get("subject_token") ?? "") };
};

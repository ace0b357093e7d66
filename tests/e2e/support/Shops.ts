/** Stores and tenants of two chains, as their collections hold them. */
import type { Document } from "mongodb";
import type { MongoServer } from "../../support/servers/MongoServer.ts";

/** The database that services use unless told otherwise. */
export const database = "amicis";

/** A store as its collection holds it. */
export const store = (tenantId: string, storeId: string, more: Document = {}): Document => ({
  tenantId,
  storeId,
  name: `${tenantId} ${storeId}`,
  backendUrl: `https://backend.example/${tenantId}/${storeId}`,
  backendContext: { region: "eu-central", currency: "EUR" },
  ...more,
});

/** Values of `backendContext` that have to come through unchanged, by store. */
export const contexts: Readonly<Record<string, unknown>> = {
  "context-null": null,
  "context-text": "plain \u00e4\u20ac\u{1f600} \u2028 text",
  "context-number": -0.125,
  "context-false": false,
  "context-empty": {},
  "context-list": [1, "two", null, { three: [3] }],
  "context-deep": { a: { b: { c: [{ "d.e": { $f: "g" } }] } }, __proto: 1, "": "empty name" },
};

/** Every store of the test bed. */
export const stores: ReadonlyArray<Document> = [
  store("ikea", "berlin-01", { name: "Berlin Tempelhof", location: { lat: 52.46, lon: 13.39 } }),
  store("ikea", "paris-01"),
  store("ikea", "Oslo_1.a-B"),
  store("ikea", "zz".repeat(64)),
  store("habitat", "berlin-01", { name: "Berlin Mitte" }),
  store("habitat", "london-01"),
  ...Object.entries(contexts).map(([storeId, backendContext]) =>
    store("contexts", storeId, { backendContext })
  ),
  ...Array.from(
    { length: 25 },
    (_, index) => store("pages", `store-${String(index).padStart(3, "0")}`),
  ),
];

/** Puts the stores there. */
export const insertStores = (mongo: MongoServer): Promise<void> =>
  mongo.insert(database, "stores", stores);

/** A tenant as its collection holds it. */
export const tenant = (
  tenantId: string,
  tokenEndpoint: string,
  authConfig: Document = {},
  more: Document = {},
): Document => ({
  tenantId,
  name: tenantId.toUpperCase(),
  authConfig: { tokenEndpoint, clientId: `client-of-${tenantId}`, ...authConfig },
  ...more,
});

/**
 * Tenants and stores of the embedded, in-memory store: demo data, or those of a `DATA_FILE`. What
 * reads such a file is loaded only where there is one.
 */
import { Effect } from "effect";
import type { Embedded, InvalidDataFile } from "./DataFile.ts";

export type { Embedded } from "./DataFile.ts";

/** Two furniture chains with three stores each; their token endpoints are the demo's own. */
export const demo: Embedded = {
  tenants: [
    {
      tenantId: "ikea",
      name: "IKEA",
      enabled: true,
      authConfig: { tokenEndpoint: "http://127.0.0.1:4000/ikea/token", clientId: "amicis" },
    },
    {
      tenantId: "habitat",
      name: "Habitat",
      enabled: true,
      authConfig: { tokenEndpoint: "http://127.0.0.1:4000/habitat/token", clientId: "amicis" },
    },
  ],
  stores: [
    {
      tenantId: "ikea",
      storeId: "berlin-01",
      name: "Berlin Tempelhof",
      backendUrl: "https://eu-central.backend.example/ikea",
      backendContext: { region: "eu-central", currency: "EUR" },
      location: { lat: 52.46, lon: 13.39 },
    },
    {
      tenantId: "ikea",
      storeId: "paris-01",
      name: "Paris Nord",
      backendUrl: "https://eu-west.backend.example/ikea",
      backendContext: { region: "eu-west", currency: "EUR" },
      location: { lat: 48.97, lon: 2.49 },
    },
    {
      tenantId: "ikea",
      storeId: "oslo-01",
      name: "Oslo Furuset",
      backendUrl: "https://eu-north.backend.example/ikea",
      backendContext: { region: "eu-north", currency: "NOK" },
      location: { lat: 59.94, lon: 10.89 },
    },
    {
      tenantId: "habitat",
      storeId: "london-01",
      name: "London Finchley Road",
      backendUrl: "https://eu-west.backend.example/habitat",
      backendContext: { region: "eu-west", currency: "GBP" },
    },
    {
      tenantId: "habitat",
      storeId: "lyon-01",
      name: "Lyon Part-Dieu",
      backendUrl: "https://eu-west.backend.example/habitat",
      backendContext: { region: "eu-west", currency: "EUR" },
    },
    {
      tenantId: "habitat",
      storeId: "berlin-01",
      name: "Berlin Mitte",
      backendUrl: "https://eu-central.backend.example/habitat",
      backendContext: { region: "eu-central", currency: "EUR" },
    },
  ],
};

/** The embedded data: the demo's, or those of a file. */
export const load = (path: string | undefined): Effect.Effect<Embedded, InvalidDataFile> =>
  path === undefined
    ? Effect.succeed(demo)
    : Effect.flatMap(Effect.promise(() => import("./DataFile.ts")), ({ read }) => read(path));

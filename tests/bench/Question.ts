/** What every subject is asked, what it must answer, and the secrets that both sides share. */
import { SignJWT } from "jose";
import type { Load } from "./Wrk.ts";

export const jwtSecret = "a secret of this benchmark, and of nothing else";
export const adminToken = "admin-token-of-this-benchmark";
export const tokenCacheKey = btoa("0123456789abcdef0123456789abcdef");

const tenantId = "bench";

const store = {
  tenantId,
  storeId: "berlin-01",
  name: "Berlin Tempelhof",
  backendUrl: "https://eu-central.backend.example/bench",
  backendContext: { region: "eu-central", currency: "EUR", flags: ["click-and-collect"] },
  location: { lat: 52.46, lon: 13.39 },
};

/** The embedded data of the product, as a `DATA_FILE`. */
export const dataFile = (tokenEndpoint: string): string =>
  JSON.stringify({
    tenants: [{ tenantId, name: "Bench", authConfig: { tokenEndpoint, clientId: "amicis" } }],
    stores: [store],
  });

/** The body that answers the question for a route, byte by byte. */
export const routeAnswer = JSON.stringify({
  storeId: store.storeId,
  backendUrl: store.backendUrl,
  backendContext: store.backendContext,
});

/** Asks a server on this port for a route, as its tenant. */
export const routeQuestion = async (port: number): Promise<Load> => {
  const token = await new SignJWT({ tenantId }).setProtectedHeader({ alg: "HS256" })
    .setSubject("bench").setIssuedAt().setExpirationTime("12h")
    .sign(new TextEncoder().encode(jwtSecret));
  return {
    url: `http://127.0.0.1:${port}/api/v1/route?storeId=${store.storeId}`,
    headers: { authorization: `Bearer ${token}` },
  };
};

/** Brings a server on this port a token to exchange. */
export const tokenQuestion = (port: number): Load => ({
  url: `http://127.0.0.1:${port}/auth/exchange`,
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ userToken: `${tenantId}:${"t".repeat(300)}` }),
});

/** Sends a load's request once. */
export const ask = (load: Load): Promise<Response> =>
  fetch(load.url, {
    method: load.method ?? "GET",
    headers: { ...load.headers },
    ...(load.body === undefined ? {} : { body: load.body }),
  });

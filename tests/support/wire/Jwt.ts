/** JSON Web Tokens as a shop's front end would send them, good and bad. */
import { type JWTPayload, SignJWT } from "jose";

/** Long enough for HS256; tests grep for it, so it is like nothing else. */
export const jwtSecret = "e2e-jwt-secret-0123456789-abcdefghijklmnop";

/** How a token differs from a good one. */
export interface TokenOptions {
  /** Claims added to, or (when undefined) taken from the good ones. */
  readonly claims?: Readonly<Record<string, unknown>>;
  /** Key it is signed with [{@link jwtSecret}]. */
  readonly secret?: string;
  /** Header's algorithm ["HS256"]. */
  readonly alg?: string;
}

/** A signed token of the tenant, good for an hour unless the claims say otherwise. */
export async function tokenOf(tenantId: string, options: TokenOptions = {}): Promise<string> {
  const { claims = {}, secret = jwtSecret, alg = "HS256" } = options;
  const now = Math.floor(Date.now() / 1000);
  const all: JWTPayload = { sub: "shopper", tenantId, iat: now, exp: now + 3600, ...claims };
  const payload = Object.fromEntries(
    Object.entries(all).filter(([, value]) => value !== undefined),
  );
  return await new SignJWT(payload).setProtectedHeader({ alg }).sign(
    new TextEncoder().encode(secret),
  );
}

/** The header of such a token. */
export async function bearer(
  tenantId: string,
  options?: TokenOptions,
): Promise<Record<string, string>> {
  return { authorization: `Bearer ${await tokenOf(tenantId, options)}` };
}

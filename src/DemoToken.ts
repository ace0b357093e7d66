/** A token to try the embedded data with, for a secret that nobody knows. */
import { Redacted } from "effect";
import { SignJWT } from "jose";
import type { AppConfig } from "./Config.ts";
import type { Embedded } from "./EmbeddedData.ts";

/** Good for 12 hours, for the first of the embedded tenants: what is printed of it. */
export const demoToken = async (settings: AppConfig, data: Embedded): Promise<string> => {
  const tenantId = data.tenants[0]?.tenantId ?? data.stores[0]?.tenantId ?? "demo";
  const key = new TextEncoder().encode(Redacted.value(settings.jwtSecret ?? Redacted.make("")));
  const token = new SignJWT({ tenantId }).setProtectedHeader({ alg: "HS256" }).setSubject("demo")
    .setIssuedAt().setExpirationTime("12h");
  if (settings.jwtIssuer !== undefined) token.setIssuer(settings.jwtIssuer);
  if (settings.jwtAudience !== undefined) token.setAudience(settings.jwtAudience);
  return `Demo token of tenant "${tenantId}": ${await token.sign(key)}`;
};

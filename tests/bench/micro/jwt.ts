/** A token that was verified before, beside fast-jwt with its cache on. */
import { SignJWT } from "jose";
import { VerifiedTokens } from "../../../src/http/VerifiedTokens.ts";
import { calling, measure, peer } from "./Measure.ts";

interface FastJwt {
  createVerifier(options: unknown): (token: string) => unknown;
}

const secret = "a secret of this benchmark, and of nothing else";
const tokens = await Promise.all(Array.from(
  { length: 100 },
  (_, i) =>
    new SignJWT({ tenantId: `tenant-${i}` }).setProtectedHeader({ alg: "HS256" })
      .setSubject("bench").setIssuedAt().setExpirationTime("12h")
      .sign(new TextEncoder().encode(secret)),
));

// What the package exports is known from its documentation.
const { createVerifier } = peer("fast-jwt") as FastJwt;
const verify = createVerifier({ key: secret, algorithms: ["HS256"], cache: 10_000 });

const verified = new VerifiedTokens<{ readonly tenantId: string }>(10_000);
const now = Date.now();
const headers = tokens.map((token) => `Bearer ${token}`);
headers.forEach((header, i) => {
  verified.set(header, { tenantId: `tenant-${i}` }, now + 12 * 3_600_000, now);
});
for (const token of tokens) verify(token);

await measure({
  "ours": calling((i) => {
    const found = verified.get(headers[i % 100] ?? "", Date.now());
    // A minute may pass while this is measured; the product would verify again then.
    if (found === undefined) {
      const header = headers[i % 100] ?? "";
      verified.set(header, { tenantId: "" }, Date.now() + 3_600_000, Date.now());
    }
    return found;
  }),
  "fast-jwt": calling((i) => verify(tokens[i % 100] ?? "")),
});

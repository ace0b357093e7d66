/** JSON Web Tokens as anybody may send them. */
import assert from "node:assert/strict";
import { Effect, Either, Redacted } from "effect";
import * as fc from "fast-check";
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { InvalidToken, TokenVerifier } from "../../../src/http/TokenVerifier.ts";
import { jwtSecret } from "../../support/wire/Jwt.ts";
import { byMutation, byProperty, type Target, together } from "../Target.ts";

const base64url = (text: string) => Buffer.from(text).toString("base64url");

const signatureOf = (input: string, secret = jwtSecret) =>
  createHmac("sha256", secret).update(input).digest("base64url");

const signed = (header: unknown, payload: unknown): string => {
  const input = `${base64url(JSON.stringify(header))}.${base64url(JSON.stringify(payload))}`;
  return `${input}.${signatureOf(input)}`;
};

const inAnHour = Math.floor(Date.now() / 1_000) + 3_600;
const claims = { sub: "shopper", tenantId: "ikea", exp: inAnHour };

/** True when the last part is the HMAC of the first two, whatever way its base64 is written. */
const isSigned = (token: string): boolean => {
  const dot = token.lastIndexOf(".");
  const signature = Buffer.from(token.slice(dot + 1), "base64url");
  return signature.equals(Buffer.from(signatureOf(token.slice(0, dot)), "base64url"));
};

/** Claims, right and wrong and nearly right. */
const payload = fc.dictionary(
  fc.constantFrom("sub", "tenantId", "exp", "nbf", "iat", "iss", "aud", "crit", "__proto__"),
  fc.oneof(
    fc.constantFrom("shopper", "ikea", inAnHour, inAnHour - 7_200, 1e308, -1, 0, null, true),
    fc.double(),
    fc.string({ unit: "binary" }),
    fc.jsonValue(),
  ),
);

const header = fc.record({
  alg: fc.oneof(
    { weight: 5, arbitrary: fc.constant("HS256") },
    fc.constantFrom("none", "HS512", "RS256", "hs256", "", null),
    fc.jsonValue(),
  ),
  kid: fc.oneof(fc.string({ unit: "binary" }), fc.jsonValue()),
  crit: fc.constantFrom(["b64"], [], "exp"),
  b64: fc.boolean(),
  jwk: fc.constant({ kty: "oct", k: base64url("x".repeat(32)) }),
}, { requiredKeys: ["alg"] });

export const jwt: Target = {
  name: "jwt",
  weight: 4,
  promise: "a token counts only with our signature and legal claims; all else is InvalidToken",
  open: async () => {
    const { verify } = await Effect.runPromise(
      Effect.provide(
        TokenVerifier,
        TokenVerifier.layerSecret({ secret: Redacted.make(jwtSecret) }),
      ),
    );
    const check = async (token: string): Promise<string> => {
      const verdict = await Effect.runPromise(Effect.either(verify(token)));
      if (Either.isLeft(verdict)) {
        const { left } = verdict;
        assert.ok(left instanceof InvalidToken, String(left));
        // Fit for a quoted string of WWW-Authenticate.
        assert.match(left.description, /^[\x20-\x7e]{1,100}$/);
        assert.doesNotMatch(left.description, /["\\]/);
        return left.description;
      }
      assert.ok(isSigned(token), "a token counted without our signature");
      const { subject, tenantId, expiresAt } = verdict.right;
      assert.ok(subject !== "" && tenantId !== "");
      assert.equal(typeof expiresAt, "number");
      assert.ok(expiresAt > Date.now() - 10_000, `expires at ${expiresAt}`);
      return "valid";
    };
    const decoder = new TextDecoder();
    const encoder = new TextEncoder();
    return {
      run: together(
        [
          1,
          await byMutation({
            corpus: "jwt",
            more: [
              signed({ alg: "HS256" }, claims),
              signed({ alg: "HS256", typ: "JWT", kid: "1" }, { ...claims, aud: ["a"], nbf: 1 }),
              signed({ alg: "none" }, claims),
            ].map((token) => encoder.encode(token)),
            dictionary: [".", "..", "=", base64url('{"alg":"none"}'), base64url("{}"), "eyJ"],
            check: (bytes) => check(decoder.decode(bytes)),
          }),
        ],
        [
          1,
          byProperty(
            fc.tuple(header, payload),
            ([header, payload]) => check(signed(header, { ...claims, ...payload })),
          ),
        ],
      ),
    };
  },
};

/**
 * Who is calling, from `Authorization: Bearer …` (RFC 6750): 401 without a token that counts, 403
 * for a good one whose tenant cannot exist, 503 while its keys cannot be had.
 */
import { HttpApiMiddleware, HttpApiSecurity } from "@effect/platform";
import { type Context, Effect, Schema } from "effect";
import { requestHeader } from "./DenoServe.ts";
import * as Gate from "./Gate.ts";
import * as Header from "./Header.ts";
import type { KeysUnavailable } from "./Jwks.ts";
import { Principal } from "./Principal.ts";
import { Forbidden, ServiceUnavailable, Unauthorized } from "./Problem.ts";
import { type InvalidToken, TokenVerifier } from "./TokenVerifier.ts";
import { VerifiedTokens } from "./VerifiedTokens.ts";

/** Marks endpoints that need a token; their handlers find the caller in `context.principal`. */
export class Authentication extends HttpApiMiddleware.Tag<Authentication>()(
  "http/Authentication",
  {
    failure: Schema.Union(Unauthorized, Forbidden, ServiceUnavailable),
    provides: Principal,
    security: { bearer: HttpApiSecurity.bearer },
  },
) {}

/** Settings of the gate. */
export interface Options {
  /** Most verified tokens remembered [10,000]. */
  readonly remembered?: number;
  /** Sentence of the 503 while keys cannot be had [Service temporarily unavailable]. */
  readonly unavailable?: string;
}

/** Legal tenants, in tokens as in data: nothing that could end a cache key's part. */
export const tenantIdPattern = /^[A-Za-z0-9_-]{1,64}$/;

const challengeHeader = Header.named("www-authenticate");
const challenge = 'Bearer realm="amicis"';

/** Longest credentials looked at, in characters. */
const maxLength = 8192;

/** Longest header remembered, in characters: what is remembered stays below 40 MB. */
const maxRemembered = 4096;

// The token68 of RFC 7235; the scheme's name has no case.
const credentials = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i;

/** The gate of endpoints marked {@link Authentication}; a token it remembers costs one look-up. */
export const gate = (
  { remembered = 10_000, unavailable }: Options = {},
): Effect.Effect<Gate.Gate, never, TokenVerifier> =>
  Effect.gen(function* () {
    const { verify } = yield* TokenVerifier;
    const clock = yield* Effect.clock;
    const tokens = new VerifiedTokens<Context.Tag.Service<Principal>>(remembered);

    return Gate.make(Authentication, (request, context) => {
      const header = requestHeader(request, "authorization");
      if (header === null) return missing();
      const known = tokens.get(header, clock.unsafeCurrentTimeMillis());
      if (known !== undefined) {
        context.principal = known;
        return undefined;
      }
      const token = tokenOf(header);
      if (typeof token !== "string") return token;
      return Effect.matchEffect(verify(token), {
        onSuccess: ({ subject, tenantId, expiresAt }) => {
          if (!tenantIdPattern.test(tenantId)) {
            return Effect.succeed(new Forbidden({ error: "Tenant is not valid" }));
          }
          const principal = { subject, tenantId };
          if (isRememberable(header, token)) {
            tokens.set(header, principal, expiresAt, clock.unsafeCurrentTimeMillis());
          }
          context.principal = principal;
          return Effect.succeed(undefined);
        },
        onFailure: (error) => Effect.succeed(problemOf(error, unavailable)),
      });
    });
  });

const tokenOf = (header: string): string | Unauthorized => {
  // Another scheme is no attempt with ours: RFC 6750 wants no error code then.
  if (!/^bearer(?: |$)/i.test(header)) return missing();
  const token = header.length > maxLength ? undefined : credentials.exec(header)?.[1];
  return token ?? invalid("The credentials are malformed");
};

/** In its plain form only: blanks in any number would make many entries of one token. */
const isRememberable = (header: string, token: string): boolean =>
  header.length === "bearer ".length + token.length && header.length <= maxRemembered;

const missing = (): Unauthorized => new Unauthorized({ headers: [challengeHeader(challenge)] });

const invalid = (description: string): Unauthorized =>
  new Unauthorized({
    error: "Token is invalid",
    detail: description,
    headers: [
      challengeHeader(
        `${challenge}, error="invalid_token", error_description="${description}"`,
      ),
    ],
  });

const problemOf = (error: InvalidToken | KeysUnavailable, unavailable: string | undefined) =>
  error._tag === "InvalidToken"
    ? invalid(error.description)
    : new ServiceUnavailable({ error: unavailable, retryAfter: error.retryAfter });

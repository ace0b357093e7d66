/**
 * Whether a JSON Web Token is one of ours, and for whom. Only compact, signed tokens with an `exp`
 * count; the algorithm must be one that our keys are for, so a token cannot choose `none`, nor have
 * a public key taken for a shared secret. Keys that a token brings along are never looked at.
 */
import { Context, Data, Duration, Effect, Layer, Redacted } from "effect";
import {
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  jwtVerify,
  type JWTVerifyOptions,
} from "jose";
import type { Jwks, KeysUnavailable } from "./Jwks.ts";

/** What a verified token says. */
export interface VerifiedToken {
  /** The `sub` claim, not empty. */
  readonly subject: string;
  /** The `tenantId` claim, not empty; whether it is a legal one is for the caller to judge. */
  readonly tenantId: string;
  /** When it stops counting, tolerance included: epoch milliseconds. */
  readonly expiresAt: number;
}

/** The token does not count; `description` is fit for its sender to read. */
export class InvalidToken extends Data.TaggedError("InvalidToken")<{
  /** ASCII without quotes or backslashes, as `WWW-Authenticate` needs it. */
  readonly description: string;
}> {
  override get message(): string {
    return this.description;
  }
}

/** HS256 with less than 32 bytes of secret can be broken by trying. */
export class WeakSecret extends Data.TaggedError("WeakSecret")<{ readonly bytes: number }> {
  override get message(): string {
    return `Secret must have at least ${minimumSecret} bytes, not ${this.bytes}`;
  }
}

/** Claims that must be as given here. */
export interface Options {
  /** Required `iss` [any]. */
  readonly issuer?: string | undefined;
  /** Required among `aud` [any]. */
  readonly audience?: string | undefined;
  /** How far our clock and the issuer's may be apart [5 seconds]. */
  readonly clockTolerance?: Duration.DurationInput;
}

/** Least length of an HS256 secret in bytes of UTF-8. */
export const minimumSecret = 32;

/** Algorithms accepted with a key set; all have a public key. */
export const asymmetricAlgorithms: ReadonlyArray<string> = ["RS256", "ES256", "EdDSA"];

/** Most keys that are tried for a token that does not name one. */
const maxCandidates = 8;

/** Verifies tokens. */
export class TokenVerifier extends Context.Tag("http/TokenVerifier")<TokenVerifier, {
  readonly verify: (
    token: string,
  ) => Effect.Effect<VerifiedToken, InvalidToken | KeysUnavailable>;
}>() {
  /** HS256 with a shared secret. */
  static readonly layerSecret = (
    options: Options & { readonly secret: Redacted.Redacted },
  ): Layer.Layer<TokenVerifier, WeakSecret> =>
    Layer.effect(
      TokenVerifier,
      Effect.gen(function* () {
        const bytes = new TextEncoder().encode(Redacted.value(options.secret));
        if (bytes.byteLength < minimumSecret) {
          return yield* new WeakSecret({ bytes: bytes.byteLength });
        }
        // Made for the first token: to load WebCrypto takes 3 ms, which a start need not wait for.
        const keys = yield* Effect.cached(Effect.promise(async () => [
          await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, [
            "verify",
          ]),
        ]));
        return { verify: verifier(options, ["HS256"], () => keys) };
      }),
    );

  /** RS256, ES256 or EdDSA with the keys of a key set. */
  static readonly layerJwks = (
    options: Options & { readonly jwks: Jwks },
  ): Layer.Layer<TokenVerifier> =>
    Layer.succeed(TokenVerifier, {
      verify: verifier(options, asymmetricAlgorithms, options.jwks.find),
    });
}

type FindKeys = (
  header: { readonly alg: string; readonly kid?: string },
) => Effect.Effect<ReadonlyArray<CryptoKey>, KeysUnavailable>;

const verifier = (options: Options, algorithms: ReadonlyArray<string>, findKeys: FindKeys) => {
  const tolerance = Duration.toSeconds(options.clockTolerance ?? "5 seconds");
  const claims: JWTVerifyOptions = {
    algorithms: [...algorithms],
    clockTolerance: tolerance,
    requiredClaims: ["exp", "sub", "tenantId"],
    ...(options.issuer === undefined ? {} : { issuer: options.issuer }),
    ...(options.audience === undefined ? {} : { audience: options.audience }),
  };
  return Effect.fnUntraced(function* (token: string) {
    const header = yield* headerOf(token, algorithms);
    const keys = yield* findKeys(header);
    const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis);
    const currentDate = new Date(now);
    let failure = new InvalidToken({ description: "The token is signed with an unknown key" });
    for (const key of keys.slice(0, maxCandidates)) {
      const result = yield* Effect.either(
        Effect.tryPromise({
          try: () => jwtVerify(token, key, { ...claims, currentDate }),
          catch: (error) => new InvalidToken({ description: describe(error) }),
        }),
      );
      if (result._tag === "Right") return yield* read(result.right.payload, tolerance);
      failure = result.left;
    }
    return yield* failure;
  });
};

const headerOf = (
  token: string,
  algorithms: ReadonlyArray<string>,
): Effect.Effect<{ readonly alg: string; readonly kid?: string }, InvalidToken> =>
  Effect.suspend(() => {
    try {
      const { alg, kid } = decodeProtectedHeader(token);
      if (alg === undefined || !algorithms.includes(alg)) {
        return new InvalidToken({ description: "The algorithm of the token is not accepted" });
      }
      return Effect.succeed(kid === undefined ? { alg } : { alg, kid });
    } catch {
      return new InvalidToken({ description: malformed });
    }
  });

const malformed = "The token is malformed";

const read = (
  payload: JWTPayload,
  tolerance: number,
): Effect.Effect<VerifiedToken, InvalidToken> => {
  const { sub, tenantId, exp } = payload;
  if (typeof sub !== "string" || sub === "") return invalidClaim("sub");
  if (typeof tenantId !== "string" || tenantId === "") return invalidClaim("tenantId");
  if (exp === undefined) return invalidClaim("exp");
  return Effect.succeed({ subject: sub, tenantId, expiresAt: (exp + tolerance) * 1000 });
};

const invalidClaim = (claim: string) =>
  new InvalidToken({ description: `The claim ${claim} of the token is invalid` });

/** In our words: those of the library quote the token. */
const describe = (error: unknown): string => {
  if (error instanceof errors.JWTExpired) return "The token has expired";
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === "missing") return `The token has no claim ${error.claim}`;
    if (error.claim === "nbf") return "The token is not valid yet";
    return `The claim ${error.claim} of the token is invalid`;
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return "The signature of the token is invalid";
  }
  return malformed;
};

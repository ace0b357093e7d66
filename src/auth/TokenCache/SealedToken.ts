/**
 * Tokens at rest: AES-256-GCM with a random nonce, bound to the cache key they are stored under.
 *
 * Form: `{keyId}.{base64 of nonce ‖ tag ‖ ciphertext}`. The key id tells which key to try and nothing
 * about the key. Random 96-bit nonces are safe for some 2^32 tokens per key.
 */
import { Array as Arrays, Option, Redacted } from "effect";
import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";
import type { CachedToken } from "../TokenCache.ts";
import type { TokenKeys } from "../TokenKeys.ts";

const cipherName = "aes-256-gcm";
const nonceBytes = 12;
const tagBytes = 16;

/** Encrypts and decrypts the values of a token cache. */
export interface TokenSeal {
  readonly seal: (cacheKey: string, value: CachedToken) => string;
  /** None for anything that none of the keys sealed for this very cache key. */
  readonly open: (cacheKey: string, text: string) => Option.Option<CachedToken>;
}

/** A seal that encrypts with the first key and decrypts with each of them. */
export const makeSeal = (keys: TokenKeys): TokenSeal => {
  const all = Arrays.map(keys, (key) => ({ id: keyId(key), bytes: Redacted.value(key) }));
  const byId = new Map(all.map(({ id, bytes }) => [id, bytes]));
  const { id, bytes } = all[0];
  return {
    seal: (cacheKey, { accessToken, issuedAt, expiresAt, validUntil }) => {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv(cipherName, bytes, nonce);
      cipher.setAAD(Buffer.from(cacheKey));
      const token = Redacted.value(accessToken);
      const text = JSON.stringify({ accessToken: token, issuedAt, expiresAt, validUntil });
      const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
      return `${id}.${Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64")}`;
    },
    open: (cacheKey, text) => {
      const dot = text.indexOf(".");
      const key = byId.get(text.slice(0, Math.max(dot, 0)));
      if (key === undefined) return Option.none();
      const sealed = Buffer.from(text.slice(dot + 1), "base64");
      if (sealed.length < nonceBytes + tagBytes) return Option.none();
      return Option.flatMap(decrypt(key, cacheKey, sealed), parse);
    },
  };
};

/** The first 12 hex digits of a hash of the key, with a prefix that keeps it from other uses. */
const keyId = (key: Redacted.Redacted<Uint8Array>): string =>
  createHash("sha256").update("amicis token cache key").update(Redacted.value(key)).digest("hex")
    .slice(0, 12);

const decrypt = (key: Uint8Array, cacheKey: string, sealed: Buffer): Option.Option<string> => {
  const body = nonceBytes + tagBytes;
  return Option.liftThrowable(() => {
    const decipher = createDecipheriv(cipherName, key, sealed.subarray(0, nonceBytes));
    decipher.setAAD(Buffer.from(cacheKey));
    decipher.setAuthTag(sealed.subarray(nonceBytes, body));
    return Buffer.concat([decipher.update(sealed.subarray(body)), decipher.final()])
      .toString("utf8");
  })();
};

const parse = (text: string): Option.Option<CachedToken> =>
  Option.flatMap(
    Option.liftThrowable((): unknown => JSON.parse(text))(),
    (value) =>
      typeof value === "object" && value !== null && "accessToken" in value &&
        "issuedAt" in value && "expiresAt" in value && "validUntil" in value &&
        typeof value.accessToken === "string" && typeof value.issuedAt === "number" &&
        typeof value.expiresAt === "number" && typeof value.validUntil === "number"
        ? Option.some({
          accessToken: Redacted.make(value.accessToken),
          issuedAt: value.issuedAt,
          expiresAt: value.expiresAt,
          validUntil: value.validUntil,
        })
        : Option.none(),
  );

/**
 * Tokens that were exchanged before, so that a shopper's next request asks nobody.
 *
 * The key is a hash: neither the shopper's token nor the tenant can be read from it.
 */
import { Clock, Context, Effect, Layer, Option, Redacted } from "effect";
import { createHash } from "node:crypto";
import type { DependencyFailure } from "../resilience/DependencyFailure.ts";

/** An access token and three instants, in epoch milliseconds. */
export interface CachedToken {
  readonly accessToken: Redacted.Redacted<string>;
  /** When it was exchanged, which shows a clock that was set back since. */
  readonly issuedAt: number;
  /** From here on the cache no longer gives it out: some time before its end. */
  readonly expiresAt: number;
  /** The token's own end, from which the use case tells callers what is left of it. */
  readonly validUntil: number;
}

/** Keeps access tokens under the tenant's name and the token they were exchanged for. */
export class TokenCache extends Context.Tag("auth/TokenCache")<TokenCache, {
  /** The token if it has not expired. A value that is damaged or foreign counts as none. */
  readonly get: (
    tenantId: string,
    token: Redacted.Redacted<string>,
  ) => Effect.Effect<Option.Option<CachedToken>, DependencyFailure>;
  /** Keeps the token until it expires, in place of whatever was there. */
  readonly set: (
    tenantId: string,
    token: Redacted.Redacted<string>,
    value: CachedToken,
  ) => Effect.Effect<void, DependencyFailure>;
}>() {
  /**
   * Keeps tokens in this process's memory: at most `size` [10000] and together at most `characters`
   * [32 Mi], the least recently used go first. Never fails.
   */
  static readonly layerMemory = (
    options: { readonly size?: number; readonly characters?: number } = {},
  ): Layer.Layer<TokenCache> =>
    Layer.sync(this, () => {
      const tokens = new RecentTokens(options.size ?? 10_000, options.characters ?? 32 * 2 ** 20);
      return {
        get: (tenantId, token) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            const key = keyOf(tenantId, token);
            const value = tokens.get(key);
            if (value === undefined || value.expiresAt > now) return Option.fromNullable(value);
            tokens.delete(key);
            return Option.none();
          }),
        set: (tenantId, token, value) =>
          Effect.sync(() => tokens.set(keyOf(tenantId, token), value)),
      };
    });
}

/** `tenantId:token`: no two pairs share one, as no tenant's name holds a colon. A secret, like the token. */
export const nameOf = (tenantId: string, token: Redacted.Redacted<string>): string =>
  `${tenantId}:${Redacted.value(token)}`;

/** Where a token lives, in every backend: `token:` and the SHA-256 of {@link nameOf} in hex. */
export const keyOf = (tenantId: string, token: Redacted.Redacted<string>): string =>
  `token:${createHash("sha256").update(nameOf(tenantId, token)).digest("hex")}`;

/** A map in the order of last use, bounded by count and by the tokens' total length. */
class RecentTokens {
  readonly #tokens = new Map<string, CachedToken>();
  readonly #size: number;
  readonly #characters: number;
  #used = 0;

  constructor(size: number, characters: number) {
    this.#size = size;
    this.#characters = characters;
  }

  get(key: string): CachedToken | undefined {
    const value = this.#tokens.get(key);
    if (value === undefined) return undefined;
    this.#tokens.delete(key);
    this.#tokens.set(key, value);
    return value;
  }

  set(key: string, value: CachedToken): void {
    this.delete(key);
    this.#tokens.set(key, value);
    this.#used += lengthOf(value);
    for (const oldest of this.#tokens.keys()) {
      if (this.#tokens.size <= this.#size && this.#used <= this.#characters) return;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    const value = this.#tokens.get(key);
    if (value === undefined) return;
    this.#tokens.delete(key);
    this.#used -= lengthOf(value);
  }
}

const lengthOf = ({ accessToken }: CachedToken): number => Redacted.value(accessToken).length;

/**
 * Tokens that were verified a short while ago, so that each is verified once a minute and not once
 * a request (300 µs). Only valid ones get in, so made-up tokens cannot push others out.
 *
 * Two generations stand for "least recently used": when the young one is full it becomes the old
 * one, and what is used moves to the young one. A hit in the young generation writes nothing.
 */

/** Longest time a token counts without being verified again: a withdrawn key is noticed by then. */
const rememberedMillis = 60_000;

interface Entry<A> {
  readonly value: A;
  /** Epoch milliseconds. */
  readonly until: number;
}

/** Remembers values by the text they were found in. */
export class VerifiedTokens<A> {
  #young = new Map<string, Entry<A>>();
  #old = new Map<string, Entry<A>>();
  readonly #half: number;

  /** Keeps at most `capacity` tokens. */
  constructor(capacity: number) {
    this.#half = Math.max(1, Math.floor(capacity / 2));
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** `now` in epoch milliseconds. */
  get(key: string, now: number): A | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) {
      if (now < young.until) return young.value;
      this.#young.delete(key);
      return undefined;
    }
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    if (now >= old.until) return undefined;
    this.#add(key, old);
    return old.value;
  }

  /** Remembers a token until it expires, a minute at most. Times in epoch milliseconds. */
  set(key: string, value: A, expiresAt: number, now: number): void {
    this.#old.delete(key);
    this.#add(key, { value, until: Math.min(expiresAt, now + rememberedMillis) });
  }

  #add(key: string, entry: Entry<A>): void {
    if (this.#young.size >= this.#half) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, entry);
  }
}

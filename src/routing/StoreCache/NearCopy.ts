/**
 * What the near cache holds, and the rule that keeps it right: nothing is kept whose key changed, or
 * may have changed unnoticed, after the lookup that brought it set out. All of it is synchronous.
 */
import { RecentEntries } from "../../http/RecentEntries.ts";
import type { CachedStore } from "../StoreCache.ts";

/** One lookup, or several at once, on the way to Redis for the same key. */
export interface Fill {
  /** False once the key changed: what is on its way may be the old value. */
  valid: boolean;
  lookups: number;
}

/** The entries, and whether they may be believed. */
export class NearCopy {
  readonly entries: RecentEntries<CachedStore>;
  readonly #fills = new Map<string, Fill>();
  #tracked = false;
  #session = 0;

  constructor(size: number) {
    this.entries = new RecentEntries(size);
  }

  /** True while every change is known to be announced here. */
  get isTracked(): boolean {
    return this.#tracked;
  }

  /** Grows with each loss of the listening connection. */
  get session(): number {
    return this.#session;
  }

  /** Tracking began in the given session; nothing happens if that one has been lost meanwhile. */
  start(session: number): void {
    if (session === this.#session) this.#tracked = true;
  }

  /** Changes may pass unnoticed from here on. */
  stop(): void {
    this.#tracked = false;
    this.#session += 1;
    this.clear();
  }

  /** Everything changed: forgets all, also what is on its way. */
  clear(): void {
    this.entries.clear();
    for (const fill of this.#fills.values()) fill.valid = false;
    this.#fills.clear();
  }

  /** One key changed: forgets it, also when it is on its way. */
  drop(key: string): void {
    this.entries.delete(key);
    const fill = this.#fills.get(key);
    if (fill === undefined) return;
    fill.valid = false;
    this.#fills.delete(key);
  }

  /** A lookup sets out; to be ended by `end` whatever becomes of it. */
  begin(key: string): Fill {
    const known = this.#fills.get(key);
    if (known !== undefined) {
      known.lookups += 1;
      return known;
    }
    const fill = { valid: true, lookups: 1 };
    this.#fills.set(key, fill);
    return fill;
  }

  /** A lookup is back: its value is kept unless its key changed since the first one set out. */
  end(key: string, fill: Fill, value: CachedStore | undefined): void {
    fill.lookups -= 1;
    if (fill.lookups === 0 && this.#fills.get(key) === fill) this.#fills.delete(key);
    if (fill.valid && value !== undefined) this.entries.set(key, value);
  }
}

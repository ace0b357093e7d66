/**
 * A map that holds a bounded number of entries and forgets those not used lately.
 *
 * Second chance instead of strict least-recently-used: a hit sets one flag and moves nothing, which
 * keeps it a plain map lookup.
 */

interface Slot<V> {
  value: V;
  used: boolean;
}

/** How many used entries one eviction spares before it takes the next one regardless. */
const maxChances = 32;

/** A bounded map from texts; its cost is O(1), also when full. */
export class RecentEntries<V> {
  readonly #slots = new Map<string, Slot<V>>();
  readonly #capacity: number;

  /** Holds at most `capacity` entries; none for 0. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** How many entries there are. */
  get size(): number {
    return this.#slots.size;
  }

  /** The value, marked as used, or `undefined`. */
  get(key: string): V | undefined {
    const slot = this.#slots.get(key);
    if (slot === undefined) return undefined;
    slot.used = true;
    return slot.value;
  }

  /** Keeps the value; when full, at the cost of one not used since it was last passed over. */
  set(key: string, value: V): void {
    const slot = this.#slots.get(key);
    if (slot !== undefined) {
      slot.value = value;
      return;
    }
    if (this.#capacity < 1) return;
    if (this.#slots.size >= this.#capacity) this.#evict();
    this.#slots.set(key, { value, used: false });
  }

  /** Forgets one entry; true when there was one. */
  delete(key: string): boolean {
    return this.#slots.delete(key);
  }

  /** Forgets all. */
  clear(): void {
    this.#slots.clear();
  }

  #evict(): void {
    let chances = maxChances;
    for (const [key, slot] of this.#slots) {
      this.#slots.delete(key);
      if (!slot.used || chances-- === 0) return;
      slot.used = false;
      this.#slots.set(key, slot);
    }
  }
}

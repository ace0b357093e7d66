/**
 * How many things happened in the last `buckets` × `width` milliseconds, counted in place.
 *
 * Unlike `RollingWindow` this one is mutable, has one kind of thing to count and is written on every
 * call, so it allocates nothing after the first. Time going back counts in the current bucket.
 */
export class RollingCount {
  readonly #width: number;
  readonly #buckets: number;
  /** Ring of counts; made on first use, so that an unused one costs no memory. */
  #ring: Array<number> | undefined;
  #total = 0;
  /** Number of the current bucket: `floor(now / width)`. */
  #index = -Infinity;

  constructor(width: number, buckets: number) {
    this.#width = width;
    this.#buckets = buckets;
  }

  /** Counts one more at `now`, in monotonic milliseconds. */
  add(now: number): void {
    const ring = this.#advance(now);
    const slot = this.#index % this.#buckets;
    ring[slot] = (ring[slot] ?? 0) + 1;
    this.#total += 1;
  }

  /** What still counts at `now`: everything younger than the window, less up to one bucket. */
  total(now: number): number {
    if (this.#ring !== undefined) this.#advance(now);
    return this.#total;
  }

  /** Milliseconds that {@link total} covers at `now`: the window less the current bucket's rest. */
  span(now: number): number {
    return this.#width * (this.#buckets - 1) + now % this.#width;
  }

  /** Forgets everything. */
  clear(): void {
    this.#ring = undefined;
    this.#total = 0;
    this.#index = -Infinity;
  }

  #advance(now: number): Array<number> {
    const index = Math.floor(now / this.#width);
    const ring = this.#ring ??= new Array<number>(this.#buckets).fill(0);
    if (index <= this.#index) return ring;
    if (index - this.#index >= this.#buckets) {
      ring.fill(0);
      this.#total = 0;
    } else {
      for (let gone = this.#index + 1; gone <= index; gone++) {
        const slot = gone % this.#buckets;
        this.#total -= ring[slot] ?? 0;
        ring[slot] = 0;
      }
    }
    this.#index = index;
    return ring;
  }
}

/**
 * A quantile of recent durations in bounded memory: counts in buckets of equal ratio, as in DDSketch
 * (Masson, Rim, Lee, VLDB 2019), so that an answer is at most 10 % above the true one. Once `memory`
 * values have come, all counts are halved, and again whenever they have grown back to that: the last
 * `memory` values weigh about as much as all before them.
 */

/** Ratio of one bucket's end to that of the one before. */
const ratio = 1.1;

/** End of the first bucket, in milliseconds; what is shorter counts there. */
const shortest = 0.1;

/** As many as lead beyond a minute; what is longer counts in the last. */
const buckets = 141;

const logRatio = Math.log(ratio);

const bucketOf = (milliseconds: number): number =>
  Math.min(buckets - 1, Math.max(0, Math.ceil(Math.log(milliseconds / shortest) / logRatio)));

export class RecentQuantile {
  readonly #counts = new Float32Array(buckets);
  #total = 0;

  /** `quantile` is from 0 to 1; `memory` is a number of values. */
  constructor(readonly quantile: number, readonly memory: number) {}

  add(milliseconds: number): void {
    const bucket = bucketOf(milliseconds);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#total += 1;
    if (this.#total < this.memory) return;
    this.#total /= 2;
    for (let bucket = 0; bucket < buckets; bucket++) {
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) / 2;
    }
  }

  /** How much the values weigh that it speaks of; older ones count by halves. */
  get weight(): number {
    return this.#total;
  }

  /** Milliseconds that the quantile does not exceed; the longest bucket's end when there is none. */
  get value(): number {
    // Sought from above: the quantiles that are asked for are high ones.
    let above = this.#total * (1 - this.quantile);
    for (let bucket = buckets - 1; bucket > 0; bucket--) {
      above -= this.#counts[bucket] ?? 0;
      if (above < 0) return shortest * ratio ** bucket;
    }
    return shortest;
  }
}

/** Random numbers that a seed decides, so that every run of the simulator is the same run. */

/** Uniform in [0, 1) (mulberry32). */
export type Random = () => number;

export const fromSeed = (seed: number): Random => {
  let state = (seed * 0x9e3779b1) | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let hash = Math.imul(state ^ (state >>> 15), 1 | state);
    hash = (hash + Math.imul(hash ^ (hash >>> 7), 61 | hash)) ^ hash;
    return ((hash ^ (hash >>> 14)) >>> 0) / 2 ** 32;
  };
};

/** Time to the next of events that come `rate` times a unit of time on average. */
export const exponential = (random: Random, rate: number): number =>
  -Math.log(1 - random()) / rate;

/**
 * Token bucket as a pure step over a small state: `rate` tokens a second flow in, up to `burst`.
 *
 * Over any time t at most `burst + rate × t` are taken. Time going back is a standstill.
 */

/** How fast tokens come, and how many can be waiting. */
export interface Limits {
  /** Tokens per second, more than 0. */
  readonly rate: number;
  /** Most tokens at a time, at least 1. */
  readonly burst: number;
}

/** Tokens at one moment, in monotonic milliseconds. */
export interface State {
  readonly tokens: number;
  readonly at: number;
}

/** A full bucket. */
export const full = ({ burst }: Limits, now: number): State => ({ tokens: burst, at: now });

/** The bucket as it stands at `now`. */
export const refill = ({ rate, burst }: Limits, state: State, now: number): State =>
  now <= state.at
    ? state
    : { tokens: Math.min(burst, state.tokens + rate * (now - state.at) / 1_000), at: now };

/** Rounding of many small refills must not cost a token that is due. */
const almostOne = 1 - 1e-6;

/** True when a token is there at the state's own moment. */
export const hasToken = (state: State): boolean => state.tokens >= almostOne;

/** One token less; only for a state that {@link hasToken}. */
export const take = (state: State): State => ({
  tokens: Math.max(0, state.tokens - 1),
  at: state.at,
});

/** Milliseconds until the next token, 0 when one is there. */
export const untilNext = ({ rate }: Limits, state: State): number =>
  hasToken(state) ? 0 : (1 - state.tokens) * 1_000 / rate;

/** Milliseconds until the bucket is full again. */
export const untilFull = ({ rate, burst }: Limits, state: State): number =>
  Math.max(0, burst - state.tokens) * 1_000 / rate;

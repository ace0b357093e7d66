/** Token bucket: refill, bounds, and what it tells of the future. */
import assert from "node:assert/strict";
import fc from "fast-check";
import * as TokenBucket from "../../src/resilience/TokenBucket.ts";
import { describe, it } from "../support/it.ts";

const limits = { rate: 10, burst: 5 };

/** Takes one if it can. */
const attempt = (
  limits: TokenBucket.Limits,
  state: TokenBucket.State,
  now: number,
): readonly [boolean, TokenBucket.State] => {
  const next = TokenBucket.refill(limits, state, now);
  return TokenBucket.hasToken(next) ? [true, TokenBucket.take(next)] : [false, next];
};

describe("TokenBucket", () => {
  it("full() holds a burst and no more, however long nobody takes", () => {
    const state = TokenBucket.refill(limits, TokenBucket.full(limits, 0), 1e12);
    assert.equal(state.tokens, 5);
    assert.equal(TokenBucket.untilFull(limits, state), 0);
  });

  it("refill() adds rate per second and ignores time going back", () => {
    const empty = { tokens: 0, at: 1_000 };
    assert.equal(TokenBucket.refill(limits, empty, 1_250).tokens, 2.5);
    assert.equal(TokenBucket.refill(limits, empty, 0), empty);
    assert.equal(TokenBucket.refill(limits, empty, 1_000), empty);
  });

  it("take() leaves what is over one token, and never less than none", () => {
    assert.deepEqual(TokenBucket.take({ tokens: 2.5, at: 7 }), { tokens: 1.5, at: 7 });
    assert.deepEqual(TokenBucket.take({ tokens: 1 - 1e-7, at: 7 }), { tokens: 0, at: 7 });
  });

  it("hasToken() forgives rounding of a millionth of a token, and no more", () => {
    const has = (tokens: number) => TokenBucket.hasToken({ tokens, at: 0 });
    assert.deepEqual([1, 1 - 1e-6, 1 - 1.1e-6].map(has), [true, true, false]);
  });

  it("untilFull() is the time after which nothing more fits", () => {
    assert.equal(TokenBucket.untilFull(limits, { tokens: 2, at: 0 }), 300);
    assert.equal(TokenBucket.untilFull(limits, { tokens: 9, at: 0 }), 0);
  });

  it("untilNext() is the time after which there is a token, not a moment more", () => {
    const state = { tokens: 0.25, at: 0 };
    const wait = TokenBucket.untilNext(limits, state);
    assert.equal(wait, 75);
    assert.equal(TokenBucket.hasToken(TokenBucket.refill(limits, state, wait)), true);
    assert.equal(TokenBucket.hasToken(TokenBucket.refill(limits, state, wait - 0.1)), false);
  });

  it("take() gives at most burst + rate × t in any time t, and at least all but one of it", () => {
    fc.assert(fc.property(
      fc.double({ min: 0.1, max: 1_000, noNaN: true }),
      fc.integer({ min: 1, max: 50 }),
      fc.array(fc.nat(500), { minLength: 1, maxLength: 300 }),
      (rate, burst, gaps) => {
        const limits = { rate, burst };
        let state = TokenBucket.full(limits, 0);
        const taken: Array<number> = [];
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          const [isTaken, next] = attempt(limits, state, now);
          state = next;
          if (isTaken) taken.push(now);
        }
        for (let from = 0; from < taken.length; from++) {
          for (let to = from; to < taken.length; to++) {
            const span = ((taken[to] ?? 0) - (taken[from] ?? 0)) / 1_000;
            assert.ok(to - from + 1 <= burst + rate * span + 1e-3);
          }
        }
      },
    ));
  });

  it("a refused call is admitted after untilNext(), for any history", () => {
    fc.assert(fc.property(
      fc.double({ min: 0.01, max: 1_000, noNaN: true }),
      fc.array(fc.nat(200), { minLength: 1, maxLength: 100 }),
      (rate, gaps) => {
        const limits = { rate, burst: 3 };
        let state = TokenBucket.full(limits, 0);
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          const [isTaken, next] = attempt(limits, state, now);
          state = next;
          if (!isTaken) {
            const later = now + TokenBucket.untilNext(limits, state);
            assert.ok(attempt(limits, state, later)[0]);
          }
        }
      },
    ));
  });
});

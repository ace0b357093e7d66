/** Adaptive thresholds: against exact binomial tails, and as part of a real breaker. */
import assert from "node:assert/strict";
import { Effect, Random } from "effect";
import {
  type Baseline,
  baselineRate,
  noBaseline,
  type Rules,
  thresholdAt,
} from "../../src/resilience/AdaptiveThreshold.ts";
import { decode } from "../../src/resilience/BreakerSettings.ts";
import type * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import { describe, it } from "../support/it.ts";
import {
  counts,
  HandClock,
  make,
  record,
  rejection,
  run,
  state,
} from "./CircuitBreaker/support.ts";

const rulesOf = (settings: Partial<CircuitBreaker.Settings> = {}): Rules => {
  const { adaptive } = Effect.runSync(decode("rules", { adaptive: true, ...settings }));
  assert.ok(adaptive !== null);
  return adaptive;
};

const rules = rulesOf();

/** What many results at one failure rate teach. */
const learned = (rate: number, results = 1e6): Baseline => ({
  successes: results * (1 - rate),
  failures: results * rate,
  index: 0,
});

/** The chance of at least `failures` among `requests` at a failure rate, term by exact term. */
const tail = (failures: number, requests: number, rate: number): number => {
  let logTerm = requests * Math.log1p(-rate);
  let sum = 0;
  for (let k = 0; k <= requests; k += 1) {
    if (k >= failures) sum += Math.exp(logTerm);
    logTerm += Math.log((requests - k) / (k + 1)) + Math.log(rate / (1 - rate));
  }
  return sum;
};

const sizes = [3, 5, 10, 20, 50, 100, 500, 2_000];

describe("AdaptiveThreshold.thresholdAt()", () => {
  it("thresholdAt() is reached by ordinary noise no more often than allowed, at any rate", () => {
    for (const falseAlarm of [1e-4, 1e-10]) {
      const allowed = rulesOf({ adaptiveFalseAlarm: falseAlarm });
      for (const rate of [0.001, 0.01, 0.05, 0.15, 0.2]) {
        for (const requests of sizes) {
          const threshold = thresholdAt(allowed, learned(rate), requests);
          if (threshold === 1) continue;
          const chance = tail(Math.round(threshold * requests), requests, rate);
          assert.ok(chance <= falseAlarm, `${rate}, ${requests}: ${chance} at ${threshold}`);
        }
      }
    }
  });

  it("thresholdAt() asks little more than the chance allows when the floor does not bind", () => {
    // With four failures fewer, noise would open it more often than allowed.
    for (const rate of [0.05, 0.15]) {
      for (const requests of [20, 50, 100]) {
        const least = Math.round(thresholdAt(rules, learned(rate), requests) * requests);
        assert.ok(tail(least - 4, requests, rate) > 1e-10, `${rate}, ${requests}: ${least}`);
      }
    }
  });

  it("thresholdAt() falls towards the floor as there are more results", () => {
    const thresholds = sizes.map((requests) => thresholdAt(rules, learned(0.01), requests));
    assert.deepEqual(thresholds, thresholds.toSorted((one, other) => other - one));
    assert.deepEqual([thresholds[0], thresholds.at(-1)], [1, 0.2]);
  });

  it("thresholdAt() rises with what is normal", () => {
    const thresholds = [0.001, 0.05, 0.15, 0.24].map((rate) =>
      thresholdAt(rules, learned(rate), 100)
    );
    assert.deepEqual(thresholds, thresholds.toSorted((one, other) => one - other));
    assert.ok(new Set(thresholds).size >= 3, `${thresholds}`);
  });

  it("thresholdAt() stays at or below the ceiling however common failures were, given results", () => {
    for (const adaptiveCeiling of [0.3, 0.5, 0.9]) {
      const capped = rulesOf({ adaptiveCeiling });
      for (const rate of [0.3, 0.6, 1]) {
        assert.ok(thresholdAt(capped, learned(rate), 500) <= adaptiveCeiling, `${rate}`);
        assert.ok(baselineRate(capped, learned(rate)) <= adaptiveCeiling / 2 + 1e-12);
      }
    }
  });

  it("thresholdAt() is never below the floor", () => {
    for (const adaptiveFloor of [0.05, 0.2, 0.4]) {
      const floored = rulesOf({ adaptiveFloor });
      for (const requests of sizes) {
        assert.ok(thresholdAt(floored, learned(0), requests) >= adaptiveFloor);
      }
    }
  });

  it("thresholdAt() is 1 when so few results cannot tell", () => {
    assert.equal(thresholdAt(rules, learned(0.01), 0), 1);
    assert.equal(thresholdAt(rules, learned(0.15), 9), 1);
    assert.ok(thresholdAt(rules, learned(0.15), 20) < 1);
  });

  it("thresholdAt() takes a dependency of which nothing is known for a fairly good one", () => {
    assert.equal(baselineRate(rules, noBaseline), 0.01);
    assert.ok(thresholdAt(rules, noBaseline, 1_000) >= 0.2);
  });
});

const adaptive = (settings: Partial<CircuitBreaker.Settings> = {}) =>
  make({ adaptive: true, ...settings });

/** Runs `body` on a clock and random numbers of its own. */
const timed = <A, E>(seed: number, body: (time: HandClock) => Effect.Effect<A, E>) => () => {
  const time = new HandClock();
  return body(time).pipe(Effect.withClock(time.clock), Effect.withRandom(Random.make(seed)));
};

/** `seconds` of calls, ten a second, each failing with a chance of `rate`. */
const traffic = (
  breaker: CircuitBreaker.CircuitBreaker,
  time: HandClock,
  seconds: number,
  rate: number,
) =>
  Effect.forEach(Array.from({ length: seconds * 10 }), () =>
    Effect.gen(function* () {
      yield* run(breaker, (yield* Random.next) < rate ? "F" : "S");
      time.now += 100;
    }), { discard: true });

const baselineOf = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.map(breaker.snapshot, ({ adaptive }) => adaptive?.baseline ?? NaN);

describe("an adaptive CircuitBreaker", () => {
  it.effect(
    "opens at fewer failures in a row once the dependency is known to be good",
    timed(1, (time) =>
      Effect.gen(function* () {
        const fresh = yield* adaptive();
        assert.equal(yield* run(fresh, "FFFFFFFFF"), "FFFFFFFFx");
        const known = yield* adaptive();
        yield* traffic(known, time, 1_000, 0);
        assert.equal(yield* run(known, "FFFF"), "FFFx");
        const noisy = yield* adaptive();
        yield* traffic(noisy, time, 1_000, 0.15);
        assert.equal(yield* run(noisy, "S" + "F".repeat(11)), "S" + "F".repeat(11));
      })),
  );

  it.effect("does not open at the fixed thresholds", () =>
    Effect.gen(function* () {
      const breaker = yield* adaptive({ minimumRequests: 1, consecutiveFailures: 1 });
      assert.equal(yield* run(breaker, "FSFSF"), "FSFSF");
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect(
    "opens in a brown-out that the fixed thresholds never see, and says why",
    timed(3, (time) =>
      Effect.gen(function* () {
        const fixed = yield* make({ consecutiveFailures: null });
        const breaker = yield* adaptive();
        const changes = yield* record(breaker);
        for (const one of [fixed, breaker]) {
          yield* traffic(one, time, 600, 0.005);
          yield* traffic(one, time, 10, 0.35);
        }
        assert.equal(yield* state(fixed), "closed");
        assert.deepEqual(changes.map(({ to }) => to), ["open"]);
        const trip = changes[0]?.trip;
        assert.equal(trip?.rule, "failure-rate");
        assert.ok(trip.baseline > 0 && trip.baseline < 0.02, `${trip.baseline}`);
        assert.ok(trip.failures / trip.requests >= trip.threshold && trip.threshold >= 0.2);
        const { adaptive: view } = yield* breaker.snapshot;
        assert.deepEqual(view, { baseline: trip.baseline, threshold: trip.threshold, trip });
        yield* breaker.control("close");
        assert.equal((yield* breaker.snapshot).adaptive?.trip, null);
      })),
  );

  it.effect(
    "learns nothing from the results that opened it",
    timed(4, (time) =>
      Effect.gen(function* () {
        const breaker = yield* adaptive();
        yield* traffic(breaker, time, 600, 0);
        const before = yield* baselineOf(breaker);
        for (let outage = 0; outage < 20; outage += 1) {
          yield* run(breaker, "FFFFFFF");
          yield* rejection(breaker);
          time.now += 30_000;
          assert.equal(yield* run(breaker, "SSS"), "SSS");
        }
        yield* traffic(breaker, time, 60, 0);
        assert.ok((yield* baselineOf(breaker)) <= before);
      })),
  );

  it.effect(
    "learns every other result, also at one call a minute",
    timed(8, (time) =>
      Effect.gen(function* () {
        const breaker = yield* adaptive();
        for (let call = 0; call < 3_000; call += 1) {
          time.now += 60_000;
          yield* run(breaker, (yield* Random.next) < 0.15 ? "F" : "S");
        }
        const baseline = yield* baselineOf(breaker);
        assert.ok(baseline > 0.12 && baseline < 0.18, `${baseline}`);
        assert.equal(yield* state(breaker), "closed");
      })),
  );

  it.effect(
    "forgets what it learned by reset alone",
    timed(5, (time) =>
      Effect.gen(function* () {
        const breaker = yield* adaptive();
        yield* traffic(breaker, time, 600, 0);
        const known = yield* baselineOf(breaker);
        assert.ok(known < 0.001, `${known}`);
        for (const action of ["close", "disable", "auto", "observe", "open"] as const) {
          yield* breaker.control(action);
          assert.equal(yield* baselineOf(breaker), known, action);
        }
        yield* breaker.control("reset");
        assert.equal(yield* baselineOf(breaker), 0.01);
      })),
  );

  it.effect(
    "lets what it learned fade with its half-life",
    timed(6, (time) =>
      Effect.gen(function* () {
        const breaker = yield* adaptive({ adaptiveHalfLife: "1 hour" });
        yield* traffic(breaker, time, 600, 0.1);
        assert.ok((yield* baselineOf(breaker)) > 0.08);
        time.now += 20 * 3_600_000;
        yield* run(breaker, "S");
        assert.ok(Math.abs((yield* baselineOf(breaker)) - 0.01) < 1e-3);
      })),
  );

  it.effect("judges slow calls by their own rule, also with adaptive thresholds", () =>
    Effect.gen(function* () {
      const breaker = yield* adaptive({ slowCallDuration: 0, slowCallRate: 0.5 });
      const changes = yield* record(breaker);
      assert.equal(yield* run(breaker, "SSSSSS"), "SSSSSx");
      assert.deepEqual(changes[0]?.trip, {
        rule: "slow-calls",
        failures: 5,
        requests: 5,
        baseline: 0.01,
        threshold: 0.5,
      });
    }));

  it.effect("says in mode observe why it would have opened, and never opens", () =>
    Effect.gen(function* () {
      const breaker = yield* adaptive();
      yield* breaker.control("observe");
      const changes = yield* record(breaker);
      assert.equal(yield* run(breaker, "FFFFFFFFFF"), "FFFFFFFFFF");
      assert.deepEqual(changes.map(({ observed, trip }) => [observed, trip?.rule]), [
        [true, "consecutive-failures"],
      ]);
    }));

  it.effect(
    "catches the outage of a quiet dependency however slowly the calls come",
    timed(7, (time) =>
      Effect.gen(function* () {
        const breaker = yield* adaptive();
        for (let call = 0; call < 8; call += 1) {
          time.now += 3_600_000;
          assert.equal(yield* run(breaker, "F"), "F");
        }
        yield* rejection(breaker);
      })),
  );

  it.effect("adds nothing to what a breaker with fixed thresholds tells", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const changes = yield* record(breaker);
      yield* run(breaker, "FFFFF");
      assert.equal("adaptive" in (yield* breaker.snapshot), false);
      assert.deepEqual(changes.map((change) => "trip" in change), [false]);
      assert.deepEqual(yield* counts(breaker), { requests: 5, successes: 0, failures: 5 });
    }));
});

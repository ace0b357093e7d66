/** What a sign of life does to an opening: the next call is a trial, and nothing else. */
import assert from "node:assert/strict";
import { Duration, Effect } from "effect";
import { describe, it } from "../../support/it.ts";
import { arrows, at, begin, make, record, rejection, run, state } from "./support.ts";

describe("CircuitBreaker hasten", () => {
  it.effect("makes an opening due: the next call is a trial, and trials alone close", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      yield* at(4_000);
      const changes = yield* record(breaker);
      assert.equal(yield* breaker.hasten, true);
      const { state: shown, openUntil, stateChangedAt } = yield* breaker.snapshot;
      assert.deepEqual([shown, openUntil, stateChangedAt], ["open", 4_000, 0]);
      assert.deepEqual(changes, []);
      assert.equal(yield* run(breaker, "SSS"), "SSS");
      assert.deepEqual(arrows(changes), ["open → half-open", "half-open → closed"]);
    }));

  it.effect("hastens an opening once, and none that is due by itself", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      yield* at(1_000);
      assert.deepEqual([yield* breaker.hasten, yield* breaker.hasten], [true, false]);
      yield* run(breaker, "F");
      yield* at(31_000);
      assert.equal(yield* breaker.hasten, false);
    }));

  it.effect("leaves a closed, a half-open, a disabled and an observed breaker as it is", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const unchanged = Effect.gen(function* () {
        const before = yield* breaker.snapshot;
        assert.equal(yield* breaker.hasten, false);
        assert.deepEqual(yield* breaker.snapshot, before);
      });
      yield* unchanged;
      yield* run(breaker, "FFFFF");
      yield* at(30_000);
      yield* run(breaker, "S");
      assert.equal(yield* state(breaker), "half-open");
      yield* unchanged;
      for (const action of ["disable", "observe"] as const) {
        yield* breaker.control(action);
        yield* unchanged;
      }
    }));

  it.effect("never touches a forced opening, also not one that was open by itself before", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      yield* breaker.control("open");
      assert.equal(yield* breaker.hasten, false);
      assert.equal((yield* rejection(breaker)).reason, "forced");
    }));

  it.effect("keeps a Retry-After: it is due when that ends, not before", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFF");
      yield* Effect.ignore(breaker.protect(Effect.fail({ retryAfter: Duration.seconds(20) })));
      yield* at(5_000);
      assert.equal(yield* breaker.hasten, true);
      assert.equal(Duration.toMillis((yield* rejection(breaker)).retryAfter), 15_000);
      yield* at(20_000);
      assert.equal(yield* run(breaker, "S"), "S");
    }));

  it.effect("counts a failed trial as a failed recovery: the next opening is longer", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ openForMax: "2 minutes" });
      yield* run(breaker, "FFFFF");
      yield* at(1_000);
      yield* breaker.hasten;
      yield* run(breaker, "F");
      assert.equal((yield* breaker.snapshot).openUntil, 61_000);
    }));

  it.effect("keeps the epoch: a late result of the closed state still changes nothing", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const late = yield* begin(breaker);
      yield* run(breaker, "FFFFF");
      yield* breaker.hasten;
      yield* late.end("success");
      assert.equal(yield* state(breaker), "open");
      assert.equal(yield* run(breaker, "SSS"), "SSS");
      assert.equal(yield* state(breaker), "closed");
    }));
});

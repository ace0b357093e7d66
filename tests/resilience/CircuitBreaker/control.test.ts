/** Conformance G: control by hand, changes, and the golden sequence. */
import assert from "node:assert/strict";
import { Chunk, Duration, Effect, Fiber, Stream } from "effect";
import type * as CircuitBreaker from "../../../src/resilience/CircuitBreaker.ts";
import { describe, it } from "../../support/it.ts";
import {
  arrows,
  at,
  begin,
  counts,
  make,
  record,
  rejection,
  run,
  settle,
  state,
} from "./support.ts";

const actions = ["open", "close", "reset", "disable", "observe", "auto"] as const;

const shown = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.map(breaker.snapshot, ({ state, mode }) => `${state} ${mode}`);

describe("CircuitBreaker control", () => {
  it.effect("G1 forced open ignores time and says so", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "SSF");
      yield* breaker.control("open");
      const { state, mode, openUntil, counts } = yield* breaker.snapshot;
      assert.deepEqual([state, mode, openUntil], ["open", "forced-open", null]);
      // It keeps the counts it found.
      assert.deepEqual([counts.requests, counts.totalFailures], [3, 1]);
      for (const now of [0, 30_000, 1e9]) {
        yield* at(now);
        const error = yield* rejection(breaker);
        assert.equal(error.reason, "forced");
        assert.equal(Duration.toMillis(error.retryAfter), 30_000);
      }
      assert.equal((yield* breaker.snapshot).counts.requests, 3);
    }));

  it.effect("G1 auto after forced open leaves it open but due: the next call is a trial", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* breaker.control("open");
      const changes = yield* record(breaker);
      yield* breaker.control("auto");
      assert.equal(yield* shown(breaker), "open auto");
      assert.equal(yield* run(breaker, "S"), "S");
      assert.equal(yield* shown(breaker), "half-open auto");
      yield* run(breaker, "SS");
      assert.deepEqual(arrows(changes), ["open → half-open", "half-open → closed"]);
    }));

  it.effect("G2 disabled admits all, records nothing, says nothing", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* breaker.control("disable");
      const changes = yield* record(breaker);
      const before = yield* breaker.totals;
      assert.equal(yield* run(breaker, "F".repeat(50) + "SN"), "F".repeat(50) + "SN");
      const permit = yield* breaker.acquire;
      yield* permit.settle("failure");
      assert.equal(yield* shown(breaker), "closed disabled");
      assert.equal((yield* counts(breaker)).requests, 0);
      assert.deepEqual(yield* breaker.totals, before);
      assert.deepEqual(changes, []);
    }));

  it.effect("G2 observe never opens, and says once that it would have", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* breaker.control("observe");
      const changes = yield* record(breaker);
      assert.equal(yield* run(breaker, "F".repeat(50)), "F".repeat(50));
      assert.equal(yield* shown(breaker), "closed observe");
      assert.deepEqual(
        changes.map(({ from, to, observed, manual, counts }) => ({
          from,
          to,
          observed,
          manual,
          failures: counts.totalFailures,
        })),
        [{ from: "closed", to: "open", observed: true, manual: false, failures: 5 }],
      );
      assert.deepEqual((yield* breaker.totals).transitions, []);
      assert.equal((yield* breaker.snapshot).stateChangedAt, 0);
    }));

  it.effect("G4 no control and no call leads from closed to half-open directly", () =>
    Effect.gen(function* () {
      for (const first of actions) {
        for (const second of actions) {
          const breaker = yield* make({ openFor: 0 });
          const changes = yield* record(breaker);
          yield* breaker.control(first);
          yield* run(breaker, "FFS");
          yield* breaker.control(second);
          yield* run(breaker, "FFFFFFSSSS");
          for (const { from, to } of changes) {
            assert.notEqual(`${from} ${to}`, "closed half-open");
          }
        }
      }
    }));

  it.effect("G6 while open the counts are those that tripped it, and the change carries them", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const changes = yield* record(breaker);
      yield* at(7_000);
      yield* run(breaker, "SSFSFF");
      const tripped = {
        requests: 6,
        totalSuccesses: 3,
        totalFailures: 3,
        consecutiveSuccesses: 0,
        consecutiveFailures: 2,
      };
      assert.deepEqual((yield* breaker.snapshot).counts, tripped);
      yield* at(36_999);
      assert.deepEqual((yield* breaker.snapshot).counts, tripped);
      assert.deepEqual(changes, [{
        breaker: "test",
        from: "closed",
        to: "open",
        at: 7_000,
        counts: tripped,
        manual: false,
      }]);
    }));

  it.effect("G7 an action that finds its own result makes no StateChange", () =>
    Effect.gen(function* () {
      for (const action of actions) {
        const breaker = yield* make();
        yield* breaker.control(action);
        const [before, changes] = [yield* breaker.snapshot, yield* record(breaker)];
        yield* at(5_000);
        yield* breaker.control(action);
        assert.deepEqual(changes, [], action);
        assert.deepEqual(yield* breaker.snapshot, before, action);
      }
      // Open by itself, then forced: still open.
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      const changes = yield* record(breaker);
      yield* breaker.control("open");
      assert.deepEqual(changes, []);
      assert.equal(yield* shown(breaker), "open forced-open");
    }));

  it.effect("G8 control makes a StateChange with manual true", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const changes = yield* record(breaker);
      yield* run(breaker, "SF");
      yield* breaker.control("open");
      yield* breaker.control("close");
      yield* run(breaker, "FFFFF");
      yield* breaker.control("reset");
      yield* run(breaker, "FFFFF");
      yield* breaker.control("disable");
      assert.deepEqual(
        changes.map(({ from, to, manual, counts }) => [from, to, manual, counts.requests]),
        [
          ["closed", "open", true, 2],
          ["open", "closed", true, 2],
          ["closed", "open", false, 5],
          ["open", "closed", true, 5],
          ["closed", "open", false, 5],
          ["open", "closed", true, 5],
        ],
      );
    }));

  it.effect("G8 closing by hand ends the growth of openings and clears the counts", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ openForMax: "10 minutes" });
      yield* run(breaker, "FFFFF");
      yield* at(30_000);
      yield* run(breaker, "F");
      yield* breaker.control("close");
      assert.deepEqual(yield* counts(breaker), { requests: 0, successes: 0, failures: 0 });
      yield* run(breaker, "FFFFF");
      assert.equal((yield* breaker.snapshot).openUntil, 60_000);
    }));

  it.effect("G8 a trial in flight changes nothing after a control", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      yield* at(30_000);
      const trial = yield* begin(breaker);
      yield* breaker.control("close");
      yield* trial.end("failure");
      assert.deepEqual(yield* counts(breaker), { requests: 0, successes: 0, failures: 0 });
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("G12 after disabled and auto the next failures count from zero", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* run(breaker, "FFFF");
      yield* breaker.control("disable");
      const call = yield* begin(breaker);
      yield* run(breaker, "FFFF");
      yield* breaker.control("auto");
      yield* call.end("failure");
      assert.deepEqual(yield* counts(breaker), { requests: 0, successes: 0, failures: 0 });
      yield* run(breaker, "FFFF");
      assert.equal(yield* state(breaker), "closed");
      yield* run(breaker, "F");
      assert.equal(yield* state(breaker), "open");
    }));

  it.effect("G17 the golden sequence makes exactly these changes and counters", () =>
    Effect.gen(function* () {
      // The minimum is out of reach: the rate rule would open at the fourth failure already.
      const breaker = yield* make({ minimumRequests: 100 }, "golden");
      const changes = yield* record(breaker);
      yield* at(1_000);
      assert.equal(yield* run(breaker, "S FFFFF SS"), "SFFFFFxx");
      yield* at(31_000);
      assert.equal(yield* run(breaker, "SSS"), "SSS");
      const tripped = {
        requests: 6,
        totalSuccesses: 1,
        totalFailures: 5,
        consecutiveSuccesses: 0,
        consecutiveFailures: 5,
      };
      const recovered = {
        requests: 3,
        totalSuccesses: 3,
        totalFailures: 0,
        consecutiveSuccesses: 3,
        consecutiveFailures: 0,
      };
      const change = { breaker: "golden", manual: false };
      assert.deepEqual(changes, [
        { ...change, from: "closed", to: "open", at: 1_000, counts: tripped },
        { ...change, from: "open", to: "half-open", at: 31_000, counts: tripped },
        { ...change, from: "half-open", to: "closed", at: 31_000, counts: recovered },
      ]);
      assert.deepEqual(yield* breaker.totals, {
        successes: 4,
        failures: 5,
        neutral: 0,
        timeouts: 0,
        rejected: 2,
        transitions: [
          { from: "closed", to: "open", count: 1 },
          { from: "open", to: "half-open", count: 1 },
          { from: "half-open", to: "closed", count: 1 },
        ],
      });
      const { stateChangedAt, rejected, state, counts } = yield* breaker.snapshot;
      assert.deepEqual([stateChangedAt, rejected, state, counts.requests], [
        31_000,
        2,
        "closed",
        0,
      ]);
    }));

  it.effect("G22 states are called closed, open and half-open", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const names = [yield* state(breaker)];
      yield* run(breaker, "FFFFF");
      names.push(yield* state(breaker));
      yield* at(30_000);
      yield* run(breaker, "S");
      names.push(yield* state(breaker));
      assert.deepEqual(names, ["closed", "open", "half-open"]);
      assert.equal(breaker.unsafeState(), "half-open");
    }));
});

describe("CircuitBreaker changes", () => {
  it.effect("G11 a listener that was removed hears nothing more", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const heard: Array<string> = [];
      const remove = breaker.unsafeOnChange(({ to }) => heard.push(to));
      yield* breaker.control("open");
      remove();
      yield* breaker.control("close");
      assert.deepEqual(heard, ["open"]);
    }));

  it.effect("changes gives every subscriber every change from its subscription on", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* breaker.control("open");
      const take = Effect.fork(Stream.runCollect(Stream.take(breaker.changes, 2)));
      const [one, two] = [yield* take, yield* take];
      yield* settle;
      yield* breaker.control("close");
      yield* breaker.control("open");
      for (const fiber of [one, two]) {
        const seen = Chunk.toReadonlyArray(yield* Fiber.join(fiber));
        assert.deepEqual(arrows(seen), ["open → closed", "closed → open"]);
        assert.ok(seen.every(({ manual }) => manual));
      }
    }));
});

/** Conformance E: trials, their places, and the two ways out. */
import assert from "node:assert/strict";
import { Duration, Effect, Fiber } from "effect";
import { describe, it } from "../../support/it.ts";
import {
  arrows,
  at,
  begin,
  type Breaker,
  counts,
  make,
  record,
  rejection,
  run,
  settle,
  state,
} from "./support.ts";

/** A breaker that opened at 0 s and is due at 30 s, which is now. */
const due = (settings: Parameters<typeof make>[0] = {}) =>
  Effect.gen(function* () {
    yield* at(0);
    const breaker = yield* make(settings);
    yield* run(breaker, "FFFFF");
    yield* at(30_000);
    return breaker;
  });

/** How many of ten calls that do not end are admitted. */
const places = (breaker: Breaker) =>
  Effect.gen(function* () {
    const fibers = yield* Effect.replicateEffect(
      Effect.fork(breaker.protect(Effect.never)),
      10,
    );
    yield* settle;
    return fibers.filter((fiber) => fiber.unsafePoll() === null).length;
  });

describe("CircuitBreaker half-open", () => {
  it.effect("E1 two successes leave it half-open, the third closes with counts zero", () =>
    Effect.gen(function* () {
      const breaker = yield* due();
      yield* run(breaker, "SS");
      assert.equal(yield* state(breaker), "half-open");
      yield* run(breaker, "S");
      assert.equal(yield* state(breaker), "closed");
      assert.deepEqual(yield* counts(breaker), { requests: 0, successes: 0, failures: 0 });
    }));

  it.effect("E1 while three are in flight a fourth is rejected with reason half-open", () =>
    Effect.gen(function* () {
      const breaker = yield* due();
      for (let trial = 0; trial < 3; trial++) yield* begin(breaker);
      yield* at(34_000);
      const error = yield* rejection(breaker);
      assert.equal(error.reason, "half-open");
      // What is left of the lease of 10 s.
      assert.equal(Duration.toMillis(error.retryAfter), 6_000);
    }));

  it.effect("E2 one failure opens at once, for a whole new open time", () =>
    Effect.gen(function* () {
      const breaker = yield* due();
      yield* at(31_000);
      yield* run(breaker, "F");
      assert.equal(yield* state(breaker), "open");
      assert.equal((yield* breaker.snapshot).openUntil, 61_000);
      yield* at(60_999);
      assert.equal((yield* rejection(breaker)).reason, "open");
      yield* at(61_000);
      assert.equal(yield* run(breaker, "S"), "S");
    }));

  it.effect("E4 entering again gives three fresh places", () =>
    Effect.gen(function* () {
      const breaker = yield* due();
      assert.equal(yield* run(breaker, "SSF"), "SSF");
      yield* at(60_000);
      assert.equal(yield* places(breaker), 3);
    }));

  it.effect("E5 a neutral outcome gives its place back and proves nothing", () =>
    Effect.gen(function* () {
      const breaker = yield* due();
      assert.equal(yield* run(breaker, "NNNNNNNN"), "NNNNNNNN");
      assert.equal(yield* state(breaker), "half-open");
      assert.equal(yield* run(breaker, "SNSNS"), "SNSNS");
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("E5 an interrupted trial gives its place back", () =>
    Effect.gen(function* () {
      const breaker = yield* due({ halfOpenMax: 1 });
      const trial = yield* begin(breaker);
      assert.equal((yield* rejection(breaker)).reason, "half-open");
      yield* Fiber.interrupt(trial.fiber);
      assert.equal(yield* run(breaker, "S"), "S");
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("E5 an interrupted trial gives its place back before the caller's own finalizers", () =>
    Effect.gen(function* () {
      const breaker = yield* due({ halfOpenMax: 1 });
      const fiber = yield* breaker.protect(Effect.never).pipe(
        Effect.ensuring(Effect.sleep("1 minute")),
        Effect.fork,
      );
      yield* settle;
      yield* Fiber.interruptFork(fiber);
      yield* settle;
      assert.equal(yield* run(breaker, "S"), "S");
      yield* at(100_000);
      yield* Fiber.await(fiber);
    }));

  it.effect("E14 a trial that fails after 500 ms opens, and the next is rejected with reason open", () =>
    Effect.gen(function* () {
      const breaker = yield* due();
      const trial = yield* begin(breaker);
      yield* at(30_500);
      yield* trial.end("failure");
      assert.equal(yield* state(breaker), "open");
      const error = yield* rejection(breaker);
      assert.equal(error.reason, "open");
      assert.equal(Duration.toMillis(error.retryAfter), 30_000);
    }));

  it.effect("E15 an error classified a success counts towards closing", () =>
    Effect.gen(function* () {
      const breaker = yield* due({ halfOpenMax: 2 });
      const call = breaker.protect(Effect.fail("403"), () => "success");
      assert.equal(yield* Effect.flip(call), "403");
      assert.equal(yield* Effect.flip(call), "403");
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("E17 with halfOpenMax 1 one acquire is admitted and the next at once rejected", () =>
    Effect.gen(function* () {
      const breaker = yield* due({ halfOpenMax: 1 });
      const changes = yield* record(breaker);
      const permit = yield* breaker.acquire;
      const error = yield* Effect.flip(breaker.acquire);
      assert.equal(error.reason, "half-open");
      assert.deepEqual(arrows(changes), ["open → half-open"]);
      yield* permit.settle("success");
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("E19 closing and opening each make one StateChange", () =>
    Effect.gen(function* () {
      const closing = yield* due();
      const closed = yield* record(closing);
      yield* run(closing, "SSS");
      assert.deepEqual(arrows(closed), ["open → half-open", "half-open → closed"]);
      const opening = yield* due();
      const opened = yield* record(opening);
      const trials = yield* Effect.all([begin(opening), begin(opening), begin(opening)]);
      for (const trial of trials) yield* trial.end("failure");
      assert.deepEqual(arrows(opened), ["open → half-open", "half-open → open"]);
    }));

  it.effect("E21 surplus calls are rejected at once, not queued", () =>
    Effect.gen(function* () {
      const breaker = yield* due();
      const fibers = yield* Effect.replicateEffect(
        Effect.fork(Effect.exit(breaker.protect(Effect.never))),
        50,
      );
      yield* settle;
      assert.equal(fibers.filter((fiber) => fiber.unsafePoll() !== null).length, 47);
      assert.equal((yield* breaker.snapshot).rejected, 47);
      yield* Fiber.interruptAll(fibers);
    }));

  it.effect("E23 two successes before a failure do not help, nor in the next recovery", () =>
    Effect.gen(function* () {
      const breaker = yield* due();
      yield* run(breaker, "SSF");
      assert.equal(yield* state(breaker), "open");
      yield* at(60_000);
      yield* run(breaker, "SS");
      assert.equal(yield* state(breaker), "half-open");
    }));

  it.effect("E25 the cap is on trials in flight plus successes", () =>
    Effect.gen(function* () {
      const breaker = yield* due();
      yield* run(breaker, "S");
      assert.equal(yield* places(breaker), 2);
    }));

  it.effect("a trial loses its place at exactly its lease, and its later result changes nothing", () =>
    Effect.gen(function* () {
      const breaker = yield* due({ halfOpenMax: 1 });
      const [late, changes] = [yield* begin(breaker), yield* record(breaker)];
      yield* at(39_999);
      const error = yield* rejection(breaker);
      assert.equal(Duration.toMillis(error.retryAfter), 1);
      yield* at(40_000);
      const next = yield* begin(breaker);
      yield* late.end("failure");
      assert.equal(yield* state(breaker), "half-open");
      yield* next.end("success");
      assert.deepEqual(arrows(changes), ["half-open → closed"]);
    }));

  it.effect("a trial that ends at exactly its lease changes nothing although nobody asked since", () =>
    Effect.gen(function* () {
      for (const outcome of ["success", "failure"] as const) {
        const breaker = yield* due({ halfOpenMax: 1 });
        const late = yield* begin(breaker);
        yield* at(40_000);
        yield* late.end(outcome);
        assert.equal(yield* state(breaker), "half-open");
        assert.deepEqual(yield* counts(breaker), { requests: 0, successes: 0, failures: 0 });
      }
    }));

  it.effect("leases end one by one, each from its own beginning", () =>
    Effect.gen(function* () {
      const breaker = yield* due({ halfOpenMax: 2 });
      yield* begin(breaker);
      yield* at(35_000);
      yield* begin(breaker);
      yield* at(40_000);
      yield* begin(breaker);
      const error = yield* rejection(breaker);
      assert.equal(Duration.toMillis(error.retryAfter), 5_000);
    }));
});

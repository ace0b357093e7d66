/** The breaker's ways for callers without a fiber, and what it shares or leaves for later to be fast. */
import assert from "node:assert/strict";
import { Duration, Effect, Exit } from "effect";
import type * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import { classifyExit } from "../../src/resilience/Classification.ts";
import { describe, it } from "../support/it.ts";
import { begin, HandClock, make, rejection, run } from "./CircuitBreaker/support.ts";

/** A breaker on a clock that is set by hand, for synchronous use. */
const onHand = (settings: Partial<CircuitBreaker.Settings> = {}) => {
  const time = new HandClock();
  const sync = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.runSync(Effect.withClock(effect, time.clock));
  const breaker = sync(make(settings));
  return {
    time,
    sync,
    breaker,
    admit: () => breaker.unsafeAdmit(time.clock),
    refuse: () => breaker.unsafeRefuse(time.clock),
    settle: (
      admission: CircuitBreaker.Admission | undefined,
      exit: Exit.Exit<unknown, unknown>,
    ) => {
      assert.ok(admission !== undefined);
      breaker.unsafeSettle(time.clock, admission, exit, classifyExit);
    },
    counts: () => sync(breaker.snapshot).counts,
  };
};

describe("unsafeAdmit() and unsafeSettle()", () => {
  it("admit while closed, and count as protect does", () => {
    const { breaker, sync, admit, settle, counts } = onHand();
    settle(admit(), Exit.succeed(1));
    settle(admit(), Exit.fail("down"));
    settle(admit(), Exit.fail({ refused: true }));
    const { totalSuccesses, totalFailures } = counts();
    assert.deepEqual([totalSuccesses, totalFailures], [1, 1]);
    const { successes, failures, neutral } = sync(breaker.totals);
    assert.deepEqual([successes, failures, neutral], [1, 1, 1]);
    for (let failure = 0; failure < 3; failure++) settle(admit(), Exit.fail("down"));
    assert.equal(breaker.unsafeState(), "open");
  });

  it("admit nothing in another state, and leave a disabled breaker to protect", () => {
    const { breaker, sync, time, admit } = onHand({ openFor: 1_000 });
    sync(run(breaker, "FFFFF"));
    assert.equal(admit(), undefined);
    time.now = 1_000;
    sync(run(breaker, "S"));
    assert.deepEqual([breaker.unsafeState(), admit()], ["half-open", undefined]);
    sync(breaker.control("disable"));
    assert.equal(admit(), undefined);
    sync(breaker.control("observe"));
    assert.ok(admit() !== undefined);
  });

  it("decide nothing by the result of an earlier epoch, and count it all the same", () => {
    const { breaker, sync, admit, settle, counts } = onHand({ consecutiveFailures: 1 });
    const admissions = [admit(), admit()];
    sync(breaker.control("reset"));
    settle(admissions[0], Exit.succeed(1));
    settle(admissions[1], Exit.fail("late"));
    assert.deepEqual([breaker.unsafeState(), counts().requests], ["closed", 0]);
    const { successes, failures } = sync(breaker.totals);
    assert.deepEqual([successes, failures], [1, 1]);
  });

  it("time a call from its admission on", () => {
    const { breaker, time, admit, settle } = onHand({ slowCallDuration: 100, minimumRequests: 1 });
    time.now = 5_000;
    const admission = admit();
    time.now += 99;
    settle(admission, Exit.succeed(1));
    assert.equal(breaker.unsafeState(), "closed");
    const slow = admit();
    time.now += 100;
    settle(slow, Exit.succeed(1));
    assert.equal(breaker.unsafeState(), "open");
  });
});

describe("unsafeRefuse()", () => {
  it("turns away, and counts, only who would be refused at this moment", () => {
    const { breaker, sync, time, refuse } = onHand();
    assert.equal(refuse(), undefined);
    sync(run(breaker, "FFFFF"));
    time.now = 29_000;
    const refusal = refuse();
    assert.deepEqual([refusal?._tag, refusal?.reason], ["CircuitOpen", "open"]);
    assert.equal(sync(breaker.snapshot).rejected, 1);
    time.now = 30_000;
    assert.equal(refuse(), undefined);
    assert.equal(breaker.unsafeState(), "open");
    assert.equal(sync(breaker.snapshot).rejected, 1);
  });
});

describe("a refusal", () => {
  it.effect("is the same for all of one millisecond and state, and never tells of another", () =>
    Effect.gen(function* () {
      const time = new HandClock();
      yield* Effect.withClock(
        Effect.gen(function* () {
          const breaker = yield* make({ halfOpenMax: 2 });
          yield* run(breaker, "FFFFF");
          time.now = 1_000;
          const first = yield* rejection(breaker);
          assert.equal(yield* rejection(breaker), first);
          time.now = 1_001;
          const second = yield* rejection(breaker);
          assert.deepEqual([first, second].map(({ retryAfter }) => retryAfter), [
            Duration.millis(29_000),
            Duration.millis(28_999),
          ]);
          yield* breaker.control("open");
          assert.equal((yield* rejection(breaker)).reason, "forced");
          assert.equal((yield* breaker.snapshot).rejected, 4);
        }),
        time.clock,
      );
    }));
});

describe("successes", () => {
  it("count in the bucket in which they ended, however late somebody looks", () => {
    const { time, admit, settle, counts } = onHand();
    const succeed = (times: number) => {
      for (let call = 0; call < times; call++) settle(admit(), Exit.succeed(1));
    };
    succeed(3);
    time.now = 999;
    succeed(1);
    time.now = 1_000;
    succeed(2);
    // Time going back changes nothing.
    time.now = 500;
    succeed(1);
    time.now = 9_999;
    assert.deepEqual(counts(), {
      requests: 7,
      totalSuccesses: 7,
      totalFailures: 0,
      consecutiveSuccesses: 7,
      consecutiveFailures: 0,
    });
    time.now = 10_000;
    assert.equal(counts().requests, 3);
    time.now = 11_000;
    assert.deepEqual([counts().requests, counts().consecutiveSuccesses], [0, 7]);
  });

  it("end a run of failures, and are ended by one", () => {
    const { breaker, sync, counts } = onHand({ minimumRequests: 100 });
    sync(run(breaker, "FFFFSFFFFSS"));
    assert.equal(breaker.unsafeState(), "closed");
    assert.deepEqual([counts().consecutiveSuccesses, counts().consecutiveFailures], [2, 0]);
    sync(run(breaker, "F"));
    assert.deepEqual([counts().consecutiveSuccesses, counts().consecutiveFailures], [0, 1]);
    assert.deepEqual([counts().totalSuccesses, counts().totalFailures], [3, 9]);
  });
});

describe("unsafeOnChange()", () => {
  it.effect("calls each listener once a change, also one that two breakers share", () =>
    Effect.gen(function* () {
      const heard: Array<string> = [];
      const shared = ({ breaker, to }: CircuitBreaker.StateChange) => {
        heard.push(`${breaker} ${to}`);
      };
      const own = () => heard.push("own");
      const [a, b] = [yield* make({}, "a"), yield* make({}, "b")];
      const offs = [a.unsafeOnChange(shared), a.unsafeOnChange(shared), b.unsafeOnChange(shared)];
      a.unsafeOnChange(own);
      yield* a.control("open");
      yield* b.control("open");
      assert.deepEqual(heard.splice(0), ["a open", "own", "b open"]);
      offs[0]?.();
      yield* a.control("close");
      yield* b.control("close");
      assert.deepEqual(heard.splice(0), ["own", "b closed"]);
    }));
});

describe("totals and acquire", () => {
  it.effect("totals give transitions that do not change afterwards", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* breaker.control("open");
      const { transitions } = yield* breaker.totals;
      yield* breaker.control("close");
      yield* breaker.control("open");
      assert.deepEqual(transitions, [{ from: "closed", to: "open", count: 1 }]);
      assert.deepEqual((yield* breaker.totals).transitions[0]?.count, 2);
    }));

  it.effect("a permit of a disabled breaker counts nothing, also when it is settled later", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      yield* breaker.control("disable");
      const permit = yield* breaker.acquire;
      yield* breaker.control("auto");
      yield* permit.settle("failure");
      const { failures } = yield* breaker.totals;
      assert.deepEqual([failures, (yield* breaker.snapshot).counts.requests], [0, 0]);
    }));

  it.effect("a call in flight counts although its breaker is disabled meanwhile, in totals alone", () =>
    Effect.gen(function* () {
      const breaker = yield* make();
      const call = yield* begin(breaker);
      yield* breaker.control("disable");
      yield* call.end("success");
      assert.equal((yield* breaker.totals).successes, 1);
      assert.equal((yield* breaker.snapshot).counts.requests, 0);
    }));
});

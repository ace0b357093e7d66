/** The adaptive limit: its pure step against a model of a server that queues, and in a bulkhead. */
import assert from "node:assert/strict";
import { Cause, Deferred, Effect, Either, Exit, Fiber, FiberId } from "effect";
import * as AdaptiveLimit from "../../src/resilience/AdaptiveLimit.ts";
import * as Bulkhead from "../../src/resilience/Bulkhead.ts";
import { DeadlineExceeded } from "../../src/resilience/Deadline.ts";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import { describe, it } from "../support/it.ts";
import { HandClock, settle } from "./CircuitBreaker/support.ts";

const settings: AdaptiveLimit.Settings = { ...AdaptiveLimit.defaults, ceiling: 64 };

/** Serves `width` calls at a time in `base` milliseconds each; further ones share it. */
interface Server {
  readonly width: number;
  readonly base: number;
}

const latencyOf = ({ width, base }: Server, inFlight: number): number =>
  base * Math.max(1, inFlight / width);

interface Run {
  readonly state: AdaptiveLimit.State;
  readonly now: number;
}

/**
 * Callers that want `wanted` calls at a time for so many milliseconds, and get what is allowed: in
 * each round all of them begin together and end together. `seen` is told of each round.
 */
const load = (
  { state, now }: Run,
  server: Server,
  wanted: number,
  milliseconds: number,
  seen: (allowed: number, state: AdaptiveLimit.State) => void = () => {},
  seed = 1,
): Run => {
  const next = AdaptiveLimit.step(settings, seed);
  const end = now + milliseconds;
  while (now < end) {
    const allowed = AdaptiveLimit.allowed(settings, state);
    const inFlight = Math.min(wanted, allowed);
    const latency = latencyOf(server, inFlight);
    const startedAt = now;
    now += latency;
    for (let call = 0; call < inFlight; call++) {
      state = next(state, { startedAt, latency, inFlight }, now);
    }
    seen(allowed, state);
  }
  return { state, now };
};

const start: Run = { state: AdaptiveLimit.initial(settings), now: 0 };

const limitOf = ({ state }: Run) => AdaptiveLimit.allowed(settings, { ...state, measuring: false });

describe("AdaptiveLimit.step()", () => {
  it("starts at the ceiling and stays there while answers are as fast under load", () => {
    const run = load(start, { width: 64, base: 5 }, 1_000, 60_000);
    assert.equal(limitOf(run), 64);
    assert.equal(run.state.least, 5);
  });

  it("falls to what the server can do at a time, and a few to wait, when calls queue there", () => {
    for (const width of [4, 8, 16]) {
      const run = load(start, { width, base: 5 }, 1_000, 60_000);
      const limit = limitOf(run);
      assert.ok(limit >= width && limit <= 3 * width, `${width}: ${limit}`);
    }
  });

  it("falls when the server loses workers, and rises again when they are back", () => {
    const well = load(start, { width: 64, base: 5 }, 1_000, 10_000);
    const ill = load(well, { width: 8, base: 5 }, 1_000, 10_000);
    assert.ok(limitOf(ill) <= 24, String(limitOf(ill)));
    const back = load(ill, { width: 64, base: 5 }, 1_000, 30_000);
    assert.equal(limitOf(back), 64);
  });

  it("does not grow while less than half of it is used, and does not fall either", () => {
    const fallen = load(start, { width: 8, base: 5 }, 1_000, 60_000);
    const wanted = Math.floor(limitOf(fallen) / 2) - 1;
    // The first window has seen the load from before.
    const quiet = load(fallen, { width: 8, base: 5 }, wanted, 1_000);
    assert.ok(limitOf(quiet) < 64);
    const later = load(quiet, { width: 8, base: 5 }, wanted, 20_000);
    assert.equal(limitOf(later), limitOf(quiet));
    const slow = load(later, { width: 8, base: 50 }, wanted, 5_000);
    assert.equal(limitOf(slow), limitOf(quiet));
  });

  it("never leaves the floor and the ceiling, and a quarter only to measure", () => {
    const outside: Array<number> = [];
    const seen = (allowed: number, { measuring, limit }: AdaptiveLimit.State) => {
      const least = measuring ? Math.max(4, Math.floor(limit / 4)) : 4;
      if (allowed < least || allowed > 64) outside.push(allowed);
    };
    let run = start;
    for (
      const [width, base] of [[64, 5], [1, 5], [64, 5], [2, 300], [1, 2_000], [64, 1]] as const
    ) {
      run = load(run, { width, base }, 1_000, 20_000, seen);
    }
    assert.deepEqual(outside, []);
  });

  it("takes what is slow under little load, too, for the dependency's own speed", () => {
    const well = load(start, { width: 64, base: 5 }, 1_000, 120_000);
    let lowest = 64;
    const slow = load(well, { width: 64, base: 100 }, 1_000, 8_000, (_, { limit }) => {
      lowest = Math.min(lowest, limit);
    });
    // It fell, doubted what it knew at half of its limit, measured twice and rises again.
    assert.ok(lowest > 16 && lowest < 32, String(lowest));
    assert.equal(slow.state.least, 100);
    assert.equal(limitOf(load(slow, { width: 64, base: 100 }, 1_000, 20_000)), 64);
  });

  it("does not believe at once that slowness which began in a measurement is usual", () => {
    let run = load(start, { width: 64, base: 5 }, 1_000, 120_000);
    while (!run.state.measuring) run = load(run, { width: 64, base: 5 }, 1_000, 1);
    run = load(run, { width: 4, base: 5 }, 1_000, 100);
    assert.deepEqual([run.state.measuring, run.state.least, run.state.suspected], [false, 5, 20]);
    const { measured } = run.state;
    run = load(run, { width: 4, base: 5 }, 1_000, 2_000);
    // Meanwhile the limit has fallen, so that fewer calls queue also under a quarter of it.
    assert.equal(run.state.measured, measured + 1);
    assert.ok(run.state.least <= 15, String(run.state.least));
    run = load(run, { width: 4, base: 5 }, 1_000, 15_000);
    assert.equal(run.state.least, 5);
    assert.ok(limitOf(run) <= 10, String(limitOf(run)));
  });

  it("takes a window with so few calls for a measurement, and holds none back for one", () => {
    const held: Array<number> = [];
    const run = load(start, { width: 64, base: 5 }, 16, 120_000, (allowed) => {
      if (allowed < 64) held.push(allowed);
    });
    assert.ok(run.state.measured >= 5, String(run.state.measured));
    assert.deepEqual(held, []);
  });

  it("measures again and again at jittered times, that differ by the seed", () => {
    const timesOf = (seed: number) => {
      const times: Array<number> = [];
      let run = load(start, { width: 64, base: 10 }, 32, 60_000, undefined, seed);
      let { measured } = run.state;
      for (let round = 0; round < 1_200; round++) {
        run = load(run, { width: 64, base: 10 }, 32, 100, undefined, seed);
        if (run.state.measured > measured) times.push(run.now);
        ({ measured } = run.state);
      }
      return times;
    };
    const times = timesOf(1);
    assert.ok(times.length >= 3 && times.length <= 6, String(times));
    times.slice(1).forEach((time, index) => {
      const since = time - (times[index] ?? 0);
      assert.ok(since >= 22_500 && since <= 39_000, String(since));
    });
    assert.notDeepEqual(times.slice(1), timesOf(2).slice(1));
  });

  it("learns nothing of the least latency from calls that began before the measurement", () => {
    const next = AdaptiveLimit.step(settings, 1);
    const measuring: AdaptiveLimit.State = { ...start.state, measuring: true, since: 1_000 };
    const early = { startedAt: 999, latency: 500, inFlight: 64 };
    assert.equal(next(measuring, early, 1_499), measuring);
    const fresh = { startedAt: 1_000, latency: 5, inFlight: 32 };
    let state = measuring;
    for (let call = 0; call < 10; call++) state = next(state, fresh, 1_005);
    assert.deepEqual([state.measuring, state.least], [false, 5]);
  });

  it("goes by the median: a few slow calls among many change nothing", () => {
    const next = AdaptiveLimit.step(settings, 1);
    let { state, now } = load(start, { width: 64, base: 5 }, 1_000, 1_000);
    for (let call = 0; call < 5_000; call++) {
      now += 1;
      const latency = call % 3 === 0 ? 2_000 : 5;
      state = next(state, { startedAt: now - latency, latency, inFlight: 60 }, now);
    }
    assert.equal(Math.floor(state.limit), 64);
  });

  it("keeps a bounded number of latencies, however many come in one window", () => {
    const next = AdaptiveLimit.step(settings, 1);
    let { state } = load(start, { width: 64, base: 5 }, 1_000, 1_000);
    for (let call = 0; call < 10_000; call++) {
      state = next(state, { startedAt: 0, latency: 5, inFlight: 1 }, state.since + 1);
      assert.ok(state.latencies.length <= 64);
    }
  });
});

/** Limits that take whole steps, and a clock that only their calls move. */
const made = Effect.gen(function* () {
  const hand = new HandClock();
  const adaptive = yield* AdaptiveLimit.make("test", { ceiling: 16, floor: 1, smoothing: 1 });
  /** 40 calls that see 16 in flight, of so many milliseconds and with this end. */
  const calls = (length: number, end: Exit.Exit<unknown, unknown> = Exit.void) =>
    Effect.suspend(() => {
      hand.now += length;
      return end;
    }).pipe(
      (call) => adaptive.measure(call, 16),
      Effect.exit,
      Effect.repeatN(39),
      Effect.withClock(hand.clock),
    );
  yield* calls(5);
  return { adaptive, calls };
});

describe("AdaptiveLimit.measure()", () => {
  it.effect("samples answers and timeouts, never refusals, interruptions and quick failures", () =>
    Effect.gen(function* () {
      const late = { dependency: "test", operation: "get" };
      const failed = (timedOut: boolean) =>
        Exit.fail(new TransientFailure({ ...late, reason: "down", timedOut, cause: undefined }));
      const cutOff = (attempted: boolean) =>
        Exit.fail(new DeadlineExceeded({ ...late, attempted }));
      const isSample = (end: Exit.Exit<unknown, unknown>) =>
        Effect.gen(function* () {
          const { adaptive, calls } = yield* made;
          assert.equal(adaptive.current, 16);
          yield* calls(400, end);
          return adaptive.current < 16;
        });
      for (const end of [Exit.void, failed(true), cutOff(true)]) {
        assert.equal(yield* isSample(end), true, String(end));
      }
      const others = [
        failed(false),
        cutOff(false),
        Exit.fail("bug"),
        Exit.die("bug"),
        Exit.failCause(Cause.interrupt(FiberId.none)),
      ];
      for (const end of others) assert.equal(yield* isSample(end), false, String(end));
    }));

  it.effect("keeps its ceiling for as long as answers take what they always took", () =>
    Effect.gen(function* () {
      const { adaptive, calls } = yield* made;
      for (let round = 0; round < 20; round++) {
        yield* calls(5);
        assert.equal(adaptive.current, 16, `${round}`);
      }
    }));

  it.effect("takes failures for answers that the caller classifies as such", () =>
    Effect.gen(function* () {
      const hand = new HandClock();
      const settings = { ceiling: 16, smoothing: 1 };
      const adaptive = yield* AdaptiveLimit.make("test", settings, () => "success");
      for (const length of [5, 400]) {
        const call = Effect.suspend(() => {
          hand.now += length;
          return Effect.fail("rejected");
        });
        yield* Effect.ignore(adaptive.measure(call, 16)).pipe(
          Effect.repeatN(39),
          Effect.withClock(hand.clock),
        );
      }
      assert.ok(adaptive.current < 16);
    }));

  it.effect("passes results, errors and interruption through", () =>
    Effect.gen(function* () {
      const { adaptive } = yield* made;
      assert.equal(yield* adaptive.measure(Effect.succeed(7), 1), 7);
      assert.equal(yield* Effect.flip(adaptive.measure(Effect.fail("error"), 1)), "error");
      const fiber = yield* Effect.fork(adaptive.measure(Effect.never, 1));
      yield* settle;
      assert.ok(Exit.isInterrupted(yield* Fiber.interrupt(fiber)));
    }));
});

/** A limit that is set by hand. */
class HandLimit implements AdaptiveLimit.AdaptiveLimit {
  constructor(
    public current: number,
    public whole: number,
    readonly seen: (inFlight: number) => void = () => {},
  ) {}

  get ceiling(): number {
    return this.whole;
  }

  measure<A, E, R>(self: Effect.Effect<A, E, R>, inFlight: number): Effect.Effect<A, E, R> {
    this.seen(inFlight);
    return self;
  }
}

describe("Bulkhead with an AdaptiveLimit", () => {
  it.effect("refuses beyond the limit of the moment, and counts its refusals", () =>
    Effect.gen(function* () {
      const { adaptive, calls } = yield* made;
      const bulkhead = yield* Bulkhead.make("test", { maxConcurrent: 16 }, adaptive);
      assert.equal(bulkhead.unsafeLimit(), 16);
      yield* calls(400);
      const limit = bulkhead.unsafeLimit();
      assert.ok(limit < 16, String(limit));
      const call = Effect.fork(Effect.exit(bulkhead.protect(Effect.never)));
      const held = yield* Effect.replicateEffect(call, 16);
      yield* settle;
      assert.equal(bulkhead.inFlight, adaptive.current);
      assert.equal(bulkhead.inFlight + bulkhead.waiting, limit);
      assert.equal(bulkhead.rejections, 16 - limit);
      yield* Fiber.interruptAll(held);
      assert.equal(bulkhead.inFlight, 0);
    }));

  it.effect("lets wait what a measurement holds back, and run when that is over", () =>
    Effect.gen(function* () {
      const adaptive = new HandLimit(2, 8);
      const bulkhead = yield* Bulkhead.make("test", { maxConcurrent: 8 }, adaptive);
      const ends = yield* Effect.replicateEffect(Deferred.make<void>(), 10);
      const fibers = yield* Effect.forEach(
        ends,
        (end) => Effect.fork(Effect.exit(bulkhead.protect(Deferred.await(end)))),
      );
      yield* settle;
      const numbers = () => [bulkhead.inFlight, bulkhead.waiting, bulkhead.rejections];
      // Nobody is refused for the measurement: two of ten would have been without it.
      assert.deepEqual(numbers(), [2, 6, 2]);
      assert.equal(bulkhead.unsafeLimit(), 8);
      adaptive.current = 8;
      yield* Effect.forEach(ends.slice(0, 1), (end) => Deferred.succeed(end, undefined));
      yield* settle;
      assert.deepEqual(numbers(), [7, 0, 2]);
      yield* Effect.forEach(ends, (end) => Deferred.succeed(end, undefined));
      yield* Fiber.joinAll(fibers);
      assert.deepEqual(numbers(), [0, 0, 2]);
    }));

  it.effect("learns from the calls it lets in", () =>
    Effect.gen(function* () {
      const seen: Array<number> = [];
      const adaptive = new HandLimit(4, 4, (inFlight) => seen.push(inFlight));
      const bulkhead = yield* Bulkhead.make("test", { maxConcurrent: 4 }, adaptive);
      const call = Effect.fork(Effect.exit(bulkhead.protect(Effect.never)));
      const held = yield* Effect.replicateEffect(call, 6);
      yield* settle;
      assert.deepEqual(seen, [1, 2, 3, 4]);
      yield* Fiber.interruptAll(held);
    }));

  it.effect("hands no place on while the limit is below what runs, and several when it rises", () =>
    Effect.gen(function* () {
      const adaptive = new HandLimit(4, 4);
      const settings = { maxConcurrent: 4, maxQueue: 10 };
      const bulkhead = yield* Bulkhead.make("test", settings, adaptive);
      const ends = yield* Effect.replicateEffect(Deferred.make<void>(), 10);
      const fibers = yield* Effect.forEach(
        ends,
        (end) => Effect.fork(bulkhead.protect(Deferred.await(end))),
      );
      yield* settle;
      const numbers = () => [bulkhead.inFlight, bulkhead.waiting];
      const end = (index: number) =>
        Effect.zipRight(
          Effect.forEach(ends.slice(index, index + 1), (end) => Deferred.succeed(end, undefined)),
          settle,
        );
      assert.deepEqual(numbers(), [4, 6]);
      adaptive.current = adaptive.whole = 2;
      yield* end(0);
      yield* end(1);
      assert.deepEqual(numbers(), [2, 6]);
      yield* end(2);
      assert.deepEqual(numbers(), [2, 5]);
      adaptive.current = adaptive.whole = 4;
      yield* end(3);
      assert.deepEqual(numbers(), [4, 2]);
      yield* Effect.forEach(ends, (end) => Deferred.succeed(end, undefined));
      yield* Fiber.joinAll(fibers);
      assert.deepEqual(numbers(), [0, 0]);
    }));

  it.effect("keeps a key's limit beyond its last call, apart from the others'", () =>
    Effect.gen(function* () {
      const keyed = yield* Bulkhead.keyed<string>("test", { maxConcurrent: 16 });
      const [slow, fast] = [yield* made, yield* made];
      yield* slow.calls(400);
      assert.equal(keyed.unsafeLimit(), 16);
      const hold = (key: string, { adaptive }: typeof slow) =>
        Effect.fork(Effect.exit(keyed.at(key, adaptive).protect(Effect.never)));
      const one = yield* hold("slow", slow);
      yield* hold("fast", fast);
      yield* settle;
      assert.equal(keyed.unsafeLimit(), slow.adaptive.whole);
      yield* Fiber.interrupt(one);
      assert.equal(keyed.unsafeLimit(), 16);
      const many = yield* Effect.replicateEffect(hold("slow", slow), 16);
      yield* settle;
      assert.equal(keyed.inFlight, slow.adaptive.current + 1);
      yield* Fiber.interruptAll(many);
    }));
});

describe("AdaptiveLimit.make()", () => {
  it("names every illegal setting at once", () => {
    const made = Effect.runSync(Effect.either(
      AdaptiveLimit.make("test", {
        ceiling: 0,
        floor: 0.5,
        tolerance: 0.9,
        smoothing: 0,
        measureEvery: -1,
      }),
    ));
    assert.ok(Either.isLeft(made));
    assert.equal(
      made.left.message,
      'Cannot make adaptive limit "test": ceiling is 0 but must be a whole number of at least 1; ' +
        "floor is 0.5 but must be a whole number of at least 1; " +
        "tolerance is 0.9 but must be a finite number of at least 1; " +
        "smoothing is 0 but must be more than 0 and at most 1; " +
        "measureEvery is -1 but must be a finite number of at least 1",
    );
    // A caller without types has no default to fall back on.
    const untyped = Effect.runSync(Effect.flip(AdaptiveLimit.make("test", JSON.parse("{}"))));
    assert.deepEqual(untyped.problems.map(({ setting }) => setting), ["ceiling"]);
  });
});

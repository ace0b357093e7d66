/** Background probes of open breakers; a second each, so that waits are 0.5 to 1.5 s. */
import assert from "node:assert/strict";
import { Deferred, Effect, Either, Exit, Random, Scope, TestClock } from "effect";
import type * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import * as RecoveryProbe from "../../src/resilience/RecoveryProbe.ts";
import { describe, it } from "../support/it.ts";
import { at, make, run, settle, state } from "./CircuitBreaker/support.ts";

const openUntil = (breaker: CircuitBreaker.CircuitBreaker) =>
  Effect.map(breaker.snapshot, ({ openUntil }) => openUntil);

/** A dependency that answers probes or does not, and remembers them. */
const dependency = () => {
  const seen = { isUp: false, probes: 0, running: 0, most: 0 };
  const probe = Effect.suspend(() => {
    seen.probes += 1;
    return seen.isUp ? Effect.void : Effect.fail("down");
  });
  return { seen, probe };
};

/** A breaker without jitter that is probed every second, on average. */
const probed = (
  probe: Effect.Effect<unknown, unknown>,
  settings: Partial<RecoveryProbe.Settings> = {},
) =>
  Effect.gen(function* () {
    const told: Array<RecoveryProbe.Probed> = [];
    const recovery = yield* RecoveryProbe.make({ interval: "1 second", ...settings }, {
      onProbe: (probed) => Effect.sync(() => told.push(probed)),
    });
    const breaker = yield* make({ openForMax: "5 minutes" });
    yield* recovery.watch(breaker, probe);
    return { breaker, recovery, told };
  });

/** The longest wait between two probes. */
const longest = "1500 millis";

describe("RecoveryProbe.watch()", () => {
  it.effect("makes an opening due when a probe succeeds; the next calls are the trials", () =>
    Effect.gen(function* () {
      const { seen, probe } = dependency();
      const { breaker, recovery, told } = yield* probed(probe);
      yield* run(breaker, "FFFFF");
      yield* at(4_000);
      assert.ok(seen.probes >= 2);
      assert.equal(yield* run(breaker, "S"), "x");
      seen.isUp = true;
      yield* TestClock.adjust(longest);
      assert.equal(yield* state(breaker), "open");
      assert.ok(Number(yield* openUntil(breaker)) <= 5_500);
      assert.deepEqual(told.at(-1), { breaker: "test", succeeded: true, hastened: true });
      assert.equal(recovery.unsafeSize(), 0);
      assert.equal(yield* run(breaker, "SSS"), "SSS");
      assert.equal(yield* state(breaker), "closed");
    }));

  it.effect("waits half to one and a half intervals, differently for each breaker", () =>
    Effect.gen(function* () {
      const first: Array<number> = [];
      const recovery = yield* RecoveryProbe.make({ interval: "1 second" });
      for (let index = 0; index < 8; index++) {
        const breaker = yield* make({}, `breaker-${index}`);
        const noted = Effect.clockWith((clock) =>
          Effect.map(clock.currentTimeMillis, (now) => void (first[index] ??= now))
        );
        yield* recovery.watch(breaker, Effect.zipRight(noted, Effect.fail("down")));
        yield* run(breaker, "FFFFF");
      }
      yield* at(499);
      assert.deepEqual(first, []);
      yield* at(1_500);
      assert.equal(first.filter((now) => now >= 500 && now <= 1_500).length, 8);
      assert.ok(new Set(first).size > 4);
    }));

  it.effect("extends and shortens nothing by probes that fail, die or never end", () =>
    Effect.gen(function* () {
      for (const probe of [Effect.fail("down"), Effect.die("bug"), Effect.never]) {
        const { breaker, told } = yield* probed(probe);
        const opened = yield* Effect.clockWith((clock) => clock.currentTimeMillis);
        yield* run(breaker, "FFFFF");
        yield* at(opened + 20_000);
        assert.equal(yield* openUntil(breaker), opened + 30_000);
        assert.ok(told.length > 5);
        assert.ok(told.every(({ succeeded, hastened }) => !succeeded && !hastened));
        yield* at(opened + 30_000);
        assert.equal(yield* run(breaker, "S"), "S");
      }
    }));

  it.effect("makes one probe at a time, however long it takes", () =>
    Effect.gen(function* () {
      const seen = { now: 0, most: 0, all: 0 };
      const probe = Effect.acquireUseRelease(
        Effect.sync(() => {
          seen.all += 1;
          seen.now += 1;
          seen.most = Math.max(seen.most, seen.now);
        }),
        () => Effect.zipRight(Effect.sleep("3 seconds"), Effect.fail("down")),
        () => Effect.sync(() => seen.now -= 1),
      );
      const { breaker } = yield* probed(probe, { timeout: "5 seconds" });
      yield* run(breaker, "FFFFF");
      yield* at(25_000);
      assert.equal(seen.most, 1);
      assert.ok(seen.all >= 5 && seen.all <= 7);
    }));

  it.effect("has no fiber while closed, half-open or due, and none for a short opening", () =>
    Effect.gen(function* () {
      const { seen, probe } = dependency();
      const { breaker, recovery } = yield* probed(probe);
      yield* run(breaker, "FFFF");
      assert.equal(recovery.unsafeSize(), 0);
      yield* run(breaker, "F");
      assert.equal(recovery.unsafeSize(), 1);
      yield* at(30_000);
      assert.equal(recovery.unsafeSize(), 0);
      const before = seen.probes;
      yield* at(100_000);
      assert.equal(seen.probes, before);
      yield* run(breaker, "S");
      assert.equal(yield* state(breaker), "half-open");
      assert.equal(recovery.unsafeSize(), 0);
      const short = yield* make({ openFor: "500 millis" });
      yield* recovery.watch(short, probe);
      yield* run(short, "FFFFF");
      yield* settle;
      assert.equal(recovery.unsafeSize(), 0);
    }));

  it.effect("never probes a breaker that is forced open, also not after it was open itself", () =>
    Effect.gen(function* () {
      const { seen, probe } = dependency();
      seen.isUp = true;
      const { breaker, recovery } = yield* probed(probe);
      yield* breaker.control("open");
      yield* at(60_000);
      yield* breaker.control("reset");
      yield* run(breaker, "FFFFF");
      yield* breaker.control("open");
      yield* at(120_000);
      assert.equal(seen.probes, 0);
      assert.equal(recovery.unsafeSize(), 0);
      assert.equal((yield* breaker.snapshot).mode, "forced-open");
    }));

  it.effect("interrupts the probe under way when an operator closes the breaker", () =>
    Effect.gen(function* () {
      const seen = { begun: 0, interrupted: 0 };
      const probe = Effect.sync(() => seen.begun += 1).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Effect.sync(() => seen.interrupted += 1)),
      );
      const { breaker, recovery } = yield* probed(probe, { timeout: "1 hour" });
      yield* run(breaker, "FFFFF");
      yield* TestClock.adjust(longest);
      assert.deepEqual(seen, { begun: 1, interrupted: 0 });
      yield* breaker.control("close");
      yield* settle;
      assert.deepEqual(seen, { begun: 1, interrupted: 1 });
      assert.equal(recovery.unsafeSize(), 0);
    }));

  it.effect("takes a probe of an earlier opening for nothing, and waits for its end", () =>
    Effect.gen(function* () {
      const end = yield* Deferred.make<void>();
      const seen = { begun: 0 };
      const probe = Effect.suspend(() => {
        seen.begun += 1;
        // Cannot be interrupted, as some drivers' calls cannot.
        return Effect.uninterruptible(Deferred.await(end));
      });
      const { breaker, told } = yield* probed(probe, { timeout: "1 hour" });
      yield* run(breaker, "FFFFF");
      yield* at(2_000);
      assert.equal(seen.begun, 1);
      yield* breaker.control("close");
      yield* run(breaker, "FFFFF");
      yield* at(10_000);
      assert.equal(seen.begun, 1);
      yield* Deferred.succeed(end, undefined);
      yield* settle;
      assert.equal(yield* openUntil(breaker), 32_000);
      assert.deepEqual(told, []);
      yield* TestClock.adjust(longest);
      assert.equal(seen.begun, 2);
      assert.ok(Number(yield* openUntil(breaker)) < 12_000);
    }));

  it.effect("interrupts the wait of an opening that began before the last one's probe had ended", () =>
    Effect.gen(function* () {
      const end = yield* Deferred.make<void>();
      const probe = Effect.uninterruptible(Deferred.await(end));
      const { breaker, recovery } = yield* probed(probe, { timeout: "1 hour" });
      yield* run(breaker, "FFFFF");
      yield* at(2_000);
      yield* breaker.control("close");
      yield* run(breaker, "FFFFF");
      yield* Deferred.succeed(end, undefined);
      yield* settle;
      assert.equal(recovery.unsafeSize(), 1);
      yield* breaker.control("close");
      yield* settle;
      assert.equal(recovery.unsafeSize(), 0);
    }));

  it.effect("asks half as often after each trial that denied what a probe foretold", () =>
    Effect.gen(function* () {
      const { seen, probe } = dependency();
      seen.isUp = true;
      const { breaker } = yield* probed(probe);
      yield* run(breaker, "FFFFF");
      const waits: Array<number> = [];
      for (let round = 0; round < 5; round++) {
        const openedAt = (yield* breaker.snapshot).stateChangedAt;
        const before = seen.probes;
        while (seen.probes === before) yield* TestClock.adjust("250 millis");
        waits.push((yield* Effect.clockWith((clock) => clock.currentTimeMillis)) - openedAt);
        assert.equal(yield* run(breaker, "F"), "F");
      }
      waits.forEach((wait, round) => {
        assert.ok(wait >= 500 * 2 ** round && wait <= 1_750 * 2 ** round, `${round}: ${wait}`);
      });
      // A recovery that lasts makes it forget.
      while (seen.probes === 5) yield* TestClock.adjust("1 second");
      yield* run(breaker, "SSSFFFFF");
      yield* TestClock.adjust(longest);
      assert.equal(seen.probes, 7);
    }));

  it.effect("probes a breaker that is open already when it is first watched", () =>
    Effect.gen(function* () {
      const { seen, probe } = dependency();
      const recovery = yield* RecoveryProbe.make({ interval: "1 second" });
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      yield* recovery.watch(breaker, probe);
      yield* TestClock.adjust(longest);
      assert.ok(seen.probes > 0);
      yield* TestClock.adjust("10 seconds");
      assert.ok(seen.probes > 5);
    }));

  it.effect("asks no less often after trials that were denied when no probe had foretold them", () =>
    Effect.gen(function* () {
      const { seen, probe } = dependency();
      const recovery = yield* RecoveryProbe.make({ interval: "1 second" });
      const breaker = yield* make();
      yield* run(breaker, "FFFFF");
      yield* recovery.watch(breaker, probe);
      for (let round = 0; round < 6; round++) {
        const before = seen.probes;
        yield* TestClock.adjust(longest);
        assert.ok(seen.probes > before, `${round}`);
        yield* TestClock.adjust("30 seconds");
        assert.equal(yield* run(breaker, "F"), "F");
      }
    }));

  it.effect("interrupts the probe under way when a trial begins", () =>
    Effect.gen(function* () {
      const seen = { interrupted: 0 };
      const probe = Effect.onInterrupt(
        Effect.never,
        () => Effect.sync(() => seen.interrupted += 1),
      );
      const { breaker, recovery } = yield* probed(probe, { timeout: "1 hour" });
      yield* run(breaker, "FFFFF");
      yield* at(30_000);
      assert.deepEqual([seen.interrupted, recovery.unsafeSize()], [0, 1]);
      yield* run(breaker, "S");
      yield* settle;
      assert.deepEqual([seen.interrupted, recovery.unsafeSize()], [1, 0]);
    }));

  it.effect("makes no probe of a breaker that only would have opened", () =>
    Effect.gen(function* () {
      const { seen, probe } = dependency();
      const { breaker, recovery } = yield* probed(probe);
      yield* breaker.control("observe");
      yield* run(breaker, "FFFFFFF");
      yield* at(29_000);
      assert.deepEqual([seen.probes, recovery.unsafeSize()], [0, 0]);
    }));

  it.effect(`runs at most ${RecoveryProbe.maxProbes} probes at a time, and all in turn`, () =>
    Effect.gen(function* () {
      const seen = { now: 0, most: 0 };
      const asked = new Set<number>();
      const recoveries = yield* Effect.replicateEffect(
        RecoveryProbe.make({ interval: "1 second", timeout: "1 minute" }),
        2,
      );
      for (let index = 0; index < 40; index++) {
        const probe = Effect.acquireUseRelease(
          Effect.sync(() => {
            asked.add(index);
            seen.now += 1;
            seen.most = Math.max(seen.most, seen.now);
          }),
          () => Effect.zipRight(Effect.sleep("500 millis"), Effect.fail("down")),
          () => Effect.sync(() => seen.now -= 1),
        );
        const breaker = yield* make({}, `breaker-${index}`);
        yield* recoveries[index % 2]?.watch(breaker, probe) ?? Effect.void;
        yield* run(breaker, "FFFFF");
      }
      yield* at(8_000);
      assert.equal(seen.most, RecoveryProbe.maxProbes);
      assert.equal(asked.size, 40);
    }).pipe(Effect.withRandom(Random.make("turns"))));

  it.effect("leaves no fiber when its scope closes, and starts none afterwards", () =>
    Effect.gen(function* () {
      const { seen, probe } = dependency();
      const scope = yield* Scope.make();
      const { breaker, recovery } = yield* Scope.extend(probed(probe), scope);
      yield* run(breaker, "FFFFF");
      assert.equal(recovery.unsafeSize(), 1);
      yield* Scope.close(scope, Exit.void);
      assert.equal(recovery.unsafeSize(), 0);
      yield* breaker.control("reset");
      yield* run(breaker, "FFFFF");
      yield* at(29_000);
      assert.equal(seen.probes, 0);
      assert.equal(recovery.unsafeSize(), 0);
    }));
});

describe("RecoveryProbe.make()", () => {
  it.effect("names every illegal setting at once", () =>
    Effect.gen(function* () {
      const made = yield* Effect.either(RecoveryProbe.make({ interval: 0, timeout: Infinity }));
      assert.ok(Either.isLeft(made));
      const rule = "must be a finite duration of more than 0";
      assert.equal(
        made.left.message,
        `Cannot make recovery probe: interval is 0 but ${rule}; timeout is Infinity but ${rule}`,
      );
      // A caller without types has no default to fall back on.
      const nothing = JSON.parse('{"interval":null}');
      const { problems } = yield* Effect.flip(RecoveryProbe.make(nothing));
      assert.deepEqual(problems.map(({ setting }) => setting), ["interval"]);
    }));

  it.effect("gives a probe a second to answer by default", () =>
    Effect.gen(function* () {
      const seen = { begun: false, interrupted: false };
      const probe = Effect.sync(() => seen.begun = true).pipe(
        Effect.zipRight(Effect.never),
        Effect.onInterrupt(() => Effect.sync(() => seen.interrupted = true)),
      );
      const { breaker } = yield* probed(probe);
      yield* run(breaker, "FFFFF");
      while (!seen.begun) yield* TestClock.adjust("100 millis");
      // It began up to 100 ms ago.
      yield* TestClock.adjust("899 millis");
      assert.equal(seen.interrupted, false);
      yield* TestClock.adjust("101 millis");
      assert.equal(seen.interrupted, true);
    }));
});

describe("RecoveryProbe.delayOf()", () => {
  it("is 50 to 150 % of the interval, doubled with each denied recovery up to 30", () => {
    assert.deepEqual([0, 0.25, 0.5].map((share) => RecoveryProbe.delayOf(100, 0, share)), [
      50,
      75,
      100,
    ]);
    assert.deepEqual([1, 2, 30, 31].map((denied) => RecoveryProbe.delayOf(1, denied, 0.5)), [
      2,
      4,
      2 ** 30,
      2 ** 30,
    ]);
  });
});

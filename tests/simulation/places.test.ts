/** The simulation's bulkhead and adaptive limit, against those that the services run, call by call. */
import assert from "node:assert/strict";
import { Deferred, Effect, Exit, Random } from "effect";
import * as AdaptiveLimit from "../../src/resilience/AdaptiveLimit.ts";
import * as Bulkhead from "../../src/resilience/Bulkhead.ts";
import { HandClock, settle } from "../resilience/CircuitBreaker/support.ts";
import { describe, it } from "../support/it.ts";
import { Agenda } from "./Agenda.ts";
import { held, refused } from "./Policy.ts";
import { Places } from "./policies/Places.ts";
import { Rng } from "./Rng.ts";

const maxConcurrent = 16;
const seed = 12_345;

/** Takes calls; `began` is told of each that runs, at once or when it has waited. */
interface Subject {
  readonly begin: (call: number, now: number) => Effect.Effect<"in" | "waits" | "no">;
  readonly end: (call: number, now: number) => Effect.Effect<void>;
}

interface Event {
  readonly at: number;
  order: number;
  readonly end: number;
}

/**
 * Calls that arrive at random. Their latency grows with those that run beside them, more so in the
 * middle. What becomes of each call is what the two subjects must agree on.
 */
const story = (make: (began: (call: number, now: number) => void) => Effect.Effect<Subject>) =>
  Effect.gen(function* () {
    const random = new Rng(7);
    const agenda = new Agenda<Event>();
    const told: Array<string> = [];
    let running = 0;
    let isSlow = false;
    const subject = yield* make((call, now) => {
      running += 1;
      const latency = Math.ceil(10 + random.exponential(10) + (isSlow ? 10 * running : 0));
      agenda.add({ at: now + latency, order: 0, end: call });
      told.push(`${now} ${call} runs`);
    });
    let arrival = 0;
    for (let call = 0; call < 4_000; call += 1) {
      isSlow = call > 1_000 && call < 3_000;
      arrival += Math.ceil(random.exponential(6));
      while (agenda.next <= arrival) {
        const event = agenda.take();
        if (event === undefined) break;
        running -= 1;
        yield* subject.end(event.end, event.at);
      }
      told.push(`${arrival} ${call} ${yield* subject.begin(call, arrival)}`);
    }
    return told;
  });

const real = (isAdaptive: boolean) => {
  const time = new HandClock();
  return story((began) =>
    Effect.gen(function* () {
      const adaptive = isAdaptive
        ? yield* AdaptiveLimit.make("test", { ceiling: maxConcurrent })
        : undefined;
      const bulkhead = yield* Bulkhead.make("test", { maxConcurrent }, adaptive);
      const ends = new Map<number, Deferred.Deferred<void>>();
      return {
        begin: (call, now) =>
          Effect.gen(function* () {
            time.now = now;
            const { rejections, waiting } = bulkhead;
            const end = yield* Deferred.make<void>();
            ends.set(call, end);
            const body = Effect.suspend(() => {
              began(call, time.now);
              return Deferred.await(end);
            });
            yield* Effect.fork(Effect.exit(bulkhead.protect(body)));
            yield* settle;
            if (bulkhead.rejections > rejections) return "no";
            return bulkhead.waiting > waiting ? "waits" : "in";
          }),
        end: (call, now) =>
          Effect.gen(function* () {
            time.now = now;
            const end = ends.get(call);
            if (end !== undefined) yield* Deferred.done(end, Exit.void);
            ends.delete(call);
            yield* settle;
          }),
      } satisfies Subject;
    }).pipe(Effect.orDie)
  ).pipe(Effect.withClock(time.clock), Effect.withRandom(Random.fixed([seed])));
};

const simulated = (isAdaptive: boolean) =>
  story((began) =>
    Effect.sync(() => {
      const random = Object.assign(new Rng(0), { below: () => seed });
      const world = { random, schedule: () => {}, probe: () => true, onChange: () => {} };
      const places = new Places(world, maxConcurrent, isAdaptive);
      const seats = new Map<number, { readonly seat: number; readonly since: number }>();
      const waiting: Array<number> = [];
      const enter = (call: number, now: number) => {
        const seat = places.enter(waiting.length);
        if (seat === refused) return "no" as const;
        if (seat === held) {
          waiting.push(call);
          return "waits" as const;
        }
        seats.set(call, { seat, since: now });
        began(call, now);
        return "in" as const;
      };
      return {
        begin: (call, now) => Effect.sync(() => enter(call, now)),
        end: (call, now) =>
          Effect.sync(() => {
            const { seat = 0, since = now } = seats.get(call) ?? {};
            places.leave(seat, true, now, now - since);
            while (waiting.length > 0 && !places.isFull()) enter(waiting.shift() ?? 0, now);
          }),
      };
    })
  );

describe("Places", () => {
  it.effect("does call by call as the bulkhead with a fixed limit does", () =>
    Effect.gen(function* () {
      const theirs = yield* real(false);
      assert.deepEqual(yield* simulated(false), theirs);
      assert.ok(theirs.some((line) => line.endsWith("no")));
    }));

  it.effect("does call by call as the bulkhead with an adaptive limit does", () =>
    Effect.gen(function* () {
      const theirs = yield* real(true);
      assert.deepEqual(yield* simulated(true), theirs);
      for (const end of ["no", "waits", "in"]) {
        assert.ok(theirs.some((line) => line.endsWith(end)), end);
      }
      assert.notDeepEqual(theirs, yield* simulated(false));
    }));
});

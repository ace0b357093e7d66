/** The simulation's own policy, which runs the pure step, against the breaker that the services run. */
import assert from "node:assert/strict";
import { Effect, Random, TestClock } from "effect";
import * as CircuitBreaker from "../../src/resilience/CircuitBreaker.ts";
import * as RateLimiter from "../../src/resilience/RateLimiter.ts";
import * as RecoveryProbe from "../../src/resilience/RecoveryProbe.ts";
import { HandClock } from "../resilience/CircuitBreaker/support.ts";
import { describe, it } from "../support/it.ts";
import { Agenda } from "./Agenda.ts";
import { followed, script } from "./peers/Script.ts";
import * as Amicis from "./policies/Amicis.ts";
import { refused } from "./Policy.ts";
import { Rng } from "./Rng.ts";

/** What a real breaker and its ramp do with a script, as `followed` tells it of a policy. */
const real = (
  settings: Partial<CircuitBreaker.Settings>,
  lines: ReturnType<typeof script>,
) => {
  const time = new HandClock();
  return Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make("real", settings);
    const ramp = yield* RateLimiter.following(breaker);
    const permits = new Map<number, CircuitBreaker.Permit>();
    const told: Array<string> = [];
    for (const line of lines) {
      time.now = line.at;
      if ("begin" in line) {
        const permit = yield* Effect.option(breaker.acquire);
        let said = "no";
        if (permit._tag === "Some") {
          if (ramp.unsafeAdmit(line.at) === undefined) {
            permits.set(line.begin, permit.value);
            said = "yes";
          } else yield* permit.value.settle("neutral");
        }
        told.push(`${line.at} ${said} ${breaker.unsafeState()}`);
      } else {
        yield* permits.get(line.end)?.settle(line.succeeds ? "success" : "failure") ?? Effect.void;
        told.push(`${line.at} ${breaker.unsafeState()}`);
      }
    }
    return told;
  }).pipe(Effect.withClock(time.clock));
};

describe("the policy amicis", () => {
  for (
    const [name, settings] of [
      ["fixed", { openJitter: 0 }],
      ["adaptive", { openJitter: 0, adaptive: true, adaptiveFalseAlarm: 1e-4 }],
      ["growing", { openJitter: 0, openForMax: "4 minutes" }],
    ] as const
  ) {
    it.effect(`does call by call as the real breaker and ramp do with ${name} settings`, () =>
      Effect.gen(function* () {
        let all = "";
        for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
          const lines = script(seed, 1_000);
          const theirs = yield* real(settings, lines);
          const ours = followed(Amicis.contender(name, "", { breaker: settings }), lines);
          assert.deepEqual(ours, theirs, `seed ${seed}`);
          all += `${theirs.join("\n")}\n`;
        }
        // Refused by the open breaker, and by the ramp of the closed one.
        for (const kind of [/no open$/m, /no closed$/m, /yes half-open$/m]) assert.match(all, kind);
      }));
  }

  it.effect("asks for signs of life when the real probe does, and is due when it is", () =>
    Effect.gen(function* () {
      const settings = { openJitter: 0, openForMax: "2 minutes" } as const;
      const isAlive = (now: number) => now >= 11_000;

      const breaker = yield* CircuitBreaker.make("real", settings);
      const probing = yield* RecoveryProbe.make({ interval: 3_000 });
      const asked: Array<number> = [];
      yield* probing.watch(
        breaker,
        Effect.clockWith((clock) => {
          const now = clock.unsafeCurrentTimeMillis();
          asked.push(now);
          return isAlive(now) ? Effect.void : Effect.fail("dead");
        }),
      );
      yield* Effect.replicateEffect(Effect.exit(breaker.protect(Effect.fail("dead"))), 5);
      for (let second = 0; second < 20; second += 1) yield* TestClock.adjust("1 second");
      const { openUntil } = yield* breaker.snapshot;

      const agenda = new Agenda<{ at: number; order: number; run: (now: number) => void }>();
      const probed: Array<number> = [];
      const policy = Amicis.contender("", "", { breaker: settings, probeEvery: 3_000 }).make({
        random: Object.assign(new Rng(0), { uniform: () => 0.5 }),
        schedule: (at, run) => agenda.add({ at, order: 0, run }),
        probe: (now) => {
          probed.push(now);
          return isAlive(now);
        },
        onChange: () => {},
      });
      for (let call = 0; call < 5; call += 1) policy.settle(policy.ask(0, 0), false, 0, 0);
      while (agenda.next <= 20_000) {
        const event = agenda.take();
        event?.run(event.at);
      }
      assert.deepEqual(asked, [3_000, 6_000, 9_000, 12_000]);
      assert.deepEqual(probed, asked);
      assert.equal(openUntil, 12_000);
      assert.notEqual(policy.ask(12_000, 0), refused);
      yield* breaker.protect(Effect.void);
    }).pipe(Effect.withRandom(Random.fixed([0.5]))));
});

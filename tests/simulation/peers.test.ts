/** The peers' rules as policies, against the peers themselves on the same histories. */
import assert from "node:assert/strict";
import * as cockatiel from "cockatiel";
import CircuitBreaker from "opossum";
import { describe, it } from "../support/it.ts";
import { FakeTime } from "./peers/FakeTime.ts";
import { followed, type Line, script } from "./peers/Script.ts";
import * as Cockatiel from "./policies/Cockatiel.ts";
import * as Gobreaker from "./policies/Gobreaker.ts";
import * as Opossum from "./policies/Opossum.ts";
import recorded from "./peers/gobreaker/recorded.json" with { type: "json" };

/** Lets promises go as far as they can. */
const settle = async () => {
  for (let turn = 0; turn < 12; turn += 1) await Promise.resolve();
};

interface Calls {
  readonly settle: (call: number, succeeds: boolean) => void;
  /** Runs inside the library when it lets a call through. */
  readonly run: (call: number) => Promise<void>;
}

const inFlight = (): Calls => {
  const ends = new Map<number, (succeeds: boolean) => void>();
  return {
    settle: (call, succeeds) => ends.get(call)?.(succeeds),
    run: (call) =>
      new Promise<void>((resolve, reject) => {
        ends.set(call, (succeeds) => succeeds ? resolve() : reject(new Error("failed")));
      }),
  };
};

/** What a real library does with a script. `fire` tells whether the call ran, was refused or waits. */
const real = async (
  time: FakeTime,
  lines: ReadonlyArray<Line>,
  fire: (run: () => Promise<void>) => Promise<unknown>,
  state: () => string,
): Promise<ReadonlyArray<string>> => {
  const calls = inFlight();
  const told: Array<string> = [];
  for (const line of lines) {
    time.advance(line.at);
    if ("begin" in line) {
      let said = "held";
      fire(() => {
        said = "yes";
        return calls.run(line.begin);
      }).catch(() => {
        if (said === "held") said = "no";
      });
      await settle();
      told.push(`${line.at} ${said} ${state()}`);
    } else {
      calls.settle(line.end, line.succeeds);
      await settle();
      told.push(`${line.at} ${state()}`);
    }
  }
  return told;
};

const seeds = [1, 2, 3, 4, 5];

describe("the policy opossum", () => {
  for (const volumeThreshold of [0, 10]) {
    it(`does as opossum does with volumeThreshold ${volumeThreshold}`, async () => {
      for (const seed of seeds) {
        const lines = script(seed, 600);
        using time = new FakeTime();
        const breaker = new CircuitBreaker(
          (run: () => Promise<void>) => run(),
          { timeout: false, volumeThreshold },
        );
        const state = () => breaker.opened ? "open" : breaker.halfOpen ? "half-open" : "closed";
        const theirs = await real(time, lines, (run) => breaker.fire(run), state);
        breaker.shutdown();
        const ours = followed(Opossum.contender("opossum", { volumeThreshold }), lines);
        assert.deepEqual(withoutLateTimers(ours), withoutLateTimers(theirs), `seed ${seed}`);
        assert.ok(theirs.some((line) => line.includes(" no open")));
      }
    });
  }
});

/**
 * Its timer makes opossum half-open by itself, the policy when it next looks; after the end of a call
 * that it does not hear of it has not looked. What it does with calls is compared all the same.
 */
const withoutLateTimers = (lines: ReadonlyArray<string>) =>
  lines.filter((line) => line.split(" ").length === 3);

const names: Readonly<Record<number, string>> = { 0: "closed", 1: "open", 2: "half-open" };

describe("the policy cockatiel", () => {
  for (
    const [name, breaker, counting] of [
      [
        "ConsecutiveBreaker",
        () => new cockatiel.ConsecutiveBreaker(5),
        () => Cockatiel.consecutive(5),
      ],
      [
        "SamplingBreaker",
        () => new cockatiel.SamplingBreaker({ threshold: 0.2, duration: 30_000, minimumRps: 1 }),
        () => Cockatiel.sampling({ threshold: 0.2, duration: 30_000, minimumRps: 1 }),
      ],
    ] as const
  ) {
    it(`does as cockatiel does with ${name}`, async () => {
      for (const seed of seeds) {
        // Calls that wait for a trial's end are the simulation's; here no two are under way at once.
        const lines = oneByOne(script(seed, 600));
        using time = new FakeTime();
        const policy = cockatiel.circuitBreaker(cockatiel.handleAll, {
          halfOpenAfter: 10_000,
          breaker: breaker(),
        });
        const state = () => names[policy.state] ?? "?";
        const theirs = await real(time, lines, (run) => policy.execute(run), state);
        const ours = followed(Cockatiel.contender(name, "", counting), lines);
        assert.deepEqual(ours, theirs, `seed ${seed}`);
        assert.ok(theirs.some((line) => line.includes(" no open")));
      }
    });
  }

  it("holds what comes during a trial, as cockatiel does", async () => {
    using time = new FakeTime();
    const policy = cockatiel.circuitBreaker(cockatiel.handleAll, {
      halfOpenAfter: 10_000,
      breaker: new cockatiel.ConsecutiveBreaker(1),
    });
    const lines: ReadonlyArray<Line> = [
      { at: 1, begin: 0 },
      { at: 3, end: 0, succeeds: false },
      { at: 10_003, begin: 1 },
      { at: 10_005, begin: 2 },
    ];
    const state = () => names[policy.state] ?? "?";
    const theirs = await real(time, lines, (run) => policy.execute(run), state);
    const ours = followed(Cockatiel.contender("", "", () => Cockatiel.consecutive(1)), lines);
    assert.deepEqual(ours, theirs);
    assert.equal(theirs.at(-1), "10005 held half-open");
  });
});

/** The script with each call ended before the next begins. */
const oneByOne = (lines: ReadonlyArray<Line>): ReadonlyArray<Line> => {
  const ends = new Map<number, boolean>();
  for (const line of lines) if ("end" in line) ends.set(line.end, line.succeeds);
  return lines.flatMap((line) =>
    "begin" in line
      ? [line, { at: line.at + 1, end: line.begin, succeeds: ends.get(line.begin) === true }]
      : []
  );
};

describe("the policy gobreaker", () => {
  it("does as gobreaker did when it was recorded", () => {
    for (const { seed, told } of recorded) {
      assert.deepEqual(followed(Gobreaker.contender("gobreaker"), script(seed, 400)), told);
      assert.ok(told.some((line) => line.includes(" no open")));
    }
  });
});

/** The simulation itself, and what the policies have to reach in it, with fixed seeds. */
import assert from "node:assert/strict";
import { describe, it } from "../support/it.ts";
import { Agenda } from "./Agenda.ts";
import { draw } from "./Chart.ts";
import * as Contenders from "./Contenders.ts";
import { deadline, failing, queueing } from "./Dependency.ts";
import { traceTable } from "./Report.ts";
import { Rng } from "./Rng.ts";
import { simulate, type Tick } from "./Simulation.ts";
import { fleet, judge, quick, type Target, weeks } from "./Targets.ts";
import { minute, second, type Trace } from "./Trace.ts";
import * as Traces from "./Traces.ts";

/** Two minutes, of which the second one fails. */
const short: Trace = {
  name: "short",
  description: "a < b",
  length: 3 * minute,
  replicas: 1,
  keys: 1,
  rate: () => 20,
  userRetries: 0,
  faults: [{ from: minute, to: 2 * minute }],
  dependency: (random) => failing(random, [{ from: minute, to: 2 * minute, failing: 1 }], 0),
};

describe("Agenda", () => {
  it("take() gives the soonest event, and of equal ones the first", () => {
    const random = new Rng(1);
    const agenda = new Agenda<{ at: number; order: number; name: number }>();
    const times = Array.from({ length: 500 }, () => random.below(50));
    times.forEach((at, name) => agenda.add({ at, order: 0, name }));
    const taken = times.map(() => agenda.take());
    const expected = times.map((at, name) => ({ at, name }))
      .toSorted((one, other) => one.at - other.at || one.name - other.name);
    assert.deepEqual(taken.map((event) => event?.name), expected.map(({ name }) => name));
    assert.equal(agenda.next, Infinity);
  });
});

describe("Rng", () => {
  it("uniform() is the same for the same seed, even, and another one for another stream", () => {
    const values = (seed: number, stream: number) => {
      const random = new Rng(seed, stream);
      return Array.from({ length: 20_000 }, () => random.uniform());
    };
    assert.deepEqual(values(7, 1), values(7, 1));
    assert.notDeepEqual(values(7, 1).slice(0, 5), values(7, 2).slice(0, 5));
    const counts = new Array<number>(10).fill(0);
    for (const value of values(7, 1)) {
      counts[Math.floor(value * 10)] = (counts[Math.floor(value * 10)] ?? 0) + 1;
    }
    assert.ok(counts.every((count) => Math.abs(count - 2_000) < 200), `${counts}`);
  });
});

describe("simulate()", () => {
  it("simulate() gives the same measures for the same seed, and others for another", () => {
    const one = simulate(short, Contenders.fixed, 1);
    assert.deepEqual(simulate(short, Contenders.fixed, 1), one);
    assert.notDeepEqual(simulate(short, Contenders.fixed, 2), one);
  });

  it("simulate() sends every policy the same users", () => {
    const requests = Contenders.contenders.map((contender) =>
      simulate(Traces.hardOutage, contender, 3).requests
    );
    assert.equal(new Set(requests).size, 1);
  });

  it("simulate() accounts for every request: served, failed or refused", () => {
    let failed = 0;
    let refused = 0;
    const measures = simulate(short, Contenders.fixed, 1, {
      onTick: (tick) => {
        failed += tick.failed;
        refused += tick.refused;
      },
    });
    const inFlight = measures.requests - measures.served - failed - refused;
    assert.ok(inFlight >= 0 && inFlight < 10, `${inFlight} are missing`);
    assert.ok(measures.wasted > 0 && measures.wasted <= failed && refused > 500);
  });

  it("simulate() counts the openings of a breaker that has no reason as false", () => {
    const quiet = { ...short, faults: [] };
    assert.ok(simulate(quiet, Contenders.fixed, 1).falseOpens > 0);
    assert.equal(simulate(short, Contenders.fixed, 1).falseOpens, 0);
  });
});

describe("queueing()", () => {
  const calls = (count: number, every: number, total: number) => {
    const dependency = queueing(new Rng(1), { count: () => count, work: () => 40 }, 0);
    return Array.from({ length: total }, (_, index) => dependency.call(index * every, 0));
  };
  const mean = (values: ReadonlyArray<number>) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;

  it("takes what the work takes while there are workers for all", () => {
    const latencies = calls(8, 20, 2_000).map(({ latency }) => latency);
    assert.ok(Math.abs(mean(latencies) - 40) < 2, String(mean(latencies)));
  });

  it("takes longer and longer when more comes than is worked on, up to the callers' deadline", () => {
    const answers = calls(2, 10, 2_000);
    assert.ok(answers.slice(0, 10).every(({ succeeds, latency }) => succeeds && latency < 400));
    const late = answers.slice(-500);
    assert.ok(late.every(({ latency }) => latency > deadline / 2 && latency <= deadline));
    // All it does by now is work for which nobody waits any more.
    assert.ok(late.filter(({ succeeds }) => succeeds).length < 50);
  });
});

const holds = (target: Target, seeds: ReadonlyArray<number>) => () => {
  const verdict = judge(target, seeds);
  assert.ok(verdict.holds, `${verdict.figures} against ${target.atMost}`);
};

describe("the policies", () => {
  for (const target of quick) it(`reach: ${target.name}`, holds(target, [1, 2, 3]));
  for (const target of fleet) it(`reach: ${target.name}`, holds(target, [1]));
  for (const target of weeks) it(`reach: ${target.name}`, holds(target, [1]));

  it("cannot all reach it: fixed thresholds open falsely under noise that adaptive ones bear", () => {
    const noisy = { ...Traces.noise15, length: 6 * 60 * minute };
    assert.ok(simulate(noisy, Contenders.fixed, 1).falseOpens > 0);
    assert.equal(simulate(noisy, Contenders.adaptive, 1).falseOpens, 0);
  });

  it("cannot all reach it: a fixed limit lets calls queue that an adaptive one refuses", () => {
    const slow = [Contenders.fixed, Contenders.adaptive, Contenders.limited]
      .map((contender) => (simulate(Traces.lostWorkers, contender, 1).latency ?? 0) > 1_000);
    assert.deepEqual(slow, [true, true, false]);
  });

  it("cannot all reach it: without a ramp the herd comes back at once", () => {
    assert.ok((simulate(Traces.correlated, Contenders.gobreaker, 1).peakLoad ?? 0) > 2);
  });
});

describe("the report", () => {
  it("traceTable() has a row a policy", () => {
    const measures = [simulate(short, Contenders.fixed, 1)];
    const lines = traceTable(short, [{ policy: "fixed", measures }]).split("\n");
    assert.equal(lines.length, 3);
    assert.match(
      lines[2] ?? "",
      /^\| fixed \| 0\.\d s \| \d+ \| 0 \| \d+ \| [\d.]+ s \| [\d.]+ × \|$/,
    );
  });

  it("draw() makes one well-formed picture with a strip a policy", () => {
    const ticks: Array<Tick> = [];
    simulate(short, Contenders.fixed, 1, { onTick: (tick) => ticks.push(tick) });
    assert.equal(ticks.length, 3 * minute / second);
    const svg = draw(short, [{ policy: "one", ticks }, { policy: "two", ticks }], 0, 3 * minute);
    assert.match(svg, /^<svg [^>]*viewBox="0 0 \d+ \d+"/);
    assert.match(svg, /a &lt; b/);
    assert.equal(svg.match(/<path class="failed"/g)?.length, 2);
    assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
  });
});

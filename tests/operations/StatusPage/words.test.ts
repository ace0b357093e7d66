/** What the status page says and draws, without a browser: its modules are ordinary ones. */
import assert from "node:assert/strict";
import { chartText, makeSeries, outlines } from "../../../src/operations/StatusPage/chart.js";
import * as text from "../../../src/operations/StatusPage/text.js";
import { describe, it } from "../../support/it.ts";

const counts = { requests: 8, totalFailures: 5, totalSuccesses: 3, consecutiveFailures: 5 };
const breaker = {
  state: "closed",
  mode: "auto",
  counts,
  failureRate: 0.625 as number | null,
  openUntil: null as number | null,
  adaptive: undefined as object | undefined,
};

const trip = { rule: "failure-rate", failures: 9, requests: 25, baseline: 0.005, threshold: 0.24 };

describe("StatusPage's words", () => {
  it("span() rounds up to whole seconds and keeps two units", () => {
    const spans = [[-5, "0 s"], [0, "0 s"], [1, "1 s"], [59_001, "1 min 0 s"], [
      61_000,
      "1 min 1 s",
    ]];
    const longer = [[3_600_000, "1 h 0 min"], [90_000_000, "1 d 1 h"]];
    for (const [ms, expected] of [...spans, ...longer]) assert.equal(text.span(ms), expected);
  });

  it("percent() never rounds some to none, nor nearly all to all", () => {
    const shares = [0, 0.001, 0.01, 0.625, 0.999, 1];
    assert.deepEqual(shares.map(text.percent), ["0 %", "< 1 %", "1 %", "63 %", "> 99 %", "100 %"]);
  });

  it("sentence() tells every change there is", () => {
    const change = (from: string, to: string, more = {}) =>
      text.sentence({ breaker: "mongodb", from, to, counts, manual: false, at: 0, ...more });
    assert.deepEqual([
      change("closed", "open"),
      change("open", "half-open"),
      change("half-open", "open"),
      change("half-open", "closed"),
      change("closed", "open", { manual: true }),
      change("open", "closed", { manual: true }),
      change("closed", "open", { observed: true }),
      change("closed", "open", { trip }),
      change("closed", "open", { trip: { ...trip, rule: "consecutive-failures", failures: 4 } }),
      change("closed", "open", { trip: { ...trip, rule: "slow-calls" } }),
      change("closed", "open", { trip, observed: true }),
      text.sentence({ dependency: "redis", isConnected: false, at: 0 }),
      text.sentence({ dependency: "redis", isConnected: true, at: 0 }),
    ], [
      "mongodb opened: 5 of 8 calls failed, 5 in a row",
      "mongodb lets a few calls through to try",
      "mongodb opened again: a trial failed",
      "mongodb closed: calls succeed again",
      "mongodb was forced open by an operator",
      "mongodb was closed by an operator",
      "mongodb would have opened: 5 of 8 calls failed, 5 in a row",
      "mongodb opened: 9 of 25 calls failed where < 1 % is normal",
      "mongodb opened: 4 calls in a row failed where < 1 % is normal",
      "mongodb opened: 9 of 25 calls were slow",
      "mongodb would have opened: 9 of 25 calls failed where < 1 % is normal",
      "redis does not answer",
      "redis answers again",
    ]);
  });

  it("rate() gives no figure where there is none, and says when there is little to go by", () => {
    const none = { requests: 0, totalFailures: 0, totalSuccesses: 0, consecutiveFailures: 0 };
    assert.deepEqual([
      text.rate(breaker),
      text.rate({ ...breaker, failureRate: null }),
      text.rate({ ...breaker, state: "open" }),
      text.rate({ ...breaker, counts: none, failureRate: null }),
      text.rate({ ...breaker, mode: "disabled" }),
      text.rate({ ...breaker, state: "half-open", counts: { ...none, totalSuccesses: 1 } }),
      text.rate({ ...breaker, adaptive: { baseline: 0.05, threshold: 0.2, trip: null } }),
      text.rate({ ...breaker, adaptive: { baseline: 0.05, threshold: 1, trip: null } }),
      text.rate({ ...breaker, state: "open", adaptive: { baseline: 0.05, threshold: 0.2, trip } }),
    ], [
      ["63 %", "5 of 8 calls failed, 5 in a row"],
      ["63 %", "5 of 8 calls failed, 5 in a row, too few to judge"],
      ["63 %", "before it opened: 5 of 8 calls failed, 5 in a row"],
      ["–", "no recent calls"],
      ["–", "calls pass and are not counted"],
      ["–", "1 trial succeeded so far"],
      ["63 %", "5 of 8 calls failed, 5 in a row; 5 % is normal, 20 % opens"],
      ["63 %", "5 of 8 calls failed, 5 in a row; 5 % is normal, too few calls to open"],
      ["63 %", "before it opened: 9 of 25 calls failed where < 1 % is normal"],
    ]);
  });

  it("next() tells the time to the next trial, and when there is none", () => {
    const open = { ...breaker, state: "open", openUntil: 10_000 };
    assert.deepEqual([
      text.next(breaker, 0),
      text.next(open, 7_500),
      text.next(open, 10_000),
      text.next({ ...open, openUntil: null }, 0),
      text.next({ ...breaker, state: "half-open" }, 0),
    ], [
      "",
      "Next trial in 3 s",
      "The next call is a trial",
      "Turns every call away until an operator ends it",
      "The next calls are trials",
    ]);
  });
});

describe("StatusPage's effect()", () => {
  it("says what callers get while a breaker turns calls away, of each one that there is", () => {
    const open = (service: string, name: string) =>
      text.effect(service, { ...breaker, name, state: "open" });
    for (
      const [service, name, like] of [
        ["routing", "mongodb", /cached stores as usual.*503 for all else/],
        ["routing", "redis", /the same answers, slower/],
        ["routing", "jwks", /503 with new ones/],
        ["auth", "mongodb", /tenants known here; 503 for others/],
        ["auth", "redis", /the same answers/],
        ["auth", "token-exchange-ikea", /this tenant.*else 503.*Other tenants: as usual/],
      ] as const
    ) assert.match(open(service, name), like);
    assert.equal(open("routing", "something-new"), "");
    assert.equal(text.effect("routing", { ...breaker, name: "mongodb" }), "");
  });
});

describe("StatusPage's chart", () => {
  const totals = (successes: number, failures = 0, rejected = 0) => ({
    successes,
    failures,
    rejected,
  });

  it("shows what came between two pictures, as calls a second", () => {
    const series = makeSeries();
    series.add(0, totals(100));
    series.add(1_000, totals(110));
    // One picture was missed: the same rate over two seconds.
    series.add(3_000, totals(130));
    const { paths, most } = outlines(series.bars, 3_000);
    assert.equal(most, 10);
    assert.equal(paths["successes"]?.match(/M/g)?.length, 2);
    assert.equal(paths["failures"], "");
    assert.deepEqual(series.sums(), totals(30));
  });

  it("stacks failures, successes and what was turned away, and shows even one of many", () => {
    const series = makeSeries();
    series.add(0, totals(0));
    series.add(1_000, totals(9_999, 1, 10_000));
    const { paths } = outlines(series.bars, 1_000);
    const tops = ["failures", "successes", "rejected"].map((kind) =>
      Number(/^M\S+ ([\d.]+)h/.exec(paths[kind] ?? "")?.[1])
    );
    assert.deepEqual(tops, tops.toSorted((one, other) => other - one));
    assert.ok(tops.every((top) => top >= 0 && top < 35), `${tops}`);
  });

  it("says how far back it reaches, which is no further than the page has been open", () => {
    assert.deepEqual(
      [[0, 0], [2_000, 0], [2_000, 0.9], [60_000, 12.4]].map(([length, most]) =>
        chartText(length, most)
      ),
      [
        "Calls a second, from now on",
        "No calls in the last 2 s",
        "Calls a second over the last 2 s, at most 1",
        "Calls a second over the last minute, at most 12",
      ],
    );
  });

  it("forgets what is older than a minute, and draws no bar for a service that began anew", () => {
    const series = makeSeries();
    for (let second = 0; second <= 90; second += 1) series.add(second * 1_000, totals(second));
    assert.equal(series.bars.length, 60);
    assert.equal(series.length(90_000), 60_000);
    series.add(91_000, totals(3));
    series.add(92_000, totals(4));
    assert.equal(series.bars.at(-1)?.["successes"], 1);
    assert.equal(series.bars.filter(({ to }: { to: number }) => to === 91_000).length, 0);
  });
});

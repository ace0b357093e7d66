/** The judge of the chaos suite: that it lets pass what is right, and nothing else. */
import assert from "node:assert/strict";
import { describe, it } from "../support/it.ts";
import { hang, type Kind, noAnswer } from "./Answers.ts";
import { type BreakerName, type Fault, outage } from "./Fault.ts";
import type { Sample } from "./Load.ts";
import type { Change, State } from "./LogWatch.ts";
import { judge, type Observed } from "./Result.ts";

const nothing = () => {};
const fault: Fault = outage("mongodb", {
  name: "MongoDB is away",
  family: "processes",
  inflict: nothing,
  lift: nothing,
});

const sample = (kind: Kind, label: string, at: number, more: Partial<Sample> = {}): Sample => ({
  kind,
  service: "routing",
  method: "GET",
  route: "/",
  label,
  at,
  ms: 5,
  ...more,
});

const walk = (breaker: BreakerName, ...states: ReadonlyArray<State>): ReadonlyArray<Change> =>
  states.slice(1).map((to, index) => ({
    breaker,
    from: states[index] ?? "closed",
    to,
    at: 1_500 + index,
  }));

const round = ["closed", "open", "half-open", "open", "half-open", "closed"] as const;

/** A fault from 1 to 4 s of which everything went as it must. */
const asItMust: Observed = {
  fault,
  wasCalm: true,
  beganAt: 0,
  inflictedAt: 1_000,
  liftedAt: 4_000,
  endedAt: 6_000,
  samples: [
    sample("stores", "200", 500),
    sample("first read", "503", 2_000),
    sample("cached store", "200 STALE", 2_000),
    sample("stores", "503", 4_100),
    sample("stores", "200", 5_000),
  ],
  changes: [...walk("routing mongodb", ...round), ...walk("auth mongodb", ...round)],
  unhandled: [],
  failures: [],
  repeats: 0,
  exited: false,
};

const violationsOf = (more: Partial<Observed>) => judge({ ...asItMust, ...more }).violations;
const withSample = (...args: Parameters<typeof sample>) =>
  violationsOf({ samples: [...asItMust.samples, sample(...args)] });

describe("judge()", () => {
  it("finds nothing wrong when all is as it must be, and tells when all was well again", () => {
    const result = judge(asItMust);
    assert.deepEqual(result.violations, []);
    assert.equal(result.recoveryMs, 105);
    assert.deepEqual(result.answers, {
      "first read": { "503": 1 },
      "cached store": { "200 STALE": 1 },
    });
    assert.deepEqual(result.paths["auth mongodb"], round);
  });

  it("finds an answer that the fault does not allow", () => {
    assert.deepEqual(withSample("new token", "503", 2_000), ["new token: 503"]);
    assert.deepEqual(withSample("cached store", "503", 2_000), ["cached store: 503"]);
    assert.deepEqual(withSample("stores", "500", 2_000), ["stores: 500"]);
  });

  it("finds an answer before the fault that only the fault would allow", () => {
    assert.deepEqual(withSample("stores", "503", 500), ["before it, stores: 503"]);
  });

  it("allows a refusal of what was found missing, and only of that", () => {
    const forgetful: Fault = {
      ...fault,
      allows: { "cached store": ["404"] },
      forgets: ["cached store"],
    };
    const [one, other] = [{ store: "ikea/oslo-01" }, { store: "habitat/oslo-01" }];
    const found = (...samples: ReadonlyArray<Sample>) =>
      violationsOf({ fault: forgetful, samples: [...asItMust.samples, ...samples] });
    const missing = sample("cached store", "404", 2_000, one);
    assert.deepEqual(found(missing, sample("cached store", "503", 3_000, one)), []);
    assert.deepEqual(found(missing, sample("cached store", "503", 1_500, one)), [
      "cached store: 503",
    ]);
    assert.deepEqual(found(missing, sample("cached store", "503", 3_000, other)), [
      "cached store: 503",
    ]);
    assert.deepEqual(found(missing, sample("new token", "503", 3_000)), ["new token: 503"]);
    assert.deepEqual(
      found(missing, sample("cached store", "503", 3_000, { ...one, problem: "a host's name" })),
      ["cached store: 503, a host's name"],
    );
  });

  it("finds a right status with something wrong in it", () => {
    assert.deepEqual(withSample("stores", "200", 2_000, { problem: "another tenant's" }), [
      "stores: 200, another tenant's",
    ]);
  });

  it("finds requests that hang or get no answer", () => {
    assert.deepEqual(withSample("liveness", hang, 2_000, { ms: 6_000, problem: "timeout" }), [
      "liveness: no answer within 6000 ms",
    ]);
    assert.deepEqual(withSample("stores", noAnswer, 2_000, { problem: "refused" }), [
      "stores: no answer, refused",
    ]);
  });

  it("finds a fault that was not there", () => {
    const samples = asItMust.samples.filter(({ kind }) => kind !== "first read");
    assert.deepEqual(violationsOf({ samples }), [
      "no 503 was seen for first read: the fault was not there",
    ]);
  });

  it("finds breakers that did not open, should not have, walked wrongly or did not come back", () => {
    const auth = walk("auth mongodb", ...round);
    const routing = (...states: ReadonlyArray<State>) =>
      violationsOf({ changes: [...auth, ...walk("routing mongodb", ...states)] });
    for (
      const states of [
        ["closed"],
        ["closed", "half-open", "closed"],
        ["closed", "open", "closed"],
        ["closed", "open", "half-open"],
        ["closed", "open", "half-open", "open"],
      ] as const
    ) {
      assert.deepEqual(routing(...states), [
        `breaker routing mongodb opens, but went ${states.join(" ")}`,
      ]);
    }
    assert.deepEqual(routing(...round, ...round.slice(1)), []);
    assert.deepEqual(
      violationsOf({ changes: [...asItMust.changes, ...walk("routing redis", ...round)] }),
      [`breaker routing redis stays closed, but went ${round.join(" ")}`],
    );
  });

  it("finds errors that nobody handled, an exit, and a service that does not become well", () => {
    assert.deepEqual(violationsOf({ unhandled: ["boom"] }), ["nobody handled: boom"]);
    assert.deepEqual(violationsOf({ exited: true }), ["the services ended"]);
    assert.deepEqual(violationsOf({ endedAt: undefined }), ["it did not become well again"]);
    assert.deepEqual(violationsOf({ wasCalm: false }), ["it was not calm before"]);
    assert.deepEqual(violationsOf({ failures: ["no right"] }), ["no right"]);
  });
});

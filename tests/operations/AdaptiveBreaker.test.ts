/** What operators are told of an adaptive breaker, and that fixed ones tell nothing new. */
import assert from "node:assert/strict";
import { Effect } from "effect";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import { describe, it } from "../support/it.ts";
import { start } from "./OperationsServer.ts";

const failure = new TransientFailure({
  dependency: "mongodb",
  operation: "mongodb_find",
  reason: "refused",
  timedOut: false,
  cause: null,
});

/** Calls through one breaker: S succeeds, F fails. */
const calls = (server: Effect.Effect.Success<ReturnType<typeof start>>, name: string, of: string) =>
  Effect.gen(function* () {
    const breaker = yield* server.breakers.get(name);
    for (const letter of of) {
      yield* Effect.exit(breaker.protect(letter === "S" ? Effect.void : Effect.fail(failure)));
    }
  });

const reason = "8 in a row failed where 1 % is normal";

/** A gauge of the breaker `mongodb` on a page of metrics. */
const gauge = (text: string, name: string, label = ""): number | undefined => {
  const line = text.split("\n").find((line) =>
    line.startsWith(`${name}{`) && line.includes('breaker="mongodb"') && line.includes(label)
  );
  return line === undefined ? undefined : Number(line.split(" ").at(-1));
};

/** The first picture that a viewer of the live page is sent. */
// deno-lint-ignore no-explicit-any -- the test compares it with what it should be
const firstPicture = async (url: string): Promise<any> => {
  const { body } = await fetch(`${url}/status/events`);
  let text = "";
  for await (const piece of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += piece;
    const data = /event: picture\ndata: (.*)\n\n/.exec(text)?.[1];
    if (data !== undefined) return JSON.parse(data);
  }
};

describe("an adaptive breaker in operation", () => {
  it.live("GET /health of routing tells threshold, baseline and why it opened", () =>
    Effect.gen(function* () {
      const server = yield* start({ breakers: { adaptive: true } });
      yield* calls(server, "mongodb", "SSSFFFFFFF");
      const before = (yield* server.get("/health")).json.circuitBreakers.mongodb;
      assert.equal(before.state, "closed");
      assert.deepEqual(Object.keys(before.adaptive), ["threshold", "baseline"]);
      assert.equal(before.adaptive.baseline, 0.01);
      assert.ok(before.adaptive.threshold > 0.2 && before.adaptive.threshold < 1);
      yield* calls(server, "mongodb", "F");
      const after = (yield* server.get("/health")).json.circuitBreakers.mongodb;
      assert.equal(after.state, "open");
      assert.deepEqual(after.adaptive, { threshold: 1, baseline: 0.01, reason });
    }));

  it.live("GET /health of auth tells it of tenants' breakers, too", () =>
    Effect.gen(function* () {
      const server = yield* start({ service: "auth", breakers: { adaptive: true } });
      yield* calls(server, "token-exchange-ikea", "FFFFFFFF");
      const breaker = (yield* server.get("/health")).json.circuitBreakers["token-exchange-ikea"];
      assert.equal(breaker.state, "open");
      assert.equal(breaker.adaptive.reason, reason);
    }));

  it.live("GET /metrics has threshold and baseline, and why it opened while it is not closed", () =>
    Effect.gen(function* () {
      const server = yield* start({ breakers: { adaptive: true } });
      const reasons = Effect.map(
        server.get("/metrics"),
        ({ text }) =>
          ["failure-rate", "consecutive-failures", "slow-calls"].map((rule) =>
            gauge(text, "circuit_breaker_open_reason", `rule="${rule}"`)
          ),
      );
      const { text } = yield* server.get("/metrics");
      assert.equal(gauge(text, "circuit_breaker_failure_threshold"), 1);
      assert.equal(gauge(text, "circuit_breaker_baseline_failure_rate"), 0.01);
      assert.deepEqual(yield* reasons, [0, 0, 0]);
      yield* calls(server, "mongodb", "FFFFFFFF");
      assert.deepEqual(yield* reasons, [0, 1, 0]);
      const mongodb = yield* server.breakers.get("mongodb");
      yield* mongodb.control("close");
      assert.deepEqual(yield* reasons, [0, 0, 0]);
    }));

  it.live("GET /status/events tells the live page what its words are made of", () =>
    Effect.gen(function* () {
      const server = yield* start({ breakers: { adaptive: true } });
      yield* calls(server, "mongodb", "FFFFFFFF");
      const { breakers } = yield* Effect.promise(() => firstPicture(server.url));
      const rule = "consecutive-failures";
      const known = { baseline: 0.01, threshold: 1 };
      assert.deepEqual(breakers[0].adaptive, {
        ...known,
        trip: { rule, failures: 8, requests: 8, ...known },
      });
    }));

  it.live("GET /admin/breakers tells it", () =>
    Effect.gen(function* () {
      const server = yield* start({ breakers: { adaptive: true }, hasAdmin: true });
      yield* calls(server, "mongodb", "FFFFFFFF");
      const { json } = yield* server.admin("/admin/breakers");
      const mongodb = json.find(({ name }: { name: string }) => name === "mongodb");
      assert.deepEqual(mongodb.adaptive, { threshold: 1, baseline: 0.01, reason });
    }));

  it.live("says nothing of it while thresholds are fixed", () =>
    Effect.gen(function* () {
      const server = yield* start({ hasAdmin: true });
      yield* calls(server, "mongodb", "FFFFF");
      for (const path of ["/health", "/metrics"]) {
        const { text } = yield* server.get(path);
        assert.doesNotMatch(text, /adaptive|threshold|baseline|open_reason/, path);
      }
      assert.equal("adaptive" in (yield* server.admin("/admin/breakers")).json[0], false);
    }));
});

/** Events: the lines whose wording is a contract, exactly as searches and alerts expect them. */
import assert from "node:assert/strict";
import { Duration, Effect } from "effect";
import { RequestContext } from "../../src/http/RequestContext.ts";
import * as Events from "../../src/operations/Events.ts";
import { Logging } from "../../src/operations/Logging.ts";
import { CircuitBreakers } from "../../src/resilience/CircuitBreakers.ts";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import { describe, it } from "../support/it.ts";

const failure = new TransientFailure({
  dependency: "mongodb",
  operation: "mongodb_find",
  reason: "connection refused",
  timedOut: false,
  cause: null,
});

const recordsOf = <E>(body: Effect.Effect<unknown, E, Logging>) =>
  Effect.suspend(() => {
    let text = "";
    const sink = {
      write: (bytes: Uint8Array) => {
        text += new TextDecoder().decode(bytes);
        return Promise.resolve(bytes.length);
      },
    };
    const inRequest = Effect.locally(
      body,
      RequestContext.current,
      new RequestContext("abc-1", "routing", undefined, 0, Infinity),
    );
    return Effect.provide(inRequest, Logging.layer({ writer: { sink } })).pipe(
      Effect.map(() =>
        text.trimEnd().split("\n").map((line): Record<string, unknown> => {
          const { timestamp: _timestamp, ...rest } = JSON.parse(line);
          return rest;
        })
      ),
    );
  });

const trip = (name: string) =>
  Effect.gen(function* () {
    const breaker = yield* Effect.flatMap(CircuitBreakers, ({ get }) => get(name));
    for (let index = 0; index < 5; index += 1) {
      yield* Effect.exit(breaker.protect(Effect.fail(failure)));
    }
  });

describe("Events", () => {
  it.effect("circuitStateChanged() writes the change with its request, as it happens", () =>
    Effect.gen(function* () {
      const records = yield* recordsOf(
        Effect.gen(function* () {
          const { unsafeOnChange } = yield* CircuitBreakers;
          unsafeOnChange(Events.circuitStateChanged(yield* Logging, "auth"));
          yield* trip("mongodb");
        }).pipe(Effect.provide(CircuitBreakers.layer())),
      );
      assert.deepEqual(records, [{
        level: "info",
        msg: "Circuit breaker state changed",
        service: "auth",
        correlationId: "abc-1",
        breaker: "mongodb",
        from: "closed",
        to: "open",
        requests: 5,
        failures: 5,
        consecutiveFailures: 5,
        manual: false,
      }]);
    }));

  it.effect("circuitStateChanged() says why an adaptive breaker opened", () =>
    Effect.gen(function* () {
      const records = yield* recordsOf(
        Effect.gen(function* () {
          const { unsafeOnChange } = yield* CircuitBreakers;
          unsafeOnChange(Events.circuitStateChanged(yield* Logging, "auth"));
          yield* Effect.zipRight(trip("mongodb"), trip("mongodb"));
        }).pipe(Effect.provide(CircuitBreakers.layer({ adaptive: true }))),
      );
      assert.deepEqual(
        records.map(({ to, reason, threshold, baseline }) => [to, reason, threshold, baseline]),
        [["open", "8 in a row failed where 1 % is normal", 1, 0.01]],
      );
    }));

  it.effect("circuitStateChanged() does not call a change what only would have been one", () =>
    Effect.gen(function* () {
      const records = yield* recordsOf(
        Effect.gen(function* () {
          const { unsafeOnChange, control, get } = yield* CircuitBreakers;
          yield* get("mongodb");
          yield* control("mongodb", "observe");
          unsafeOnChange(Events.circuitStateChanged(yield* Logging, "auth"));
          yield* trip("mongodb");
        }).pipe(Effect.provide(CircuitBreakers.layer())),
      );
      assert.deepEqual(records.map(({ msg, observed }) => [msg, observed]), [
        ["Circuit breaker would have opened", true],
      ]);
    }));

  it.effect("retrying() writes the attempt that failed and the delay in whole milliseconds", () =>
    Effect.gen(function* () {
      const records = yield* recordsOf(Events.retrying({
        operation: "mongodb_find",
        attempt: 2,
        error: failure,
        nextDelay: Duration.millis(199.6),
      }));
      assert.deepEqual(records, [{
        level: "warn",
        msg: "Retrying operation",
        service: "routing",
        correlationId: "abc-1",
        operation: "mongodb_find",
        attempt: 2,
        error: "TransientFailure: mongodb_find failed: connection refused",
        nextDelay: "200ms",
      }]);
    }));

  it.effect("fallbackUsed() logs and counts what a caller got instead", () =>
    Effect.gen(function* () {
      const counted: Array<string> = [];
      const fallback = Events.fallbackUsed({
        fallback: (operation, fallback) => counted.push(`${operation} ${fallback}`),
      });
      const records = yield* recordsOf(fallback("mongodb_find", "STALE", { ageSeconds: 12 }));
      assert.deepEqual(counted, ["mongodb_find STALE"]);
      assert.deepEqual(records, [{
        level: "warn",
        msg: "Fallback used",
        service: "routing",
        correlationId: "abc-1",
        operation: "mongodb_find",
        fallback: "STALE",
        ageSeconds: 12,
      }]);
    }));
});

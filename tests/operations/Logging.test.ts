/** Logging: the exact fields of each line, levels, sampling, and what a slow reader may cost. */
import assert from "node:assert/strict";
import {
  Cause,
  type Context,
  Deferred,
  Duration,
  Effect,
  FiberId,
  Redacted,
  TestClock,
} from "effect";
import { RequestContext } from "../../src/http/RequestContext.ts";
import { inService, Logging, type LoggingOptions } from "../../src/operations/Logging.ts";
import { TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import { describe, it } from "../support/it.ts";

/** Runs `body` with a log of its own and answers the lines it wrote. */
const linesOf = <E>(
  body: Effect.Effect<unknown, E, Logging>,
  options: LoggingOptions = {},
): Effect.Effect<ReadonlyArray<string>, E> =>
  Effect.suspend(() => {
    let text = "";
    const sink = {
      write: (bytes: Uint8Array) => {
        text += new TextDecoder().decode(bytes);
        return Promise.resolve(bytes.length);
      },
    };
    const layer = Logging.layer({ level: "debug", writer: { sink }, ...options });
    return Effect.provide(body, layer).pipe(
      Effect.map(() => text.split("\n").filter((line) => line !== "")),
    );
  });

const recordsOf = <E>(body: Effect.Effect<unknown, E, Logging>, options?: LoggingOptions) =>
  Effect.map(
    linesOf(body, options),
    (lines) => lines.map((line): Record<string, unknown> => JSON.parse(line)),
  );

const one = <A>(all: ReadonlyArray<A>): A => {
  assert.equal(all.length, 1);
  const [only] = all;
  assert.ok(only !== undefined);
  return only;
};

const inRequest = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.locally(
    self,
    RequestContext.current,
    new RequestContext("abc-1", "routing", undefined, 0, Infinity),
  );

const access = (given: Partial<Parameters<Context.Tag.Service<Logging>["access"]>[0]> = {}) =>
  Effect.map(Logging, (logging) =>
    logging.access({
      service: "routing",
      correlationId: "abc-1",
      method: "GET",
      route: "/api/v1/route",
      status: 200,
      durationMs: 1.23456,
      ...given,
    }));

describe("Logging", () => {
  it.effect("layer() writes Effect's log as one JSON object a line, in the fixed order", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2026, 0, 2, 3, 4, 5, 6));
      const lines = yield* linesOf(
        inRequest(
          Effect.logWarning("Retrying operation", { operation: "mongodb_find", attempt: 2 }),
        ),
      );
      assert.equal(
        one(lines),
        '{"level":"warn","timestamp":"2026-01-02T03:04:05.006Z","msg":"Retrying operation",' +
          '"service":"routing","correlationId":"abc-1","operation":"mongodb_find","attempt":2}',
      );
    }));

  it.effect("layer() leaves out correlationId when there is no request", () =>
    Effect.gen(function* () {
      const record = one(yield* recordsOf(inService("auth")(Effect.logInfo("Started"))));
      assert.deepEqual(Object.keys(record), ["level", "timestamp", "msg", "service"]);
      assert.equal(record["service"], "auth");
    }));

  it.effect("layer() takes the service of the request, of the fiber, then its own", () =>
    Effect.gen(function* () {
      const log = Effect.logInfo("x");
      const all = Effect.all([inRequest(inService("auth")(log)), inService("auth")(log), log]);
      const records = yield* recordsOf(all, { service: "own" });
      assert.deepEqual(records.map((record) => record["service"]), ["routing", "auth", "own"]);
    }));

  it.effect("layer() maps Effect's levels to four", () =>
    Effect.gen(function* () {
      const all = Effect.all([
        Effect.logTrace("x"),
        Effect.logDebug("x"),
        Effect.logInfo("x"),
        Effect.logWarning("x"),
        Effect.logError("x"),
        Effect.logFatal("x"),
      ]);
      const levels = (yield* recordsOf(all)).map((record) => record["level"]);
      assert.deepEqual(levels, ["debug", "debug", "info", "warn", "error", "error"]);
    }));

  it.effect("setLevel() changes what is written at once, for lines of every kind", () =>
    Effect.gen(function* () {
      const body = Effect.gen(function* () {
        const logging = yield* Logging;
        yield* Effect.logInfo("one");
        logging.setLevel("error");
        assert.equal(logging.level(), "error");
        yield* Effect.logWarning("no");
        yield* access();
        logging.log("warn", "no");
        logging.setLevel("debug");
        yield* Effect.logDebug("two");
        logging.log("debug", "three");
      });
      const messages = (yield* recordsOf(body, { level: "info" })).map(({ msg }) => msg);
      assert.deepEqual(messages, ["one", "two", "three"]);
    }));

  it.effect("layer() writes annotations as fields and never lets fields replace the first five", () =>
    Effect.gen(function* () {
      const body = Effect.logInfo("x", { level: "fake", msg: "fake", timestamp: 0, tenantId: "t" })
        .pipe(Effect.annotateLogs({ breaker: "mongodb", correlationId: "fake" }));
      const record = one(yield* recordsOf(body));
      assert.equal(record["level"], "info");
      assert.equal(record["msg"], "x");
      assert.equal(record["tenantId"], "t");
      assert.equal(record["breaker"], "mongodb");
      assert.equal("correlationId" in record, false);
    }));

  it.effect("layer() keeps secrets out, whatever way they come", () =>
    Effect.gen(function* () {
      const secret = "s3cr3t-value-0123456789";
      const body = Effect.all([
        Effect.logInfo("x", {
          given: Redacted.make(secret),
          nested: {
            deep: [Redacted.make(secret)],
            clientSecret: secret,
            list: [{ token: secret }],
          },
          authorization: secret,
          address: `mongodb://user:${secret}@db.internal:27017/amicis?x=${secret}`,
          link: `https://user:${secret}@example.org/path`,
          header: `Authorization: Bearer ${secret}`,
          form: `grant_type=x&client_secret=${secret}&subject_token=${secret}`,
          map: new Map([["a", Redacted.make(secret)]]),
        }),
        Effect.logError("x", new Error(`connect redis://:${secret}@host:1 failed`)),
        Effect.logError("x", Cause.die(new Error(`password=${secret}`))),
        Effect.logError(
          "x",
          new Error("outer", { cause: new Error(`secret: ${secret}`) }),
        ),
        Effect.logInfo(`token=${secret}`),
      ]);
      const lines = yield* linesOf(body);
      assert.equal(lines.length, 5);
      for (const line of lines) assert.doesNotMatch(line, /s3cr3t/, line);
      assert.match(lines[0] ?? "", /"given":"<redacted>"/);
      assert.doesNotMatch(lines[0] ?? "", /db\.internal/);
    }));

  it.effect("layer() writes a failure as one short error text without its stack", () =>
    Effect.gen(function* () {
      const failure = new TransientFailure({
        dependency: "mongodb",
        operation: "mongodb_find",
        reason: "No answer\nin time",
        timedOut: true,
        cause: new Error("driver text"),
      });
      const record = one(yield* recordsOf(Effect.logWarning("x", failure)));
      assert.equal(
        record["error"],
        "TransientFailure: mongodb_find failed: No answer in time",
      );
      assert.equal("stack" in record, false);
    }));

  it.effect("layer() gives a defect's place, and says when a fiber was interrupted", () =>
    Effect.gen(function* () {
      const body = Effect.all([
        Effect.logError("x", Cause.die(new TypeError("odd"))),
        Effect.logError("x", Cause.interrupt(FiberId.none)),
      ]);
      const [defect, interrupted] = yield* recordsOf(body);
      assert.equal(defect?.["error"], "TypeError: odd");
      assert.match(String(defect?.["stack"]), /^at .*Logging\.test\.ts/);
      assert.equal(interrupted?.["error"], "Interrupted");
    }));

  it.effect("layer() writes odd values as valid JSON", () =>
    Effect.gen(function* () {
      const circle: Record<string, unknown> = {};
      circle["self"] = circle;
      const record = one(
        yield* recordsOf(Effect.logInfo('quote " break \n tab \t \u2028 \ud800', {
          circle,
          nothing: undefined,
          nil: null,
          big: 12n,
          nan: Number.NaN,
          pause: Duration.seconds(2),
          when: new Date(0),
          'odd "name"': 1,
          thrower: {
            get bad(): string {
              throw new Error("no");
            },
          },
          long: "x".repeat(100_000),
          wide: { text: "y".repeat(100_000), items: Array.from({ length: 9_000 }, () => "z") },
        })),
      );
      assert.equal(record["nothing"], undefined);
      assert.equal(record["nil"], null);
      assert.equal(record["big"], "12");
      assert.equal(record["nan"], null);
      assert.equal(record["pause"], "2000ms");
      assert.equal(record["when"], "1970-01-01T00:00:00.000Z");
      assert.equal(record['odd "name"'], 1);
      assert.ok(String(record["long"]).length < 3_000);
      assert.match(String(record["wide"]), /characters>$/);
    }));

  it.effect("access() writes the request's line with exactly its fields", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(0);
      assert.equal(
        one(yield* linesOf(access())),
        '{"level":"info","timestamp":"1970-01-01T00:00:00.000Z","msg":"Request",' +
          '"service":"routing","correlationId":"abc-1","method":"GET","route":"/api/v1/route",' +
          '"status":200,"durationMs":1.235}',
      );
    }));

  it.effect("access() escapes what the client chose", () =>
    Effect.gen(function* () {
      const record = one(yield* recordsOf(access({ method: 'A"B\n', correlationId: '"}{' })));
      assert.equal(record["method"], 'A"B\n');
      assert.equal(record["correlationId"], '"}{');
    }));

  it.effect("access() keeps its share of requests by correlation id, and every error", () =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 4_000 }, (_, index) => `request-${index}`);
      const body = Effect.forEach(ids, (correlationId) => access({ correlationId }));
      const kept = (yield* recordsOf(body, { accessSample: 0.25 }))
        .map((record) => record["correlationId"]);
      assert.ok(kept.length > 850 && kept.length < 1_150, `${kept.length} of 4,000`);
      const again = (yield* recordsOf(body, { accessSample: 0.25 }))
        .map((record) => record["correlationId"]);
      assert.deepEqual(again, kept);
      const failing = Effect.forEach(
        ids,
        (correlationId) => access({ correlationId, status: 503 }),
      );
      assert.equal((yield* linesOf(failing, { accessSample: 0 })).length, 4_000);
      assert.equal((yield* linesOf(body, { accessSample: 0 })).length, 0);
    }));

  it.effect("layer() writes for people when the format is pretty", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2026, 0, 2, 3, 4, 5, 6));
      const body = Effect.zipRight(
        inRequest(Effect.logWarning("Fallback used", { operation: "a b", injected: "x\ny" })),
        access(),
      );
      const lines = yield* linesOf(body, { format: "pretty" });
      assert.deepEqual(lines, [
        '03:04:05.006 WARN  routing Fallback used operation="a b" injected="x\\ny" [abc-1]',
        "03:04:05.006 INFO  routing Request method=GET route=/api/v1/route status=200 " +
        "durationMs=1.235 [abc-1]",
      ]);
      const coloured = yield* linesOf(access(), { format: "pretty", colour: true });
      // deno-lint-ignore no-control-regex -- the colours themselves
      assert.match(one(coloured), /\x1b\[32mINFO \x1b\[0m/);
    }));

  it.live(
    "layer() flushes when its scope closes, but waits for a stuck reader only so long",
    () =>
      Effect.gen(function* () {
        const stuck = yield* Deferred.make<void>();
        const sink = {
          write: (bytes: Uint8Array) =>
            Effect.runPromise(Effect.as(Deferred.await(stuck), bytes.length)),
        };
        const writer = { sink, flushMillis: 50 };
        yield* Effect.provide(Effect.logInfo("x"), Logging.layer({ writer }));
        yield* Deferred.succeed(stuck, undefined);
      }),
    { timeout: "5 seconds" },
  );
});

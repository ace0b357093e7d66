/** Delivery: order, retries, bounds, what is counted as lost, and the end. */
import assert from "node:assert/strict";
import { HttpBody, HttpClient, HttpClientError, HttpClientResponse } from "@effect/platform";
import { Effect, Exit, Fiber, Logger, Scope, TestClock } from "effect";
import * as Outbox from "../../src/operations/Outbox.ts";
import { describe, it } from "../support/it.ts";

type Step = number | "unreachable" | "hang" | { readonly status: number; readonly body: string };

/** A receiver that follows a script; its last step goes on for ever. */
const scripted = (...steps: ReadonlyArray<Step>) => {
  const sent: Array<string> = [];
  const client = HttpClient.make((request, url) =>
    Effect.suspend(() => {
      sent.push(url.pathname);
      const step = steps[Math.min(sent.length, steps.length) - 1] ?? 200;
      if (step === "hang") return Effect.never;
      if (step === "unreachable") {
        return Effect.fail(
          new HttpClientError.RequestError({ request, reason: "Transport", cause: null }),
        );
      }
      const [status, body] = typeof step === "number" ? [step, ""] : [step.status, step.body];
      return Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { status })));
    })
  );
  return { sent, client };
};

const batch = (name: string, items = 1): Outbox.Batch => ({
  url: `http://receiver.example/${name}`,
  headers: {},
  body: HttpBody.text(name),
  signal: "items",
  items,
});

const make = (steps: ReadonlyArray<Step>, options: Partial<Outbox.Options> = {}) =>
  Effect.gen(function* () {
    const logged: Array<unknown> = [];
    const logger = Logger.make(({ message }) => void logged.push(message));
    const { sent, client } = scripted(...steps);
    const outbox = yield* Outbox.make({
      exporter: "test",
      signals: ["items"],
      maxItems: 10,
      timeoutMillis: 1_000,
      exportMillis: 30_000,
      ...options,
    }).pipe(
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
    );
    const lost = () => outbox.dropped().get("items");
    return { outbox, sent, lost, logged };
  });

describe("Outbox", () => {
  it.effect("offer() sends batches in turn and says nothing of it", () =>
    Effect.gen(function* () {
      const { outbox, sent, lost, logged } = yield* make([200]);
      outbox.offer(batch("a"));
      outbox.offer(batch("b"));
      yield* TestClock.adjust("1 millis");
      assert.deepEqual(sent, ["/a", "/b"]);
      assert.equal(outbox.pending(), 0);
      assert.equal(lost(), 0);
      assert.deepEqual(logged, []);
    }));

  for (const step of [500, 503, 429, 408, "unreachable"] as const) {
    it.effect(`offer() tries again after 1, 2 and 4 s when the answer is ${step}`, () =>
      Effect.gen(function* () {
        const { outbox, sent, lost, logged } = yield* make([step, step, step, 200]);
        outbox.offer(batch("a"));
        yield* TestClock.adjust("999 millis");
        assert.equal(sent.length, 1);
        yield* TestClock.adjust("1 millis");
        assert.equal(sent.length, 2);
        yield* TestClock.adjust("2 seconds");
        assert.equal(sent.length, 3);
        assert.equal(outbox.pending(), 1);
        yield* TestClock.adjust("4 seconds");
        assert.equal(sent.length, 4);
        assert.equal(outbox.pending(), 0);
        assert.equal(lost(), 0);
        assert.equal(logged.length, 2);
      }));
  }

  for (const status of [400, 401, 413, 302]) {
    it.effect(`offer() gives up at once when the answer is ${status}`, () =>
      Effect.gen(function* () {
        const { outbox, sent, lost } = yield* make([status, 200]);
        outbox.offer(batch("a", 3));
        outbox.offer(batch("b"));
        yield* TestClock.adjust("1 millis");
        assert.deepEqual(sent, ["/a", "/b"]);
        assert.equal(lost(), 3);
      }));
  }

  it.effect("offer() gives a batch up when its time is over", () =>
    Effect.gen(function* () {
      const { outbox, sent, lost } = yield* make([500], { exportMillis: 5_000 });
      outbox.offer(batch("a", 2));
      yield* TestClock.adjust("1 minute");
      // At 0, 1 and 3 s; the next would be at 7 s.
      assert.equal(sent.length, 3);
      assert.equal(lost(), 2);
    }));

  it.effect("offer() waits as long as Retry-After says", () =>
    Effect.gen(function* () {
      const sent: Array<number> = [];
      const client = HttpClient.make((request) =>
        Effect.sync(() => {
          sent.push(0);
          return HttpClientResponse.fromWeb(
            request,
            sent.length > 1
              ? new Response()
              : new Response("", { status: 429, headers: { "retry-after": "7" } }),
          );
        })
      );
      const outbox = yield* Outbox.make({
        exporter: "test",
        signals: ["items"],
        maxItems: 10,
        timeoutMillis: 1_000,
        exportMillis: 30_000,
      }).pipe(Effect.provideService(HttpClient.HttpClient, client));
      outbox.offer(batch("a"));
      yield* TestClock.adjust("6999 millis");
      assert.equal(sent.length, 1);
      yield* TestClock.adjust("1 millis");
      assert.equal(sent.length, 2);
    }));

  it.effect("offer() drops what does not fit, and only that", () =>
    Effect.gen(function* () {
      const { outbox, lost } = yield* make(["hang"]);
      outbox.offer(batch("a", 6));
      outbox.offer(batch("b", 6));
      outbox.offer(batch("c", 4));
      assert.equal(outbox.pending(), 10);
      assert.equal(lost(), 6);
    }));

  it.effect("offer() cuts a request off after its time and goes on", () =>
    Effect.gen(function* () {
      const { outbox, sent, logged } = yield* make(["hang", 200]);
      outbox.offer(batch("a"));
      yield* TestClock.adjust("1 seconds");
      assert.deepEqual(logged, [
        ["Telemetry not delivered", { exporter: "test", error: "no answer in time" }],
      ]);
      yield* TestClock.adjust("1 seconds");
      assert.deepEqual(sent, ["/a", "/a"]);
      assert.equal(outbox.pending(), 0);
    }));

  it.effect("offer() counts what the receiver did not take of a batch", () =>
    Effect.gen(function* () {
      const { outbox, lost } = yield* make([{ status: 200, body: "4" }], { rejected: Number });
      outbox.offer(batch("a", 5));
      outbox.offer(batch("b", 2));
      yield* TestClock.adjust("1 millis");
      // Never more than it was sent.
      assert.equal(lost(), 6);
    }));

  it.effect("offer() tells of an outage once, and of its end", () =>
    Effect.gen(function* () {
      const { outbox, logged } = yield* make([400, 400, 200, 200, "unreachable"], {
        exportMillis: 0,
      });
      for (const name of ["a", "b", "c", "d", "e"]) outbox.offer(batch(name));
      yield* TestClock.adjust("1 millis");
      assert.deepEqual(logged, [
        ["Telemetry not delivered", { exporter: "test", error: "status 400" }],
        ["Telemetry delivered again", { exporter: "test" }],
        ["Telemetry not delivered", { exporter: "test", error: "it cannot be reached" }],
      ]);
    }));

  it.effect("drain() ends a pause, tries each batch once more, and counts the rest", () =>
    Effect.gen(function* () {
      const { outbox, sent, lost } = yield* make([500]);
      outbox.offer(batch("a"));
      outbox.offer(batch("b"));
      yield* TestClock.adjust("1 millis");
      yield* outbox.drain("3 seconds");
      assert.deepEqual(sent, ["/a", "/a", "/b"]);
      assert.equal(lost(), 2);
    }));

  it.effect("drain() does not try the rest on a receiver that turns out to be dead", () =>
    Effect.gen(function* () {
      const { outbox, sent, lost } = yield* make(["unreachable"]);
      for (const name of ["a", "b", "c"]) outbox.offer(batch(name));
      yield* TestClock.adjust("1 millis");
      yield* outbox.drain("3 seconds");
      assert.deepEqual(sent, ["/a", "/a"]);
      assert.equal(lost(), 3);
    }));

  it.effect("drain() ends when its time is over, also where nothing may be interrupted", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make();
      const { outbox, lost } = yield* Scope.extend(
        make(["hang"], { timeoutMillis: 60_000 }),
        scope,
      );
      outbox.offer(batch("a", 2));
      outbox.offer(batch("b", 3));
      yield* TestClock.adjust("1 millis");
      const draining = yield* Effect.fork(Effect.uninterruptible(outbox.drain("3 seconds")));
      yield* TestClock.adjust("3 seconds");
      yield* Fiber.join(draining);
      yield* Scope.close(scope, Exit.void);
      assert.equal(lost(), 5);
    }));
});

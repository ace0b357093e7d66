/** StatusFeed: one ticker while somebody looks, none without; bounds; what a viewer is told. */
import assert from "node:assert/strict";
import { Chunk, Effect, Layer, TestClock } from "effect";
import { Lifecycle } from "../../src/http/Lifecycle.ts";
import { Health } from "../../src/operations/Health.ts";
import { Metrics } from "../../src/operations/Metrics.ts";
import { StatusFeed, type StatusFeedOptions } from "../../src/operations/StatusFeed.ts";
import { CircuitBreakers } from "../../src/resilience/CircuitBreakers.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { start } from "./OperationsServer.ts";

const layer = (options: Partial<StatusFeedOptions> = {}) =>
  StatusFeed.layer({ service: "routing", version: "1", hasAdmin: false, ...options }).pipe(
    Layer.provide(Health.layer({ dependencies: [{ name: "mongodb", ping: Effect.void }] })),
    Layer.provide(Metrics.layer({ service: "routing" })),
    Layer.provideMerge(Layer.mergeAll(Lifecycle.layer, CircuitBreakers.layer())),
  );

interface Received {
  readonly name: string;
  // deno-lint-ignore no-explicit-any -- the tests compare it with what it should be
  readonly data: any;
}

/** Reads the pieces of a stream one by one, as events. */
const viewer = Effect.gen(function* () {
  const stream = yield* Effect.flatMap(StatusFeed, ({ open }) => open);
  assert.ok(stream !== undefined);
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  const next: Effect.Effect<Received | undefined> = Effect.promise(async () => {
    const { done, value } = await reader.read();
    if (done) return undefined;
    const text = decoder.decode(value);
    const [, name, data] = /^event: (\w+)\ndata: (.*)\n\n$/.exec(text) ?? [];
    return name === undefined || data === undefined
      ? { name: text.trim(), data: null }
      : { name, data: JSON.parse(data) };
  });
  return { next, leave: Effect.promise(() => reader.cancel()) };
});

const take = (next: Effect.Effect<Received | undefined>, count: number) =>
  Effect.map(Effect.replicateEffect(next, count), (all) => all.map((event) => event?.name));

describe("StatusFeed", () => {
  it.effect("open gives how to come back, what just happened, and a picture", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers;
      yield* breakers.get("mongodb");
      yield* breakers.control("mongodb", "open");
      const { next, leave } = yield* viewer;
      assert.equal((yield* next)?.name, "retry: 2000");
      const history = yield* next;
      assert.equal(history?.name, "history");
      assert.equal(history?.data.length, 1);
      assert.equal(history?.data[0].to, "open");
      const picture = yield* next;
      assert.equal(picture?.name, "picture");
      const { at: _at, breakers: shown, ...rest } = picture?.data;
      assert.deepEqual(rest, {
        service: "routing",
        version: "1",
        hasAdmin: false,
        startedAt: 0,
        lifecycle: "starting",
        readiness: "starting",
        dependencies: [{ name: "mongodb", isConnected: true }],
        total: 1,
        open: 1,
        halfOpen: 0,
        manual: 1,
      });
      assert.equal(shown[0].mode, "forced-open");
      assert.equal(shown[0].rejected, 0);
      yield* leave;
    }).pipe(Effect.provide(layer())));

  it.effect("open sends a picture each interval and a change at once", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers;
      yield* breakers.get("mongodb");
      const { next, leave } = yield* viewer;
      assert.deepEqual(yield* take(next, 3), ["retry: 2000", "history", "picture"]);
      yield* TestClock.adjust("1 second");
      assert.deepEqual(yield* take(next, 1), ["picture"]);
      yield* breakers.control("mongodb", "open");
      const change = yield* next;
      assert.equal(change?.name, "change");
      assert.equal(change?.data.breaker, "mongodb");
      assert.equal(change?.data.manual, true);
      yield* TestClock.adjust("1 second");
      assert.equal((yield* next)?.data.breakers[0].state, "open");
      yield* leave;
    }).pipe(Effect.provide(layer())));

  it.effect("open shares one ticker, which ends with the last viewer", () =>
    Effect.gen(function* () {
      const feed = yield* StatusFeed;
      const timers = Effect.map(TestClock.sleeps(), Chunk.size);
      // An interrupted sleeper is only forgotten when its time has come.
      yield* TestClock.adjust("1 second");
      const idle = yield* timers;
      const one = yield* viewer;
      const two = yield* viewer;
      assert.equal(feed.viewers(), 2);
      assert.equal(yield* timers, idle + 1);
      yield* one.leave;
      assert.equal(feed.viewers(), 1);
      yield* take(two.next, 3);
      yield* TestClock.adjust("1 second");
      assert.deepEqual(yield* take(two.next, 1), ["picture"]);
      yield* two.leave;
      assert.equal(feed.viewers(), 0);
      yield* TestClock.adjust("1 second");
      assert.equal(yield* timers, idle);
      const again = yield* viewer;
      yield* take(again.next, 3);
      yield* TestClock.adjust("1 second");
      assert.deepEqual(yield* take(again.next, 1), ["picture"]);
      yield* again.leave;
    }).pipe(Effect.provide(layer())));

  it.effect("open refuses more viewers than may be, until one leaves", () =>
    Effect.gen(function* () {
      const feed = yield* StatusFeed;
      const one = yield* viewer;
      const two = yield* viewer;
      assert.equal(yield* feed.open, undefined);
      yield* one.leave;
      const three = yield* viewer;
      yield* two.leave;
      yield* three.leave;
    }).pipe(Effect.provide(layer({ maxViewers: 2 }))));

  it.effect("open lets a viewer miss pictures who does not read, and lets him go for changes", () =>
    Effect.gen(function* () {
      const feed = yield* StatusFeed;
      const breakers = yield* CircuitBreakers;
      yield* breakers.get("mongodb");
      const slow = yield* viewer;
      yield* TestClock.adjust("100 seconds");
      assert.equal(feed.viewers(), 1);
      for (let index = 0; index < 30; index += 1) {
        yield* breakers.control("mongodb", "open");
        yield* breakers.control("mongodb", "reset");
      }
      assert.equal(feed.viewers(), 0);
      const names: Array<string> = [];
      for (let event = yield* slow.next; event !== undefined; event = yield* slow.next) {
        names.push(event.name);
      }
      assert.ok(names.filter((name) => name === "picture").length <= 2, names.join());
      assert.ok(names.length < 60, `${names.length}`);
    }).pipe(Effect.provide(layer())));

  it.effect("open lists those first that matter when there are too many breakers", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers;
      for (let index = 0; index < 300; index += 1) yield* breakers.get(`token-exchange-${index}`);
      yield* breakers.get("mongodb");
      yield* breakers.control("token-exchange-298", "disable");
      yield* breakers.control("token-exchange-299", "open");
      const { next, leave } = yield* viewer;
      yield* take(next, 2);
      const { total, open, halfOpen, manual, breakers: listed } = (yield* next)?.data;
      assert.deepEqual({ total, open, halfOpen, manual }, {
        total: 301,
        open: 1,
        halfOpen: 0,
        manual: 2,
      });
      assert.equal(listed.length, 200);
      const names: ReadonlyArray<string> = listed.map(({ name }: { name: string }) => name);
      assert.deepEqual(names.slice(0, 4), [
        "token-exchange-299",
        "token-exchange-298",
        "mongodb",
        "token-exchange-0",
      ]);
      yield* leave;
    }).pipe(Effect.provide(layer())));

  it.effect("open keeps listing the same breakers while others come and are used", () =>
    Effect.gen(function* () {
      const breakers = yield* CircuitBreakers;
      const names = (picture: Received | undefined): ReadonlyArray<string> =>
        picture?.data.breakers.map(({ name }: { name: string }) => name).toSorted();
      for (let index = 0; index < 300; index += 1) yield* breakers.get(`token-exchange-${index}`);
      const { next, leave } = yield* viewer;
      yield* take(next, 2);
      const before = names(yield* next);
      // A look-up after so long moves a breaker to the other end of the registry.
      yield* TestClock.adjust("31 seconds");
      for (let index = 0; index < 50; index += 1) yield* breakers.get(`token-exchange-${index}`);
      yield* TestClock.adjust("1 second");
      let last: Received | undefined;
      for (let count = 0; count < 2; count += 1) last = yield* next;
      yield* TestClock.adjust("1 second");
      last = yield* next;
      assert.deepEqual(names(last), before);
      yield* leave;
    }).pipe(Effect.provide(layer())));

  it.live("GET /status/events streams, and is 503 for one viewer too many", () =>
    Effect.gen(function* () {
      const { url, get, feed } = yield* start({ feed: { maxViewers: 1, interval: "20 millis" } });
      const response = yield* Effect.promise(() => fetch(`${url}/status/events`));
      assert.equal(response.headers.get("content-type"), "text/event-stream");
      assert.equal(response.headers.get("cache-control"), "no-store");
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      while (text.split("event: picture").length < 4) {
        const piece = yield* Effect.promise(async () => await reader?.read());
        text += piece?.value ?? "";
      }
      assert.match(text, /^retry: 2000\n\nevent: history\ndata: \[\]\n\nevent: picture\n/);
      const refused = yield* get("/status/events");
      assert.deepEqual([refused.status, refused.json.error], [503, "Too many viewers"]);
      yield* Effect.promise(async () => await reader?.cancel());
      yield* eventually(Effect.sync(() => feed.viewers() === 0));
    }));
});

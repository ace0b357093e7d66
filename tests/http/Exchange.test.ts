/** Requests that take time: their deadline, their callers' leaving, and the server's stop. */
import { strict as assert } from "node:assert";
import { Deferred, Effect, Exit, Fiber, Scope } from "effect";
import { Lifecycle } from "../../src/http/Lifecycle.ts";
import { eventually } from "../support/eventually.ts";
import { describe, it } from "../support/it.ts";
import { ask, RawConnection } from "./support/RawHttp.ts";
import { get, open, openAlone, problemOf } from "./support/Shop.ts";

describe("a request that takes too long", () => {
  it.live("is interrupted and answered 503 in the service's words", () =>
    Effect.gen(function* () {
      const { url, watch, done, listening } = yield* openAlone({
        requestTimeout: "50 millis",
        unavailable: "Token service temporarily unavailable. Please retry.",
      });
      const answer = yield* get(`${url}/slow`);
      assert.equal(answer.status, 503);
      assert.equal(answer.headers.get("retry-after"), "1");
      assert.equal(
        problemOf(answer).error,
        "Token service temporarily unavailable. Please retry.",
      );
      yield* eventually(Effect.sync(() => watch.slowInterrupted === 1));
      assert.equal(listening.inFlight(), 0);
      assert.deepEqual(done.map(({ status }) => status), [503]);
    }));

  it.live("does not shorten the time of those after it", () =>
    Effect.gen(function* () {
      const { url, watch } = yield* openAlone({ requestTimeout: "5 seconds" });
      const waiting = yield* Effect.fork(
        Effect.all(Array.from({ length: 20 }, () => get(`${url}/slow`)), { concurrency: 20 }),
      );
      yield* eventually(Effect.sync(() => watch.slowBegun === 20));
      yield* Deferred.succeed(watch.release, undefined);
      const answers = yield* Fiber.join(waiting);
      assert.ok(answers.every(({ status }) => status === 200));
    }));
});

describe("a caller that goes away", () => {
  it.live("interrupts its handler and frees its place", () =>
    Effect.gen(function* () {
      const { port, watch, done, listening } = yield* openAlone();
      yield* Effect.promise(async () => {
        using connection = await RawConnection.open(port);
        await connection.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await eventually(() => watch.slowBegun === 1);
      });
      yield* eventually(Effect.sync(() => watch.slowInterrupted === 1));
      assert.equal(listening.inFlight(), 0);
      assert.deepEqual(done.map(({ route, status }) => `${route} ${status}`), ["/slow 499"]);
    }));

  it.live("ends the stream it was reading", () =>
    Effect.gen(function* () {
      const { port, watch } = yield* openAlone();
      yield* Effect.promise(async () => {
        using connection = await RawConnection.open(port);
        await connection.send("GET /feed HTTP/1.1\r\nHost: localhost\r\n\r\n");
        const answer = await connection.receive();
        assert.equal(answer.headers.get("content-type"), "text/event-stream");
      });
      yield* eventually(Effect.sync(() => watch.feedCancelled));
    }));
});

/** A server in a scope that the test closes. */
const stoppable = (options: Parameters<typeof open>[0]) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make();
    const running = yield* Effect.provideService(open(options), Scope.Scope, scope);
    return { ...running, stop: Scope.close(scope, Exit.void) };
  });

describe("a stopping server", () => {
  it.live("goes on listening until what is in flight has ended", () =>
    Effect.gen(function* () {
      const lifecycle = yield* Lifecycle;
      const { url, port, watch, stop } = yield* stoppable({});
      yield* lifecycle.advance("ready");
      const slow = yield* Effect.fork(get(`${url}/slow`));
      yield* eventually(Effect.sync(() => watch.slowBegun === 1));
      const stopping = yield* Effect.fork(stop);
      yield* lifecycle.draining;
      const meanwhile = yield* Effect.promise(() => ask(port, ["GET /text HTTP/1.1"]));
      assert.equal(meanwhile.status, 200);
      assert.match(meanwhile.headers.get("connection") ?? "", /close/);
      assert.equal(yield* lifecycle.state, "draining");
      yield* Deferred.succeed(watch.release, undefined);
      assert.equal((yield* Fiber.join(slow)).text, '"done"');
      yield* Fiber.join(stopping);
      const refused = yield* Effect.exit(
        Effect.tryPromise(() => Deno.connect({ hostname: "127.0.0.1", port })),
      );
      assert.ok(Exit.isFailure(refused));
    }).pipe(Effect.provide(Lifecycle.layer)));

  it.live("answers 503 to what is left when the grace is over", () =>
    Effect.gen(function* () {
      const { url, watch, stop } = yield* stoppable({ shutdownGrace: "100 millis" });
      const slow = yield* Effect.fork(get(`${url}/slow`));
      yield* eventually(Effect.sync(() => watch.slowBegun === 1));
      yield* stop;
      assert.equal((yield* Fiber.join(slow)).status, 503);
      assert.equal(watch.slowInterrupted, 1);
    }).pipe(Effect.provide(Lifecycle.layer)));

  it.live("ends open streams and idle connections at once", () =>
    Effect.gen(function* () {
      const { port, url, watch, stop } = yield* stoppable({ shutdownGrace: "30 seconds" });
      const ended = yield* Effect.promise(async () => {
        using idle = await RawConnection.open(port);
        await idle.send("GET /text HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await idle.receive();
        const feed = await fetch(`${url}/feed`);
        const reader = feed.body?.pipeThrough(new TextDecoderStream()).getReader();
        assert.equal((await reader?.read())?.value, "first\n");
        await Effect.runPromise(stop);
        assert.equal((await reader?.read())?.done, true);
        return await idle.ends();
      });
      assert.equal(ended, true);
      assert.equal(watch.feedCancelled, true);
    }).pipe(Effect.provide(Lifecycle.layer)));
});

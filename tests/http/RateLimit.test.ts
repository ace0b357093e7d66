/** Token buckets, and the headers of limited endpoints. */
import { strict as assert } from "node:assert";
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "@effect/platform";
import { Duration, Effect, Layer, Schema, TestClock, TestContext } from "effect";
import * as fc from "fast-check";
import * as ApiServer from "../../src/http/ApiServer.ts";
import * as Gate from "../../src/http/Gate.ts";
import { Lifecycle } from "../../src/http/Lifecycle.ts";
import * as RateLimit from "../../src/http/RateLimit.ts";
import { describe, it } from "../support/it.ts";
import { get, problemOf } from "./support/Shop.ts";

const limiter = (options: RateLimit.Options) =>
  Effect.provide(RateLimit.RateLimiter, RateLimit.RateLimiter.layer(options));

describe("take()", () => {
  it.effect("allows the burst at once, then the rate", () =>
    Effect.gen(function* () {
      const { take } = yield* limiter({ rps: 10, burst: 3 });
      const first = yield* take("a");
      assert.deepEqual({ ...first, retryAfter: Duration.toMillis(first.retryAfter) }, {
        allowed: true,
        limit: 3,
        remaining: 2,
        resetSeconds: 1,
        retryAfter: 0,
      });
      assert.equal((yield* take("a")).remaining, 1);
      assert.equal((yield* take("a")).remaining, 0);
      const refused = yield* take("a");
      assert.equal(refused.allowed, false);
      assert.equal(Duration.toMillis(refused.retryAfter), 100);
      yield* TestClock.adjust("99 millis");
      assert.equal((yield* take("a")).allowed, false);
      yield* TestClock.adjust("1 millis");
      assert.equal((yield* take("a")).allowed, true);
      assert.equal((yield* take("a")).allowed, false);
      yield* TestClock.adjust("1 hour");
      assert.equal((yield* take("a")).remaining, 2);
    }));

  it.effect("says at most the burst is left, also at rates beyond its precision", () =>
    Effect.gen(function* () {
      const { take } = yield* limiter({ rps: 1_000_000_000, burst: 1_000 });
      assert.equal((yield* take("a")).remaining, 1_000);
    }));

  it.effect("counts every key for itself", () =>
    Effect.gen(function* () {
      const { take } = yield* limiter({ rps: 1, burst: 1 });
      assert.equal((yield* take("a")).allowed, true);
      assert.equal((yield* take("b")).allowed, true);
      assert.equal((yield* take("a")).allowed, false);
    }));

  it.effect("forgets full buckets first, and never holds more keys than it may", () =>
    Effect.gen(function* () {
      const { take, unsafeSize } = yield* limiter({ rps: 1, burst: 2, maxKeys: 100 });
      yield* take("empty");
      yield* take("empty");
      for (let i = 0; i < 1000; i++) {
        yield* take(`tenant-${i}`);
        assert.ok(unsafeSize() <= 100);
      }
      assert.equal((yield* take("empty")).allowed, false);
      yield* TestClock.adjust("10 seconds");
      yield* take("new");
      assert.ok(unsafeSize() < 50);
    }));

  it.effect("never allows more than the burst and the rate together", () =>
    Effect.promise(() =>
      fc.assert(fc.asyncProperty(
        fc.record({
          rps: fc.integer({ min: 1, max: 1000 }),
          burst: fc.integer({ min: 1, max: 50 }),
        }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 100 }),
        (options, pauses) =>
          Effect.runPromise(
            Effect.gen(function* () {
              const { take } = yield* limiter(options);
              let elapsed = 0;
              let allowed = 0;
              for (const pause of pauses) {
                yield* TestClock.adjust(Duration.millis(pause));
                elapsed += pause;
                const decision = yield* take("a");
                if (decision.allowed) allowed++;
                else {
                  assert.equal(decision.remaining, 0);
                  assert.ok(Duration.toMillis(decision.retryAfter) > 0);
                }
                assert.ok(allowed <= options.burst + options.rps * elapsed / 1000 + 1e-6);
              }
            }).pipe(Effect.provide(TestContext.TestContext)),
          ),
      ))
    ));
});

const Api = HttpApi.make("limited").add(
  HttpApiGroup.make("g")
    .add(HttpApiEndpoint.get("x", "/x").addSuccess(Schema.String))
    .middleware(RateLimit.RateLimited),
);

describe("gate()", () => {
  it.live("puts the headers on every answer and answers 429 over the limit", () =>
    Effect.gen(function* () {
      const rates = yield* RateLimit.RateLimiter;
      let refused = 0;
      const { port } = yield* ApiServer.serve({
        service: "routing",
        hostname: "127.0.0.1",
        port: 0,
        apis: [{
          kind: "service",
          implementation: ApiServer.handlers(Api, { g: { x: () => Effect.succeed("x") } }),
        }],
        gates: [
          Gate.make({ key: "unused" }, () => undefined),
          RateLimit.gate(rates, () => refused++),
        ],
      });
      const first = yield* get(`http://127.0.0.1:${port}/x`);
      assert.equal(first.status, 200);
      assert.equal(first.headers.get("ratelimit-limit"), "2");
      assert.equal(first.headers.get("ratelimit-remaining"), "1");
      assert.equal(first.headers.get("ratelimit-reset"), "10");
      yield* get(`http://127.0.0.1:${port}/x`);
      const third = yield* get(`http://127.0.0.1:${port}/x`);
      assert.equal(third.status, 429);
      assert.equal(problemOf(third).error, "Rate limit exceeded");
      assert.equal(third.headers.get("retry-after"), "10");
      assert.equal(third.headers.get("ratelimit-limit"), "2");
      assert.equal(third.headers.get("ratelimit-remaining"), "0");
      assert.equal(third.headers.get("ratelimit-reset"), "20");
      assert.equal(refused, 1);
    }).pipe(Effect.provide(
      Layer.merge(RateLimit.RateLimiter.layer({ rps: 0.1, burst: 2 }), Lifecycle.layer),
    )));
});

import { describe, it } from "../support/it.ts";
import assert from "node:assert/strict";
import {
  Context,
  Deferred,
  Duration,
  Effect,
  Either,
  Exit,
  Fiber,
  Layer,
  Redacted,
  TestClock,
} from "effect";
import {
  EndpointRefused,
  EndpointThrottled,
  type IdentityFailure,
  InvalidAnswer,
  TokenRejected,
} from "../../src/auth/IdentityProvider.ts";
import { Tenants } from "../../src/auth/Tenants.ts";
import { TokenCache } from "../../src/auth/TokenCache.ts";
import * as TokenExchange from "../../src/auth/TokenExchange.ts";
import { CircuitBreakers as Registry } from "../../src/resilience/CircuitBreakers.ts";
import * as Deadline from "../../src/resilience/Deadline.ts";
import { PermanentFailure, TransientFailure } from "../../src/resilience/DependencyFailure.ts";
import * as RecoveryProbe from "../../src/resilience/RecoveryProbe.ts";
import * as Retry from "../../src/resilience/Retry.ts";
import {
  down,
  guardOf,
  Lines,
  ScriptedProvider,
  ScriptedTenants,
  secret,
  tenantOf,
} from "./Fixtures.ts";

interface Setup extends TokenExchange.Options {
  readonly repository?: ScriptedTenants;
  readonly provider?: ScriptedProvider;
  readonly cache?: Layer.Layer<TokenCache>;
  readonly registry?: Layer.Layer<Registry, unknown>;
}

const exchangeOf = ({
  repository = new ScriptedTenants(tenantOf("acme"), tenantOf("other")),
  provider = new ScriptedProvider(),
  cache = TokenCache.layerMemory(),
  registry = Registry.layer({ openJitter: 0 }),
  ...options
}: Setup = {}) =>
  Effect.gen(function* () {
    const mongodb = yield* guardOf("mongodb");
    const context = yield* Layer.build(
      TokenExchange.TokenExchange.layer(options).pipe(
        Layer.provideMerge(Layer.mergeAll(
          registry,
          provider.layer,
          cache,
          Layer.provide(Tenants.layer({ mongodb }), repository.layer),
        )),
      ),
    );
    return {
      ...Context.get(context, TokenExchange.TokenExchange),
      breakers: Context.get(context, Registry),
      repository,
      provider,
    };
  });

const retrying = Either.getOrThrow(Retry.policy());

const transient = (more: Partial<TransientFailure> = {}) =>
  new TransientFailure({
    dependency: "token-exchange",
    operation: "token_exchange",
    reason: "connection reset",
    timedOut: false,
    cause: null,
    ...more,
  });

const valueOf = (token: { readonly accessToken: Redacted.Redacted<string> }) =>
  Redacted.value(token.accessToken);

describe("TokenExchange", () => {
  it.effect("exchange() gives the endpoint's token with its whole life and the tenant", () =>
    Effect.gen(function* () {
      const { exchange, provider } = yield* exchangeOf();
      const given = yield* exchange("acme", secret("shopper:with:colons"));
      assert.equal(valueOf(given), "token-1");
      assert.equal(given.expiresIn, 3_600);
      assert.deepEqual(given.tenant, { id: "acme", name: "Name of acme" });
      assert.deepEqual(provider.calls, [{ tenantId: "acme", token: "shopper:with:colons" }]);
    }));

  it.effect("exchange() promises no more of a cached token when the clock was set back since", () =>
    Effect.gen(function* () {
      const { exchange, provider } = yield* exchangeOf();
      const start = 7_200_000;
      yield* TestClock.setTime(start);
      yield* exchange("acme", secret("t"));
      // Another replica's clock may be this much ahead.
      yield* TestClock.setTime(start - 60_000);
      assert.equal((yield* exchange("acme", secret("t"))).expiresIn, 3_600);
      assert.equal(provider.calls.length, 1);
      yield* TestClock.setTime(start - 60_001);
      assert.equal((yield* exchange("acme", secret("t"))).expiresIn, 3_600);
      assert.equal(provider.calls.length, 2);
    }));

  it.effect("exchange() knows neither unknown nor disabled tenants, and makes no breaker", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants(tenantOf("off", undefined, { enabled: false }));
      const { exchange, breakers, provider } = yield* exchangeOf({ repository });
      let admitted = 0;
      const admit = () => Effect.sync(() => void admitted++);
      for (const name of ["off", "nobody", "__proto__"]) {
        const error = yield* Effect.flip(exchange(name, secret("t"), admit));
        assert.equal(error._tag, "UnknownTenant");
      }
      assert.deepEqual(yield* breakers.snapshots, []);
      assert.deepEqual(provider.calls, []);
      assert.equal(admitted, 0);
    }));

  it.effect("exchange() asks admit first and goes no further when it says no", () =>
    Effect.gen(function* () {
      const { exchange, breakers, provider } = yield* exchangeOf();
      const refusal = yield* Effect.flip(exchange("acme", secret("t"), () => Effect.fail("no")));
      assert.equal(refusal, "no");
      assert.deepEqual(provider.calls, []);
      assert.deepEqual(yield* breakers.snapshots, []);
    }));

  it.effect("exchange() serves a token of an hour from the cache for 55 minutes", () =>
    Effect.gen(function* () {
      const lookups: Array<string> = [];
      const { exchange } = yield* exchangeOf({ onLookup: (result) => lookups.push(result) });
      yield* exchange("acme", secret("t"));
      yield* TestClock.adjust("1500 millis");
      const cached = yield* exchange("acme", secret("t"));
      assert.equal(valueOf(cached), "token-1");
      assert.equal(cached.expiresIn, 3_598);
      yield* TestClock.setTime(3_300_000 - 1);
      const last = yield* exchange("acme", secret("t"));
      assert.equal(valueOf(last), "token-1");
      assert.equal(last.expiresIn, 300);
      yield* TestClock.setTime(3_300_000);
      const next = yield* exchange("acme", secret("t"));
      assert.equal(valueOf(next), "token-2");
      assert.equal(next.expiresIn, 3_600);
      assert.deepEqual(lookups, ["miss", "hit", "hit", "miss"]);
    }));

  // Seconds of life, milliseconds it is cached, and what is left one millisecond before that.
  const lives = [[601, 301_000, 300], [600, 300_000, 300], [100, 50_000, 50], [
    3,
    1_500,
    1,
  ]] as const;
  for (const [expiresIn, cachedFor, left] of lives) {
    it.effect(`exchange() caches a token of ${expiresIn} s for ${cachedFor} ms`, () =>
      Effect.gen(function* () {
        const provider = new ScriptedProvider();
        provider.expiresIn = expiresIn;
        const { exchange } = yield* exchangeOf({ provider });
        assert.equal((yield* exchange("acme", secret("t"))).expiresIn, expiresIn);
        yield* TestClock.adjust(cachedFor - 1);
        const last = yield* exchange("acme", secret("t"));
        assert.equal(valueOf(last), "token-1");
        assert.equal(last.expiresIn, left);
        yield* TestClock.adjust(1);
        assert.equal(valueOf(yield* exchange("acme", secret("t"))), "token-2");
      }));
  }

  it.effect("exchange() never says that nothing is left", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      provider.expiresIn = 1;
      const { exchange } = yield* exchangeOf({ provider });
      for (let call = 1; call <= 3; call++) {
        const given = yield* exchange("acme", secret("t"));
        assert.equal(given.expiresIn, 1);
        yield* TestClock.adjust("1 millis");
      }
    }));

  it.effect("exchange() keeps tokens and tenants apart", () =>
    Effect.gen(function* () {
      const { exchange } = yield* exchangeOf();
      const given = [
        yield* exchange("acme", secret("a")),
        yield* exchange("acme", secret("b")),
        yield* exchange("other", secret("a")),
        yield* exchange("acme", secret("a")),
      ];
      assert.deepEqual(given.map(valueOf), ["token-1", "token-2", "token-3", "token-1"]);
      assert.deepEqual(given.map(({ tenant }) => tenant.id), ["acme", "acme", "other", "acme"]);
    }));

  it.effect("exchange() goes on when the cache fails, and stops asking it", () =>
    Effect.gen(function* () {
      let asked = 0;
      const fail = Effect.suspend(() => {
        asked++;
        return down("redis");
      });
      const cache = Layer.succeed(TokenCache, { get: () => fail, set: () => fail });
      const redis = yield* guardOf("redis");
      const { exchange } = yield* exchangeOf({ cache, redis });
      for (let call = 1; call <= 10; call++) {
        assert.equal(valueOf(yield* exchange("acme", secret("t"))), `token-${call}`);
        yield* Effect.yieldNow();
      }
      assert.equal(redis.breaker.unsafeState(), "open");
      assert.equal(asked, 5);
    }));

  it.effect("exchange() does not wait for the cache to be written", () =>
    Effect.gen(function* () {
      let written = 0;
      const set = Effect.zipRight(Effect.sleep("1 minute"), Effect.sync(() => void written++));
      const cache = Layer.succeed(TokenCache, { get: () => Effect.succeedNone, set: () => set });
      const { exchange } = yield* exchangeOf({ cache, redis: yield* guardOf("redis") });
      yield* Deadline.within("1 second")(exchange("acme", secret("t")));
      assert.equal(written, 0);
      yield* TestClock.adjust("1 minute");
      assert.equal(written, 1);
    }));

  it.effect("exchange() exchanges a token once for all who bring it at the same time", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      const gate = yield* Deferred.make<void>();
      provider.gate = Deferred.await(gate);
      const { exchange } = yield* exchangeOf({ provider, maxConcurrent: 1 });
      const all = yield* Effect.fork(
        Effect.all(Array.from({ length: 40 }, () => exchange("acme", secret("t"))), {
          concurrency: "unbounded",
        }),
      );
      while (provider.calls.length === 0) yield* Effect.yieldNow();
      yield* Deferred.succeed(gate, undefined);
      const given = yield* Fiber.join(all);
      assert.deepEqual(new Set(given.map(valueOf)), new Set(["token-1"]));
      assert.equal(provider.calls.length, 1);
    }));

  it.effect("exchange() frees its place, neutrally, when its caller goes away", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      provider.gate = Effect.never;
      const { exchange, breakers, occupancy } = yield* exchangeOf({ provider, maxConcurrent: 1 });
      const fiber = yield* Effect.fork(exchange("acme", secret("t")));
      while (provider.calls.length === 0) yield* Effect.yieldNow();
      assert.equal(occupancy.inFlight, 1);
      yield* Fiber.interrupt(fiber);
      assert.equal(occupancy.inFlight, 0);
      assert.equal(provider.interrupted, 1);
      const breaker = yield* breakers.get("token-exchange-acme");
      const totals = yield* breaker.totals;
      assert.deepEqual([totals.successes, totals.failures, totals.neutral], [0, 0, 1]);
      provider.gate = Effect.void;
      yield* exchange("acme", secret("t"));
    }));

  it.effect("exchange() lets one caller go without the others who wait for the same token", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      const gate = yield* Deferred.make<void>();
      provider.gate = Deferred.await(gate);
      const { exchange } = yield* exchangeOf({ provider });
      const first = yield* Effect.fork(exchange("acme", secret("t")));
      while (provider.calls.length === 0) yield* Effect.yieldNow();
      const second = yield* Effect.fork(exchange("acme", secret("t")));
      yield* Effect.yieldNow();
      yield* Fiber.interrupt(first);
      assert.equal(provider.interrupted, 0);
      yield* Deferred.succeed(gate, undefined);
      assert.equal(valueOf(yield* Fiber.join(second)), "token-1");
    }));

  it.effect("exchange() limits how many run at a time for one tenant, not for all", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      provider.gate = Effect.never;
      const { exchange, occupancy, breakers } = yield* exchangeOf({ provider, maxConcurrent: 2 });
      for (const token of ["a", "b"]) yield* Effect.fork(exchange("acme", secret(token)));
      yield* Effect.fork(exchange("other", secret("a")));
      while (provider.calls.length < 3) yield* Effect.yieldNow();
      const error = yield* Effect.flip(exchange("acme", secret("c")));
      assert.ok(error._tag === "ExchangeUnavailable");
      assert.equal(Duration.toSeconds(error.retryAfter), 1);
      assert.deepEqual([occupancy.inFlight, occupancy.rejections], [3, 1]);
      const breaker = yield* breakers.get("token-exchange-acme");
      assert.equal((yield* breaker.totals).failures, 0);
    }));

  // What the endpoint does, what the caller is told, what the breaker counts, attempts made.
  const outcomes: ReadonlyArray<
    readonly [string, IdentityFailure, string, "success" | "failure" | "neutral", number]
  > = [
    ["rejects the token", new TokenRejected({ status: 401 }), "TokenRejected", "success", 1],
    [
      "answers invalidly",
      new InvalidAnswer({ status: 200, reason: "it is not a JSON object" }),
      "InvalidAnswer",
      "failure",
      1,
    ],
    [
      "limits the rate",
      new EndpointThrottled({ retryAfter: Duration.seconds(17) }),
      "ExchangeUnavailable",
      "neutral",
      1,
    ],
    [
      "must not be called",
      new EndpointRefused({ reason: "its address is forbidden" }),
      "ExchangeUnavailable",
      "neutral",
      1,
    ],
    ["fails", transient(), "ExchangeUnavailable", "failure", 3],
    [
      "is not trusted",
      new PermanentFailure({
        dependency: "token-exchange",
        operation: "token_exchange",
        reason: "its certificate is not trusted",
        answered: false,
        cause: null,
      }),
      "ExchangeUnavailable",
      "failure",
      1,
    ],
  ];
  for (const [what, failure, tag, outcome, attempts] of outcomes) {
    it.effect(`exchange() gives ${tag} when the endpoint ${what}: ${outcome}`, () =>
      Effect.gen(function* () {
        const provider = new ScriptedProvider();
        provider.failure = failure;
        const { exchange, breakers } = yield* exchangeOf({ provider, retry: retrying });
        const fiber = yield* Effect.fork(Effect.flip(exchange("acme", secret("t"))));
        yield* TestClock.adjust("1 second");
        const error = yield* Fiber.join(fiber);
        assert.equal(error._tag, tag);
        assert.equal(provider.calls.length, attempts);
        const totals = yield* Effect.flatMap(
          breakers.get("token-exchange-acme"),
          (one) => one.totals,
        );
        assert.deepEqual(
          { success: totals.successes, failure: totals.failures, neutral: totals.neutral },
          { success: 0, failure: 0, neutral: 0, [outcome]: attempts },
        );
      }));
  }

  it.effect("exchange() does not cache a failure", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      provider.failure = new TokenRejected({ status: 401 });
      const { exchange } = yield* exchangeOf({ provider });
      yield* Effect.flip(exchange("acme", secret("t")));
      provider.failure = undefined;
      assert.equal(valueOf(yield* exchange("acme", secret("t"))), "token-2");
    }));

  const retryAfterOf = (failure: IdentityFailure, calls = 1) =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      provider.failure = failure;
      const { exchange } = yield* exchangeOf({ provider });
      let seconds = 0;
      for (let call = 0; call < calls; call++) {
        const error = yield* Effect.flip(exchange("acme", secret("t")));
        assert.ok(error._tag === "ExchangeUnavailable");
        seconds = Duration.toSeconds(error.retryAfter);
      }
      return seconds;
    });

  it.effect("exchange() passes on what the endpoint says of when to come back", () =>
    Effect.gen(function* () {
      assert.equal(
        yield* retryAfterOf(new EndpointThrottled({ retryAfter: Duration.seconds(17) })),
        17,
      );
      assert.equal(yield* retryAfterOf(transient({ retryAfter: Duration.seconds(9) })), 9);
      assert.equal(yield* retryAfterOf(transient()), 1);
    }));

  it.effect("exchange() tells the real time when the failure has just opened the breaker", () =>
    Effect.gen(function* () {
      assert.equal(yield* retryAfterOf(transient(), 5), 30);
      assert.equal(yield* retryAfterOf(transient({ retryAfter: Duration.minutes(2) }), 5), 120);
    }));

  it.effect("exchange() is refused by an open breaker with the time that is left", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      provider.failure = transient();
      const lines = new Lines();
      const { exchange, breakers } = yield* exchangeOf({ provider });
      for (let call = 0; call < 5; call++) yield* Effect.exit(exchange("acme", secret("t")));
      yield* TestClock.adjust("18 seconds");
      const error = yield* exchange("acme", secret("t")).pipe(
        Effect.flip,
        Effect.provide(lines.layer),
      );
      assert.ok(error._tag === "ExchangeUnavailable");
      assert.equal(Duration.toSeconds(error.retryAfter), 12);
      assert.equal(provider.calls.length, 5);
      const breaker = yield* breakers.get("token-exchange-acme");
      assert.equal((yield* breaker.snapshot).rejected, 1);
      assert.deepEqual(lines.all.map(({ level, msg }) => [level, msg]), [[
        "WARN",
        "Fallback used",
      ]]);
      assert.equal(lines.of("Fallback used")[0]?.["operation"], "token_exchange");
      // The other tenant has its own.
      provider.failure = undefined;
      yield* exchange("other", secret("t"));
      yield* TestClock.adjust("12 seconds");
      for (let trial = 0; trial < 4; trial++) yield* exchange("acme", secret(`t${trial}`));
    }));

  it.effect("exchange() lets an open breaker's endpoint be probed, as the tenant has it now", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants(tenantOf("acme", "https://old.example/token"));
      const provider = new ScriptedProvider();
      provider.failure = transient();
      const recovery = yield* RecoveryProbe.make({ interval: "1 second" });
      const { exchange, breakers } = yield* exchangeOf({
        repository,
        provider,
        recovery: recovery.watch,
      });
      for (let call = 0; call < 4; call++) yield* Effect.exit(exchange("acme", secret("t")));
      repository.put(tenantOf("acme", "https://new.example/token"));
      yield* TestClock.adjust("61 seconds");
      assert.equal(provider.reached.length, 0);
      yield* Effect.exit(exchange("acme", secret("t")));
      yield* TestClock.adjust("1500 millis");
      const urls = new Set(provider.reached.map(({ authConfig }) => authConfig.tokenEndpoint));
      assert.deepEqual([...urls], ["https://new.example/token"]);
      const breaker = yield* breakers.get("token-exchange-acme");
      assert.equal(breaker.unsafeState(), "open");
      provider.failure = undefined;
      yield* TestClock.adjust("1500 millis");
      for (let trial = 0; trial < 3; trial++) yield* exchange("acme", secret(`t${trial}`));
      assert.equal(breaker.unsafeState(), "closed");
      assert.equal(recovery.unsafeSize(), 0);
    }));

  it.effect("exchange() lets each tenant's limit follow its own endpoint's latency", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      const { exchange, occupancy } = yield* exchangeOf({
        provider,
        maxConcurrent: 8,
        adaptiveConcurrency: true,
      });
      let token = 0;
      const call = (tenantId: string) =>
        Effect.fork(Effect.exit(Effect.suspend(() => exchange(tenantId, secret(`${token++}`)))));
      // A rejected token is an answer, too.
      provider.failure = new TokenRejected({ status: 401 });
      for (const length of [20, 20, 20, 20, 500, 500, 500, 500, 500, 500, 500, 500, 500, 500]) {
        provider.gate = Effect.sleep(length);
        const fibers = yield* Effect.replicateEffect(call("acme"), 8);
        // While the least latency is measured some of them wait for the others.
        yield* TestClock.adjust(4 * length);
        yield* Fiber.joinAll(fibers);
      }
      assert.ok(occupancy.rejections > 0);
      provider.gate = Effect.never;
      const calls = provider.calls.length;
      yield* call("other");
      while (provider.calls.length === calls) yield* Effect.yieldNow();
      assert.equal(occupancy.unsafeLimit(), 8);
      yield* call("acme");
      while (provider.calls.length === calls + 1) yield* Effect.yieldNow();
      assert.ok(occupancy.unsafeLimit() < 8);
    }));

  it.effect("exchange() retries after 100 and 200 ms, and not without time for it", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      provider.failure = transient();
      const retries: Array<number> = [];
      const { exchange } = yield* exchangeOf({
        provider,
        retry: retrying,
        onRetry: ({ attempt }) => Effect.sync(() => void retries.push(attempt)),
      });
      const fiber = yield* Effect.fork(Effect.exit(exchange("acme", secret("t"))));
      yield* TestClock.adjust("79 millis");
      assert.equal(provider.calls.length, 1);
      yield* TestClock.adjust("42 millis");
      assert.equal(provider.calls.length, 2);
      yield* TestClock.adjust("300 millis");
      assert.equal(provider.calls.length, 3);
      assert.ok(Exit.isFailure(yield* Fiber.join(fiber)));
      assert.deepEqual(retries, [1, 2]);
      const short = yield* Effect.fork(
        Deadline.within("50 millis")(Effect.exit(exchange("other", secret("t")))),
      );
      yield* TestClock.adjust("1 second");
      assert.ok(Exit.isFailure(yield* Fiber.join(short)));
      assert.equal(provider.calls.length, 4);
    }));

  it.effect("exchange() is unavailable while its tenant cannot be looked up", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants(tenantOf("acme"), tenantOf("other"));
      const { exchange, breakers } = yield* exchangeOf({ repository });
      yield* exchange("acme", secret("t"));
      repository.failure = down("mongodb");
      const error = yield* Effect.flip(exchange("other", secret("t")));
      assert.equal(error._tag, "ExchangeUnavailable");
      assert.equal((yield* breakers.snapshots).length, 1);
      yield* TestClock.adjust("2 hours");
      yield* exchange("acme", secret("t"));
    }));

  it.effect("exchange() is unavailable when no breaker can be had, never unguarded", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      const registry = Registry.layer({}, { capacity: 1 });
      const { exchange, breakers } = yield* exchangeOf({ provider, registry });
      yield* breakers.get("mongodb");
      yield* breakers.control("mongodb", "open");
      const error = yield* Effect.flip(exchange("acme", secret("t")));
      assert.equal(error._tag, "ExchangeUnavailable");
      assert.deepEqual(provider.calls, []);
    }));

  it.effect("exchange() makes a new guard with a new breaker of the same name", () =>
    Effect.gen(function* () {
      const registry = Registry.layer({ openJitter: 0 }, { capacity: 1 });
      const { exchange, breakers } = yield* exchangeOf({ registry });
      for (let round = 0; round < 3; round++) {
        for (const name of ["acme", "other"]) {
          yield* exchange(name, secret(`t${round}`));
          const [only, ...rest] = yield* breakers.snapshots;
          assert.equal(only?.name, `token-exchange-${name}`);
          assert.equal(only?.counts.totalSuccesses, 1);
          assert.deepEqual(rest, []);
        }
      }
    }));

  it.effect("an endpoint that must not be called leaves an error line, each time", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      provider.failure = new EndpointRefused({ reason: "its address is forbidden" });
      const lines = new Lines();
      const { exchange } = yield* exchangeOf({ provider, retry: retrying });
      yield* Effect.provide(Effect.flip(exchange("acme", secret("t"))), lines.layer);
      assert.deepEqual(lines.all.map(({ level, msg }) => [level, msg]), [
        ["ERROR", "Token endpoint refused"],
        ["WARN", "Fallback used"],
      ]);
      assert.deepEqual(lines.of("Token endpoint refused")[0], {
        operation: "token_exchange",
        tenantId: "acme",
        error: "its address is forbidden",
      });
    }));

  it.effect("no line and no error holds a token", () =>
    Effect.gen(function* () {
      const provider = new ScriptedProvider();
      const lines = new Lines();
      const { exchange } = yield* exchangeOf({ provider });
      const failures: ReadonlyArray<IdentityFailure> = [
        new TokenRejected({ status: 401, code: "invalid_client" }),
        new InvalidAnswer({ status: 200, reason: "it is not a JSON object" }),
        transient(),
      ];
      for (const failure of failures) {
        provider.failure = failure;
        const error = yield* exchange("acme", secret("s3cret")).pipe(
          Effect.flip,
          Effect.provide(lines.layer),
        );
        assert.ok(!Deno.inspect(error, { depth: 9 }).includes("s3cret"));
      }
      assert.equal(lines.all.length, 3);
      assert.ok(!JSON.stringify(lines.all).includes("s3cret"));
      assert.equal(lines.of("Tenant's client refused")[0]?.["error"], "invalid_client");
    }));
});

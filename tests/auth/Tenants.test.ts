import { describe, it } from "../support/it.ts";
import assert from "node:assert/strict";
import { Context, Deferred, Duration, Effect, Fiber, Layer, Option, TestClock } from "effect";
import * as Tenants from "../../src/auth/Tenants.ts";
import { down, guardOf, Lines, ScriptedTenants, tenantOf } from "./Fixtures.ts";

const acme = tenantOf("acme");

/** Tenants over a scripted repository. */
const tenantsOf = (
  repository: ScriptedTenants,
  options: Partial<Tenants.Options> = {},
) =>
  Effect.gen(function* () {
    const mongodb = yield* guardOf("mongodb");
    const layer = Tenants.Tenants.layer({ mongodb, ...options });
    const tenants = yield* Effect.map(
      Layer.build(Layer.provide(layer, repository.layer)),
      Context.get(Tenants.Tenants),
    );
    return { ...tenants, mongodb };
  });

describe("Tenants", () => {
  it.effect("find() asks once a minute", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants(acme);
      const { find } = yield* tenantsOf(repository);
      assert.deepEqual(yield* find("acme"), Option.some(acme));
      yield* TestClock.adjust("59999 millis");
      assert.deepEqual(yield* find("acme"), Option.some(acme));
      assert.equal(repository.asked.length, 1);
      yield* TestClock.adjust("1 millis");
      const renamed = { ...acme, name: "New" };
      repository.put(renamed);
      assert.deepEqual(yield* find("acme"), Option.some(renamed));
      assert.equal(repository.asked.length, 2);
    }));

  it.effect("find() does not know a tenant that is disabled", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants({ ...acme, enabled: false });
      const { find, unsafeSizes } = yield* tenantsOf(repository);
      assert.ok(Option.isNone(yield* find("acme")));
      assert.deepEqual(unsafeSizes(), { tenants: 0, unknown: 1 });
    }));

  it.effect("find() stops serving a tenant within a minute of being disabled", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants(acme);
      const { find, unsafeSizes } = yield* tenantsOf(repository);
      yield* find("acme");
      yield* TestClock.adjust("1 millis");
      repository.put({ ...acme, enabled: false });
      yield* TestClock.adjust("60 seconds");
      assert.ok(Option.isNone(yield* find("acme")));
      // Not even an outage brings it back.
      repository.failure = down("mongodb");
      assert.ok(Option.isNone(yield* find("acme")));
      yield* TestClock.adjust("10 seconds");
      assert.equal((yield* Effect.flip(find("acme")))._tag, "TenantsUnavailable");
      assert.equal(unsafeSizes().tenants, 0);
    }));

  it.effect("find() counts a minute from before the read, however long that takes", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants(acme);
      repository.gate = Effect.sleep("5 seconds");
      const { find } = yield* tenantsOf(repository);
      const first = yield* Effect.fork(find("acme"));
      yield* TestClock.adjust("5 seconds");
      yield* Fiber.join(first);
      repository.gate = Effect.void;
      yield* TestClock.adjust("55 seconds");
      yield* find("acme");
      assert.equal(repository.asked.length, 2);
    }));

  it.effect("find() remembers an unknown name for 10 seconds", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants();
      const { find } = yield* tenantsOf(repository);
      assert.ok(Option.isNone(yield* find("acme")));
      repository.put(acme);
      yield* TestClock.adjust("9999 millis");
      assert.ok(Option.isNone(yield* find("acme")));
      assert.equal(repository.asked.length, 1);
      yield* TestClock.adjust("1 millis");
      assert.deepEqual(yield* find("acme"), Option.some(acme));
    }));

  it.effect("find() uses its copy through an outage and asks again each second", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants(acme);
      const lines = new Lines();
      const { find } = yield* tenantsOf(repository);
      yield* find("acme");
      repository.failure = down("mongodb");
      yield* Effect.gen(function* () {
        for (let minute = 0; minute < 3; minute++) {
          yield* TestClock.adjust("1 hour");
          assert.deepEqual(yield* find("acme"), Option.some(acme));
          assert.deepEqual(yield* find("acme"), Option.some(acme));
        }
      }).pipe(Effect.provide(lines.layer));
      assert.equal(repository.asked.length, 4);
      assert.deepEqual(lines.of("Fallback used")[0], {
        operation: "mongodb_find",
        fallback: "STALE",
        tenantId: "acme",
        error: "mongodb_find failed: connection lost",
      });
      assert.equal(lines.of("Fallback used").length, 3);
      const renamed = { ...acme, name: "New" };
      repository.failure = undefined;
      repository.put(renamed);
      yield* TestClock.adjust("999 millis");
      assert.deepEqual(yield* find("acme"), Option.some(acme));
      yield* TestClock.adjust("1 millis");
      assert.deepEqual(yield* find("acme"), Option.some(renamed));
    }));

  it.effect("find() fails when MongoDB does and there is no copy", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants(acme);
      repository.failure = down("mongodb");
      const { find, mongodb } = yield* tenantsOf(repository);
      for (let call = 0; call < 5; call++) {
        const error = yield* Effect.flip(find("acme"));
        // The fifth failure opens the breaker.
        assert.equal(Duration.toSeconds(error.retryAfter), call < 4 ? 1 : 30);
      }
      assert.equal(mongodb.breaker.unsafeState(), "open");
      yield* TestClock.adjust("12 seconds");
      const error = yield* Effect.flip(find("acme"));
      assert.equal(error.cause._tag, "CircuitOpen");
      assert.equal(Duration.toSeconds(error.retryAfter), 18);
      assert.equal(repository.asked.length, 5);
    }));

  it.effect("find() reads a name once for all who ask at the same time", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants(acme);
      const gate = yield* Deferred.make<void>();
      repository.gate = Deferred.await(gate);
      const { find } = yield* tenantsOf(repository);
      const all = yield* Effect.fork(Effect.all(Array.from({ length: 50 }, () => find("acme")), {
        concurrency: "unbounded",
      }));
      yield* Effect.yieldNow();
      yield* Deferred.succeed(gate, undefined);
      assert.equal((yield* Fiber.join(all)).filter(Option.isSome).length, 50);
      assert.equal(repository.asked.length, 1);
    }));

  it.effect("find() keeps a bounded number, those not used for longest go first", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants(tenantOf("a"), tenantOf("b"), tenantOf("c"));
      const { find, unsafeSizes } = yield* tenantsOf(repository, { capacity: 2 });
      for (const name of ["a", "b", "a", "c"]) yield* find(name);
      repository.asked.length = 0;
      for (const name of ["a", "c", "b"]) yield* find(name);
      assert.deepEqual(repository.asked, ["b"]);
      assert.equal(unsafeSizes().tenants, 2);
    }));

  it.effect("find() keeps made-up names from pushing out tenants and from piling up", () =>
    Effect.gen(function* () {
      const repository = new ScriptedTenants(acme);
      const { find, unsafeSizes } = yield* tenantsOf(repository, { capacity: 100 });
      yield* find("acme");
      for (let name = 0; name < 1_000; name++) yield* find(`made-up-${name}`);
      assert.deepEqual(unsafeSizes(), { tenants: 1, unknown: 100 });
      repository.asked.length = 0;
      yield* find("acme");
      assert.deepEqual(repository.asked, []);
    }));
});

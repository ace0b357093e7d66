import assert from "node:assert/strict";
import { Effect, Either } from "effect";
import * as ConfigCheck from "../src/ConfigCheck.ts";
import type { ServiceName } from "../src/Config.ts";
import { describe, it } from "./support/it.ts";

const problems = (service: ServiceName, environment: Readonly<Record<string, string>>) =>
  Effect.map(
    Effect.either(ConfigCheck.load(service, (name) => environment[name])),
    Either.match({ onLeft: (lines) => lines, onRight: () => [] }),
  );

const secret = "a-secret-of-at-least-thirty-two-bytes";
const key = btoa("0123456789abcdef0123456789abcdef");

describe("load()", () => {
  it.effect("load() accepts an empty environment for every service", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* problems("auth", {}), []);
      assert.deepEqual(yield* problems("routing", {}), []);
      assert.deepEqual(yield* problems("all", {}), []);
    }));

  it.effect("load() refuses to verify tokens with no secret beside a real database", () =>
    Effect.gen(function* () {
      const environment = { MONGODB_URI: "mongodb://db" };
      const refused = [
        "JWT_SECRET or JWT_JWKS_URL must be set with MONGODB_URI: there is no default",
      ];
      assert.deepEqual(yield* problems("routing", environment), refused);
      assert.deepEqual(yield* problems("all", environment), refused);
      assert.deepEqual(yield* problems("auth", environment), []);
      assert.deepEqual(yield* problems("routing", { ...environment, JWT_SECRET: secret }), []);
    }));

  it.effect("load() refuses two ways to verify tokens at once", () =>
    Effect.gen(function* () {
      const environment = { JWT_SECRET: secret, JWT_JWKS_URL: "https://login.example/keys" };
      assert.deepEqual(yield* problems("routing", environment), [
        "JWT_SECRET and JWT_JWKS_URL cannot both be set",
      ]);
    }));

  it.effect("load() names the variables of an illegal breaker, with their prefix", () =>
    Effect.gen(function* () {
      const lines = yield* problems("routing", {
        BREAKER_OPEN_FOR: "60s",
        MONGODB_BREAKER_OPEN_FOR_MAX: "10s",
        REDIS_BREAKER_WINDOW: "1s",
        REDIS_BREAKER_BUCKETS: "7",
      });
      assert.deepEqual(lines.map((line) => line.split(" ")[0]), [
        "MONGODB_BREAKER_OPEN_FOR_MAX",
        "REDIS_BREAKER_WINDOW",
      ]);
    }));

  it.effect("load() names the variables that a rule of adaptive thresholds speaks of", () =>
    Effect.gen(function* () {
      const lines = yield* problems("routing", {
        BREAKER_ADAPTIVE: "maybe",
        BREAKER_ADAPTIVE_FALSE_ALARM: "0.5",
        MONGODB_BREAKER_ADAPTIVE_FLOOR: "0.6",
      });
      assert.deepEqual(lines, [
        "BREAKER_ADAPTIVE must be one of true, false",
        "BREAKER_ADAPTIVE_FALSE_ALARM must be from 1e-15 to 0.01",
        "MONGODB_BREAKER_ADAPTIVE_CEILING must be at most 1 and at least BREAKER_ADAPTIVE_FLOOR",
      ]);
      const legal = { BREAKER_ADAPTIVE: "true", BREAKER_ADAPTIVE_FALSE_ALARM: "1e-6" };
      assert.deepEqual(yield* problems("routing", legal), []);
    }));

  it.effect("load() checks every key of TOKEN_CACHE_KEY and quotes none", () =>
    Effect.gen(function* () {
      assert.deepEqual(yield* problems("auth", { TOKEN_CACHE_KEY: `${key}, ${key}` }), []);
      const lines = yield* problems("auth", { TOKEN_CACHE_KEY: `${key},c2hvcnQ=` });
      assert.equal(lines.length, 1);
      assert.match(lines[0] ?? "", /^TOKEN_CACHE_KEY key 2 has 5 bytes/);
    }));

  it.effect("load() tells all at once when some settings cannot even be read", () =>
    Effect.gen(function* () {
      const lines = yield* problems("all", {
        PORT: "none",
        MONGODB_URI: "mongodb://user:hidden@db/?nonsense=1",
        REDIS_URL: "redis://user:hidden@cache:99999",
        JWT_SECRET: "short",
        TOKEN_CACHE_KEY: "short",
        BREAKER_OPEN_FOR: "2m",
        BREAKER_OPEN_FOR_MAX: "1m",
      });
      assert.deepEqual(lines.map((line) => line.split(/:? /)[0]).sort(), [
        "BREAKER_OPEN_FOR_MAX",
        "JWT_SECRET",
        "MONGODB_URI",
        "PORT",
        "REDIS_URL",
        "TOKEN_CACHE_KEY",
      ]);
      assert.equal(lines.some((line) => line.includes("hidden")), false);
    }));

  it.effect("load() refuses ports that two services would share", () =>
    Effect.gen(function* () {
      assert.equal((yield* problems("all", { MANAGEMENT_PORT: "9000" })).length, 1);
      assert.equal((yield* problems("routing", { MANAGEMENT_PORT: "9000" })).length, 0);
      assert.equal((yield* problems("all", { AUTH_PORT: "80", ROUTING_PORT: "80" })).length, 1);
    }));
});

describe("report()", () => {
  it("report() shows what is set and what is default, and no secret", () => {
    const environment: Readonly<Record<string, string>> = {
      JWT_SECRET: secret,
      MONGODB_URI: `mongodb://user:${secret}@db`,
      REDIS_BREAKER_OPEN_FOR: "1s",
    };
    const lines = ConfigCheck.report((name) => environment[name]);
    assert.ok(lines.includes("JWT_SECRET = <redacted>"));
    assert.ok(lines.includes("MONGODB_URI = <redacted>"));
    assert.ok(lines.includes("REDIS_BREAKER_OPEN_FOR = 1s"));
    assert.ok(lines.includes("CACHE_TTL = 1h (default)"));
    assert.ok(!lines.join("\n").includes(secret));
  });
});

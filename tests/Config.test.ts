import assert from "node:assert/strict";
import { describe, it } from "@std/testing/bdd";
import { Duration, Either, Redacted } from "effect";
import { type AppConfig, config, environmentNames } from "../src/Config.ts";
import { settingsTable } from "./support/settingsTable.ts";

const load = (environment: Readonly<Record<string, string>>): Either.Either<
  AppConfig,
  ReadonlyArray<string>
> => config((name) => environment[name]);

const loaded = (environment: Readonly<Record<string, string>>): AppConfig =>
  Either.getOrThrowWith(load(environment), (lines) => new Error(lines.join("\n")));

/** With durations as their milliseconds. */
const plain = (settings: object): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name,
      Duration.isDuration(value) ? Duration.toMillis(value) : value,
    ]),
  );

describe("config", () => {
  it("config has the documented defaults when nothing is set", () => {
    const { telemetry: _, ...settings } = loaded({});
    assert.deepEqual(plain(settings), {
      service: undefined,
      host: "0.0.0.0",
      port: undefined,
      authPort: 3000,
      routingPort: 8080,
      managementPort: undefined,
      logLevel: "info",
      logFormat: undefined,
      accessLogSample: 1,
      mongodbUri: undefined,
      mongodbDatabase: "amicis",
      redisUrl: undefined,
      dataFile: undefined,
      jwtSecret: undefined,
      jwtJwksUrl: undefined,
      jwtIssuer: undefined,
      jwtAudience: undefined,
      jwtClockTolerance: 5_000,
      corsAllowedOrigins: ["*"],
      rateLimitRps: 100,
      rateLimitBurst: 200,
      requestTimeout: 10_000,
      maxBodyBytes: 16_384,
      shutdownGrace: 20_000,
      cacheTtl: 3_600_000,
      cacheStaleIfError: 24 * 3_600_000,
      cacheNegativeTtl: 30_000,
      nearCacheSize: 10_000,
      tokenCacheKey: undefined,
      adminToken: undefined,
      allowInsecureTokenEndpoints: false,
      mongodbTimeout: 2_000,
      redisTimeout: 250,
      tokenExchangeTimeout: 5_000,
      mongodbMaxConcurrent: 64,
      tokenExchangeMaxConcurrent: 32,
      mongodbThrottle: null,
      tokenExchangeThrottle: null,
      throttleCount: "asked",
      throttleMaximum: 0.9,
      mongodbAdaptiveConcurrency: false,
      tokenExchangeAdaptiveConcurrency: false,
      mongodbHedge: false,
      retryMaxAttempts: 3,
      retryInitialDelay: 100,
      retryMaxDelay: 5_000,
      retryFactor: 2,
      retryBudget: 0.2,
      breaker: {},
      mongodbBreaker: {},
      redisBreaker: {},
      tokenExchangeBreaker: {},
      jwksBreaker: {},
      probeIntervals: { mongodb: null, redis: null, "token-exchange": null, jwks: null },
    });
  });

  it("config reads each breaker setting under its own name, common and for one breaker", () => {
    const given: Readonly<Record<string, readonly [text: string, field: string, value: unknown]>> =
      {
        WINDOW: ["20s", "window", 20_000],
        BUCKETS: ["4", "buckets", 4],
        MINIMUM_REQUESTS: ["7", "minimumRequests", 7],
        FAILURE_RATE: ["0.25", "failureRate", 0.25],
        CONSECUTIVE_FAILURES: ["9", "consecutiveFailures", 9],
        OPEN_FOR: ["3s", "openFor", 3_000],
        OPEN_FOR_MAX: ["1m", "openForMax", 60_000],
        OPEN_JITTER: ["0.5", "openJitter", 0.5],
        HALF_OPEN_MAX: ["2", "halfOpenMax", 2],
        TRIAL_LEASE: ["4s", "trialLease", 4_000],
        SLOW_CALL_DURATION: ["800ms", "slowCallDuration", 800],
        SLOW_CALL_RATE: ["0.75", "slowCallRate", 0.75],
      };
    const breakers = {
      "": "breaker",
      MONGODB_: "mongodbBreaker",
      REDIS_: "redisBreaker",
      TOKEN_EXCHANGE_: "tokenExchangeBreaker",
      JWKS_: "jwksBreaker",
    } as const;
    for (const [prefix, breaker] of Object.entries(breakers)) {
      for (const [name, [text, field, value]] of Object.entries(given)) {
        const settings = loaded({ [`${prefix}BREAKER_${name}`]: text });
        for (const other of Object.values(breakers)) {
          const expected = other === breaker ? { [field]: value } : {};
          assert.deepEqual(plain(settings[other]), expected, `${prefix}BREAKER_${name}`);
        }
      }
    }
  });

  it("config reads durations in both notations", () => {
    const settings = loaded({
      CACHE_TTL: "250ms",
      REQUEST_TIMEOUT: "5 seconds",
      SHUTDOWN_GRACE: "1.5h",
    });
    assert.equal(Duration.toMillis(settings.cacheTtl), 250);
    assert.equal(Duration.toMillis(settings.requestTimeout), 5_000);
    assert.equal(Duration.toMillis(settings.shutdownGrace), 5_400_000);
  });

  it("config names every problem at once", () => {
    const answer = load({
      PORT: "99999",
      LOG_LEVEL: "loud",
      JWT_SECRET: "short",
      CACHE_TTL: "-5s",
      REDIS_URL: "http://cache",
      MONGODB_BREAKER_FAILURE_RATE: "1.5",
    });
    assert.ok(Either.isLeft(answer));
    const named = answer.left.map((line) => line.split(" ")[0]).toSorted();
    assert.deepEqual(named, [
      "CACHE_TTL",
      "JWT_SECRET",
      "LOG_LEVEL",
      "MONGODB_BREAKER_FAILURE_RATE",
      "PORT",
      "REDIS_URL",
    ]);
  });

  it("config never shows a secret when printed", () => {
    const secret = "a-secret-of-at-least-thirty-two-bytes";
    const settings = loaded({
      JWT_SECRET: secret,
      ADMIN_TOKEN: secret,
      TOKEN_CACHE_KEY: secret,
      MONGODB_URI: `mongodb://user:${secret}@db`,
      REDIS_URL: `redis://:${secret}@cache`,
    });
    assert.doesNotMatch(JSON.stringify(settings), new RegExp(secret));
    assert.ok(settings.jwtSecret !== undefined);
    assert.equal(Redacted.value(settings.jwtSecret), secret);
  });

  it("config takes no credentials in an address that is fetched, and quotes none", () => {
    for (const name of ["JWT_JWKS_URL", "OTEL_EXPORTER_OTLP_ENDPOINT"]) {
      for (const user of ["user:hunter2", ":hunter2", "hunter2"]) {
        const answer = load({ [name]: `https://${user}@login.example/keys` });
        assert.deepEqual(Either.isLeft(answer) && answer.left, [
          `${name} must hold no credentials`,
        ]);
      }
    }
  });

  it("config takes no ADMIN_TOKEN that is short or that no header can carry", () => {
    const rule = (token: string) => {
      const answer = load({ ADMIN_TOKEN: token });
      return Either.isLeft(answer) ? answer.left : [];
    };
    assert.deepEqual(rule("0123456789abcdef"), []);
    assert.deepEqual(rule("0123456789abcde"), ["ADMIN_TOKEN must have at least 16 bytes"]);
    for (const token of ["0123456789 abcdef", "0123456789\tabcdef", "0123456789abcdef-ä"]) {
      assert.deepEqual(rule(token), [
        "ADMIN_TOKEN must be of visible ASCII characters without blanks",
      ]);
    }
  });

  it("config takes an empty value as unset", () => {
    assert.equal(loaded({ JWT_SECRET: "", MONGODB_URI: "  " }).jwtSecret, undefined);
  });

  it("config overrides one breaker by a prefix", () => {
    const settings = loaded({
      BREAKER_OPEN_FOR: "10s",
      MONGODB_BREAKER_OPEN_FOR: "1s",
      MONGODB_BREAKER_CONSECUTIVE_FAILURES: "off",
    });
    assert.equal(Duration.toMillis(settings.breaker.openFor ?? 0), 10_000);
    assert.equal(Duration.toMillis(settings.mongodbBreaker.openFor ?? 0), 1_000);
    assert.equal(settings.mongodbBreaker.consecutiveFailures, null);
    assert.deepEqual(settings.redisBreaker, {});
  });

  it("config reads probe intervals, common and for one kind of breaker, which may be off", () => {
    const intervals = (environment: Readonly<Record<string, string>>) =>
      plain(loaded(environment).probeIntervals);
    assert.deepEqual(
      intervals({
        BREAKER_PROBE_INTERVAL: "2s",
        MONGODB_BREAKER_PROBE_INTERVAL: "500ms",
        TOKEN_EXCHANGE_BREAKER_PROBE_INTERVAL: "off",
      }),
      { mongodb: 500, redis: 2_000, "token-exchange": null, jwks: 2_000 },
    );
    assert.deepEqual(
      intervals({ REDIS_BREAKER_PROBE_INTERVAL: "1s", JWKS_BREAKER_PROBE_INTERVAL: "3s" }),
      { mongodb: null, redis: 1_000, "token-exchange": null, jwks: 3_000 },
    );
  });

  it("config asks for no variable that is not declared", () => {
    const asked: Array<string> = [];
    config((name) => {
      asked.push(name);
      return undefined;
    });
    assert.deepEqual(asked, environmentNames);
    assert.equal(new Set(asked).size, asked.length);
  });
});

describe("README", () => {
  it("README holds the settings table as generated", async () => {
    const readme = await Deno.readTextFile(new URL("../README.md", import.meta.url));
    assert.ok(
      readme.includes(settingsTable()),
      "run `deno run -RW tests/support/settingsTable.ts` to write the table into the README",
    );
  });
});

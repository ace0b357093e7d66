import assert from "node:assert/strict";
import { describe, it } from "@std/testing/bdd";
import { Duration, Effect, Either, Redacted } from "effect";
import {
  type AppConfig,
  config,
  environmentNames,
  fromEnvironment,
  problems,
} from "../src/Config.ts";
import { settingsTable } from "./support/settingsTable.ts";

const load = (environment: Readonly<Record<string, string>>): Either.Either<
  AppConfig,
  ReadonlyArray<string>
> =>
  Effect.runSync(
    config.pipe(
      Effect.withConfigProvider(fromEnvironment((name) => environment[name])),
      Effect.mapError(problems),
      Effect.either,
    ),
  );

const loaded = (environment: Readonly<Record<string, string>>): AppConfig =>
  Either.getOrThrowWith(load(environment), (lines) => new Error(lines.join("\n")));

describe("config", () => {
  it("config has the documented defaults when nothing is set", () => {
    const settings = loaded({});
    assert.equal(settings.host, "0.0.0.0");
    assert.equal(settings.port, undefined);
    assert.equal(settings.logLevel, "info");
    assert.equal(settings.mongodbDatabase, "amicis");
    assert.equal(settings.rateLimitRps, 100);
    assert.equal(settings.rateLimitBurst, 200);
    assert.equal(Duration.toMillis(settings.cacheTtl), 3_600_000);
    assert.equal(Duration.toMillis(settings.redisTimeout), 250);
    assert.deepEqual(settings.corsAllowedOrigins, ["*"]);
    assert.deepEqual(settings.breaker, {});
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

  it("config asks for no variable that is not declared", () => {
    const asked: Array<string> = [];
    fromEnvironment((name) => {
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

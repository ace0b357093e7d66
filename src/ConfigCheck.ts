/**
 * What settings must be beside readable: legal breakers and retries, keys that are keys, and a way
 * to verify tokens. Every problem is found at once, one line each, before anything is started.
 */
import { Effect, Either, Redacted } from "effect";
import { parseTokenKeys } from "./auth/TokenKeys.ts";
import {
  type AppConfig,
  config,
  environmentNames,
  type Get,
  type ServiceName,
  table,
} from "./Config.ts";
import { parseRedisUrl } from "./connections/RedisUrl.ts";
import { retryPolicy } from "./Guards.ts";
import * as CircuitBreaker from "./resilience/CircuitBreaker.ts";
import { telemetryProblems } from "./TelemetryOptions.ts";

/** Settings that cannot be used; one line each, fit to be printed. */
export type Problems = ReadonlyArray<string>;

/** `openForMax` as its variable: `BREAKER_OPEN_FOR_MAX`. */
const variable = (prefix: string, setting: string): string =>
  `${prefix}BREAKER_${setting.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;

/** A rule with the other settings that it speaks of as their variables. */
const inVariables = (rule: string): string =>
  rule.replace(/openFor|adaptiveFloor/, (setting) => variable("", setting));

const breakerProblems = (
  prefix: string,
  settings: Partial<CircuitBreaker.Settings>,
): Effect.Effect<Problems> =>
  Effect.match(CircuitBreaker.make(prefix, settings), {
    onSuccess: () => [],
    onFailure: ({ problems }) =>
      problems.map(({ setting, rule }) => `${variable(prefix, setting)} ${inVariables(rule)}`),
  });

const isVerifying = (service: ServiceName): boolean => service !== "auth";

/** The driver itself judges, and is loaded only to judge. */
const mongodbProblems = (uri: Redacted.Redacted<string>): Effect.Effect<Problems> =>
  Effect.map(Effect.promise(() => import("./connections/Mongo.ts")), ({ uriProblem }) => {
    const problem = uriProblem(uri);
    return problem === undefined ? [] : [`MONGODB_URI: ${problem}`];
  });

const rules = (settings: AppConfig, service: ServiceName): Problems => {
  const found: Array<string> = [];
  const { jwtSecret, jwtJwksUrl, mongodbUri, redisUrl, managementPort, tokenCacheKey } = settings;
  if (isVerifying(service)) {
    if (jwtSecret !== undefined && jwtJwksUrl !== undefined) {
      found.push("JWT_SECRET and JWT_JWKS_URL cannot both be set");
    }
    if (jwtSecret === undefined && jwtJwksUrl === undefined && mongodbUri !== undefined) {
      found.push("JWT_SECRET or JWT_JWKS_URL must be set with MONGODB_URI: there is no default");
    }
  }
  if (tokenCacheKey !== undefined) {
    const keys = parseTokenKeys(tokenCacheKey);
    if (Either.isLeft(keys)) {
      found.push(...keys.left.problems.map((problem) => `TOKEN_CACHE_KEY ${problem}`));
    }
  }
  if (redisUrl !== undefined) {
    const address = parseRedisUrl(Redacted.value(redisUrl));
    if (Either.isLeft(address)) found.push(`REDIS_URL: ${address.left.problem}`);
  }
  found.push(...telemetryProblems(settings, service));
  const retry = retryPolicy(settings);
  if (Either.isLeft(retry)) found.push(`RETRY_* settings: ${retry.left.message}`);
  if (managementPort !== undefined && service === "all") {
    found.push("MANAGEMENT_PORT needs a single service: two cannot share its paths");
  }
  const { authPort, routingPort } = settings;
  if (service === "all" && authPort === routingPort && authPort !== 0) {
    found.push("AUTH_PORT and ROUTING_PORT must differ");
  }
  return found;
};

/** What is wrong with settings that can be read. */
const broken = (settings: AppConfig, service: ServiceName): Effect.Effect<Problems> =>
  Effect.gen(function* () {
    const { breaker } = settings;
    const found = yield* Effect.all([
      breakerProblems("", breaker),
      breakerProblems("MONGODB_", { ...breaker, ...settings.mongodbBreaker }),
      breakerProblems("REDIS_", { ...breaker, ...settings.redisBreaker }),
      breakerProblems("TOKEN_EXCHANGE_", { ...breaker, ...settings.tokenExchangeBreaker }),
      breakerProblems("JWKS_", { ...breaker, ...settings.jwksBreaker }),
    ]);
    // A fault of the common settings is every breaker's, and told once.
    const [common = [], ...particular] = found;
    const isOwn = (line: string) => !common.some((known) => line.endsWith(known));
    return [
      ...common,
      ...particular.flat().filter(isOwn),
      ...settings.mongodbUri === undefined ? [] : yield* mongodbProblems(settings.mongodbUri),
      ...rules(settings, service),
    ];
  });

/** The settings in this environment, or everything that is wrong with them. */
export const load = (service: ServiceName, get: Get): Effect.Effect<AppConfig, Problems> =>
  Either.match(config(get), {
    onRight: (settings) =>
      Effect.flatMap(
        broken(settings, service),
        (found) => found.length === 0 ? Effect.succeed(settings) : Effect.fail(found),
      ),
    onLeft: (unreadable) => {
      // The rest is judged without what cannot be read, so that one start shows every problem.
      const names = new Set(unreadable.map((line) => line.split(" ", 1)[0] ?? ""));
      const isAbout = (line: string) => line.split(/[^A-Z0-9_]+/).some((word) => names.has(word));
      return config((name) => names.has(name) ? undefined : get(name)).pipe(
        Effect.flatMap((settings) => broken(settings, service)),
        Effect.orElseSucceed((): Problems => []),
        Effect.flatMap((found) =>
          Effect.fail([...unreadable, ...found.filter((line) => !isAbout(line))])
        ),
      );
    },
  });

/** True when tokens can only be the demo's own: nothing is configured and the data are embedded. */
export const needsDemoSecret = (settings: AppConfig, service: ServiceName): boolean =>
  isVerifying(service) && settings.jwtSecret === undefined && settings.jwtJwksUrl === undefined;

/** A secret for this process alone: 256 random bits in hex. */
export const demoSecret: Effect.Effect<Redacted.Redacted<string>> = Effect.sync(() =>
  Redacted.make(crypto.getRandomValues(new Uint8Array(32)).toHex())
);

const secrets = new Set([
  "MONGODB_URI",
  "REDIS_URL",
  "JWT_SECRET",
  "TOKEN_CACHE_KEY",
  "ADMIN_TOKEN",
  "OTEL_EXPORTER_OTLP_HEADERS",
  "APPLICATIONINSIGHTS_CONNECTION_STRING",
]);

/** Without the user and the password that a URL may hold. */
const withoutCredentials = (text: string): string =>
  text.replace(/(:\/\/)[^/?#]*@/g, "$1<redacted>@");

/** The settings as `--check` prints them: one line a variable that is set or has a default. */
export const report = (get: Get): ReadonlyArray<string> => {
  const defaults = new Map(table.map((row) => [row.name, row.default]));
  return environmentNames.flatMap((name) => {
    const given = get(name)?.trim() ?? "";
    if (given !== "") {
      return [`${name} = ${secrets.has(name) ? "<redacted>" : withoutCredentials(given)}`];
    }
    const fallback = defaults.get(name) ?? "";
    return fallback === "" ? [] : [`${name} = ${fallback} (default)`];
  });
};

/**
 * Every setting of both services: name, default, description, and how its text is read.
 *
 * Settings are environment variables only. An empty value counts as unset. Nothing else reads the
 * environment, and only the names declared here are asked for, so the compiled binary can be given
 * exactly these. The README's table is `table`, and a test keeps it so.
 */
import { Either } from "effect";
import {
  all,
  declare,
  names,
  note,
  optional,
  read,
  type Row,
  rows,
  type Setting,
  type ValueOf,
} from "./Config/Declaration.ts";
import {
  decimal,
  duration,
  flag,
  headerSecretOf,
  list,
  nullable,
  oneOf,
  positiveDuration,
  secret,
  secretOf,
  secretUrlOf,
  text,
  urlOf,
  whole,
} from "./Config/SettingText.ts";
import { probeIntervals } from "./Config/ProbeIntervals.ts";
import { telemetry } from "./Config/TelemetrySettings.ts";
import type { Settings as BreakerSettings } from "./resilience/CircuitBreaker.ts";

export { duration } from "./Config/SettingText.ts";
export type { Get, Row } from "./Config/Declaration.ts";

// ---- breakers -----------------------------------------------------------------------------------

/** `A`, with every member optional and possibly undefined, as settings arrive. */
type Given<A> = { readonly [K in keyof A]?: A[K] | undefined };

const rate = decimal("more than 0 and at most 1", (value) => value > 0 && value <= 1);

const breakerFields = [
  ["WINDOW", "window", positiveDuration, "10s", "How long a result counts"],
  ["BUCKETS", "buckets", whole(1), "10", "Buckets the window is cut into"],
  ["MINIMUM_REQUESTS", "minimumRequests", whole(1), "5", "Results before a rate is judged"],
  ["FAILURE_RATE", "failureRate", rate, "0.5", "Share of failures that opens"],
  [
    "CONSECUTIVE_FAILURES",
    "consecutiveFailures",
    nullable(whole(1)),
    "5",
    "Failures in a row, however slow, that open; `off` for never",
  ],
  ["OPEN_FOR", "openFor", duration, "30s", "First length of an opening"],
  ["OPEN_FOR_MAX", "openForMax", duration, "OPEN_FOR", "Limit of doubling after failed recoveries"],
  [
    "OPEN_JITTER",
    "openJitter",
    decimal("from 0 to 1", (value) => value >= 0 && value <= 1),
    "0.1",
    "Share added at random to an opening",
  ],
  ["HALF_OPEN_MAX", "halfOpenMax", whole(1), "3", "Trials, and successes that close"],
  ["TRIAL_LEASE", "trialLease", positiveDuration, "10s", "After this a trial loses its place"],
  [
    "SLOW_CALL_DURATION",
    "slowCallDuration",
    nullable(duration),
    "off",
    "From this long on a result is slow",
  ],
  ["SLOW_CALL_RATE", "slowCallRate", rate, "0.5", "Share of slow results that opens"],
  [
    "ADAPTIVE",
    "adaptive",
    flag,
    "false",
    "Failures are judged by the dependency's own long-run failure rate",
  ],
  ["ADAPTIVE_FLOOR", "adaptiveFloor", rate, "0.2", "Lowest adaptive threshold"],
  [
    "ADAPTIVE_CEILING",
    "adaptiveCeiling",
    rate,
    "0.5",
    "Highest adaptive threshold, given enough results",
  ],
  [
    "ADAPTIVE_FALSE_ALARM",
    "adaptiveFalseAlarm",
    decimal("from 1e-15 to 0.01", (value) => value >= 1e-15 && value <= 0.01),
    "1e-10",
    "Chance per result that ordinary noise opens it",
  ],
  [
    "ADAPTIVE_HALF_LIFE",
    "adaptiveHalfLife",
    positiveDuration,
    "1d",
    "Age at which a result has half its weight in what is normal",
  ],
] as const;

type BreakerField = Extract<keyof BreakerSettings, typeof breakerFields[number][1]>;

const breaker = (prefix: string): Setting<Partial<BreakerSettings>> => {
  const fields: Partial<Record<BreakerField, Setting<unknown>>> = {};
  for (const [name, field, parse, fallback, description] of breakerFields) {
    if (prefix === "") note(`BREAKER_${name}`, fallback, description);
    fields[field] = read<unknown, undefined>(`${prefix}BREAKER_${name}`, parse, undefined);
  }
  // Each field's reader gives that field's type: the table above pairs them.
  const given = all(fields as { [K in BreakerField]: Setting<unknown> });
  return (get) =>
    Either.map(given(get), (values) => dropUndefined(values as Given<BreakerSettings>));
};

const dropUndefined = <A extends object>(given: Given<A>): Partial<A> =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<
    A
  >;

const throttle = nullable(decimal("at least 1, or off", (value) => value >= 1));

// ---- all of them --------------------------------------------------------------------------------

export const serviceNames = ["auth", "routing", "all"] as const;
export type ServiceName = typeof serviceNames[number];

const port = whole(0, 65_535);

/**
 * The settings as the services use them, or every problem of the configuration, one line each:
 * `NAME must be …`. Secrets are `Redacted`; durations are Effect's.
 */
export const config = all({
  service: optional("SERVICE", oneOf(...serviceNames), "", "Service to run when no flag names one"),
  host: declare("HOST", text, "0.0.0.0", "Address to listen on"),
  port: optional("PORT", port, "3000 auth, 8080 routing", "Port of the one service"),
  authPort: declare("AUTH_PORT", port, "3000", "Port of auth under `--service=all`"),
  routingPort: declare("ROUTING_PORT", port, "8080", "Port of routing under `--service=all`"),
  managementPort: optional(
    "MANAGEMENT_PORT",
    port,
    "",
    "Health, metrics, status and admin on this port alone",
  ),
  logLevel: declare(
    "LOG_LEVEL",
    oneOf("debug", "info", "warn", "error"),
    "info",
    "Least level that is logged",
  ),
  logFormat: optional(
    "LOG_FORMAT",
    oneOf("json", "pretty"),
    "json; pretty on a terminal",
    "Form of a log line",
  ),
  accessLogSample: declare(
    "ACCESS_LOG_SAMPLE",
    decimal("from 0 to 1", (value) => value >= 0 && value <= 1),
    "1",
    "Share of requests with an access line; answers of 500 and above always have one",
  ),
  mongodbUri: optional(
    "MONGODB_URI",
    secretUrlOf("mongodb", "mongodb+srv"),
    "embedded store",
    "MongoDB; unset: an in-memory store with demo data",
  ),
  mongodbDatabase: declare("MONGODB_DATABASE", text, "amicis", "Database of tenants and stores"),
  redisUrl: optional(
    "REDIS_URL",
    secretUrlOf("redis", "rediss"),
    "embedded cache",
    "Redis; unset: an in-memory cache",
  ),
  dataFile: optional("DATA_FILE", text, "demo data", "JSON with the embedded tenants and stores"),
  jwtSecret: optional("JWT_SECRET", secretOf(32), "", "HS256 key, at least 32 bytes"),
  jwtJwksUrl: optional(
    "JWT_JWKS_URL",
    urlOf("https", "http"),
    "",
    "Key set for RS256, ES256, EdDSA",
  ),
  jwtIssuer: optional("JWT_ISSUER", text, "", "Required `iss`"),
  jwtAudience: optional("JWT_AUDIENCE", text, "", "Required `aud`"),
  jwtClockTolerance: declare("JWT_CLOCK_TOLERANCE", duration, "5s", "Slack for `exp` and `nbf`"),
  corsAllowedOrigins: declare("CORS_ALLOWED_ORIGINS", list, "*", "Origins, separated by commas"),
  rateLimitRps: declare(
    "RATE_LIMIT_RPS",
    decimal("more than 0", (value) => value > 0),
    "100",
    "Requests a second per tenant",
  ),
  rateLimitBurst: declare("RATE_LIMIT_BURST", whole(1), "200", "Requests at once per tenant"),
  requestTimeout: declare(
    "REQUEST_TIMEOUT",
    positiveDuration,
    "10s",
    "Deadline of a whole request",
  ),
  maxBodyBytes: declare("MAX_BODY_BYTES", whole(1), "16384", "Largest request body"),
  shutdownGrace: declare("SHUTDOWN_GRACE", duration, "20s", "Time for requests in flight to end"),
  cacheTtl: declare("CACHE_TTL", positiveDuration, "1h", "Freshness of a cached store, ±10 %"),
  cacheStaleIfError: declare(
    "CACHE_STALE_IF_ERROR",
    duration,
    "24h",
    "How long after that it may serve while MongoDB fails",
  ),
  cacheNegativeTtl: declare("CACHE_NEGATIVE_TTL", duration, "30s", "Memory of an unknown store"),
  nearCacheSize: declare(
    "NEAR_CACHE_SIZE",
    whole(0),
    "10000",
    "Stores kept in the process; 0: none",
  ),
  tokenCacheKey: optional(
    "TOKEN_CACHE_KEY",
    secret,
    "tokens stay in memory",
    "32-byte keys in base64, separated by commas; the first encrypts, all decrypt",
  ),
  adminToken: optional("ADMIN_TOKEN", headerSecretOf(16), "no admin", "Bearer token of /admin"),
  allowInsecureTokenEndpoints: declare(
    "ALLOW_INSECURE_TOKEN_ENDPOINTS",
    flag,
    "false",
    "Plain http to any token endpoint",
  ),
  mongodbTimeout: declare("MONGODB_TIMEOUT", positiveDuration, "2s", "Deadline of a MongoDB read"),
  redisTimeout: declare(
    "REDIS_TIMEOUT",
    positiveDuration,
    "250ms",
    "Deadline of a cache read with its retries",
  ),
  tokenExchangeTimeout: declare(
    "TOKEN_EXCHANGE_TIMEOUT",
    positiveDuration,
    "5s",
    "Deadline of an attempt",
  ),
  mongodbMaxConcurrent: declare("MONGODB_MAX_CONCURRENT", whole(1), "64", "MongoDB reads at once"),
  tokenExchangeMaxConcurrent: declare(
    "TOKEN_EXCHANGE_MAX_CONCURRENT",
    whole(1),
    "32",
    "Exchanges at once per tenant",
  ),
  mongodbThrottle: declare(
    "MONGODB_THROTTLE",
    throttle,
    "off",
    "Calls per accepted one from which on a share of the reads is refused; 2 is usual",
  ),
  tokenExchangeThrottle: declare(
    "TOKEN_EXCHANGE_THROTTLE",
    throttle,
    "off",
    "The same for exchanges, per tenant",
  ),
  throttleCount: declare(
    "THROTTLE_COUNT",
    oneOf("asked", "sent"),
    "asked",
    "Which calls that compares with the accepted ones: all, or those that were sent",
  ),
  throttleMaximum: declare(
    "THROTTLE_MAXIMUM",
    decimal("more than 0 and less than 1", (value) => value > 0 && value < 1),
    "0.9",
    "Largest share of calls refused by that",
  ),
  mongodbAdaptiveConcurrency: declare(
    "MONGODB_ADAPTIVE_CONCURRENCY",
    flag,
    "false",
    "Fewer MongoDB reads at once while they get slower the more there are",
  ),
  tokenExchangeAdaptiveConcurrency: declare(
    "TOKEN_EXCHANGE_ADAPTIVE_CONCURRENCY",
    flag,
    "false",
    "The same for each tenant's exchanges",
  ),
  mongodbHedge: declare(
    "MONGODB_HEDGE",
    flag,
    "false",
    "A second read beside one that outlasts 95 % of them; the first answer is taken",
  ),
  retryMaxAttempts: declare("RETRY_MAX_ATTEMPTS", whole(1), "3", "Attempts in all"),
  retryInitialDelay: declare("RETRY_INITIAL_DELAY", duration, "100ms", "Delay before the second"),
  retryMaxDelay: declare("RETRY_MAX_DELAY", duration, "5s", "Largest delay"),
  retryFactor: declare(
    "RETRY_FACTOR",
    decimal("at least 1", (value) => value >= 1),
    "2",
    "Growth of the delay",
  ),
  retryBudget: declare(
    "RETRY_BUDGET",
    decimal("from 0 to 1", (value) => value >= 0 && value <= 1),
    "0.2",
    "Retries per call, beside 3 a second",
  ),
  telemetry: telemetry(),
  breaker: breaker(""),
  mongodbBreaker: breaker("MONGODB_"),
  redisBreaker: breaker("REDIS_"),
  tokenExchangeBreaker: breaker("TOKEN_EXCHANGE_"),
  jwksBreaker: breaker("JWKS_"),
  probeIntervals: probeIntervals(),
});

export type AppConfig = ValueOf<typeof config>;

note(
  "{MONGODB,REDIS,TOKEN_EXCHANGE,JWKS}_BREAKER_…",
  "BREAKER_…",
  "The same for one kind of breaker",
);

/** The rows of the README's settings table, in order. */
export const table: ReadonlyArray<Row> = rows;

/** Every environment variable that is ever read: the binary's `--allow-env` list. */
export const environmentNames: ReadonlyArray<string> = names;

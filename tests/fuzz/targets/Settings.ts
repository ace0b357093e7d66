/** The environment, as somebody may have set it. */
import assert from "node:assert/strict";
import { Cause, Effect, Exit, Option } from "effect";
import * as fc from "fast-check";
import { environmentNames, serviceNames, table } from "../../../src/Config.ts";
import * as ConfigCheck from "../../../src/ConfigCheck.ts";
import { byProperty, type Target } from "../Target.ts";

const secret = "hunter2-hunter2-hunter2-hunter2-hunter2";

/** Values that are right somewhere, and those that look like it. */
const value = fc.oneof(
  fc.constantFrom(
    ...["", " ", "0", "1", "-1", "0.5", "1.0000001", "65535", "65536", "9007199254740993", "NaN"],
    ...["5s", "0s", "-5s", "250ms", "5 seconds", "Infinity", "1e3", "off", "true", "TRUE", "1h"],
    ...["info", "json", "routing", "*", "https://a.example", "redis://127.0.0.1:1", "redis://"],
    ...[
      "mongodb://",
      "mongodb://127.0.0.1:1/?x=1",
      "mongodb+srv://a",
      "mongodb://a,b:2/c?tls=true",
    ],
    ...["http/json", "http/protobuf", "traceidratio", "a=b,c=%zz", "InstrumentationKey=1;X=2"],
    ...["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "user:password@a.example", "__proto__"],
  ),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.double().map(String),
  fc.integer().map((number) => `${number}ms`),
);

/** Secrets where they belong, well-formed or not. */
const secrets = fc.record({
  JWT_SECRET: fc.constantFrom(secret, "hunter2"),
  ADMIN_TOKEN: fc.constantFrom(secret, "hunter2", "hunter2\n"),
  TOKEN_CACHE_KEY: fc.constantFrom(secret, `${secret},`, btoa(secret)),
  MONGODB_URI: fc.constantFrom(
    `mongodb://user:${secret}@127.0.0.1:1/`,
    `mongodb://user:${secret}@/`,
    `mongodb://user:${secret}@127.0.0.1:1/?tls=${secret}`,
    `mongodb://user:%zz${secret}@127.0.0.1:1/`,
  ),
  REDIS_URL: fc.constantFrom(
    `redis://:${secret}@127.0.0.1:1/0`,
    `redis://:${secret}@:1/x`,
    `redis://:%zz${secret}@127.0.0.1`,
    `redis://127.0.0.1/?password=${secret}`,
  ),
  JWT_JWKS_URL: fc.constantFrom(`https://user:${secret}@a.example/jwks`, `ftp://:${secret}@a`),
  OTEL_EXPORTER_OTLP_HEADERS: fc.constantFrom(`x-key=${secret}`, secret, `${secret}=%zz`),
  OTEL_EXPORTER_OTLP_ENDPOINT: fc.constantFrom(`http://user:${secret}@a.example:4318`),
  APPLICATIONINSIGHTS_CONNECTION_STRING: fc.constantFrom(
    `InstrumentationKey=${secret}`,
    secret,
    `InstrumentationKey=${secret};IngestionEndpoint=x`,
  ),
}, { requiredKeys: [] });

/** Secrets that are as they should be. */
const legalSecrets = fc.record({
  JWT_SECRET: fc.constant(secret),
  ADMIN_TOKEN: fc.constant(secret),
  TOKEN_CACHE_KEY: fc.constant(btoa(secret.slice(0, 32))),
  MONGODB_URI: fc.constant(`mongodb://user:${secret}@127.0.0.1:1/`),
  REDIS_URL: fc.constant(`rediss://:${secret}@127.0.0.1:1/0`),
}, { requiredKeys: ["JWT_SECRET"] });

const anything = fc.tuple(
  fc.dictionary(fc.constantFrom(...environmentNames), value, { maxKeys: 12 }),
  secrets,
);

/** Settings of which most are legal: defaults as the table shows them, but for one or two. */
const nearlyLegal = fc.tuple(
  fc.tuple(
    fc.subarray(table.filter(({ name }) => environmentNames.includes(name)), { maxLength: 6 })
      .map((rows) => Object.fromEntries(rows.map((row) => [row.name, row.default]))),
    fc.dictionary(fc.constantFrom(...environmentNames), value, { maxKeys: 1 }),
  ).map(([defaults, one]) => ({ ...defaults, ...one })),
  legalSecrets,
);

const environment = fc.oneof(anything, nearlyLegal).map((
  [any, secret],
): Readonly<Record<string, string | undefined>> => ({ ...any, ...secret }));

export const settings: Target = {
  name: "settings",
  weight: 1,
  promise: "settings are legal, or refused line by line; no line and no report shows a secret",
  open: () => ({
    run: byProperty(
      fc.tuple(fc.constantFrom(...serviceNames), environment),
      async ([service, given]) => {
        const get = (name: string) => given[name];
        const exit = await Effect.runPromiseExit(ConfigCheck.load(service, get));
        if (Exit.isSuccess(exit)) {
          assert.doesNotMatch(ConfigCheck.report(get).join("\n"), /hunter2/);
          return "legal";
        }
        const failure = Cause.failureOption(exit.cause);
        assert.ok(Option.isSome(failure), Cause.pretty(exit.cause));
        assert.ok(failure.value.length > 0);
        for (const line of failure.value) {
          assert.match(line, /^[A-Z0-9_*]+[: ]/);
          assert.doesNotMatch(line, /\n|hunter2/);
        }
        return "refused";
      },
    ),
  }),
};

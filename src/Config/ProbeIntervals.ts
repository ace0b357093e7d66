/**
 * How often the dependency of an open breaker is asked for a sign of life: one setting for all, and
 * one for each kind of breaker, which may also be `off` where the common one is not.
 */
import { Either } from "effect";
import { all, type Get, note, read } from "./Declaration.ts";
import { nullable, positiveDuration } from "./SettingText.ts";

const name = "BREAKER_PROBE_INTERVAL";
const parse = nullable(positiveDuration);

const interval = (prefix: string) => read(`${prefix}${name}`, parse, undefined);

/** The interval of each kind of breaker; `null` where there is no probing. */
export const probeIntervals = () => {
  note(name, "off", "Mean time between two background probes of an open breaker's dependency");
  const given = all({
    common: interval(""),
    mongodb: interval("MONGODB_"),
    redis: interval("REDIS_"),
    tokenExchange: interval("TOKEN_EXCHANGE_"),
    jwks: interval("JWKS_"),
  });
  return (get: Get) =>
    Either.map(given(get), ({ common = null, ...own }) => {
      const { mongodb = common, redis = common, tokenExchange = common, jwks = common } = own;
      return { mongodb, redis, "token-exchange": tokenExchange, jwks };
    });
};

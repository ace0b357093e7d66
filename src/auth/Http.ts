/**
 * The auth service on the wire: its one endpoint asks `TokenExchange` and says the answer in HTTP.
 * The only place where its errors become statuses.
 */
import { Effect, Match, Redacted } from "effect";
import * as Answer from "../http/Answer.ts";
import { handlers } from "../http/Handlers.ts";
import * as Header from "../http/Header.ts";
import {
  BadGateway,
  NotFound,
  ServiceUnavailable,
  TooManyRequests,
  Unauthorized,
} from "../http/Problem.ts";
import * as RateLimit from "../http/RateLimit.ts";
import type { RequestContext } from "../http/RequestContext.ts";
import * as Immediate from "../resilience/Immediate.ts";
import { AuthApi, unavailableSentence } from "./Api.ts";
import type { ExchangeFailure } from "./ExchangeFailure.ts";
import type { Tenant } from "./Tenant.ts";
import { TokenExchange } from "./TokenExchange.ts";

/** What the handlers can be given. */
export interface Options {
  /** Told of each request refused by the tenant's rate limit; must not throw. */
  readonly onRateLimited?: () => void;
}

/** RFC 9110 §11.6.1 asks for a challenge with every 401, and RFC 6750 §3.1 for its reason. */
const challenge = Header.make(
  "www-authenticate",
  'Bearer realm="amicis", error="invalid_token"',
);

/** A problem is an effect that fails with itself. */
const toProblem = Match.type<ExchangeFailure | TooManyRequests>().pipe(
  Match.tagsExhaustive({
    UnknownTenant: () =>
      new NotFound({ error: "Unknown tenant", detail: "No enabled tenant has this name." }),
    TokenRejected: () =>
      new Unauthorized({
        error: "Token rejected",
        detail: "The tenant's token endpoint does not accept this token.",
        headers: [challenge],
      }),
    InvalidAnswer: () => new BadGateway({ error: "Token service returned an invalid response" }),
    ExchangeUnavailable: ({ retryAfter }) =>
      new ServiceUnavailable({ error: unavailableSentence, retryAfter }),
    TooManyRequests: (refused) => refused,
  }),
);

/** At the first colon: a tenant's name cannot hold one, a token can. */
const split = (userToken: string) => {
  const colon = userToken.indexOf(":");
  return {
    tenantId: userToken.slice(0, colon),
    token: Redacted.make(userToken.slice(colon + 1)),
  };
};

/** Handlers of every endpoint, over one exchange and the tenants' rate limits. */
export const authHandlers = ({ onRateLimited = () => {} }: Options = {}) =>
  Effect.gen(function* () {
    const { exchange } = yield* TokenExchange;
    const limiter = yield* RateLimit.RateLimiter;

    /** Only known tenants get here, so nobody can fill the limiter with made-up names. */
    const admit = (context: RequestContext) => ({ tenantId }: Tenant) =>
      Immediate.suspend((): Effect.Effect<void, TooManyRequests> => {
        const refused = RateLimit.admit(limiter, tenantId, context);
        if (refused === undefined) return Effect.void;
        onRateLimited();
        return refused;
      });

    return handlers(AuthApi, {
      auth: {
        exchange: ({ payload, context }) => {
          const { tenantId, token } = split(payload.userToken);
          return Immediate.match(exchange(tenantId, token, admit(context)), {
            onSuccess: ({ accessToken, expiresIn, tenant }) =>
              Effect.succeed(
                Answer.of(
                  { accessToken: Redacted.value(accessToken), expiresIn, tenant },
                  Answer.noStore,
                ),
              ),
            onFailure: toProblem,
          });
        },
      },
    });
  });

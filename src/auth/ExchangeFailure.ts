/**
 * How an exchange can end without a token, and what is said about it in the log: one line of the
 * caller's own request for whatever is not the shopper's own doing.
 */
import { Data, Duration, Effect } from "effect";
import type { CircuitBreaker } from "../resilience/CircuitBreaker.ts";
import type { RegistryFull } from "../resilience/CircuitBreakers.ts";
import { type Refusal, retryAfter } from "../resilience/Refusal.ts";
import type { IdentityFailure, InvalidAnswer, TokenRejected } from "./IdentityProvider.ts";

/** Under which name an exchange stands in logs, metrics and errors. */
export const operation = "token_exchange";

/** No tenant has this name, or it is disabled. */
export class UnknownTenant extends Data.TaggedError("UnknownTenant")<{
  readonly tenantId: string;
}> {
  override get message(): string {
    return `Cannot find tenant "${this.tenantId}"`;
  }
}

/** The token cannot be exchanged now; asking again later may help. */
export class ExchangeUnavailable extends Data.TaggedError("ExchangeUnavailable")<{
  /** The time really left where it is known, else 1 second. */
  readonly retryAfter: Duration.Duration;
  /** Why, in words fit for a log. */
  readonly reason: string;
}> {
  override get message(): string {
    return `Cannot exchange the token: ${this.reason}`;
  }
}

/** Every way in which an exchange ends without a token. */
export type ExchangeFailure = UnknownTenant | TokenRejected | InvalidAnswer | ExchangeUnavailable;

/** No answer of the endpoint, with the breaker under which it was asked. */
export class Unanswered extends Data.TaggedClass("Unanswered")<{
  readonly failure: Exclude<
    IdentityFailure | Refusal | RegistryFull,
    TokenRejected | InvalidAnswer
  >;
  readonly breaker: CircuitBreaker | undefined;
}> {}

/** What asking an endpoint under its guards can fail with. */
export type AskFailure = TokenRejected | InvalidAnswer | Unanswered;

/** A tenant whose endpoint must not be called stays so until its copy is read anew (1 minute). */
const untilReread = Duration.minutes(1);

const aSecond = Duration.seconds(1);

/** OAuth error codes that speak of the tenant's client, not of the shopper's token. */
const clientCodes: ReadonlySet<string> = new Set(["invalid_client", "unauthorized_client"]);

/** Fails as unavailable; the use case says so in the log. */
export const unavailable = (
  reason: string,
  wait: Duration.Duration,
): Effect.Effect<never, ExchangeUnavailable> =>
  Effect.fail(new ExchangeUnavailable({ retryAfter: wait, reason }));

/** Turns what an endpoint did into what its caller is told, and says it in the log. */
export const tell = (
  tenantId: string,
  failure: AskFailure,
): Effect.Effect<never, TokenRejected | InvalidAnswer | ExchangeUnavailable> => {
  switch (failure._tag) {
    case "TokenRejected":
      return failure.code === undefined || !clientCodes.has(failure.code)
        ? Effect.fail(failure)
        : Effect.zipRight(
          Effect.logWarning("Tenant's client refused", {
            operation,
            tenantId,
            error: failure.code,
          }),
          Effect.fail(failure),
        );
    case "InvalidAnswer":
      return Effect.zipRight(
        Effect.logWarning("Invalid answer of token endpoint", {
          operation,
          tenantId,
          error: failure.reason,
        }),
        Effect.fail(failure),
      );
    case "Unanswered":
      return tellUnanswered(tenantId, failure);
  }
};

const tellUnanswered = (
  tenantId: string,
  { failure, breaker }: Unanswered,
): Effect.Effect<never, ExchangeUnavailable> => {
  if (failure._tag === "EndpointRefused") {
    return Effect.zipRight(
      Effect.logError("Token endpoint refused", { operation, tenantId, error: failure.reason }),
      unavailable(failure.message, untilReread),
    );
  }
  const wait = breaker === undefined ? Effect.succeed(aSecond) : retryAfter(failure, breaker);
  return Effect.flatMap(wait, (wait) => unavailable(failure.message, wait));
};

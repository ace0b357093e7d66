/**
 * What auth needs of a tenant's token endpoint: one exchange, one attempt.
 *
 * Every way it can fail is one class of {@link IdentityFailure}; what each means to the retry and
 * to the tenant's breaker stands here, beside the classes, and nowhere else. A backend adds no
 * retry, no breaker and no concurrency limit of its own: those are the use case's.
 */
import { Context, Data, Duration, Effect, Exit, Layer, Option, Redacted } from "effect";
import { classifyExit, type Outcome } from "../resilience/CircuitBreaker.ts";
import {
  type DependencyFailure,
  isRetryable as isTransient,
  type TransientFailure,
} from "../resilience/DependencyFailure.ts";
import type { Tenant } from "./Tenant.ts";

/** What a token endpoint issued (RFC 8693 §2.2.1), checked. */
export interface IssuedToken {
  readonly accessToken: Redacted.Redacted<string>;
  /** As the endpoint spelled it: `Bearer`, `N_A`, … */
  readonly tokenType: string;
  /** Whole seconds from the moment of issue, 1 to 31,536,000. */
  readonly expiresIn: number;
}

/** The endpoint answered 400, 401 or 403: it is alive and does not accept this token. */
export class TokenRejected extends Data.TaggedError("TokenRejected")<{
  readonly status: number;
  /** The endpoint's OAuth error code (RFC 6749 §5.2), if it gave a well-formed one. */
  readonly code?: string;
}> {
  override get message(): string {
    return `Token endpoint rejected the token with status ${this.status}`;
  }
}

/** The endpoint answered 429: it is alive, and asks to be left alone for a while. */
export class EndpointThrottled extends Data.TaggedError("EndpointThrottled")<{
  /** What its Retry-After said; 1 s when it said nothing. */
  readonly retryAfter: Duration.Duration;
}> {
  override get message(): string {
    return "Token endpoint limits the rate of exchanges";
  }
}

/** The endpoint answered, but not as a token endpoint does: asking again cannot help. */
export class InvalidAnswer extends Data.TaggedError("InvalidAnswer")<{
  readonly status: number;
  /** Which check failed, in words fit for a log; never a piece of the answer. */
  readonly reason: string;
}> {
  override get message(): string {
    return `Token endpoint gave an invalid answer: ${this.reason}`;
  }
}

/** The tenant's endpoint is one that must not be called; nothing was sent. */
export class EndpointRefused extends Data.TaggedError("EndpointRefused")<{
  /** The rule that was broken, in words fit for a log. */
  readonly reason: string;
}> {
  /** Marks a call that never reached the dependency, as guards' own refusals are marked. */
  readonly refused = true;
  override get message(): string {
    return `Token endpoint must not be called: ${this.reason}`;
  }
}

/**
 * Everything an exchange can fail with. The first is worth another attempt (connection, DNS,
 * reset, 408, 5xx, and with `timedOut: true` no answer in time), a `PermanentFailure` is not (the
 * endpoint's certificate is not trusted), and the others speak for themselves.
 */
export type IdentityFailure =
  | DependencyFailure
  | TokenRejected
  | EndpointThrottled
  | InvalidAnswer
  | EndpointRefused;

/** True for the failures that another attempt may cure; no answer of the endpoint is, but 408/5xx. */
export const isRetryable = (error: unknown): error is TransientFailure => isTransient(error);

/**
 * What the end of an exchange says of the endpoint to its breaker: a rejected token is an answer
 * (success), 429 and what was never sent say nothing (neutral), all else is a failure. Refusals of
 * the guard inside the breaker stay neutral, interruption always is.
 */
export const classify = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  const error = Exit.isFailure(exit) && exit.cause._tag === "Fail"
    ? Option.some(exit.cause.error)
    : Option.none();
  if (Option.isSome(error)) {
    if (error.value instanceof TokenRejected) return "success";
    if (error.value instanceof EndpointThrottled) return "neutral";
  }
  return classifyExit(exit);
};

/** Exchanges a shopper's token at the tenant's own endpoint, once. */
export class IdentityProvider extends Context.Tag("auth/IdentityProvider")<IdentityProvider, {
  /**
   * One attempt with the backend's deadline. Interruption ends the request and its connection.
   * The token is only ever sent to the address that was checked.
   */
  readonly exchange: (
    tenant: Tenant,
    token: Redacted.Redacted<string>,
  ) => Effect.Effect<IssuedToken, IdentityFailure>;
  /**
   * Makes a connection to the endpoint, under the same rules and with the same deadline, and sends
   * nothing: whether it can be reached says less than an exchange, and costs its owner nothing.
   */
  readonly reach: (tenant: Tenant) => Effect.Effect<void, IdentityFailure>;
}>() {
  /**
   * Issues `demo-<tenant>-<n>` for an hour, whatever the token; for the embedded demo and tests.
   * Numbers start at 1 and never repeat, so a caller can tell a cached token from a new one.
   */
  static readonly layerMemory: Layer.Layer<IdentityProvider> = Layer.sync(this, () => {
    let issued = 0;
    return {
      exchange: (tenant) =>
        Effect.sync(() => ({
          accessToken: Redacted.make(`demo-${tenant.tenantId}-${++issued}`),
          tokenType: "Bearer",
          expiresIn: 3_600,
        })),
      reach: () => Effect.void,
    };
  });
}

/**
 * The token exchange of RFC 8693 as one POST to the tenant's endpoint.
 *
 * `subject_token_type` is `…:token-type:access_token`: what a shopper holds is an OAuth access
 * token whose format this service does not look into; `…:jwt` would claim one (§3). The client's
 * secret goes into HTTP Basic, each half form-urlencoded first (RFC 6749 §2.3.1), never into the
 * body. Redirects are answers, not followed: a token goes only where the tenant's record says.
 */
import { Clock, Duration, Effect, Layer, Redacted } from "effect";
import { inCurrentSpan } from "../../operations/Tracing.ts";
import * as Deadline from "../../resilience/Deadline.ts";
import { PermanentFailure, TransientFailure } from "../../resilience/DependencyFailure.ts";
import { EndpointRefused, type IdentityFailure, IdentityProvider } from "../IdentityProvider.ts";
import type { Tenant } from "../Tenant.ts";
import { parse, type Target } from "./OutboundAddress.ts";
import * as OutboundRequest from "./OutboundRequest.ts";
import { interpret } from "./TokenAnswer.ts";

/** How endpoints are called. */
export interface Options extends OutboundRequest.Options {
  /**
   * Time for one attempt, from the name's look-up to the body's last byte; less when the request's
   * deadline is nearer [5 seconds].
   */
  readonly timeout?: Duration.DurationInput;
  /** Allows http to other hosts than this one; link-local addresses stay refused [false]. */
  readonly allowInsecure?: boolean;
  /** Headers that tell the endpoint which trace the request being made belongs to [none]. */
  readonly traceHeaders?: Effect.Effect<Readonly<Record<string, string>>>;
}

const maxBodyBytes = 65_536;

/** The form of RFC 8693 §2.1. Its secrets live only as long as the request. */
const formOf = (tenant: Tenant, token: Redacted.Redacted<string>): string => {
  const { clientId, scope } = tenant.authConfig;
  return new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: Redacted.value(token),
    subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
    client_id: clientId,
    ...(scope === undefined ? {} : { scope }),
  }).toString();
};

const formEncoded = (value: string): string =>
  new URLSearchParams([["", value]]).toString().slice(1);

/** HTTP Basic of RFC 6749 §2.3.1; form encoding leaves only ASCII for base64. */
const basic = (clientId: string, secret: Redacted.Redacted<string>): string =>
  `Basic ${btoa(`${formEncoded(clientId)}:${formEncoded(Redacted.value(secret))}`)}`;

const failureOf = (
  error: OutboundRequest.NoAnswer | OutboundRequest.AddressRefused,
): IdentityFailure => {
  if (error._tag === "AddressRefused") return new EndpointRefused({ reason: error.reason });
  const { reason, cause } = error;
  const common = { dependency: "token-exchange", operation: "token_exchange", reason, cause };
  // More handshakes would not make a certificate trusted.
  return reason === "its certificate is not trusted"
    ? new PermanentFailure({ ...common, answered: false })
    : new TransientFailure({ ...common, timedOut: reason === "no answer in time" });
};

/** What OpenTelemetry wants to know of a call; a query may hold secrets and stays away. */
const callAttributes = ({ isTls, host, port, authority, path }: Target) => {
  const scheme = isTls ? "https" : "http";
  return {
    "server.address": host,
    "server.port": port,
    "url.scheme": scheme,
    "url.full": `${scheme}://${authority}${path.split("?")[0]}`,
  };
};

const answerAttributes = (status: number) => ({
  "http.response.status_code": status,
  ...(status >= 400 ? { "error.type": String(status) } : {}),
});

/** Exchanges over HTTP; kept connections are closed with the layer's scope. */
export const layer = (options: Options = {}): Layer.Layer<IdentityProvider> =>
  Layer.scoped(
    IdentityProvider,
    Effect.gen(function* () {
      const allowInsecure = options.allowInsecure ?? false;
      const timeoutMillis = Duration.toMillis(options.timeout ?? "5 seconds");
      const traceHeaders = options.traceHeaders ?? Effect.succeed({});
      const { send, reach } = yield* OutboundRequest.make(options);

      const targetOf = ({ authConfig }: Tenant): Effect.Effect<Target, EndpointRefused> => {
        const target = parse(authConfig.tokenEndpoint, allowInsecure);
        return typeof target === "string"
          ? Effect.fail(new EndpointRefused({ reason: target }))
          : Effect.succeed(target);
      };

      const exchange = Effect.fnUntraced(
        function* (tenant: Tenant, token: Redacted.Redacted<string>) {
          const { clientId, clientSecret } = tenant.authConfig;
          const target = yield* targetOf(tenant);
          yield* inCurrentSpan(() => callAttributes(target));
          const trace = yield* traceHeaders;
          const left = Duration.toMillis(yield* Deadline.remaining);
          const body = formOf(tenant, token);
          const answer = yield* Effect.mapError(
            send({
              target,
              body,
              timeoutMillis: Math.min(timeoutMillis, left),
              maxBodyBytes,
              headers: {
                "content-type": "application/x-www-form-urlencoded",
                "accept": "application/json",
                "accept-encoding": "identity",
                "user-agent": "amicis",
                ...(clientSecret === undefined
                  ? {}
                  : { authorization: basic(clientId, clientSecret) }),
                ...trace,
              },
            }),
            failureOf,
          );
          yield* inCurrentSpan(() => answerAttributes(answer.status));
          const now = yield* Clock.currentTimeMillis;
          const result = interpret(answer, now);
          return yield* "accessToken" in result ? Effect.succeed(result) : Effect.fail(result);
        },
      );
      return {
        exchange,
        reach: (tenant) =>
          Effect.flatMap(
            targetOf(tenant),
            (target) => Effect.mapError(reach(target, timeoutMillis), failureOf),
          ),
      };
    }),
  );

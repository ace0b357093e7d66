/**
 * The wire contract of the auth service. OpenAPI, the server and the tests' client all come from
 * this one value.
 */
import { HttpApi, HttpApiEndpoint, HttpApiGroup, OpenApi } from "@effect/platform";
import { Schema } from "effect";
import { rateLimitHeaders, ResponseHeaders } from "../http/OpenApi.ts";
import {
  BadGateway,
  BadRequest,
  NotFound,
  PayloadTooLarge,
  RequestTimeout,
  ServiceUnavailable,
  TooManyRequests,
  Unauthorized,
  UnsupportedMediaType,
} from "../http/Problem.ts";

/** Sentence of every 503 of this service. */
export const unavailableSentence = "Token service temporarily unavailable. Please retry.";

/**
 * `tenantId:token`: a tenant's name, and 1 to 2048 characters (code points) that may hold colons. A
 * lone surrogate is no character: it has no form in UTF-8, so two tokens could look the same.
 */
export const UserToken = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9_-]{1,64}:[\s\S]{1,2048}$/u),
  Schema.filter((text) => text.isWellFormed(), { jsonSchema: {} }),
  Schema.annotations({
    identifier: "UserToken",
    description: "The tenant's name, a colon, and the shopper's token at that tenant",
    examples: ["ikea:eyJhbGciOiJSUzI1NiJ9.e30.c2ln"],
  }),
);

/** Body of `POST /auth/exchange`. */
export const ExchangeRequest = Schema.Struct({ userToken: UserToken }).annotations({
  identifier: "ExchangeRequest",
});

/** Answer of `POST /auth/exchange`. */
export const ExchangeAnswer = Schema.Struct({
  accessToken: Schema.String.annotations({ description: "Issued by the tenant's own endpoint" }),
  expiresIn: Schema.Int.pipe(Schema.between(1, 31_536_000)).annotations({
    description: "What is left of the token's life, in seconds",
  }),
  tenant: Schema.Struct({
    id: Schema.String.annotations({ examples: ["ikea"] }),
    name: Schema.String.annotations({ examples: ["IKEA"] }),
  }),
}).annotations({ identifier: "ExchangeAnswer" });

const exchange = HttpApiEndpoint.post("exchange", "/auth/exchange")
  .setPayload(ExchangeRequest)
  .addSuccess(ExchangeAnswer)
  .addError(BadRequest)
  .addError(Unauthorized)
  .addError(NotFound)
  .addError(RequestTimeout)
  .addError(PayloadTooLarge)
  .addError(UnsupportedMediaType)
  .addError(TooManyRequests)
  .addError(BadGateway)
  .addError(ServiceUnavailable)
  .annotate(OpenApi.Summary, "Exchange a shopper's token")
  // Counted by the handler, once the tenant is known.
  .annotate(ResponseHeaders, {
    200: rateLimitHeaders,
    401: rateLimitHeaders,
    502: rateLimitHeaders,
    503: rateLimitHeaders,
  })
  .annotate(
    OpenApi.Description,
    "Exchanges a shopper's token at the tenant's own token endpoint (RFC 8693). 401 when that " +
      "endpoint rejects the token, 404 for a tenant that is unknown or disabled, 502 when its " +
      "answer cannot be used, and 503 with Retry-After when it cannot be reached now.",
  );

/** The auth service: a shopper's token for a token of the tenant's own endpoint. */
export const AuthApi = HttpApi.make("auth").add(
  HttpApiGroup.make("auth").add(exchange)
    .annotate(OpenApi.Description, "Token exchange on behalf of a tenant's shoppers"),
);

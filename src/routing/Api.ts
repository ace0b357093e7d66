/**
 * The wire contract of the routing service. OpenAPI, the server and the tests' client all come from
 * this one value.
 */
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "@effect/platform";
import { Schema } from "effect";
import { Authentication } from "../http/Authentication.ts";
import { sentences } from "../http/Decoder.ts";
import {
  BadRequest,
  Forbidden,
  NotFound,
  ServiceUnavailable,
  TooManyRequests,
  Unauthorized,
  UriTooLong,
} from "../http/Problem.ts";
import { RateLimited } from "../http/RateLimit.ts";
import { Location, StoreId } from "./Store.ts";

const BackendContext = Schema.Unknown.annotations({
  description: "Any JSON value, passed through unchanged",
});

/** Answer of `GET /api/v1/route`. */
export const Route = Schema.Struct({
  storeId: StoreId,
  backendUrl: Schema.String,
  backendContext: BackendContext,
}).annotations({ identifier: "Route" });

/** One line of `GET /api/v1/stores`. */
export const StoreSummary = Schema.Struct({
  storeId: StoreId,
  name: Schema.String,
  backendUrl: Schema.String,
}).annotations({ identifier: "StoreSummary" });

/** Answer of `GET /api/v1/stores/{storeId}`. */
export const StoreRecord = Schema.Struct({
  storeId: StoreId,
  name: Schema.String,
  backendUrl: Schema.String,
  backendContext: BackendContext,
  location: Schema.optionalWith(Location, { exact: true }),
}).annotations({ identifier: "StoreRecord" });

/** Most stores on one page, and how many there are when nobody asks for fewer. */
export const maxPageSize = 1_000;

/** Digits only: `1e2`, `+5` and blanks are no integers to whoever reads the contract. */
const Limit = Schema.transform(
  Schema.String.pipe(Schema.pattern(/^\d{1,9}$/)),
  Schema.Int.pipe(Schema.between(1, maxPageSize)),
  { strict: true, decode: Number, encode: String },
).annotations({
  jsonSchema: {
    type: "integer",
    minimum: 1,
    maximum: maxPageSize,
    default: maxPageSize,
    description: "Most stores on the page",
  },
  ...sentences({ missing: "limit is invalid" }),
});

const stores = HttpApiGroup.make("stores")
  .add(
    HttpApiEndpoint.get("route", "/api/v1/route")
      .setUrlParams(Schema.Struct({ storeId: StoreId }))
      .addSuccess(Route)
      .addError(NotFound),
  )
  .add(
    HttpApiEndpoint.get("list", "/api/v1/stores")
      .setUrlParams(Schema.Struct({
        limit: Schema.optionalWith(Limit, { exact: true }),
        after: Schema.optionalWith(
          StoreId.annotations(
            sentences({ missing: "after is invalid", invalid: "after is invalid" }),
          ),
          { exact: true },
        ),
      }))
      .addSuccess(Schema.Array(StoreSummary)),
  )
  .add(
    HttpApiEndpoint.get("record", "/api/v1/stores/:storeId")
      .setPath(Schema.Struct({ storeId: StoreId }))
      .addSuccess(StoreRecord)
      .addError(NotFound),
  )
  .addError(BadRequest)
  .addError(Unauthorized)
  .addError(Forbidden)
  .addError(UriTooLong)
  .addError(TooManyRequests)
  .addError(ServiceUnavailable)
  .middleware(Authentication)
  .middleware(RateLimited);

/** The routing service: which backend serves a store. */
export const RoutingApi = HttpApi.make("routing").add(stores);

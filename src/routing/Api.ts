/**
 * The wire contract of the routing service. OpenAPI, the server and the tests' client all come from
 * this one value.
 */
import { HttpApi, HttpApiEndpoint, HttpApiGroup, OpenApi } from "@effect/platform";
import { Schema } from "effect";
import { Authentication } from "../http/Authentication.ts";
import { sentences } from "../http/Decoder.ts";
import { type HeaderDoc, ResponseHeaders } from "../http/OpenApi.ts";
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

const fromCache: Readonly<Record<number, Readonly<Record<string, HeaderDoc>>>> = {
  200: {
    "X-Cache": {
      description: "HIT: from the cache; MISS: from MongoDB; BYPASS: from MongoDB as the cache " +
        "cannot be used; STALE: an expired copy as MongoDB cannot be used",
      required: true,
      schema: { type: "string", enum: ["HIT", "MISS", "BYPASS", "STALE"] },
    },
    "Age": {
      description: "Of a STALE answer: seconds since it was read from MongoDB",
      schema: { type: "integer", minimum: 0 },
    },
  },
};

const paged: typeof fromCache = {
  200: {
    "Link": {
      description: 'The next page (RFC 8288, rel="next"); absent on the last one',
      schema: { type: "string" },
    },
  },
};

const stores = HttpApiGroup.make("stores")
  .add(
    HttpApiEndpoint.get("route", "/api/v1/route")
      .setUrlParams(Schema.Struct({ storeId: StoreId }))
      .addSuccess(Route)
      .addError(NotFound)
      .annotate(OpenApi.Summary, "Which backend serves a store")
      .annotate(ResponseHeaders, fromCache),
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
      .addSuccess(Schema.Array(StoreSummary))
      .annotate(OpenApi.Summary, "The caller's stores in the order of their ids, page by page")
      .annotate(ResponseHeaders, paged),
  )
  .add(
    HttpApiEndpoint.get("record", "/api/v1/stores/:storeId")
      .setPath(Schema.Struct({ storeId: StoreId }))
      .addSuccess(StoreRecord)
      .addError(NotFound)
      .annotate(OpenApi.Summary, "All that is known about a store")
      .annotate(ResponseHeaders, fromCache),
  )
  .addError(BadRequest)
  .addError(Unauthorized)
  .addError(Forbidden)
  .addError(UriTooLong)
  .addError(TooManyRequests)
  .addError(ServiceUnavailable)
  .middleware(Authentication)
  .middleware(RateLimited)
  .annotate(OpenApi.Description, "The stores of the caller's tenant");

/** The routing service: which backend serves a store. */
export const RoutingApi = HttpApi.make("routing").add(stores);

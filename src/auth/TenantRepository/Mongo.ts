/**
 * Tenants in MongoDB: collection `tenants`, unique on tenantId. Only a string reaches the filter.
 */
import { Effect, Layer, ParseResult, Schema } from "effect";
import { MongoConnection } from "../../connections/Mongo.ts";
import { dependency } from "../../connections/MongoFailure.ts";
import { PermanentFailure } from "../../resilience/DependencyFailure.ts";
import { Tenant } from "../Tenant.ts";
import { TenantRepository } from "../TenantRepository.ts";

const collection = "tenants";

/** One name for every read of MongoDB, in logs and metrics. */
const operation = "mongodb_find";

/** Reads the collection `tenants` and sees to its index in the background. */
export const layer: Layer.Layer<TenantRepository, never, MongoConnection> = Layer.scoped(
  TenantRepository,
  Effect.gen(function* () {
    const mongo = yield* MongoConnection;
    yield* mongo.onConnected(
      "tenants_index",
      mongo.run(
        "mongodb_create_index",
        (db) => db.collection(collection).createIndex({ tenantId: 1 }, { unique: true }),
      ).pipe(
        Effect.asVoid,
      ),
    );
    return {
      find: (tenantId) =>
        mongo.run(operation, (db, signal) =>
          db.collection(collection).findOne(
            // Text only: an object here would be a query operator.
            { tenantId: String(tenantId) },
            { signal, projection: { _id: 0 } },
          )).pipe(
            Effect.flatMap((document) =>
              document === null ? Effect.succeedNone : decode(document).pipe(
                Effect.catchAll((error) => malformed(String(tenantId), error)),
                Effect.asSome,
              )
            ),
          ),
    };
  }),
);

const decode = Schema.decodeUnknownEither(Tenant);

/** Logs which fields are wrong; their values may be secrets, so also the cause is left out. */
const malformed = (tenantId: string, error: ParseResult.ParseError) => {
  const fields = ParseResult.ArrayFormatter.formatErrorSync(error)
    .map(({ path }) => path.join("."));
  return Effect.logError("Malformed document").pipe(
    Effect.annotateLogs({ dependency, collection, tenantId, fields }),
    Effect.zipRight(
      Effect.fail(
        new PermanentFailure({
          dependency,
          operation,
          reason: `malformed document in "${collection}"`,
          answered: true,
          cause: fields,
        }),
      ),
    ),
  );
};

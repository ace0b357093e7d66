/**
 * Stores in MongoDB: collection `stores`, unique on (tenantId, storeId).
 *
 * Only strings reach a filter, and the tenant's name is in each of them. A document that is no store
 * is left out of lists, with a log line, so that one bad record hides no others; asked for by name
 * it is a permanent failure of this call alone.
 */
import { Effect, Either, Layer, ParseResult, Schema } from "effect";
import type { Document } from "mongodb";
import { MongoConnection } from "../../connections/Mongo.ts";
import { dependency } from "../../connections/MongoFailure.ts";
import { type DependencyFailure, PermanentFailure } from "../../resilience/DependencyFailure.ts";
import { Store } from "../Store.ts";
import { StoreRepository } from "../StoreRepository.ts";
import { toJson } from "./BsonJson.ts";

const collection = "stores";

/** One name for every read of MongoDB, in logs and metrics. */
const operation = "mongodb_find";

/** Reads the collection `stores` and sees to its index in the background. */
export const layer: Layer.Layer<StoreRepository, never, MongoConnection> = Layer.scoped(
  StoreRepository,
  Effect.gen(function* () {
    const mongo = yield* MongoConnection;
    yield* mongo.onConnected(
      "stores_index",
      mongo.run(
        "mongodb_create_index",
        (db) =>
          db.collection(collection).createIndex({ tenantId: 1, storeId: 1 }, { unique: true }),
      ).pipe(
        Effect.asVoid,
      ),
    );

    const find = (tenantId: string, storeId: string) =>
      mongo.run(operation, (db, signal) =>
        db.collection(collection).findOne(
          // Text only: an object here would be a query operator.
          { tenantId: String(tenantId), storeId: String(storeId) },
          { signal, projection: { _id: 0 } },
        )).pipe(
          Effect.flatMap((document) =>
            document === null ? Effect.succeedNone : Either.match(decode(document), {
              onLeft: (error) => Effect.flatMap(malformed(document, error), Effect.fail),
              onRight: (store) => Effect.succeedSome(store),
            })
          ),
        );

    const page = (tenantId: string, after: string, limit: number) =>
      mongo.run(operation, (db, signal) =>
        db.collection(collection)
          // `$gt` with a text meets texts only, so a storeId of another type is never seen.
          .find({ tenantId: String(tenantId), storeId: { $gt: String(after) } }, { signal })
          .project({ _id: 0 })
          .sort({ tenantId: 1, storeId: 1 })
          .limit(limit)
          .toArray());

    const list = (
      tenantId: string,
      after: string,
      limit: number,
    ): Effect.Effect<ReadonlyArray<Store>, DependencyFailure> =>
      Effect.gen(function* () {
        // The driver takes 0 for "no limit".
        if (limit < 1) return [];
        const documents = yield* page(tenantId, after, limit);
        const stores: Array<Store> = [];
        for (const document of documents) {
          const decoded = decode(document);
          if (Either.isRight(decoded)) stores.push(decoded.right);
          else yield* malformed(document, decoded.left);
        }
        const missing = documents.length - stores.length;
        const last: unknown = documents.at(-1)?.storeId;
        // Bad documents must not shorten the page: to the caller a short page is the last one.
        if (missing === 0 || documents.length < limit || typeof last !== "string") return stores;
        return [...stores, ...yield* list(tenantId, last, missing)];
      });

    return { find, list: (tenantId, { after = "", limit }) => list(tenantId, after, limit) };
  }),
);

const decodeStore = Schema.decodeUnknownEither(Store);

const decode = (document: Document) =>
  decodeStore({ ...document, backendContext: toJson(document.backendContext) });

/** Logs which fields are wrong, without their values, and gives the failure to go with it. */
const malformed = (document: Document, error: ParseResult.ParseError) => {
  const fields = ParseResult.ArrayFormatter.formatErrorSync(error)
    .map(({ path }) => path.join("."));
  return Effect.logError("Malformed document").pipe(
    Effect.annotateLogs({
      dependency,
      collection,
      tenantId: String(document.tenantId),
      storeId: String(document.storeId),
      fields,
    }),
    Effect.as(
      new PermanentFailure({
        dependency,
        operation,
        reason: `malformed document in "${collection}"`,
        answered: true,
        cause: error,
      }),
    ),
  );
};

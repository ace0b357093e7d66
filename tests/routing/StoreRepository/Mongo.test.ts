/** What only the MongoDB store repository does: its index, and documents that are no stores. */
import { Context, Effect, HashMap, Layer, Logger, Option, Redacted, type Scope } from "effect";
import { Decimal128, type Document, Long, ObjectId } from "mongodb";
import assert from "node:assert/strict";
import { MongoConnection } from "../../../src/connections/Mongo.ts";
import { StoreRepository } from "../../../src/routing/StoreRepository.ts";
import * as MongoStores from "../../../src/routing/StoreRepository/Mongo.ts";
import { eventually } from "../../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../../support/it.ts";
import { MongoServer } from "../../support/servers/MongoServer.ts";
import { needs } from "../../support/Tools.ts";

const good = (storeId: string): Document => ({
  tenantId: "shop",
  storeId,
  name: "Good",
  backendUrl: "https://a.example.com",
  backendContext: {},
});

/** Documents of tenant `shop` that are no stores, by what is wrong with them. */
const bad: Readonly<Record<string, Document>> = {
  "no name": { ...good("bad1"), name: undefined },
  "a name that is no text": { ...good("bad2"), name: 7 },
  "an empty backendUrl": { ...good("bad3"), backendUrl: "" },
  "a storeId with a blank": { ...good("bad 4") },
  "a location without lon": { ...good("bad5"), location: { lat: 1 } },
  "a location that is nowhere": { ...good("bad6"), location: { lat: NaN, lon: 0 } },
};

describe("StoreRepository/Mongo", needs("secantusdb"), () => {
  let server: MongoServer;
  let databases = 0;
  beforeAll(async () => {
    server = await MongoServer.start();
  });
  afterAll(() => server.stop());

  const make = (
    documents: ReadonlyArray<Document>,
    options: { readonly server?: MongoServer; readonly database?: string } = {},
  ): Effect.Effect<Context.Tag.Service<StoreRepository>, never, Scope.Scope> =>
    Effect.gen(function* () {
      const database = options.database ?? `stores${databases++}`;
      const from = options.server ?? server;
      if (documents.length > 0) {
        yield* Effect.promise(() => from.insert(database, "stores", documents));
      }
      const connection = MongoConnection.layer({
        uri: Redacted.make(from.url),
        database,
        timeout: "2 seconds",
      });
      const context = yield* Effect.orDie(
        Layer.build(Layer.provideMerge(MongoStores.layer, connection)),
      );
      yield* Effect.orDie(eventually(Context.get(context, MongoConnection).ping));
      return Context.get(context, StoreRepository);
    });

  const indexes = (from: MongoServer, database: string) =>
    Effect.promise(() =>
      from.use((client) => client.db(database).collection("stores").indexes().catch(() => []))
    );

  const hasIndex = (from: MongoServer, database: string) =>
    indexes(from, database).pipe(
      Effect.map((all) =>
        all.some(({ key, unique }) =>
          unique === true && JSON.stringify(key) === '{"tenantId":1,"storeId":1}'
        )
      ),
    );

  for (const [what, document] of Object.entries(bad)) {
    it.live(`find() fails with an answered permanent failure for a document with ${what}`, () =>
      Effect.gen(function* () {
        const stores = yield* make([document]);
        const failure = yield* Effect.flip(stores.find("shop", document.storeId));
        assert.ok(failure._tag === "PermanentFailure" && failure.answered);
        assert.equal(failure.reason, 'malformed document in "stores"');
      }));
  }

  it.live("find() logs which fields of a malformed document are wrong, not their values", () =>
    Effect.gen(function* () {
      const lines: Array<string> = [];
      const logger = Logger.make(({ message, annotations, logLevel }) => {
        lines.push(JSON.stringify({
          message,
          level: logLevel.label,
          ...Object.fromEntries(HashMap.entries(annotations)),
        }));
      });
      const stores = yield* make([{ ...good("a"), name: ["secret"], backendUrl: "" }]);
      yield* Effect.flip(stores.find("shop", "a")).pipe(Effect.provide(Logger.add(logger)));
      const [line = ""] = lines;
      assert.match(line, /ERROR/);
      assert.match(line, /"storeId":"a"/);
      assert.match(line, /"name"/);
      assert.doesNotMatch(line, /secret/);
    }));

  it.live("list() leaves malformed documents out and still fills its pages", () =>
    Effect.gen(function* () {
      const malformed = Object.values(bad);
      const stores = yield* make([
        good("a"),
        ...malformed,
        good("z1"),
        good("z2"),
        { ...good("x"), storeId: 5 },
        { ...good("x"), storeId: null },
      ]);
      const page = yield* stores.list("shop", { limit: 2 });
      assert.deepEqual(page.map(({ storeId }) => storeId), ["a", "z1"]);
      const rest = yield* stores.list("shop", { limit: 2, after: "z1" });
      assert.deepEqual(rest.map(({ storeId }) => storeId), ["z2"]);
    }));

  it.live("find() takes null for an absent location and an absent backendContext for null", () =>
    Effect.gen(function* () {
      const { backendContext: _, ...document } = good("a");
      const stores = yield* make([{ ...document, location: null }]);
      const found = Option.getOrThrow(yield* stores.find("shop", "a"));
      assert.equal(found.backendContext, null);
      assert.ok(!("location" in found));
    }));

  it.live("find() gives JSON for what only BSON knows", () =>
    Effect.gen(function* () {
      const id = new ObjectId();
      const stores = yield* make([{
        ...good("a"),
        backendContext: {
          at: new Date(0),
          id,
          small: Long.fromNumber(7),
          large: Long.fromString("9223372036854775807"),
          price: Decimal128.fromString("1.10"),
          list: [new Date(1)],
        },
      }]);
      const found = Option.getOrThrow(yield* stores.find("shop", "a"));
      assert.deepEqual(found.backendContext, {
        at: "1970-01-01T00:00:00.000Z",
        id: id.toHexString(),
        small: 7,
        large: "9223372036854775807",
        price: "1.10",
        list: ["1970-01-01T00:00:00.001Z"],
      });
    }));

  it.live("layer makes its unique index when it is missing, and can be built again", () =>
    Effect.gen(function* () {
      yield* make([good("a")], { database: "indexed" });
      yield* eventually(hasIndex(server, "indexed"));
      const stores = yield* make([], { database: "indexed" });
      assert.ok(Option.isSome(yield* stores.find("shop", "a")));
      const duplicate = yield* Effect.either(
        Effect.tryPromise(() => server.insert("indexed", "stores", [good("a")])),
      );
      assert.equal(duplicate._tag, "Left");
    }));

  it.live("layer makes its index again when the server comes back without it", () =>
    Effect.gen(function* () {
      const own = yield* MongoServer.scoped();
      yield* make([good("a")], { server: own, database: "returning" });
      yield* eventually(hasIndex(own, "returning"));
      yield* Effect.promise(() => own.use((client) => client.db("returning").dropDatabase()));
      assert.equal(yield* hasIndex(own, "returning"), false);
      yield* Effect.promise(() => own.restart());
      yield* eventually(hasIndex(own, "returning"));
    }));

  it.live("layer works without its index when there are duplicates in its way", () =>
    Effect.gen(function* () {
      const stores = yield* make([good("a"), good("a")], { database: "duplicates" });
      assert.ok(Option.isSome(yield* stores.find("shop", "a")));
      assert.equal((yield* stores.list("shop", { limit: 10 })).length, 2);
    }));

  it.live("find() and list() fail with a transient failure when the server is killed", () =>
    Effect.gen(function* () {
      const own = yield* MongoServer.scoped();
      const stores = yield* make([good("a")], { server: own });
      yield* stores.find("shop", "a");
      yield* Effect.promise(() => own.kill());
      const failures = [
        yield* Effect.flip(stores.find("shop", "a")),
        yield* Effect.flip(stores.list("shop", { limit: 1 })),
      ];
      for (const { _tag, operation } of failures) {
        assert.deepEqual([_tag, operation], ["TransientFailure", "mongodb_find"]);
      }
    }));
});

/** What every store repository does, run over each of them. */
import { Context, Effect, Layer, Option, Redacted, type Scope } from "effect";
import assert from "node:assert/strict";
import { MongoConnection } from "../../src/connections/Mongo.ts";
import type { Store } from "../../src/routing/Store.ts";
import { StoreRepository } from "../../src/routing/StoreRepository.ts";
import * as MongoStores from "../../src/routing/StoreRepository/Mongo.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { needs } from "../support/Tools.ts";

type Repository = Context.Tag.Service<StoreRepository>;

const store = (tenantId: string, storeId: string, more: Partial<Store> = {}): Store => ({
  tenantId,
  storeId,
  name: `Store ${storeId}`,
  backendUrl: `https://${storeId}.example.com`,
  backendContext: { region: "eu" },
  ...more,
});

/** Names in which code point order, locale order and numeric order differ. */
const names = ["a", "B", "b", "a.1", "a-1", "a_1", "A", "10", "9", "z".repeat(128)];

const ids = (stores: ReadonlyArray<Store>) => stores.map(({ storeId }) => storeId);

const contract = (
  make: (stores: ReadonlyArray<Store>) => Effect.Effect<Repository, never, Scope.Scope>,
) => {
  it.live("find() gives the store with all its fields", () =>
    Effect.gen(function* () {
      const known = store("shop", "a", {
        location: { lat: 59.3, lon: -18.07 },
        backendContext: { deep: [{ "with.dot": null, $dollar: 1.5 }], empty: {}, text: "" },
      });
      const stores = yield* make([known, store("shop", "b")]);
      assert.deepEqual(yield* stores.find("shop", "a"), Option.some(known));
    }));

  for (
    const context of [null, false, 0, "text", [], {}, [1, [2]], { "": 1 }] as ReadonlyArray<unknown>
  ) {
    it.live(`find() passes the backend context ${JSON.stringify(context)} through`, () =>
      Effect.gen(function* () {
        const known = store("shop", "a", { backendContext: context });
        const stores = yield* make([known]);
        assert.deepEqual(yield* stores.find("shop", "a"), Option.some(known));
      }));
  }

  it.live("find() gives none for an unknown store, tenant and another tenant's store", () =>
    Effect.gen(function* () {
      const stores = yield* make([store("shop", "a")]);
      const questions = [["shop", "b"], ["other", "a"], ["shop", "A"], ["", ""]] as const;
      for (const [tenantId, storeId] of questions) {
        assert.deepEqual(yield* stores.find(tenantId, storeId), Option.none());
      }
    }));

  it.live("find() gives each tenant its own store of the same name", () =>
    Effect.gen(function* () {
      const own = store("shop", "a", { name: "own" });
      const other = store("other", "a", { name: "other" });
      const stores = yield* make([own, other]);
      assert.deepEqual(yield* stores.find("shop", "a"), Option.some(own));
      assert.deepEqual(yield* stores.find("other", "a"), Option.some(other));
    }));

  it.live("find() and list() take a query operator for no name", () =>
    Effect.gen(function* () {
      const stores = yield* make([store("shop", "a")]);
      // As it would come from a body that nobody checked: the types forbid it, the filter must too.
      const operator = JSON.parse('{"$ne":null}') as string;
      assert.deepEqual(yield* stores.find("shop", operator), Option.none());
      assert.deepEqual(yield* stores.find(operator, "a"), Option.none());
      assert.deepEqual(yield* stores.list(operator, { limit: 10 }), []);
    }));

  it.live("list() gives the tenant's stores in the order of their characters", () =>
    Effect.gen(function* () {
      const stores = yield* make([
        ...names.map((name) => store("shop", name)),
        ...names.map((name) => store("other", name)),
      ]);
      const listed = yield* stores.list("shop", { limit: 100 });
      assert.deepEqual(ids(listed), names.toSorted());
      assert.ok(listed.every(({ tenantId }) => tenantId === "shop"));
    }));

  it.live("list() goes through all pages without a gap or a double", () =>
    Effect.gen(function* () {
      const stores = yield* make(names.map((name) => store("shop", name)));
      for (const limit of [1, 3, names.length]) {
        const seen: Array<string> = [];
        for (let after = "";;) {
          const page = yield* stores.list("shop", { limit, after });
          assert.ok(page.length <= limit);
          seen.push(...ids(page));
          const last = page.at(-1);
          if (last === undefined) break;
          after = last.storeId;
        }
        assert.deepEqual(seen, names.toSorted());
      }
    }));

  it.live("list() goes on behind a name that does not exist", () =>
    Effect.gen(function* () {
      const stores = yield* make(["a", "c"].map((name) => store("shop", name)));
      assert.deepEqual(ids(yield* stores.list("shop", { limit: 9, after: "b" })), ["c"]);
      assert.deepEqual(ids(yield* stores.list("shop", { limit: 9, after: "c" })), []);
    }));

  it.live("list() gives nothing for an unknown tenant and for limit 0", () =>
    Effect.gen(function* () {
      const stores = yield* make([store("shop", "a")]);
      assert.deepEqual(yield* stores.list("other", { limit: 10 }), []);
      assert.deepEqual(yield* stores.list("shop", { limit: 0 }), []);
    }));
};

describe("StoreRepository.layerMemory", () => {
  const make = (stores: ReadonlyArray<Store>) =>
    Layer.build(StoreRepository.layerMemory(stores)).pipe(
      Effect.map(Context.get(StoreRepository)),
    );
  contract(make);

  it.live("layerMemory keeps the last of several stores with the same names", () =>
    Effect.gen(function* () {
      const last = store("shop", "a", { name: "last" });
      const stores = yield* make([store("shop", "a"), last]);
      assert.deepEqual(yield* stores.find("shop", "a"), Option.some(last));
      assert.deepEqual(yield* stores.list("shop", { limit: 10 }), [last]);
    }));
});

describe("StoreRepository/Mongo", needs("secantusdb"), () => {
  let server: MongoServer;
  let databases = 0;
  beforeAll(async () => {
    server = await MongoServer.start();
  });
  afterAll(() => server.stop());

  contract((stores) =>
    Effect.gen(function* () {
      const database = `contract${databases++}`;
      yield* Effect.promise(() => server.insert(database, "stores", stores));
      const connection = MongoConnection.layer({
        uri: Redacted.make(server.url),
        database,
        timeout: "5 seconds",
      });
      const context = yield* Effect.orDie(
        Layer.build(Layer.provideMerge(MongoStores.layer, connection)),
      );
      yield* Effect.orDie(eventually(Context.get(context, MongoConnection).ping));
      return Context.get(context, StoreRepository);
    })
  );
});

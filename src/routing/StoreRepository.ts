/**
 * Where stores are kept. A tenant sees its own stores only: `tenantId` is part of every question.
 */
import { Context, Effect, Layer, Option } from "effect";
import type { DependencyFailure } from "../resilience/DependencyFailure.ts";
import type { Store } from "./Store.ts";

/** One page of a list: at most `limit` stores, those behind the storeId `after`. */
export interface Page {
  readonly after?: string;
  readonly limit: number;
}

/** Reads stores. Calls are single attempts with the driver's deadlines. */
export class StoreRepository extends Context.Tag("routing/StoreRepository")<StoreRepository, {
  /** The store, or none when this tenant has no store of that name. */
  readonly find: (
    tenantId: string,
    storeId: string,
  ) => Effect.Effect<Option.Option<Store>, DependencyFailure>;
  /** The tenant's stores in the order of their storeIds' characters. */
  readonly list: (
    tenantId: string,
    page: Page,
  ) => Effect.Effect<ReadonlyArray<Store>, DependencyFailure>;
}>() {
  /** Keeps the given stores; of several with the same names the last one counts. */
  static readonly layerMemory = (stores: ReadonlyArray<Store>): Layer.Layer<StoreRepository> =>
    Layer.sync(this, () => {
      const tenants = Map.groupBy(
        new Map(stores.map((store) => [`${store.tenantId}:${store.storeId}`, store])).values(),
        ({ tenantId }) => tenantId,
      );
      const known = new Map(
        [...tenants].map(([tenantId, own]) => [tenantId, own.toSorted(byStoreId)]),
      );
      const byName = new Map(
        [...known].map(([tenantId, own]) => [
          tenantId,
          new Map(own.map((store) => [store.storeId, store])),
        ]),
      );
      return {
        find: (tenantId, storeId) =>
          Effect.sync(() => Option.fromNullable(byName.get(tenantId)?.get(storeId))),
        list: (tenantId, { after = "", limit }) =>
          Effect.sync(() =>
            (known.get(tenantId) ?? []).filter(({ storeId }) => storeId > after).slice(0, limit)
          ),
      };
    });
}

const byStoreId = (a: Store, b: Store): number => a.storeId < b.storeId ? -1 : 1;

/** What only the MongoDB tenant repository does: its index, and documents that are no tenants. */
import { Context, Effect, HashMap, Layer, Logger, Option, Redacted } from "effect";
import type { Document } from "mongodb";
import assert from "node:assert/strict";
import { TenantRepository } from "../../../src/auth/TenantRepository.ts";
import * as MongoTenants from "../../../src/auth/TenantRepository/Mongo.ts";
import { MongoConnection } from "../../../src/connections/Mongo.ts";
import { eventually } from "../../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../../support/it.ts";
import { MongoServer } from "../../support/servers/MongoServer.ts";
import { needs } from "../../support/Tools.ts";

const authConfig = { tokenEndpoint: "https://id.example.com/token", clientId: "amicis" };

/** Documents of a tenant `shop` that are no tenants, by what is wrong with them. */
const bad: Readonly<Record<string, Document>> = {
  "no name": { authConfig },
  "no authConfig": { name: "Shop" },
  "an authConfig that is a text": { name: "Shop", authConfig: "x" },
  "no tokenEndpoint": { name: "Shop", authConfig: { clientId: "amicis" } },
  "a tokenEndpoint that is no URL": {
    name: "Shop",
    authConfig: { ...authConfig, tokenEndpoint: "secret" },
  },
  "an empty clientId": { name: "Shop", authConfig: { ...authConfig, clientId: "" } },
  "a clientSecret that is no text": {
    name: "Shop",
    authConfig: { ...authConfig, clientSecret: 7 },
  },
  "enabled that is no boolean": { name: "Shop", enabled: "false", authConfig },
};

describe("TenantRepository/Mongo", needs("secantusdb"), () => {
  let server: MongoServer;
  let databases = 0;
  beforeAll(async () => {
    server = await MongoServer.start();
  });
  afterAll(() => server.stop());

  const make = Effect.fnUntraced(
    function* (documents: ReadonlyArray<Document>, from: MongoServer = server) {
      const database = `tenants${databases++}`;
      yield* Effect.promise(() => from.insert(database, "tenants", documents));
      const context = yield* Layer.build(
        Layer.provideMerge(
          MongoTenants.layer,
          MongoConnection.layer({
            uri: Redacted.make(from.url),
            database,
            timeout: "2 seconds",
          }),
        ),
      );
      yield* eventually(Context.get(context, MongoConnection).ping);
      return { tenants: Context.get(context, TenantRepository), database };
    },
  );

  for (const [what, fields] of Object.entries(bad)) {
    it.live(`find() fails with an answered permanent failure for a document with ${what}`, () =>
      Effect.gen(function* () {
        const { tenants } = yield* make([{ tenantId: "shop", ...fields }]);
        const failure = yield* Effect.flip(tenants.find("shop"));
        assert.ok(failure._tag === "PermanentFailure" && failure.answered);
        assert.equal(failure.operation, "mongodb_find");
        assert.equal(failure.reason, 'malformed document in "tenants"');
      }));
  }

  it.live("find() logs and fails without a value of the malformed document", () =>
    Effect.gen(function* () {
      const lines: Array<string> = [];
      const logger = Logger.make(({ message, annotations }) => {
        lines.push(JSON.stringify([message, ...HashMap.entries(annotations)]));
      });
      const { tenants } = yield* make([{
        tenantId: "shop",
        name: "Shop",
        authConfig: { ...authConfig, clientSecret: ["very secret"] },
      }]);
      const failure = yield* Effect.flip(tenants.find("shop")).pipe(
        Effect.provide(Logger.add(logger)),
      );
      assert.match(lines.join(), /Malformed document.*authConfig\.clientSecret/);
      const printed = lines.join() + Deno.inspect(failure, { depth: 9 }) + JSON.stringify(failure);
      assert.doesNotMatch(printed, /very secret/);
    }));

  it.live("find() takes a tenant for enabled, and null for what is absent", () =>
    Effect.gen(function* () {
      const nulls = {
        enabled: null,
        authConfig: { ...authConfig, clientSecret: null, scope: null },
      };
      const { tenants } = yield* make([
        { tenantId: "shop", name: "Shop", authConfig },
        { tenantId: "nulls", name: "Nulls", ...nulls },
      ]);
      for (const tenantId of ["shop", "nulls"]) {
        const tenant = Option.getOrThrow(yield* tenants.find(tenantId));
        assert.equal(tenant.enabled, true);
        assert.deepEqual(tenant.authConfig, authConfig);
      }
    }));

  it.live("layer makes a unique index on tenantId", () =>
    Effect.gen(function* () {
      const { database } = yield* make([{ tenantId: "shop", name: "Shop", authConfig }]);
      yield* eventually(
        Effect.tryPromise(() =>
          server.insert(database, "tenants", [{ tenantId: "other" }, { tenantId: "other" }])
        ).pipe(Effect.flip),
      );
    }));

  it.live("find() fails with a transient failure when the server is killed", () =>
    Effect.gen(function* () {
      const own = yield* MongoServer.scoped();
      const { tenants } = yield* make([{ tenantId: "shop", name: "Shop", authConfig }], own);
      assert.ok(Option.isSome(yield* tenants.find("shop")));
      yield* Effect.promise(() => own.kill());
      assert.equal((yield* Effect.flip(tenants.find("shop")))._tag, "TransientFailure");
    }));
});

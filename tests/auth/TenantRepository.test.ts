/** What every tenant repository does, run over each of them. */
import { Context, Effect, Layer, Option, Redacted, type Scope } from "effect";
import assert from "node:assert/strict";
import type { Tenant } from "../../src/auth/Tenant.ts";
import { TenantRepository } from "../../src/auth/TenantRepository.ts";
import * as MongoTenants from "../../src/auth/TenantRepository/Mongo.ts";
import { MongoConnection } from "../../src/connections/Mongo.ts";
import { eventually } from "../support/eventually.ts";
import { afterAll, beforeAll, describe, it } from "../support/it.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { needs } from "../support/Tools.ts";

type Repository = Context.Tag.Service<TenantRepository>;

const tenant = (tenantId: string, more: Partial<Tenant> = {}): Tenant => ({
  tenantId,
  name: `Tenant ${tenantId}`,
  enabled: true,
  authConfig: { tokenEndpoint: "https://id.example.com/token", clientId: "amicis" },
  ...more,
});

const full = tenant("full", {
  authConfig: {
    tokenEndpoint: "https://id.example.com/token",
    clientId: "amicis",
    clientSecret: Redacted.make("very secret"),
    scope: "shop.read shop.write",
  },
});

const contract = (
  make: (tenants: ReadonlyArray<Tenant>) => Effect.Effect<Repository, never, Scope.Scope>,
) => {
  it.live("find() gives the tenant with all its fields", () =>
    Effect.gen(function* () {
      const tenants = yield* make([tenant("plain"), full]);
      assert.deepEqual(yield* tenants.find("plain"), Option.some(tenant("plain")));
      const found = Option.getOrThrow(yield* tenants.find("full"));
      assert.deepEqual(
        { ...found.authConfig, clientSecret: undefined },
        { ...full.authConfig, clientSecret: undefined },
      );
      assert.ok(found.authConfig.clientSecret !== undefined);
      assert.equal(Redacted.value(found.authConfig.clientSecret), "very secret");
    }));

  it.live("find() gives a tenant whose printed form holds no secret", () =>
    Effect.gen(function* () {
      const tenants = yield* make([full]);
      const found = Option.getOrThrow(yield* tenants.find("full"));
      assert.doesNotMatch(JSON.stringify(found) + Deno.inspect(found, { depth: 9 }), /very secret/);
    }));

  it.live("find() gives a disabled tenant, for what that means is not its decision", () =>
    Effect.gen(function* () {
      const disabled = tenant("off", { enabled: false });
      const tenants = yield* make([disabled]);
      assert.deepEqual(yield* tenants.find("off"), Option.some(disabled));
    }));

  it.live("find() gives none for an unknown tenant and for a query operator", () =>
    Effect.gen(function* () {
      const tenants = yield* make([tenant("shop")]);
      // As it would come from a body that nobody checked: the types forbid it, the filter must too.
      const operator = JSON.parse('{"$ne":null}') as string;
      for (const tenantId of ["other", "SHOP", "", operator]) {
        assert.deepEqual(yield* tenants.find(tenantId), Option.none());
      }
    }));
};

describe("TenantRepository.layerMemory", () => {
  contract((tenants) =>
    Layer.build(TenantRepository.layerMemory(tenants)).pipe(
      Effect.map(Context.get(TenantRepository)),
    )
  );
});

describe("TenantRepository/Mongo", needs("secantusdb"), () => {
  let server: MongoServer;
  let databases = 0;
  beforeAll(async () => {
    server = await MongoServer.start();
  });
  afterAll(() => server.stop());

  contract((tenants) =>
    Effect.gen(function* () {
      const database = `tenants${databases++}`;
      const documents = tenants.map(({ authConfig, ...fields }) => ({
        ...fields,
        authConfig: {
          ...authConfig,
          ...(authConfig.clientSecret === undefined
            ? {}
            : { clientSecret: Redacted.value(authConfig.clientSecret) }),
        },
      }));
      yield* Effect.promise(() => server.insert(database, "tenants", documents));
      const connection = MongoConnection.layer({
        uri: Redacted.make(server.url),
        database,
        timeout: "5 seconds",
      });
      const context = yield* Effect.orDie(
        Layer.build(Layer.provideMerge(MongoTenants.layer, connection)),
      );
      yield* Effect.orDie(eventually(Context.get(context, MongoConnection).ping));
      return Context.get(context, TenantRepository);
    })
  );
});

/** Documents of MongoDB's collections that are not what they should be, and the data file. */
import assert from "node:assert/strict";
import { Cause, Effect, Exit, Layer, Logger, Option } from "effect";
import * as fc from "fast-check";
import {
  BSON,
  type Db,
  Decimal128,
  type Document,
  Double,
  Int32,
  Long,
  ObjectId,
  Timestamp,
  UUID,
} from "mongodb";
import { TenantRepository } from "../../../src/auth/TenantRepository.ts";
import * as MongoTenants from "../../../src/auth/TenantRepository/Mongo.ts";
import { MongoConnection } from "../../../src/connections/Mongo.ts";
import { fromMongo } from "../../../src/connections/MongoFailure.ts";
import * as EmbeddedData from "../../../src/EmbeddedData.ts";
import { PermanentFailure } from "../../../src/resilience/DependencyFailure.ts";
import { StoreRepository } from "../../../src/routing/StoreRepository.ts";
import * as MongoStores from "../../../src/routing/StoreRepository/Mongo.ts";
import { byMutation, byProperty, type Opened, type Target, together } from "../Target.ts";

/** A collection in which every search finds one document, fresh from its bytes. */
class OneDocument {
  bytes: Uint8Array = new Uint8Array();
  readonly layer: Layer.Layer<MongoConnection>;

  constructor() {
    const documents = () => [BSON.deserialize(this.bytes, { promoteValues: true })];
    const cursor = {
      project: () => cursor,
      sort: () => cursor,
      limit: () => cursor,
      toArray: () => Promise.resolve().then(documents),
    };
    const collection = {
      findOne: () => Promise.resolve().then(() => documents()[0]),
      find: () => cursor,
    };
    const db = { collection: () => collection } as unknown as Db;
    this.layer = Layer.succeed(MongoConnection, {
      db: Effect.succeed(db),
      run: (operation, call) =>
        Effect.tryPromise({
          try: (signal) => call(db, signal),
          catch: (cause) => fromMongo(operation, cause),
        }),
      ping: Effect.void,
      onConnected: () => Effect.void,
    });
  }
}

const silent = Logger.remove(Logger.defaultLogger);

/** The answer, or nothing where the document was refused; anything else breaks the promise. */
function valueOf<A, E>(exit: Exit.Exit<A, E>): A | undefined {
  if (Exit.isSuccess(exit)) return exit.value;
  const failure = Cause.failureOption(exit.cause);
  assert.ok(Option.isSome(failure), Cause.pretty(exit.cause));
  // Bytes that are no document at all are the driver's to refuse, by any of its errors.
  assert.ok(failure.value instanceof PermanentFailure, Cause.pretty(exit.cause));
  return undefined;
}

/** Anything that BSON can hold, to a depth that a server still takes. */
const { value: bson } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.oneof(
      fc.constantFrom<unknown>(null, true, "", "ikea", "berlin-01", "https://a.example/token"),
      fc.constantFrom<unknown>(new Date(NaN), new Date(0), /a/, -0, NaN, Infinity),
      fc.string({ unit: "binary" }).filter((text) => !text.includes("\0")),
      fc.double(),
      fc.integer().map((number) => new Int32(number)),
      fc.double().map((number) => new Double(number)),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((number) =>
        Long.fromBigInt(number)
      ),
      fc.integer().map((number) => Decimal128.fromString(`${number}E-7`)),
      fc.constant(new ObjectId("0123456789abcdef01234567")),
      fc.constant(new UUID("01234567-89ab-4def-8123-456789abcdef")),
      fc.constant(new Timestamp({ t: 1, i: 2 })),
      fc.uint8Array({ maxLength: 20 }).map((bytes) => new BSON.Binary(bytes)),
    ),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(
      fc.oneof(
        fc.constantFrom("$ref", "$where", "__proto__", "constructor", "toJSON", "a.b"),
        fc.string().filter((text) => !text.includes("\0")),
      ),
      tie("value"),
      { maxKeys: 4 },
    ),
  ),
}));

/** The fields of a document, each right or anything at all. */
const documentOf = (
  fields: Readonly<Record<string, fc.Arbitrary<unknown>>>,
): fc.Arbitrary<Document> =>
  fc.record(
    Object.fromEntries(
      Object.entries(fields).map(([name, right]) => [
        name,
        fc.oneof({ weight: 12, arbitrary: right }, { weight: 1, arbitrary: bson }),
      ]),
    ),
    { requiredKeys: Object.keys(fields).slice(0, 3) },
  );

const tenant = documentOf({
  tenantId: fc.constant("ikea"),
  name: fc.string(),
  authConfig: documentOf({
    tokenEndpoint: fc.constantFrom("https://a.example/token", "http://127.0.0.1:1/"),
    clientId: fc.constant("client"),
    clientSecret: fc.constantFrom("secret", null),
    scope: fc.constantFrom("shop", null),
  }),
  enabled: fc.constantFrom(true, false, null),
});

const store = documentOf({
  tenantId: fc.constant("ikea"),
  storeId: fc.constant("berlin-01"),
  name: fc.string(),
  backendUrl: fc.webUrl(),
  backendContext: bson,
  location: fc.constantFrom({ lat: 1, lon: 2 }, null),
});

/** A field that the driver's own writer would take for one of its classes; other writers do not. */
const withBsonType = (document: Document): Uint8Array => {
  const bytes = bytesOf({ ...document, xbsontype: "Long" });
  const at = new TextDecoder("latin1").decode(bytes).indexOf("xbsontype");
  return bytes.with(at, "_".charCodeAt(0));
};

const bytesOf = (document: Document) => BSON.serialize(document, { ignoreUndefined: true });

/** Ways to fuzz a reader of documents: by bytes, and by values. */
async function ways(
  corpus: ReadonlyArray<Document>,
  values: fc.Arbitrary<Document>,
  read: (bytes: Uint8Array) => Promise<string>,
): Promise<Opened["run"]> {
  return together(
    [
      1,
      await byMutation({
        corpus: "documents",
        more: corpus.flatMap((document) => [bytesOf(document), withBsonType(document)]),
        dictionary: ["tenantId\0", "storeId\0", "\x02", "\x03", "\x10", "\x12", "ikea", "\0", "$"],
        check: read,
      }),
    ],
    [1, byProperty(values, (document) => read(bytesOf(document)))],
  );
}

const exampleTenant = {
  tenantId: "ikea",
  name: "IKEA",
  authConfig: { tokenEndpoint: "https://a.example/token", clientId: "c", clientSecret: "s" },
};
const exampleStore = {
  tenantId: "ikea",
  storeId: "berlin-01",
  name: "Berlin",
  backendUrl: "https://b.example",
  backendContext: { region: "eu", since: new Date(0), size: Long.fromNumber(1) },
  location: { lat: 52.5, lon: 13.4 },
};

export const tenantDocuments: Target = {
  name: "tenant documents",
  weight: 4,
  promise: "a document is a tenant with every field of its type, or refused as a malformed one",
  open: async () => {
    const mongo = new OneDocument();
    const repository = await Effect.runPromise(
      Effect.provide(TenantRepository, Layer.provide(MongoTenants.layer, mongo.layer)),
    );
    const read = async (bytes: Uint8Array) => {
      mongo.bytes = bytes;
      const found = valueOf(
        await Effect.runPromiseExit(Effect.provide(repository.find("ikea"), silent)),
      );
      if (found === undefined) return "refused";
      const { tenantId, name, enabled, authConfig } = Option.getOrThrow(found);
      assert.match(tenantId, /^[A-Za-z0-9_-]{1,64}$/);
      assert.deepEqual([typeof name, typeof enabled], ["string", "boolean"]);
      assert.ok(URL.canParse(authConfig.tokenEndpoint) && authConfig.clientId !== "");
      return "tenant";
    };
    return { run: await ways([exampleTenant], tenant, read) };
  },
};

export const storeDocuments: Target = {
  name: "store documents",
  weight: 4,
  promise: "a document is a store that can be written as JSON, or refused; a list leaves it out",
  open: async () => {
    const mongo = new OneDocument();
    const repository = await Effect.runPromise(
      Effect.provide(StoreRepository, Layer.provide(MongoStores.layer, mongo.layer)),
    );
    const run = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.runPromiseExit(Effect.provide(effect, silent));
    const read = async (bytes: Uint8Array) => {
      mongo.bytes = bytes;
      const found = valueOf(await run(repository.find("ikea", "berlin-01")));
      const listed = valueOf(await run(repository.list("ikea", { limit: 2 }))) ?? [];
      assert.equal(listed.length, found === undefined ? 0 : 1);
      if (found === undefined) return "refused";
      const { storeId, backendUrl, backendContext } = Option.getOrThrow(found);
      assert.match(storeId, /^[A-Za-z0-9._-]{1,128}$/);
      assert.notEqual(backendUrl, "");
      // No BSON is left in it: what JSON makes of it is all there is.
      assert.notEqual(JSON.stringify(backendContext), undefined);
      return "store";
    };
    return { run: await ways([exampleStore], store, read) };
  },
};

export const dataFile: Target = {
  name: "data file",
  weight: 3,
  promise: "a file is tenants and stores, or every problem of it by name, none with its value",
  open: async () => {
    const path = await Deno.makeTempFile({ prefix: "amicis-fuzz-" });
    return {
      run: await byMutation({
        corpus: "data-file",
        dictionary: [
          ...['"tenants":', '"stores":', "[]", "{}", "null", '"authConfig":', '"__proto__":{}'],
          ...['"tokenEndpoint":"x"', '"hunter2-secret"', "1e999", "\\ud800", '"enabled":0'],
        ],
        check: async (bytes) => {
          await Deno.writeFile(path, bytes);
          const exit = await Effect.runPromiseExit(EmbeddedData.load(path));
          if (Exit.isSuccess(exit)) {
            assert.ok(Array.isArray(exit.value.tenants) && Array.isArray(exit.value.stores));
            return "data";
          }
          const failure = Cause.failureOption(exit.cause);
          assert.ok(Option.isSome(failure), Cause.pretty(exit.cause));
          assert.ok(failure.value.lines.length > 0);
          assert.doesNotMatch(failure.value.message, /hunter2/);
          return "refused";
        },
      }),
      close: () => Deno.remove(path),
    };
  },
};

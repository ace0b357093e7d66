import { Either, Schema } from "effect";
import assert from "node:assert/strict";
import { isStoreId, isTenantId, Store } from "../../src/routing/Store.ts";
import { describe, it } from "../support/it.ts";

const decode = Schema.decodeUnknownEither(Store);

const document = {
  tenantId: "shop",
  storeId: "a",
  name: "A",
  backendUrl: "https://a.example.com",
  backendContext: { any: ["JSON"] },
};

describe("Store", () => {
  it("isStoreId() takes 1 to 128 of the legal characters and nothing else", () => {
    for (const text of ["a", "A.b_c-9", "..", "x".repeat(128)]) assert.ok(isStoreId(text), text);
    const bad = ["", "x".repeat(129), "a b", "a/b", "a:b", "å", "a\n", "$ne", 7, null, ["a"]];
    for (const input of bad) assert.ok(!isStoreId(input), String(input));
  });

  it("isTenantId() takes 1 to 64 of the legal characters and nothing else", () => {
    for (const text of ["a", "A_c-9", "x".repeat(64)]) assert.ok(isTenantId(text), text);
    const bad = ["", "x".repeat(65), "a.b", "a:b", "a b", "a\n", 7, null, { $ne: null }];
    for (const input of bad) assert.ok(!isTenantId(input), String(input));
  });

  it("Store decodes with and without a location, and drops what it does not know", () => {
    const location = { lat: 59.3, lon: -18 };
    assert.deepEqual(Either.getOrThrow(decode(document)), document);
    assert.deepEqual(Either.getOrThrow(decode({ ...document, location })), {
      ...document,
      location,
    });
    assert.deepEqual(Either.getOrThrow(decode({ ...document, location: null, _id: 1 })), document);
  });

  it("Store refuses records that lack a field or have a wrong one", () => {
    const bad = [
      ...["tenantId", "storeId", "name", "backendUrl"].map((field) => ({ [field]: undefined })),
      { storeId: "a b" },
      { tenantId: "a.b" },
      { backendUrl: "" },
      { location: { lat: "1", lon: 2 } },
    ];
    for (const fields of bad) {
      assert.ok(Either.isLeft(decode({ ...document, ...fields })), JSON.stringify(fields));
    }
  });
});

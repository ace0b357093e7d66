import { Either, Redacted, Schema } from "effect";
import assert from "node:assert/strict";
import { isTenantId, Tenant } from "../../src/auth/Tenant.ts";
import { describe, it } from "../support/it.ts";

const decode = Schema.decodeUnknownEither(Tenant);

const document = {
  tenantId: "shop",
  name: "Shop",
  authConfig: { tokenEndpoint: "https://id.example.com/token", clientId: "amicis" },
};

describe("Tenant", () => {
  it("isTenantId() takes 1 to 64 of the legal characters and nothing else", () => {
    for (const text of ["a", "A_c-9", "x".repeat(64)]) assert.ok(isTenantId(text), text);
    const bad = ["", "x".repeat(65), "a.b", "a:b", "a b", "a\n", 7, null, { $ne: null }];
    for (const input of bad) assert.ok(!isTenantId(input), String(input));
  });

  it("Tenant is enabled unless its record says otherwise", () => {
    assert.equal(Either.getOrThrow(decode(document)).enabled, true);
    assert.equal(Either.getOrThrow(decode({ ...document, enabled: null })).enabled, true);
    assert.equal(Either.getOrThrow(decode({ ...document, enabled: false })).enabled, false);
  });

  it("Tenant keeps its secret redacted", () => {
    const authConfig = { ...document.authConfig, clientSecret: "very secret", scope: "a b" };
    const tenant = Either.getOrThrow(decode({ ...document, authConfig }));
    const { clientSecret } = tenant.authConfig;
    assert.ok(clientSecret !== undefined);
    assert.equal(Redacted.value(clientSecret), "very secret");
    assert.doesNotMatch(Deno.inspect(tenant, { depth: 9 }) + JSON.stringify(tenant), /very/);
  });

  it("Tenant refuses records that lack a field or have a wrong one", () => {
    const bad = [
      { tenantId: "a b" },
      { name: undefined },
      { enabled: "false" },
      { authConfig: undefined },
      ...[
        { tokenEndpoint: "/token" },
        { tokenEndpoint: undefined },
        { clientId: "" },
        { clientSecret: 7 },
        { scope: ["a"] },
      ].map((fields) => ({ authConfig: { ...document.authConfig, ...fields } })),
    ];
    for (const fields of bad) {
      assert.ok(Either.isLeft(decode({ ...document, ...fields })), JSON.stringify(fields));
    }
  });
});

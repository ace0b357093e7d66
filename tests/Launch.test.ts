/** What a start that cannot be says, and its exit code; the compiled binary's is in e2e. */
import assert from "node:assert/strict";
import { runToEnd } from "./support/Amicis.ts";
import { describe, it } from "./support/it.ts";

describe("launch()", () => {
  it("launch() names every problem of the data file beside those of other settings", async () => {
    const file = await Deno.makeTempFile({ suffix: ".json" });
    try {
      await Deno.writeTextFile(
        file,
        JSON.stringify({ tenants: [{ tenantId: "a:b", name: "A" }], stores: [{}] }),
      );
      const env = { PORT: "none", DATA_FILE: file };
      for (const args of [["--service=routing"], ["--service=routing", "--check"]]) {
        const { code, stdout, stderr } = await runToEnd(args, { env });
        assert.equal(code, 78);
        assert.equal(stdout, "");
        const lines = stderr.trimEnd().split("\n");
        assert.equal(lines[0], "PORT must be a whole number from 0 to 65535");
        for (const what of ["tenants.0.tenantId", "tenants.0.authConfig", "stores.0.storeId"]) {
          const told = lines.filter((line) => line.includes(what));
          assert.equal(told.length, 1, what);
          assert.ok(told[0]?.startsWith(`DATA_FILE "${file}" `), told[0]);
        }
      }
    } finally {
      await Deno.remove(file);
    }
  });

  it("launch() says that a data file cannot be read", async () => {
    const env = { DATA_FILE: "/no/such/file.json" };
    const { code, stderr } = await runToEnd(["--service=auth", "--check"], { env });
    assert.equal(code, 78);
    assert.equal(stderr, 'DATA_FILE "/no/such/file.json" cannot be read\n');
  });

  it("launch() takes the service of SERVICE when no flag names one", async () => {
    const outcome = async (args: ReadonlyArray<string>, env: Record<string, string>) => {
      const { code, stderr } = await runToEnd([...args, "--check"], { env });
      return [code, stderr.split("\n", 1)[0]];
    };
    // Of the two only routing needs a way to verify tokens.
    const missing = "JWT_SECRET or JWT_JWKS_URL must be set with MONGODB_URI: there is no default";
    const env = { MONGODB_URI: "mongodb://127.0.0.1" };
    assert.deepEqual(await outcome([], { ...env, SERVICE: "auth" }), [0, ""]);
    assert.deepEqual(await outcome([], { ...env, SERVICE: "routing" }), [78, missing]);
    assert.deepEqual(await outcome(["--service=routing"], { ...env, SERVICE: "auth" }), [
      78,
      missing,
    ]);
    assert.deepEqual(await outcome([], { SERVICE: "shop" }), [
      78,
      "SERVICE must be one of auth, routing, all",
    ]);
    assert.deepEqual(await outcome([], {}), [64, "No service chosen"]);
  });
});

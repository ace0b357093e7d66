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
});

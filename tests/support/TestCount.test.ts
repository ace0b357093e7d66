import { strict as assert } from "node:assert";
import { afterAll, beforeAll, describe, it } from "./bdd.ts";
import { countTests } from "./TestCount.ts";

const bdd = new URL("./bdd.ts", import.meta.url).href;

describe("countTests()", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await Deno.makeTempDir({ prefix: "amicis-count-" });
  });
  afterAll(() => Deno.remove(directory, { recursive: true }));

  /** Runs Deno on files with these bodies and counts its log. */
  async function count(...bodies: ReadonlyArray<string>) {
    const folder = `${directory}/${crypto.randomUUID()}`;
    await Deno.mkdir(folder);
    for (const [index, body] of bodies.entries()) {
      const imports = `import { afterAll, describe, it } from "${bdd}";\n`;
      await Deno.writeTextFile(`${folder}/${index}.test.ts`, imports + body);
    }
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-check", "--no-config", "-A", "--parallel", folder],
      env: { NO_COLOR: "1" },
    }).output();
    return countTests([stdout, stderr].map((bytes) => new TextDecoder().decode(bytes)).join("\n"));
  }

  it("counts cases and not the suites around them", async () => {
    const counted = await count(
      `describe("a", () => {
        it("one", () => console.log("some output"));
        describe("b", () => {
          it("two ... three", () => {});
          it("breaks", () => { throw new Error("Broken"); });
          it.skip("later", () => {});
        });
      });
      it("top", () => {});`,
      `describe("a", () => it("one", () => {}));
       it.skip("later", () => {});`,
    );
    assert.deepEqual(counted, { passed: 4, failed: 1, skipped: 2 });
  });

  it("counts a leak and a broken hook as one failed case each", async () => {
    const counted = await count(
      `describe("a", () => { it("leaks", () => { setTimeout(() => {}, 60_000); }); });`,
      `describe("b", () => {
        afterAll(() => { throw new Error("Broken"); });
        it("one", () => {});
      });`,
    );
    assert.deepEqual(counted, { passed: 2, failed: 2, skipped: 0 });
  });

  it("counts a failure outside of all tests", async () => {
    const counted = await count(`it("one", () => {});`, `throw new Error("Broken");`);
    assert.deepEqual(counted, { passed: 1, failed: 1, skipped: 0 });
  });

  it("gives nothing for a log without a summary", () => {
    assert.equal(countTests("running 1 test\n./a.test.ts => one ... ok (1ms)"), undefined);
  });

  it("gives Deno's own numbers when lines and summary differ", () => {
    assert.deepEqual(countTests("ok | 2 passed (3 steps) | 0 failed | 1 ignored (12ms)"), {
      passed: 5,
      failed: 0,
      skipped: 1,
    });
  });
});

/** Each case runs a child `deno test` on a file written for it, and looks at its trace and exit. */
import { strict as assert } from "node:assert";
import { afterAll, beforeAll, describe, it } from "./bdd.ts";

const bdd = new URL("./bdd.ts", import.meta.url).href;

interface Run {
  readonly success: boolean;
  readonly output: string;
  /** What the file gave to `trace`, in order. */
  readonly trace: ReadonlyArray<string>;
}

describe("bdd", () => {
  let directory: string;
  beforeAll(async () => {
    directory = await Deno.makeTempDir({ prefix: "amicis-bdd-" });
  });
  afterAll(() => Deno.remove(directory, { recursive: true }));

  async function run(body: string, env: Readonly<Record<string, string>> = {}): Promise<Run> {
    const names = "after, afterAll, afterEach, before, beforeAll, beforeEach, describe, it, test";
    const path = `${directory}/${crypto.randomUUID()}.ts`;
    await Deno.writeTextFile(
      path,
      `import { ${names} } from "${bdd}";
       const trace = (text: string) => console.error("trace:" + text + ".");
       ${body}`,
    );
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-check", "--no-config", "--allow-read", "--allow-env", path],
      env: { NO_COLOR: "1", TEST_FAIL_FAST: "false", ...env },
    }).output();
    const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    const trace = Array.from(output.matchAll(/trace:(.*)\./g), (match) => match[1] ?? "");
    return { success, output, trace };
  }

  it("runs hooks of nested suites from outside in and back out", async () => {
    const { success, trace } = await run(`
      describe("outer", () => {
        beforeAll(() => trace("all+"));
        beforeEach(() => trace("each+"));
        afterEach(() => trace("each-"));
        afterAll(() => trace("all-"));
        it("one", () => trace("one"));
        describe("inner", () => {
          beforeAll(async () => { await Promise.resolve(); trace("  all+"); });
          beforeEach(() => trace("  each+"));
          afterEach(() => trace("  each-"));
          afterAll(() => trace("  all-"));
          it("two", () => trace("two"));
        });
        it("three", () => trace("three"));
      });`);
    assert.ok(success);
    assert.deepEqual(trace, [
      ...["all+", "each+", "one", "each-"],
      ...["  all+", "each+", "  each+", "two", "  each-", "each-", "  all-"],
      ...["each+", "three", "each-", "all-"],
    ]);
  });

  it("runs several hooks of a kind in the order of their registration", async () => {
    const { trace } = await run(`
      describe("suite", () => {
        before(() => trace("a"));
        before(() => trace("b"));
        after(() => trace("c"));
        after(() => trace("d"));
        test("x", () => trace("x"));
      });`);
    assert.deepEqual(trace, ["a", "b", "x", "c", "d"]);
  });

  it("names a failing test with its suites and runs the afterEach and afterAll hooks", async () => {
    const { success, output, trace } = await run(`
      describe("outer", () => {
        afterEach(() => trace("each-"));
        afterAll(() => trace("all-"));
        describe("inner", () => {
          it("breaks", () => { throw new Error("Broken on purpose"); });
          it("goes on", () => trace("next"));
        });
      });`);
    assert.equal(success, false);
    assert.match(output, /outer \.\.\. inner \.\.\. breaks/);
    assert.match(output, /Broken on purpose/);
    assert.deepEqual(trace, ["each-", "next", "each-", "all-"]);
  });

  it("fails the suite when a hook throws", async () => {
    for (const hook of ["beforeAll", "beforeEach", "afterEach", "afterAll"]) {
      const { success, output } = await run(`
        describe("suite", () => {
          ${hook}(() => { throw new Error("Hook broke"); });
          it("x", () => {});
        });`);
      assert.equal(success, false, hook);
      assert.match(output, /Hook broke/, hook);
    }
  });

  it("ends a suite at its first failure when it is told to, its hooks included", async () => {
    const body = `
      describe("suite", () => {
        afterAll(() => trace("all-"));
        it("one", () => trace("one"));
        it("two", () => { throw new Error("no"); });
        it("three", () => trace("three"));
      });`;
    assert.deepEqual((await run(body)).trace, ["one", "three", "all-"]);
    const { success, trace } = await run(body, { TEST_FAIL_FAST: "true" });
    assert.equal(success, false);
    assert.deepEqual(trace, ["one", "all-"]);
  });

  it("finds a timer and a file left open inside a step", async () => {
    const timer = await run(`
      describe("suite", () => {
        it("leaks", () => { setTimeout(() => {}, 60_000); });
      });`);
    assert.equal(timer.success, false);
    assert.match(timer.output, /Leaks detected/);
    const file = await run(`
      it("leaks", async () => { await Deno.open(new URL(import.meta.url)); });`);
    assert.equal(file.success, false);
    assert.match(file.output, /Leaks detected/);
  });

  it("leaves the leak check out where the options say so", async () => {
    const { success } = await run(`
      describe("suite", { sanitizeOps: false, sanitizeResources: false }, () => {
        it("leaks", () => { setTimeout(() => {}, 1_000); });
      });`);
    assert.ok(success);
  });

  it("only runs what is marked, through the suites around it", async () => {
    const { success, output, trace } = await run(`
      describe("outer", () => {
        it("no", () => trace("no"));
        describe("inner", () => {
          it.only("yes", () => trace("yes"));
          it("no", () => trace("no"));
        });
        describe("other", () => it("no", () => trace("no")));
      });
      it("top", () => trace("no"));`);
    assert.deepEqual(trace, ["yes"]);
    assert.equal(success, false);
    assert.match(output, /"only" option/);
  });

  it("ignores what is skipped and says so", async () => {
    const { success, output, trace } = await run(`
      describe.skip("suite", () => it("x", () => trace("no")));
      describe("options", { ignore: true }, () => it("x", () => trace("no")));
      describe("suite", () => {
        it.skip("a", () => trace("no"));
        it.ignore("b", () => trace("no"));
        it.todo("c");
        it("d", { ignore: true }, () => trace("no"));
        it("e", () => trace("e"));
      });`);
    assert.ok(success);
    assert.deepEqual(trace, ["e"]);
    assert.match(output, /1 passed \(1 step\) \| 0 failed \| 2 ignored \(4 steps\)/);
  });

  it("takes tests outside of suites, and suites as values", async () => {
    const { success, output, trace } = await run(`
      it("top", (t) => trace(t.name));
      const suite = describe({ name: "suite" });
      it(suite, "x", () => trace("x"));
      it({ name: "y", fn: () => trace("y") });`);
    assert.ok(success, output);
    assert.deepEqual(trace, ["top", "x", "y"]);
  });

  it("collects tests under a suite named global when a hook stands outside of suites", async () => {
    const { success, output, trace } = await run(`
      beforeEach(() => trace("each+"));
      it("one", () => trace("one"));
      describe("suite", () => it("two", () => trace("two")));`);
    assert.ok(success);
    assert.deepEqual(trace, ["each+", "one", "each+", "two"]);
    assert.match(output, /^global \.\.\./m);
  });

  it("refuses an async suite and a test without a name", async () => {
    assert.match((await run(`describe("suite", async () => {});`)).output, /must not be async/);
    assert.match((await run(`it("", () => {});`)).output, /needs a name/);
  });
});

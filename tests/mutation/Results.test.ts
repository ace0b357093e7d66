/** What is kept of the mutation runs, and the page that shows it. */
import assert from "node:assert/strict";
import { describe, it } from "../support/it.ts";
import { idleReasons } from "./Reasons.ts";
import {
  LEAST_SHARE,
  pageWith,
  problemsOf,
  readPage,
  readResults,
  type Result,
  shareOf,
} from "./Results.ts";
import { allSubjects } from "./Subjects.ts";

const root = new URL("../../", import.meta.url);
const results = await readResults();

const result = (more: Partial<Result>): Result => ({
  source: "",
  mutants: 10,
  killed: 8,
  timeout: 1,
  survivors: [],
  ...more,
});

const survivor = { mutator: "M", line: "if (x) return;", original: "x", replacement: "true" };

describe("results.json", () => {
  it("notices enough in every file, and has a reason for all else", () => {
    assert.deepEqual(problemsOf(results), []);
  });

  it("has every file's", async () => {
    const names = (await allSubjects(root)).map(({ name }) => name);
    assert.deepEqual(Object.keys(results).toSorted(), names.toSorted());
  });

  it("leaves no reason without a survivor", () => {
    const survivors = Object.entries(results).flatMap(([file, result]) =>
      result.survivors.map((survivor) => [file, survivor] as const)
    );
    assert.deepEqual(idleReasons(survivors), []);
  });

  it("is what the page shows; else run `deno task mutate`", async () => {
    const page = await readPage();
    const names = (await allSubjects(root)).map(({ name }) => name);
    assert.equal(pageWith(page, results, names), page);
  });

  it("speaks of files that there are, and of their lines; else run `deno task mutate`", async () => {
    const subjects = await allSubjects(root);
    for (const [name, { survivors }] of Object.entries(results)) {
      const path = subjects.find((subject) => subject.name === name)?.path;
      assert.ok(path !== undefined, name);
      const text = await Deno.readTextFile(new URL(path, root));
      assert.deepEqual(survivors.filter(({ line }) => !text.includes(line)), [], name);
    }
  });
});

describe("allSubjects()", () => {
  it("gives every file tests that there are", async () => {
    for (const { name, tests } of await allSubjects(root)) {
      for (const test of tests) {
        const isThere = await Deno.stat(new URL(test, root)).then(() => true, () => false);
        assert.ok(isThere, `${name}: ${test}`);
      }
    }
  });
});

describe("problemsOf()", () => {
  it("names a file of which too little is noticed, and a survivor without a reason", () => {
    assert.deepEqual(problemsOf({ A: result({}) }), []);
    const [few, ...rest] = problemsOf({ A: result({ killed: 7 }) });
    assert.match(few ?? "", /^A: only 80\.0 %/);
    assert.deepEqual(rest, []);
    assert.match(
      problemsOf({ A: result({ survivors: [survivor] }) })[0] ?? "",
      /no reason for x → true/,
    );
  });
});

describe("shareOf()", () => {
  it("counts tests that do not end as noticed, and nothing to change as all", () => {
    assert.equal(shareOf(result({})), LEAST_SHARE);
    assert.equal(shareOf(result({ mutants: 0, killed: 0, timeout: 0 })), 1);
  });
});

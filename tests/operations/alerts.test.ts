/**
 * The embedded rules: promtool's verdict, their own tests, and that whoever is woken by an alert
 * finds a page to read.
 */
import { strict as assert } from "node:assert";
import { afterAll, beforeAll, describe, it } from "@std/testing/bdd";
import { Prometheus, type Rule } from "../deploy/support/Prometheus.ts";
import { needs, toolPath } from "../support/Tools.ts";

const root = new URL("../../", import.meta.url);
const path = (relative: string) => new URL(relative, root).pathname;
const rulesFile = path("src/operations/assets/alerts.yaml");
const ruleTests = ["alerts.test.yaml", "alerts.days.test.yaml"]
  .map((name) => path(`deploy/prometheus/${name}`));
const runbooks = "docs/operations/runbooks.md";

async function promtool(...args: ReadonlyArray<string>) {
  const { success, stdout, stderr } = await new Deno.Command(toolPath("promtool"), {
    args: [...args],
  }).output();
  const decoder = new TextDecoder();
  return { success, said: decoder.decode(stdout) + decoder.decode(stderr) };
}

describe("alerts.yaml", needs("prometheus", "promtool"), () => {
  let alerts: ReadonlyArray<Rule> = [];
  beforeAll(async () => {
    const prometheus = await Prometheus.start({ ruleFiles: [rulesFile] });
    const rules = await prometheus.rules();
    await prometheus.stop();
    alerts = rules.filter(({ type }) => type === "alerting");
  });
  afterAll(() => {
    alerts = [];
  });

  it("passes promtool check rules", async () => {
    const { success, said } = await promtool("check", "rules", "--lint=all", rulesFile);
    assert.ok(success, said);
  });

  it("passes its unit tests", async () => {
    const { success, said } = await promtool("test", "rules", ...ruleTests);
    assert.ok(success, said);
  });

  it("has a unit test in which each alert fires", async () => {
    const texts = await Promise.all(ruleTests.map((file) => Deno.readTextFile(file)));
    // An expected alert names its runbook; one that is expected to be silent has no such line.
    const fired = texts.join("\n").matchAll(/runbook_url: docs\/operations\/runbooks\.md#(\S+)/g);
    const names = new Set(Array.from(fired, ([, anchor]) => anchor));
    assert.deepEqual(
      alerts.map(({ name }) => name).filter((name) => !names.has(name.toLowerCase())),
      [],
    );
  });

  it("says of each alert how urgent it is, what happened and where to read on", () => {
    assert.ok(alerts.length > 10);
    for (const { name, labels, annotations } of alerts) {
      assert.match(name, /^Amicis[A-Z][A-Za-z]+$/);
      assert.match(labels?.["severity"] ?? "", /critical|warning/, name);
      assert.match(annotations?.["summary"] ?? "", /^\S.{15,}[^.]$/, name);
      assert.match(annotations?.["description"] ?? "", /^\S[^]{15,}\.$/, name);
      assert.equal(annotations?.["runbook_url"], `${runbooks}#${name.toLowerCase()}`, name);
    }
  });

  it("has a section in the runbooks for each alert, and no section without one", async () => {
    const text = await Deno.readTextFile(path(runbooks));
    const sections = Array.from(text.matchAll(/^## (Amicis\w+)$/gm), ([, title]) => title ?? "");
    assert.deepEqual(sections.toSorted(), alerts.map(({ name }) => name).toSorted());
  });

  it("has the same parts in every section of the runbooks", async () => {
    const text = await Deno.readTextFile(path(runbooks));
    for (const section of text.split(/^## (?=Amicis)/m).slice(1)) {
      const [name = ""] = section.split("\n");
      const parts = Array.from(section.matchAll(/^\*\*([^*]+)\.\*\*/gm), ([, part]) => part);
      assert.deepEqual(
        parts,
        ["What it means", "What callers see", "Look at", "Do", "Escalate"],
        name,
      );
    }
  });
});

/** The picture of the dashboard: every panel is drawn, and every word of it can be read. */
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { describe, it } from "../../support/it.ts";
import { needs, toolPath } from "../../support/Tools.ts";
import { dashboard, type Panel } from "./Dashboard.ts";
import { page, pageWidth } from "./Page.ts";
import type { Line, Recording } from "./Recording.ts";
import { ticks, written } from "./Units.ts";

const start = 1_700_000_000;
const step = 1;
const seconds = 240;

const line = (name: string, labels: Line["labels"], valueAt: (second: number) => number): Line => ({
  name,
  labels,
  points: Array.from({ length: seconds + 1 }, (_, second) => [start + second, valueAt(second)]),
});

/** Lines that make each kind of panel show much of what it can. */
const linesFor = ({ type }: Panel): ReadonlyArray<Line> => {
  const names = Array.from({ length: 6 }, (_, index) => `routing series-${index}`);
  switch (type) {
    case "state-timeline":
      return names.map((name, index) =>
        line(name, {}, (second) => (second >> 5) % 2 * (index % 2))
      );
    case "heatmap":
      return ["0.001", "0.01", "0.1", "1", "+Inf"].map((le, index) =>
        line(le, { le }, (second) => (index + 1) * (second % 60))
      );
    default:
      return names.map((name, index) => line(name, {}, (second) => (index + 1) * second * 37));
  }
};

const recording: Recording = {
  start,
  end: start + seconds,
  step,
  lines: Object.fromEntries(dashboard.panels.map((panel) => [panel.id, linesFor(panel)])),
  marks: [{ time: start + 60, text: "routing mongodb opened" }],
};

/** Pairs of labels of one drawing that lie over each other, and labels that leave it. */
const collisions = `Array.from(document.querySelectorAll("svg")).flatMap((svg) => {
  const title = svg.parentElement.querySelector("h2").textContent;
  const within = svg.getBoundingClientRect();
  const labels = Array.from(svg.querySelectorAll("text"), (node) =>
    ({ text: node.textContent, box: node.getBoundingClientRect() }));
  const outside = labels.filter(({ box }) => box.left < within.left - 1 ||
    box.right > within.right + 1 || box.top < within.top - 1 || box.bottom > within.bottom + 1);
  const overlapping = labels.flatMap((one, index) => labels.slice(index + 1).filter(({ box }) =>
    box.left < one.box.right - 1 && box.right > one.box.left + 1 &&
    box.top < one.box.bottom - 2 && box.bottom > one.box.top + 2
  ).map(({ text }) => one.text + " over " + text));
  return [...outside.map(({ text }) => text + " leaves"), ...overlapping]
    .map((fault) => title + ": " + fault);
})`;

/** Entries of legends, and headings, that are cut off. */
const cut = `Array.from(document.querySelectorAll("li, h2"), (node) => [
  node.textContent, node.getBoundingClientRect(), node.parentElement.getBoundingClientRect(),
]).filter(([, box, frame]) => box.bottom > frame.bottom + 1 || box.right > frame.right + 1)
  .map(([text]) => text)`;

describe("page()", () => {
  it("draws every panel that is not folded, without a value it could not place", () => {
    const html = page(recording, ["Process"]);
    const from = dashboard.panels.findIndex(({ title }) => title === "Process");
    for (const { type, title } of dashboard.panels.slice(0, from)) {
      if (type !== "row") assert.ok(html.includes(`<h2>${title}</h2>`), title);
    }
    for (const { title } of dashboard.panels.slice(from + 1)) {
      assert.equal(html.includes(`<h2>${title}</h2>`), false, title);
    }
    assert.doesNotMatch(html, /NaN|Infinity|undefined/);
  });

  it("refuses what the dashboard may become and it cannot draw", () => {
    assert.throws(() => written("furlongs", 1), /furlongs/);
    const unnamed = { ...recording.lines, 9: [line("routing mongodb", {}, () => 7)] };
    assert.throws(() => page({ ...recording, lines: unnamed }), /no name for 7/);
  });

  it(
    "keeps labels apart, and legends and titles within their panels",
    needs("chromium"),
    async () => {
      const browser = await chromium.launch({
        executablePath: toolPath("chromium"),
        args: ["--no-sandbox"],
      });
      try {
        const sheet = await browser.newPage({ viewport: { width: pageWidth, height: 800 } });
        await sheet.setContent(page(recording));
        assert.ok(await sheet.locator("svg").count() > 30);
        assert.deepEqual(await sheet.evaluate(collisions), []);
        assert.deepEqual(await sheet.evaluate(cut), []);
      } finally {
        await browser.close();
      }
    },
  );
});

describe("written()", () => {
  for (
    const [unit, value, text] of [
      ["s", 0.0213, "21.3 ms"],
      ["s", 95, "1.58 min"],
      ["bytes", 157_286_400, "150 MiB"],
      ["percentunit", 0.0187, "1.87 %"],
      ["reqps", 1_250, "1.25 K req/s"],
      ["short", 0, "0"],
    ] as const
  ) {
    it(`is ${text} for ${value} in ${unit}`, () => assert.equal(written(unit, value), text));
  }
});

describe("ticks()", () => {
  it("are round, begin at 0 and reach the largest value", () => {
    assert.deepEqual(ticks(93, 4), [0, 25, 50, 75, 100]);
    assert.deepEqual(ticks(1, 4), [0, 0.25, 0.5, 0.75, 1]);
    assert.deepEqual(ticks(130, 4), [0, 50, 100, 150]);
  });
});

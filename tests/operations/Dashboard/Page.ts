/** The dashboard as one page of HTML, laid out on its own grid, with what a recording holds. */
import { bars, escape, heatmap, type Size, spark, stateTimeline, timeSeries } from "./Charts.ts";
import { lineColor, thresholdColor } from "./Colors.ts";
import { dashboard, type Panel } from "./Dashboard.ts";
import type { Line, Recording } from "./Recording.ts";
import { written } from "./Units.ts";

/** Pixels of the page. */
export const pageWidth = 1_320;
const margin = 16;
const gap = 8;
const rowHeight = 31;
const columnWidth = (pageWidth - 2 * margin + gap) / 24;

const style = `
  * { box-sizing: border-box; margin: 0; }
  body { width: ${pageWidth}px; background: #f4f5f7; color: #24292e;
    font: 12px "DejaVu Sans", sans-serif; padding-bottom: ${margin}px; }
  header { display: flex; gap: 8px; align-items: center; padding: 12px ${margin}px 4px; }
  h1 { font-size: 18px; margin-right: auto; }
  .choice { border: 1px solid #d5d8dd; border-radius: 3px; background: #fff; padding: 4px 8px; }
  .choice b { color: #5a6470; font-weight: normal; margin-right: 6px; }
  main { position: relative; margin: 4px ${margin}px 0; }
  section { position: absolute; }
  .row { font-size: 14px; font-weight: bold; display: flex; align-items: center; }
  .row::before { content: "▾"; margin-right: 6px; color: #5a6470; }
  .row.folded::before { content: "▸"; }
  .row span { font-weight: normal; color: #5a6470; margin-left: 8px; }
  .panel { background: #fff; border: 1px solid #e1e4e8; border-radius: 3px; padding: 6px 8px; }
  h2 { font-size: 12.5px; line-height: 18px; height: 20px; white-space: nowrap; overflow: hidden; }
  ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 1px 12px; height: 50px;
    overflow: hidden; align-content: flex-start; font-size: 10.5px; line-height: 16px; }
  li { white-space: nowrap; }
  li i { display: inline-block; width: 12px; height: 3px; margin-right: 5px; vertical-align: 3px; }
  li b { font-weight: normal; color: #5a6470; }
  .stat { font-size: 27px; font-weight: bold; text-align: center; line-height: 38px; }
  .stat small { font-size: 15px; font-weight: normal; }
  svg { display: block; }
  text { font: 10.5px "DejaVu Sans", sans-serif; fill: #5a6470; }
  text.state { fill: #fff; font-weight: bold; }
  text.amount { fill: #24292e; font-size: 12px; font-weight: bold; }
  .grid { stroke: #e9ebee; }
  .mark { stroke: #e02f44; stroke-dasharray: 3 3; stroke-opacity: 0.45; }
`;

const inside = ({ gridPos: { w, h } }: Panel): Size => ({
  width: Math.floor(w * columnWidth - gap - 18),
  height: Math.floor(h * rowHeight - gap - 34),
});

const lastOf = ({ points }: Line): number => points.at(-1)?.[1] ?? 0;
const mostOf = ({ points }: Line): number => Math.max(0, ...points.map(([, value]) => value));

/** About how wide a text of the legend is, with what stands before and after it. */
const entryWidth = (text: string): number => text.length * 6.35 + 30;

/** As many entries as fit in three lines, and how many do not. */
const fitting = (texts: ReadonlyArray<string>, width: number): number => {
  let [line, used] = [1, 0];
  for (const [index, text] of texts.entries()) {
    const room = width -
      (line === legendLines && index < texts.length - 1 ? entryWidth("99 more") : 0);
    if (used > 0 && used + entryWidth(text) > room) [line, used] = [line + 1, 0];
    if (line > legendLines) return index;
    used += entryWidth(text);
  }
  return texts.length;
};

const legendLines = 3;
const legendHeight = 50;

/** The lines with something to show, the largest first, each with its last and largest value. */
const legend = (panel: Panel, lines: ReadonlyArray<Line>): string => {
  const { unit = "short" } = panel.fieldConfig?.defaults ?? {};
  const entries = lines.map((line, index) => ({
    name: line.name,
    most: mostOf(line),
    values: `${written(unit, lastOf(line))}, max ${written(unit, mostOf(line))}`,
    color: lineColor(panel.fieldConfig, line.name, index),
  })).toSorted((a, b) => b.most - a.most);
  if (entries.every(({ most }) => most === 0)) return "<ul><li><b>all at 0</b></li></ul>";
  const shown = entries.filter(({ most }) => most > 0);
  const texts = shown.map(({ name, values }) => `${name} ${values}`);
  const count = fitting(texts, inside(panel).width);
  const items = shown.slice(0, count).map(({ name, values, color }) =>
    `<li><i style="background:${color}"></i>${escape(name)} <b>${values}</b></li>`
  );
  const more = entries.length - count;
  return `<ul>${items.join("")}${more === 0 ? "" : `<li><b>${more} more</b></li>`}</ul>`;
};

const stat = (panel: Panel, [line]: ReadonlyArray<Line>, recording: Recording): string => {
  const { unit = "short", decimals } = panel.fieldConfig?.defaults ?? {};
  if (line === undefined) throw new Error(`${panel.title}: no data`);
  const value = lastOf(line);
  const color = thresholdColor(panel.fieldConfig, value);
  const [figure = "", ...suffix] = written(unit, value, decimals).split(" ");
  const { width, height } = inside(panel);
  return `<div class="stat" style="color:${color}">${figure} <small>${
    suffix.join(" ")
  }</small></div>` +
    spark(line, recording, { width, height: height - 38 }, color);
};

const content = (panel: Panel, lines: ReadonlyArray<Line>, recording: Recording): string => {
  const size = inside(panel);
  switch (panel.type) {
    case "stat":
      return stat(panel, lines, recording);
    case "timeseries":
      return timeSeries(panel, lines, recording, { ...size, height: size.height - legendHeight }) +
        legend(panel, lines);
    case "state-timeline":
      return stateTimeline(panel, lines, recording, size);
    case "heatmap":
      return heatmap(panel, lines, recording, size);
    case "bargauge":
      return bars(panel, lines, size);
    default:
      throw new Error(`${panel.title}: cannot draw a panel of type "${panel.type}"`);
  }
};

const placed = ({ gridPos: { x, y, w, h } }: Panel): string =>
  `left:${(x * columnWidth).toFixed(1)}px;top:${y * rowHeight}px;` +
  `width:${(w * columnWidth - gap).toFixed(1)}px;height:${h * rowHeight - gap}px`;

/** The page; rows with these titles are folded, as Grafana folds them. */
export const page = (recording: Recording, folded: ReadonlyArray<string> = []): string => {
  const parts: Array<string> = [];
  let isFolded = false;
  let height = 0;
  for (const [index, panel] of dashboard.panels.entries()) {
    const { type, title, id, gridPos } = panel;
    if (type === "row") {
      isFolded = folded.includes(title);
      const next = dashboard.panels.findIndex(({ type }, at) => at > index && type === "row");
      const count = (next === -1 ? dashboard.panels.length : next) - index - 1;
      const note = isFolded ? `<span>(${count} panels)</span>` : "";
      parts.push(
        `<section class="row${isFolded ? " folded" : ""}" style="${placed(panel)}">${
          escape(title)
        }${note}</section>`,
      );
    } else if (isFolded) continue;
    else {
      parts.push(
        `<section class="panel" style="${placed(panel)}"><h2>${escape(title)}</h2>${
          content(panel, recording.lines[id] ?? [], recording)
        }</section>`,
      );
    }
    height = Math.max(height, (gridPos.y + gridPos.h) * rowHeight);
  }
  const choices = dashboard.templating.list.flatMap(({ name, label }) =>
    name === "datasource" ? [] : [`<div class="choice"><b>${label}</b>All</div>`]
  );
  const minutes = Math.round((recording.end - recording.start) / 60);
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${dashboard.title}</title>` +
    `<style>${style}</style><header><h1>${dashboard.title}</h1>${choices.join("")}` +
    `<div class="choice">Last ${minutes} minutes</div></header>` +
    `<main style="height:${height}px">${parts.join("")}</main></html>`;
};

/** Load, latency and breakers over time as one SVG, which reads on light and on dark pages. */
import * as vega from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { classes, type Timeline } from "./Timeline.ts";

const colours = {
  good: "#2e9e5b",
  copy: "#3b82c4",
  refused: "#d9822b",
  bad: "#c92a2a",
  text: "#7a828c",
  grid: "#8884",
};

const width = 900;

const time = {
  field: "seconds",
  type: "quantitative",
  axis: { title: null },
} as const;

/** The drawing of one stretch of a run. */
export const draw = async (timeline: Timeline, title: string): Promise<string> => {
  const spec = compile(specOf(timeline, title)).spec;
  return await new vega.View(vega.parse(spec), { renderer: "none" }).toSVG();
};

const specOf = (timeline: Timeline, title: string): TopLevelSpec => {
  const { counts, faults, latencies, seconds, states } = timeline;
  const scale = { domain: [0, seconds], nice: false };
  const x = { ...time, scale };
  // The stretches in which a fault was there.
  const bands = {
    data: { values: [...faults] },
    mark: { type: "rect", opacity: 0.12, color: colours.bad },
    encoding: {
      x: { field: "from", type: "quantitative", scale, axis: { title: null } },
      x2: { field: "to" },
    },
  } as const;
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    title: { text: title, anchor: "start", color: colours.text },
    background: "transparent",
    config: {
      font: "system-ui, sans-serif",
      axis: {
        labelColor: colours.text,
        titleColor: colours.text,
        gridColor: colours.grid,
        domainColor: colours.grid,
        tickColor: colours.grid,
      },
      legend: { labelColor: colours.text, titleColor: colours.text, orient: "right" },
      view: { stroke: colours.grid },
    },
    spacing: 12,
    resolve: { scale: { color: "independent" } },
    vconcat: [
      {
        width,
        height: 110,
        layer: [bands, {
          data: { values: [...counts] },
          mark: { type: "area", interpolate: "step-after" },
          encoding: {
            x,
            y: {
              field: "perSecond",
              type: "quantitative",
              stack: "zero",
              axis: { title: "answers a second", tickCount: 4 },
            },
            color: {
              field: "class",
              type: "nominal",
              scale: {
                domain: [...classes],
                range: [colours.good, colours.copy, colours.refused, colours.bad],
              },
              legend: { title: "answers" },
            },
            order: { field: "class", sort: "ascending" },
          },
        }],
      },
      {
        width,
        height: 110,
        layer: [bands, {
          data: { values: [...latencies] },
          mark: { type: "line", strokeWidth: 1.5, interpolate: "monotone" },
          encoding: {
            x,
            y: {
              field: "ms",
              type: "quantitative",
              scale: { type: "log", domain: [1, 5_000] },
              axis: { title: "latency, ms", values: [1, 10, 100, 1_000] },
            },
            color: {
              field: "quantile",
              type: "nominal",
              scale: { range: [colours.copy, colours.refused] },
              legend: { title: "latency" },
            },
          },
        }],
      },
      {
        width,
        height: { step: 20 },
        layer: [bands, {
          data: { values: [...states] },
          mark: { type: "bar", height: 12 },
          encoding: {
            x: {
              field: "from",
              type: "quantitative",
              scale,
              axis: { title: "seconds" },
            },
            x2: { field: "to" },
            y: { field: "breaker", type: "nominal", axis: { title: null, labelLimit: 220 } },
            color: {
              field: "state",
              type: "nominal",
              scale: {
                domain: ["closed", "open", "half-open"],
                range: [colours.good, colours.bad, colours.refused],
              },
              legend: { title: "breaker" },
            },
          },
        }],
      },
    ],
  };
};

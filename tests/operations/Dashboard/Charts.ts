/** The parts of panels that are drawn: each function gives one SVG of the size asked for. */
import type { Defaults, Panel } from "./Dashboard.ts";
import { colorOf, lineColor, thresholdColor } from "./Colors.ts";
import type { Line, Recording } from "./Recording.ts";
import { ticks, written } from "./Units.ts";

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

const svg = ({ width, height }: Size, ...parts: ReadonlyArray<string>): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
  `viewBox="0 0 ${width} ${height}">${parts.join("")}</svg>`;

const round = (value: number): string => value.toFixed(1);

type Anchor = "start" | "middle" | "end";

const label = (x: number, y: number, text: string, anchor: Anchor = "start", style = "axis") =>
  `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" class="${style}">${
    escape(text)
  }</text>`;

const rectangle = (
  x: number,
  y: number,
  width: number,
  height: number,
  fill: string,
  opacity = 1,
) =>
  `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" ` +
  `fill="${fill}" fill-opacity="${opacity}"/>`;

const rule = (x1: number, y1: number, x2: number, y2: number, style: string) =>
  `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${
    round(y2)
  }" class="${style}"/>`;

/** Where a panel's values are drawn, and where a moment is within. */
class Field {
  readonly right: number;
  readonly bottom: number;

  constructor(
    readonly recording: Recording,
    readonly size: Size,
    readonly left: number,
    readonly top = 8,
    below = 20,
    beside = 8,
  ) {
    this.right = size.width - beside;
    this.bottom = size.height - below;
  }

  x(time: number): number {
    const { start, end } = this.recording;
    return this.left + (time - start) / (end - start) * (this.right - this.left);
  }

  /** Names of moments below, at whole minutes. */
  times(): string {
    const { start, end } = this.recording;
    const parts: Array<string> = [];
    for (let time = Math.ceil(start / 60) * 60; time <= end; time += 60) {
      const text = new Date(time * 1_000).toISOString().slice(11, 16);
      if (this.x(time) < this.right - 14) {
        parts.push(label(this.x(time), this.bottom + 15, text, "middle"));
      }
      parts.push(rule(this.x(time), this.top, this.x(time), this.bottom, "grid"));
    }
    return parts.join("");
  }

  /** The dashboard's annotations. */
  marks(): string {
    const { marks, start } = this.recording;
    return marks.filter(({ time }) => time >= start).map(({ time }) => {
      const [x, y] = [this.x(time), this.bottom];
      const foot = `${round(x - 3)},${round(y + 4)} ${round(x + 3)},${round(y + 4)}`;
      return rule(x, this.top, x, y, "mark") +
        `<polygon points="${foot} ${round(x)},${round(y)}" fill="${colorOf("red")}"/>`;
    }).join("");
  }
}

/** Stretches without a missing value, so that a gap stays a gap. */
const stretches = (line: Line, step: number): ReadonlyArray<Line["points"]> => {
  const found: Array<Array<readonly [number, number]>> = [];
  let last = -Infinity;
  for (const point of line.points) {
    if (point[0] - last > step * 1.5) found.push([]);
    found.at(-1)?.push(point);
    last = point[0];
  }
  return found;
};

const stacked = (
  lines: ReadonlyArray<Line>,
): ReadonlyArray<readonly [Line, Map<number, number>]> => {
  const sums = new Map<number, number>();
  return lines.map((line) => {
    const floor = new Map(line.points.map(([time]) => [time, sums.get(time) ?? 0]));
    const points = line.points.map(([time, value]) => {
      const sum = (sums.get(time) ?? 0) + value;
      sums.set(time, sum);
      return [time, sum] as const;
    });
    return [{ ...line, points }, floor];
  });
};

const axisWidth = (texts: ReadonlyArray<string>): number =>
  Math.max(...texts.map(({ length }) => length)) * 6.1 + 14;

/** Lines over time, filled below, on top of each other where the panel stacks them. */
export const timeSeries = (
  panel: Panel,
  lines: ReadonlyArray<Line>,
  recording: Recording,
  size: Size,
): string => {
  const defaults: Defaults = panel.fieldConfig?.defaults ?? {};
  const { unit = "short", max, custom = {} } = defaults;
  const isStacked = custom.stacking?.mode === "normal";
  const drawn = isStacked
    ? stacked(lines)
    : lines.map((line) => [line, new Map<number, number>()] as const);
  const values = drawn.flatMap(([{ points }]) => points.map(([, value]) => value));
  const most = max ?? (Math.max(0, ...values) || 1);
  const steps = ticks(most, 4).filter((tick) => max === undefined || tick <= max * 1.001);
  const top = steps.at(-1) ?? 1;
  const names = steps.map((tick) => written(unit, tick));
  const field = new Field(recording, size, axisWidth(names));
  const y = (value: number) => field.bottom - value / top * (field.bottom - field.top);
  const grid = steps.map((tick, index) =>
    rule(field.left, y(tick), field.right, y(tick), "grid") +
    label(field.left - 6, y(tick) + 3.5, names[index] ?? "", "end")
  );
  const opacity = (custom.fillOpacity ?? 0) / 100;
  const paths = drawn.map(([line, floor], index) => {
    const color = lineColor(panel.fieldConfig, line.name, index);
    return stretches(line, recording.step).map((points) => {
      const at = ([time, value]: readonly [number, number]) =>
        `${round(field.x(time))} ${round(y(value))}`;
      const under = points.toReversed().map(([time]) => at([time, floor.get(time) ?? 0]));
      const over = points.map(at);
      return `<path d="M${over.join("L")}L${under.join("L")}Z" fill="${color}" ` +
        `fill-opacity="${opacity}"/>` +
        `<path d="M${over.join("L")}" fill="none" stroke="${color}" stroke-width="1.4"/>`;
    }).join("");
  });
  return svg(size, ...grid, field.times(), ...paths, field.marks());
};

/** A row for each line, its states one after the other. */
export const stateTimeline = (
  panel: Panel,
  lines: ReadonlyArray<Line>,
  recording: Recording,
  size: Size,
): string => {
  const defaults: Defaults = panel.fieldConfig?.defaults ?? {};
  const states = defaults.mappings?.[0]?.options ?? {};
  const field = new Field(recording, size, axisWidth(lines.map(({ name }) => name)));
  const height = Math.min(56, (field.bottom - field.top) / Math.max(1, lines.length));
  const opacity = (defaults.custom?.fillOpacity ?? 100) / 100;
  const rows = lines.map(({ name, points }, index) => {
    const y = field.top + index * height;
    const parts = [label(field.left - 6, y + height / 2 + 4, name, "end")];
    for (let at = 0; at < points.length;) {
      const [from = 0, value = 0] = points[at] ?? [];
      let next = at;
      while (next < points.length && points[next]?.[1] === value) next += 1;
      const until = points[next]?.[0] ?? (points.at(-1)?.[0] ?? from) + recording.step;
      const state = states[value];
      if (state === undefined) throw new Error(`${panel.title}: no name for ${value}`);
      const [x, end] = [field.x(from), Math.min(field.x(until), field.right)];
      parts.push(rectangle(x, y + 3, end - x, height - 6, colorOf(state.color), opacity));
      if (end - x > state.text.length * 7.5 + 8) {
        parts.push(label(x + 6, y + height / 2 + 4, state.text, "start", "state"));
      }
      at = next;
    }
    return parts.join("");
  });
  return svg(size, field.times(), ...rows, field.marks());
};

/** Grafana's scheme "Oranges", from few to many. */
const oranges = ["#FFF5EB", "#FDD0A2", "#FDAE6B", "#FD8D3C", "#F16913", "#D94801", "#7F2704"];

const shade = (share: number): string => {
  const place = Math.min(1, Math.max(0, share)) * (oranges.length - 1);
  const [low, high] = [Math.floor(place), Math.ceil(place)].map((index) => oranges[index] ?? "");
  const channel = (text = "", at: number) => Number.parseInt(text.slice(at, at + 2), 16);
  const mixed = [1, 3, 5].map((at) => {
    const [a, b] = [channel(low, at), channel(high, at)];
    return Math.round(a + (b - a) * (place % 1)).toString(16).padStart(2, "0");
  });
  return `#${mixed.join("")}`;
};

const boundOf = ({ labels }: Line): number => Number(labels["le"]?.replace("+Inf", "Infinity"));

/** Cumulative buckets as a field of cells, darker where there were more. */
export const heatmap = (
  panel: Panel,
  lines: ReadonlyArray<Line>,
  recording: Recording,
  size: Size,
): string => {
  const unit = panel.options?.yAxis?.unit ?? "short";
  const buckets = lines.toSorted((a, b) => boundOf(a) - boundOf(b));
  const below = buckets.map(({ points }) => new Map(points));
  const names = buckets.map((bucket) =>
    boundOf(bucket) === Infinity ? "∞" : written(unit, boundOf(bucket))
  );
  const field = new Field(recording, size, axisWidth(names));
  const height = (field.bottom - field.top) / Math.max(1, buckets.length);
  const every = 3;
  const cells = buckets.flatMap(({ points }, index) =>
    points.filter((_, at) => at % every === 0).map(([time, value]) => ({
      time,
      index,
      count: value - (below[index - 1]?.get(time) ?? 0),
    })).filter(({ count }) => count > 1e-9)
  );
  const most = Math.max(1, ...cells.map(({ count }) => count));
  const width = field.x(recording.start + every * recording.step) - field.left;
  const drawn = cells.map(({ time, index, count }) =>
    rectangle(
      field.x(time),
      field.bottom - (index + 1) * height + 0.5,
      Math.min(width, field.right - field.x(time)) - 0.5,
      height - 1,
      shade(0.1 + 0.9 * (count / most) ** 0.5),
    )
  );
  const axis = names.map((name, index) =>
    label(field.left - 6, field.bottom - (index + 0.5) * height + 3.5, name, "end")
  );
  return svg(size, field.times(), ...drawn, ...axis, field.marks());
};

/** The course of a single value, without axes. */
export const spark = (line: Line, recording: Recording, size: Size, color: string): string => {
  const field = new Field(recording, size, 0, 2, 0, 0);
  const most = Math.max(...line.points.map(([, value]) => value)) || 1;
  const y = (value: number) => field.bottom - value / most * (field.bottom - field.top);
  const paths = stretches(line, recording.step).map((points) => {
    const over = points.map(([time, value]) => `${round(field.x(time))} ${round(y(value))}`);
    const [first = recording.start] = points[0] ?? [];
    const [last = recording.end] = points.at(-1) ?? [];
    return `<path d="M${over.join("L")}L${round(field.x(last))} ${field.bottom}` +
      `L${round(field.x(first))} ${field.bottom}Z" fill="${color}" fill-opacity="0.15"/>` +
      `<path d="M${over.join("L")}" fill="none" stroke="${color}" stroke-width="1.2"/>`;
  });
  return svg(size, ...paths);
};

/** A bar for each line, the longest first. */
export const bars = (panel: Panel, lines: ReadonlyArray<Line>, size: Size): string => {
  const { unit = "short" } = panel.fieldConfig?.defaults ?? {};
  const rows = lines.map(({ name, points }) => ({ name, value: points.at(-1)?.[1] ?? 0 }))
    .toSorted((a, b) => b.value - a.value);
  const left = axisWidth(rows.map(({ name }) => name));
  const right = size.width - 70;
  const most = Math.max(...rows.map(({ value }) => value)) || 1;
  const height = Math.min(48, (size.height - 8) / Math.max(1, rows.length));
  return svg(
    size,
    ...rows.map(({ name, value }, index) => {
      const y = 4 + index * height;
      const color = thresholdColor(panel.fieldConfig, value);
      return label(left - 8, y + height / 2 + 4, name, "end") +
        rectangle(left, y + 4, right - left, height - 8, "#24292E", 0.06) +
        rectangle(left, y + 4, (right - left) * value / most, height - 8, color) +
        label(right + 8, y + height / 2 + 5, written(unit, value), "start", "amount");
    }),
  );
};

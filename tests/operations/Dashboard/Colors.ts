/** Grafana's colors on a light ground. */
import type { FieldConfig } from "./Dashboard.ts";

const named: Readonly<Record<string, string>> = {
  "green": "#56A64B",
  "light-green": "#A6D99C",
  "dark-green": "#37872D",
  "yellow": "#F2CC0C",
  "light-yellow": "#FFEE52",
  "orange": "#FF780A",
  "red": "#E02F44",
  "light-red": "#FF9DA4",
  "dark-red": "#C4162A",
  "blue": "#3274D9",
  "light-blue": "#A4C8F5",
  "text": "#24292E",
};

/** The color of a name that the dashboard uses. */
export const colorOf = (name: string): string => {
  const color = named[name];
  if (color === undefined) throw new Error(`Unknown color "${name}"`);
  return color;
};

const palette = [
  "#56A64B",
  "#E0B400",
  "#3274D9",
  "#FF780A",
  "#E02F44",
  "#8F3BB8",
  "#1F9AA8",
  "#B5651D",
  "#E24D9D",
  "#37474F",
];

/** The color of a line: the last override's, else the next of the palette. */
export const lineColor = (config: FieldConfig | undefined, name: string, index: number): string => {
  const override = config?.overrides.findLast(({ matcher }) =>
    new RegExp(`^(?:${matcher.options})$`).test(name)
  );
  const fixed = override?.properties.find(({ id }) => id === "color")?.value.fixedColor;
  return fixed === undefined ? palette[index % palette.length] ?? "" : colorOf(fixed);
};

/** The color of the last threshold that a value reaches. */
export const thresholdColor = (config: FieldConfig | undefined, value: number): string => {
  const steps = config?.defaults.thresholds?.steps ?? [];
  const reached = steps.filter((step) => step.value === null || value >= step.value);
  return colorOf(reached.at(-1)?.color ?? "text");
};

/** Values as Grafana writes them, for the units that the dashboard uses. */

/** About three figures, and as many decimals as the panel asks for. */
const plain = (value: number, decimals?: number): string => {
  if (decimals !== undefined) return value.toFixed(decimals);
  if (value === 0) return "0";
  const places = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return String(Number(value.toFixed(Math.min(places, 4))));
};

const scaled = (
  steps: ReadonlyArray<readonly [from: number, suffix: string]>,
  value: number,
  decimals?: number,
): string => {
  const [from, suffix] = steps.find(([from]) => Math.abs(value) >= from) ?? steps.at(-1) ?? [1, ""];
  return `${plain(value / from, decimals)}${suffix}`;
};

const seconds = [[3_600, " h"], [60, " min"], [1, " s"], [1e-3, " ms"]] as const;
const bytes = [[2 ** 30, " GiB"], [2 ** 20, " MiB"], [2 ** 10, " KiB"], [1, " B"]] as const;
const large = [[1e6, " Mil"], [1e3, " K"], [1, ""]] as const;

const formats: Readonly<Record<string, (value: number, decimals?: number) => string>> = {
  short: (value, decimals) => scaled(large, value, decimals),
  percentunit: (value, decimals) => `${plain(value * 100, decimals)} %`,
  reqps: (value, decimals) => `${scaled(large, value, decimals)} req/s`,
  cps: (value, decimals) => `${scaled(large, value, decimals)} c/s`,
  ops: (value, decimals) => `${scaled(large, value, decimals)} ops/s`,
  s: (value, decimals) => value === 0 ? "0 s" : scaled(seconds, value, decimals),
  bytes: (value, decimals) => scaled(bytes, value, decimals),
};

/** Writes a value of the unit; a unit that is not known here is a fault of the caller. */
export const written = (unit: string, value: number, decimals?: number): string => {
  const format = formats[unit];
  if (format === undefined) throw new Error(`Unknown unit "${unit}"`);
  return format(value, decimals);
};

/** Round values from 0 to at least `most`, which is above 0. */
export const ticks = (most: number, count: number): ReadonlyArray<number> => {
  const rough = most / count;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const nice = [1, 2, 2.5, 5, 10].find((factor) => factor * magnitude >= rough) ?? 10;
  const width = nice * magnitude;
  const found: Array<number> = [];
  for (let index = 0; index * width < most + width; index += 1) found.push(index * width);
  return found;
};

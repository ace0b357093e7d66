/** A page of metrics in Prometheus text format, as a test asks about it. */

/** One series at the time of the scrape. */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The series of one scrape. */
export class MetricsPage {
  readonly series: ReadonlyArray<Series>;
  /** Type by family, as its `# TYPE` line says. */
  readonly types: ReadonlyMap<string, string>;

  constructor(readonly text: string) {
    const series: Array<Series> = [];
    const types = new Map<string, string>();
    for (const line of text.split("\n")) {
      const [mark, word, name = "", type = ""] = line.split(" ");
      if (mark === "#" && word === "TYPE") types.set(name, type);
      if (line === "" || line.startsWith("#")) continue;
      series.push(parse(line));
    }
    this.series = series;
    this.types = types;
  }

  /** The sum of all series with this name and these labels; undefined when there is none. */
  value(name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
    const found = this.series.filter((one) =>
      one.name === name &&
      Object.entries(labels).every(([label, value]) => one.labels[label] === value)
    );
    return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0);
  }
}

function parse(line: string): Series {
  const match = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) throw new Error(`Cannot read the metrics line "${line}"`);
  const [, name = "", text = "", value = ""] = match;
  const labels: Record<string, string> = {};
  for (const [, label = "", quoted = ""] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[label] = quoted.replace(/\\(.)/g, (_, escaped) => escaped === "n" ? "\n" : escaped);
  }
  return { name, labels, value: value === "+Inf" ? Infinity : Number(value) };
}

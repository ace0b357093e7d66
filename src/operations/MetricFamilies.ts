/**
 * Metric families that prom-client writes out, and whose hot path is a field's increment.
 *
 * prom-client hashes and checks the labels at every `inc` (about 0.3 µs). Here each child is a plain
 * cell, made once per label set and read only when a scrape asks; prom-client itself is loaded by the
 * first scrape. Label values are bounded: beyond `maxChildren` all further ones share the child
 * `other`.
 */
import type { Counter, Gauge, Registry } from "prom-client";

/** Most children of one label before further values share `other`. */
const maxChildren = 200;

/** The value of a label that was one too many. */
export const other = "other";

/** A label's value as it stands between quotes. */
export const escapeLabel = (value: string): string =>
  value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");

/** One counter's child: add to `count`. */
export interface Cell {
  count: number;
}

type Labels = Readonly<Record<string, string>>;

interface Family {
  readonly type: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  readonly labelNames: ReadonlyArray<string>;
  /** Makes prom-client's family, which has been reset, say what is known now. */
  readonly fill: (family: Counter | Gauge) => void;
}

/** The families of one page, in the order in which they were declared. */
export class Families {
  /** Those that the registry does not know yet. */
  #declared: Array<Family> = [];
  #registry: Registry | undefined;

  declare(family: Family): void {
    this.#declared.push(family);
  }

  /** All families in Prometheus text format. */
  async text(): Promise<string> {
    const { Counter, Gauge, Registry } = await import("prom-client");
    const registry = this.#registry ??= new Registry();
    const declared = this.#declared;
    this.#declared = [];
    for (const { type, name, help, labelNames, fill } of declared) {
      new (type === "counter" ? Counter : Gauge)({
        name,
        help,
        labelNames: [...labelNames],
        registers: [registry],
        collect() {
          this.reset();
          fill(this);
        },
      });
    }
    return await registry.metrics();
  }
}

/** A counter family; answers a function that makes the child of a label set. */
export const counters = (
  families: Families,
  name: string,
  help: string,
  labelNames: ReadonlyArray<string>,
): (labels: Labels) => Cell => {
  const cells: Array<{ readonly labels: Labels; readonly cell: Cell }> = [];
  const fill = (family: Counter | Gauge) => {
    for (const { labels, cell } of cells) family.inc(labels, cell.count);
  };
  families.declare({ type: "counter", name, help, labelNames, fill });
  return (labels) => {
    const cell: Cell = { count: 0 };
    cells.push({ labels, cell });
    return cell;
  };
};

/** A counter without labels that is kept elsewhere and read when a scrape asks. */
export const readCounter = (
  families: Families,
  name: string,
  help: string,
  read: () => number,
): void => {
  const fill = (family: Counter | Gauge) => family.inc(read());
  families.declare({ type: "counter", name, help, labelNames: [], fill });
};

/** A counter family with labels whose series are read at scrape time. */
export const readCounters = (
  families: Families,
  name: string,
  help: string,
  labelNames: ReadonlyArray<string>,
  read: () => ReadonlyArray<{ readonly labels: Labels; readonly count: number }>,
): void => {
  const fill = (family: Counter | Gauge) => {
    for (const { labels, count } of read()) family.inc(labels, count);
  };
  families.declare({ type: "counter", name, help, labelNames, fill });
};

/** Children kept elsewhere; those with the same labels are parts of one thing, and added up. */
class Children {
  readonly #all = new Set<{ readonly labels: Labels; readonly read: () => number }>();

  /** Adds a child; answers what takes it off again. */
  readonly add = (labels: Labels, read: () => number): () => void => {
    const child = { labels, read };
    this.#all.add(child);
    return () => this.#all.delete(child);
  };

  /** Makes a family speak of these children and no others. */
  readonly fill = (family: Counter | Gauge): void => {
    for (const { labels, read } of this.#all) family.inc(labels, read());
  };
}

/** A counter family kept elsewhere and read at scrape time; answers as {@link gauges} does. */
export const sums = (
  families: Families,
  name: string,
  help: string,
  labelNames: ReadonlyArray<string>,
): (labels: Labels, read: () => number) => () => void => {
  const { add, fill } = new Children();
  families.declare({ type: "counter", name, help, labelNames, fill });
  return add;
};

/** A gauge family read at scrape time; answers a function that adds a child and one to remove it. */
export const gauges = (
  families: Families,
  name: string,
  help: string,
  labelNames: ReadonlyArray<string>,
): (labels: Labels, read: () => number) => () => void => {
  const { add, fill } = new Children();
  families.declare({ type: "gauge", name, help, labelNames, fill });
  return add;
};

/** Children by key, made on first use; from `maxChildren` keys on all new ones share `other`. */
export const keyed = <A>(make: (key: string) => A): (key: string) => A => {
  const children = new Map<string, A>();
  return (key) => {
    const known = children.get(key);
    if (known !== undefined) return known;
    const name = children.size >= maxChildren ? other : key;
    const child = children.get(name) ?? make(name);
    children.set(name, child);
    return child;
  };
};

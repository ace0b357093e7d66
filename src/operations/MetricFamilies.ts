/**
 * Metric families over a prom-client registry whose hot path is a field's increment.
 *
 * prom-client hashes and checks the labels at every `inc` (about 0.3 µs). Here each child is a plain
 * cell, made once per label set and read only when a scrape asks. Label values are bounded: beyond
 * `maxChildren` all further ones share the child `other`.
 */
import { Counter, Gauge, type Registry } from "prom-client";

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

/** A counter family; answers a function that makes the child of a label set. */
export const counters = (
  registry: Registry,
  name: string,
  help: string,
  labelNames: ReadonlyArray<string>,
): (labels: Labels) => Cell => {
  const cells: Array<{ readonly labels: Labels; readonly cell: Cell }> = [];
  new Counter({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, cell } of cells) this.inc(labels, cell.count);
    },
  });
  return (labels) => {
    const cell: Cell = { count: 0 };
    cells.push({ labels, cell });
    return cell;
  };
};

/** A counter without labels that is kept elsewhere and read when a scrape asks. */
export const readCounter = (
  registry: Registry,
  name: string,
  help: string,
  read: () => number,
): void => {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(read());
    },
  });
};

/** A counter family with labels whose series are read at scrape time. */
export const readCounters = (
  registry: Registry,
  name: string,
  help: string,
  labelNames: ReadonlyArray<string>,
  read: () => ReadonlyArray<{ readonly labels: Labels; readonly count: number }>,
): void => {
  new Counter({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      this.reset();
      for (const { labels, count } of read()) this.inc(labels, count);
    },
  });
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
  fill(family: Counter | Gauge): void {
    family.reset();
    for (const { labels, read } of this.#all) family.inc(labels, read());
  }
}

/** A counter family kept elsewhere and read at scrape time; answers as {@link gauges} does. */
export const sums = (
  registry: Registry,
  name: string,
  help: string,
  labelNames: ReadonlyArray<string>,
): (labels: Labels, read: () => number) => () => void => {
  const children = new Children();
  new Counter({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      children.fill(this);
    },
  });
  return children.add;
};

/** A gauge family read at scrape time; answers a function that adds a child and one to remove it. */
export const gauges = (
  registry: Registry,
  name: string,
  help: string,
  labelNames: ReadonlyArray<string>,
): (labels: Labels, read: () => number) => () => void => {
  const children = new Children();
  new Gauge({
    name,
    help,
    labelNames: [...labelNames],
    registers: [registry],
    collect() {
      children.fill(this);
    },
  });
  return children.add;
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

/** What is still to happen, earliest first (a binary heap); equals come in the order they went in. */
interface Item<A> {
  readonly at: number;
  readonly order: number;
  readonly value: A;
}

const before = <A>(one: Item<A>, other: Item<A>) =>
  one.at < other.at || (one.at === other.at && one.order < other.order);

export class Heap<A> {
  readonly #items: Array<Item<A>> = [];
  #order = 0;

  /** When the next comes; `Infinity` when nothing does. */
  get next(): number {
    return this.#items[0]?.at ?? Infinity;
  }

  push(at: number, value: A): void {
    const items = this.#items;
    const item = { at, order: this.#order++, value };
    let index = items.length;
    items.push(item);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = items[above];
      if (parent === undefined || !before(item, parent)) break;
      items[index] = parent;
      index = above;
    }
    items[index] = item;
  }

  pop(): A | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (first === undefined || last === undefined || items.length === 0) return first?.value;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const [a, b] = [items[left], items[left + 1]];
      if (a === undefined) break;
      const [child, at] = b !== undefined && before(b, a) ? [b, left + 1] : [a, left];
      if (!before(child, last)) break;
      items[index] = child;
      index = at;
    }
    items[index] = last;
    return first.value;
  }
}

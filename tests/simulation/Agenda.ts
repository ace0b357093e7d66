/** What is to come, soonest first: a binary heap. Events of the same time run in the order given. */
export interface Due {
  readonly at: number;
  /** Set by the agenda. */
  order: number;
}

export class Agenda<A extends Due> {
  readonly #heap: Array<A> = [];
  #order = 0;

  /** When the next event is due; `Infinity` when there is none. */
  get next(): number {
    return this.#heap[0]?.at ?? Infinity;
  }

  add(event: A): void {
    event.order = this.#order++;
    const heap = this.#heap;
    let index = heap.length;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = event;
  }

  /** Takes the next event. */
  take(): A | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    while (true) {
      let child = 2 * index + 1;
      let below = heap[child];
      if (below === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, below)) {
        child += 1;
        below = right;
      }
      if (!isBefore(below, last)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

const isBefore = (one: Due, other: Due): boolean =>
  one.at < other.at || (one.at === other.at && one.order < other.order);

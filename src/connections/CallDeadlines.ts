/**
 * One deadline of the same length for each of many calls, with one timer for all of them.
 *
 * A timer per call costs some 8 µs here, more than the rest of a Redis call. Time is counted in ticks
 * of an eighth of the length, in real time as for every deadline of a driver: a test clock moves no
 * sockets. A moment in which this process could do nothing counts as one tick however long it was, so
 * an answer that came meanwhile is read before its call is given up.
 */

/** One call's deadline. */
export class CallDeadline {
  #expire: (() => void) | undefined;
  constructor(
    /** The tick at which it expires. */
    readonly due: number,
    expire: () => void,
  ) {
    this.#expire = expire;
  }
  get ended(): boolean {
    return this.#expire === undefined;
  }
  /**
   * Set it when the call has ended: nothing expires then. What the call holds is let go of at once:
   * the queue keeps this object for up to a deadline's length, and thousands of finished requests
   * with it would grow old there.
   */
  set ended(ended: true) {
    if (ended) this.#expire = undefined;
  }
  /** Ends it by expiring. */
  expire(): void {
    const expire = this.#expire;
    this.#expire = undefined;
    expire?.();
  }
}

const ticksPerDeadline = 8;

/** How many ended calls may stand in front of the queue before it is shortened. */
const maxIdle = 1_024;

/** Deadlines of `length` milliseconds, at most an eighth of it shorter. */
export class CallDeadlines {
  readonly #tickLength: number;
  /** In the order of their ends, for all are of one length. */
  #queue: Array<CallDeadline> = [];
  #first = 0;
  #ticks = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(length: number) {
    this.#tickLength = length / ticksPerDeadline;
  }

  /** Starts one call's deadline; `expire` is called once if the call has not ended by then. */
  start(expire: () => void): CallDeadline {
    const deadline = new CallDeadline(this.#ticks + ticksPerDeadline, expire);
    this.#queue.push(deadline);
    if (this.#timer === undefined) this.#arm();
    return deadline;
  }

  /** Forgets all calls without expiring them. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#queue = [];
    this.#first = 0;
  }

  #arm(): void {
    this.#timer = setTimeout(() => this.#tick(), this.#tickLength);
  }

  #tick(): void {
    this.#ticks++;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      if (next.due > this.#ticks) return this.#arm();
      next.expire();
    }
    // No call is under way: the timer rests.
    this.clear();
  }

  /** The oldest call that has not ended. */
  #next(): CallDeadline | undefined {
    while (this.#queue[this.#first]?.ended === true) this.#first++;
    if (this.#first > maxIdle) {
      this.#queue = this.#queue.slice(this.#first);
      this.#first = 0;
    }
    return this.#queue[this.#first];
  }
}

/**
 * Requests whose handlers did not finish at once, watched by one timer for all of them.
 *
 * A request is only watched for its caller going away once it is some time old: `request.signal`
 * costs about as much as the rest of the request, most answers are there before it would tell
 * anything, and an abort that has already happened is still reported.
 *
 * They are kept in slots that are used again. A `Set` of requests that come and go makes a new table
 * every few hundred of them, and the collector takes whatever an old table has pointed to for alive:
 * measured, a third of all garbage became old that way.
 */

/** A request that is being worked on. */
export interface Watched {
  /** When it began, by `performance.now`. */
  readonly startedAt: number;
  /** Counts when the server waits for its work to end. */
  readonly service: boolean;
  /** Time is up: answer without the handler. */
  readonly expire: () => void;
  /** It takes long enough to find out whether the caller is still there. */
  readonly watchCaller: () => void;
  /** Where it is kept, for {@link InFlight} alone; `undefined` when it is not. */
  slot: number | undefined;
  /** True once its caller is watched, for {@link InFlight} alone. */
  isWatched: boolean;
}

/** Age in milliseconds at which a caller is watched; also about how late its leaving is noticed. */
const watchAfter = 50;

/** The requests in flight of one server. */
export class InFlight {
  readonly #slots: Array<Watched | undefined> = [];
  readonly #free: Array<number> = [];
  readonly #lifetime: number;
  #size = 0;
  #service = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires, by `performance.now`; `Infinity` when it is not set. */
  #due = Infinity;
  #onIdle: (() => void) | undefined;

  /** `lifetime`: milliseconds a request may take. */
  constructor(lifetime: number) {
    this.#lifetime = lifetime;
  }

  /** Requests in flight, of operations too. */
  get size(): number {
    return this.#size;
  }

  /** Requests in flight that a stopping server waits for. */
  get service(): number {
    return this.#service;
  }

  add(request: Watched): void {
    request.slot = this.#free.pop() ?? this.#slots.length;
    this.#slots[request.slot] = request;
    this.#size++;
    if (request.service) this.#service++;
    const due = request.startedAt + Math.min(watchAfter, this.#lifetime);
    if (due < this.#due) this.#arm(due);
  }

  /** Does nothing for one that is not here any more. */
  remove(request: Watched): void {
    if (request.slot === undefined) return;
    this.#slots[request.slot] = undefined;
    this.#free.push(request.slot);
    request.slot = undefined;
    this.#size--;
    if (!request.service) return;
    this.#service--;
    if (this.#service === 0) this.#onIdle?.();
  }

  /** Calls back once, as soon as no service request is in flight. */
  whenIdle(callback: () => void): void {
    if (this.#service === 0) return callback();
    this.#onIdle = () => {
      this.#onIdle = undefined;
      callback();
    };
  }

  /** Ends all that is left, and the timer. */
  expireAll(): void {
    for (const request of [...this.#slots]) request?.expire();
    clearTimeout(this.#timer);
    this.#due = Infinity;
  }

  #arm(due: number): void {
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => this.#tick(), Math.max(1, due - performance.now()));
  }

  /** Looks at all of them, 20 times a second at most: some 10 ns each. */
  #tick(): void {
    const now = performance.now();
    let due = Infinity;
    for (const request of this.#slots) {
      if (request === undefined) continue;
      const end = request.startedAt + this.#lifetime;
      if (now >= end) {
        request.expire();
        continue;
      }
      if (!request.isWatched && now >= request.startedAt + watchAfter) {
        request.isWatched = true;
        request.watchCaller();
      }
      const next = request.isWatched ? end : Math.min(end, request.startedAt + watchAfter);
      due = Math.min(due, next);
    }
    this.#due = Infinity;
    if (due === Infinity) return;
    this.#arm(Math.max(due, now + watchAfter / 5));
  }
}

/**
 * Requests whose handlers did not finish at once, watched by one timer for all of them.
 *
 * All have the same time to live, so the order in which they came is the order in which they end,
 * and a `Set` is queue enough. A request is only watched for its caller going away once it is a few
 * milliseconds old: `request.signal` costs about as much as the rest of the request, most answers
 * are there before it would tell anything, and an abort that has already happened is still reported.
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
}

/** Age in milliseconds at which a caller is watched; also about how late its leaving is noticed. */
const watchAfter = 10;

/** The requests in flight of one server. */
export class InFlight {
  readonly #young = new Set<Watched>();
  readonly #old = new Set<Watched>();
  readonly #lifetime: number;
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
    return this.#young.size + this.#old.size;
  }

  /** Requests in flight that a stopping server waits for. */
  get service(): number {
    return this.#service;
  }

  add(request: Watched): void {
    this.#young.add(request);
    if (request.service) this.#service++;
    const due = request.startedAt + watchAfter;
    if (due < this.#due) this.#arm(due);
  }

  /** Does nothing for one that is not here any more. */
  remove(request: Watched): void {
    if (!this.#young.delete(request) && !this.#old.delete(request)) return;
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
    for (const request of [...this.#old, ...this.#young]) request.expire();
    clearTimeout(this.#timer);
    this.#due = Infinity;
  }

  #arm(due: number): void {
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => this.#tick(), Math.max(1, due - performance.now()));
  }

  #tick(): void {
    this.#due = Infinity;
    const now = performance.now();
    for (const request of this.#young) {
      if (request.startedAt + watchAfter > now) break;
      this.#young.delete(request);
      this.#old.add(request);
      request.watchCaller();
    }
    for (const request of this.#old) {
      if (request.startedAt + this.#lifetime > now) break;
      request.expire();
    }
    const [young] = this.#young;
    const [old] = this.#old;
    const due = Math.min(
      young === undefined ? Infinity : young.startedAt + watchAfter,
      old === undefined ? Infinity : old.startedAt + this.#lifetime,
    );
    if (due < Infinity) this.#arm(due);
  }
}

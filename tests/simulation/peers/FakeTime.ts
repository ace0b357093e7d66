/**
 * Time for libraries that take it from globals: `Date.now`, `setTimeout` and `setInterval` run on a
 * clock that is moved by hand until the fake is disposed of.
 */
import { Agenda } from "../Agenda.ts";

interface Timer {
  readonly at: number;
  order: number;
  readonly id: number;
  readonly every: number | undefined;
  readonly run: () => void;
}

/** What libraries ask a timer for: it is a number in arithmetic and an object with `unref` as well. */
const handle = (id: number) => ({ id, unref: () => {}, ref: () => {} });

export class FakeTime implements Disposable {
  now = 0;
  readonly #agenda = new Agenda<Timer>();
  readonly #cancelled = new Set<number>();
  #ids = 0;
  readonly #real = {
    now: Date.now,
    setTimeout: globalThis.setTimeout,
    setInterval: globalThis.setInterval,
    clearTimeout: globalThis.clearTimeout,
    clearInterval: globalThis.clearInterval,
  };

  constructor() {
    Date.now = () => this.now;
    const start = (run: () => void, delay: number, repeats: boolean) => {
      const id = ++this.#ids;
      this.#agenda.add({
        at: this.now + delay,
        order: 0,
        id,
        run,
        every: repeats ? delay : undefined,
      });
      return handle(id);
    };
    const stop = (timer: unknown) => {
      if (typeof timer === "object" && timer !== null && "id" in timer) {
        this.#cancelled.add(Number(timer.id));
      }
    };
    Object.assign(globalThis, {
      setTimeout: (run: () => void, delay = 0) => start(run, delay, false),
      setInterval: (run: () => void, delay = 0) => start(run, delay, true),
      clearTimeout: stop,
      clearInterval: stop,
    });
  }

  /** Moves on to `at`, running on the way what is due, in order. */
  advance(at: number): void {
    while (this.#agenda.next <= at) {
      const timer = this.#agenda.take();
      if (timer === undefined) break;
      this.now = timer.at;
      if (this.#cancelled.has(timer.id)) continue;
      timer.run();
      if (timer.every !== undefined) this.#agenda.add({ ...timer, at: timer.at + timer.every });
    }
    this.now = at;
  }

  [Symbol.dispose](): void {
    const { now, ...timers } = this.#real;
    Date.now = now;
    Object.assign(globalThis, timers);
  }
}

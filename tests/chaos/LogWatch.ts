/** Reads what the services log while they run: what their breakers do, and what must never be there. */
import type { Amicis } from "../support/Amicis.ts";
import { type BreakerName, breakers } from "./Fault.ts";
import { isHeldLine } from "./Held.ts";

export type State = "closed" | "open" | "half-open";

/** A breaker's change as the log tells it. */
export interface Change {
  readonly breaker: BreakerName;
  readonly from: State;
  readonly to: State;
  /** When the line was read, in the load's milliseconds. */
  readonly at: number;
}

/** Messages of errors that nobody handled. */
const unhandled: ReadonlySet<unknown> = new Set([
  "Unhandled rejection",
  "Uncaught error",
  "Request failed",
  "Service failed",
]);

/** The log of one run of the services, followed until it is stopped. */
export class LogWatch {
  readonly changes: Array<Change> = [];
  /** Lines that tell of errors which nobody handled, and what stands on standard error. */
  readonly unhandled: Array<string> = [];
  readonly #services: Amicis;
  readonly #now: () => number;
  readonly #leave: () => void;
  readonly #states = new Map<BreakerName, State>(breakers.map((name) => [name, "closed"]));
  /** The begin of a line whose end has not come yet. */
  #rest = "";
  readonly #readErrors: number;

  /** `now`: the load's clock. */
  constructor(services: Amicis, now: () => number) {
    this.#services = services;
    this.#now = now;
    this.#readErrors = services.stderr.length;
    this.#leave = services.follow((text) => this.#read(text));
  }

  /** The breakers that are not closed now. */
  get notClosed(): ReadonlyArray<BreakerName> {
    return breakers.filter((name) => this.#states.get(name) !== "closed");
  }

  stop(): void {
    this.#leave();
    const { stderr } = this.#services;
    const told = stderr.slice(this.#readErrors).split("\n")
      // Some versions of the runtime tell of a module that a driver uses.
      .filter((line) =>
        line.trim() !== "" && !line.includes("DeprecationWarning") && !isHeldLine(line)
      );
    this.unhandled.push(...told);
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      // Access lines are most of all; only what matters here is parsed.
      if (line.includes('"Circuit breaker state changed"')) this.#change(JSON.parse(line));
      else if (line.includes('"level":"error"')) this.#error(line);
    }
  }

  #change(line: Readonly<Record<string, unknown>>): void {
    const breaker = breakers.find((name) => name === `${line.service} ${line.breaker}`);
    if (breaker === undefined) throw new Error(`Unknown breaker ${line.service} ${line.breaker}`);
    const [from, to] = [line.from as State, line.to as State];
    this.#states.set(breaker, to);
    this.changes.push({ breaker, from, to, at: this.#now() });
  }

  #error(line: string): void {
    if (unhandled.has(JSON.parse(line).msg)) this.unhandled.push(line);
  }
}

/**
 * Runs one policy through one trace, event by event, on virtual time: nothing here reads a clock or
 * waits. The same seed gives every policy the same users at the same times.
 */
import { Agenda } from "./Agenda.ts";
import type { Dependency } from "./Dependency.ts";
import { type Measures, median, peakCalls, quantile } from "./Measures.ts";
import { type Contender, held, type Policy, refused, type State } from "./Policy.ts";
import { Rng } from "./Rng.ts";
import { second, type Trace } from "./Trace.ts";

/** A user's request on its way: it asks, is answered, or comes again. */
interface Step {
  readonly at: number;
  order: number;
  readonly run: (now: number) => void;
}

/** What happened in one second of the trace, over all clients. */
export interface Tick {
  /** Calls that reached the dependency. */
  sent: number;
  failed: number;
  refused: number;
  /** Clients' policies that were not closed at its end. */
  notClosed: number;
}

/** A fault may be blamed for an opening until this long after its end: results count for a while. */
const aftermath = 15 * second;

/** Users come again after this long, evenly spread. */
const returnAfter = { from: 2 * second, to: 10 * second };

/** One client's policy for one tenant's endpoint. */
interface Circuit {
  readonly policy: Policy;
  readonly key: number;
  /** The endpoint was well throughout. */
  readonly isBystander: boolean;
  openedAt: number | undefined;
  closedAt: number | undefined;
  readonly waiting: Array<(now: number) => void>;
}

export interface Options {
  /** Gets the history, second by second. */
  readonly onTick?: (tick: Tick, index: number) => void;
  /** Hears every event of the circuits, in order: for comparisons with real breakers. */
  readonly onCall?: (now: number, ticket: number) => void;
}

export const simulate = (
  trace: Trace,
  contender: Contender,
  seed: number,
  options: Options = {},
): Measures => new Run(trace, contender, seed, options).toEnd();

class Run {
  readonly #agenda = new Agenda<Step>();
  readonly #arrivals: Rng;
  readonly #users: Rng;
  readonly #jitter: Rng;
  readonly #dependency: Dependency;
  readonly #circuits = new Map<number, Circuit>();
  readonly #firstFault: number;
  readonly #lastFault: number;
  #fault = 0;
  #tick: Tick = { sent: 0, failed: 0, refused: 0, notClosed: 0 };
  #tickIndex = 0;
  #notClosed = 0;
  /** Seconds over which the load after the last fault is looked at. */
  readonly #slice: number;
  #sentInSlice = 0;
  #peak: number | null = null;
  readonly #latencies: Array<number> = [];
  #wasted = 0;
  #falseOpens = 0;
  #goodRefused = 0;
  #bystandersRefused = 0;
  #requests = 0;
  #served = 0;
  #askedInFaults = 0;
  #refusedInFaults = 0;

  constructor(
    readonly trace: Trace,
    readonly contender: Contender,
    seed: number,
    readonly options: Options,
  ) {
    this.#arrivals = new Rng(seed, 1);
    this.#users = new Rng(seed, 2);
    this.#jitter = new Rng(seed, 3);
    this.#dependency = trace.dependency(new Rng(seed, 4));
    this.#firstFault = trace.faults[0]?.from ?? Infinity;
    this.#lastFault = trace.faults.at(-1)?.to ?? Infinity;
    this.#slice = Math.max(1, Math.ceil(peakCalls / trace.rate(this.#lastFault)));
  }

  toEnd(): Measures {
    const { trace } = this;
    let arrival = this.#nextArrival(0);
    while (true) {
      const next = Math.min(arrival, this.#agenda.next);
      if (next >= trace.length) break;
      this.#advance(next);
      if (next === arrival) {
        this.#requests += 1;
        const replica = this.#arrivals.below(trace.replicas);
        const key = trace.keys === 1 ? 0 : this.#arrivals.below(trace.keys);
        this.#ask(this.#circuit(replica, key), next, next, trace.userRetries);
        arrival = this.#nextArrival(next);
      } else this.#agenda.take()?.run(next);
    }
    this.#advance(trace.length);
    return this.#measures();
  }

  #nextArrival(now: number): number {
    const rate = this.trace.rate(now);
    return now + this.#arrivals.exponential(second / rate);
  }

  /** Closes the seconds that are over. */
  #advance(now: number): void {
    while (now >= (this.#tickIndex + 1) * second) {
      const since = this.#tickIndex - Math.ceil(this.#lastFault / second);
      if (since >= 0) {
        this.#sentInSlice += this.#tick.sent;
        if ((since + 1) % this.#slice === 0) {
          this.#peak = Math.max(this.#peak ?? 0, this.#sentInSlice);
          this.#sentInSlice = 0;
        }
      }
      this.#tick.notClosed = this.#notClosed;
      this.options.onTick?.(this.#tick, this.#tickIndex);
      this.#tick = { sent: 0, failed: 0, refused: 0, notClosed: 0 };
      this.#tickIndex += 1;
    }
    while (now >= (this.trace.faults[this.#fault]?.to ?? Infinity)) this.#fault += 1;
  }

  #isFaulty(now: number): boolean {
    return now >= (this.trace.faults[this.#fault]?.from ?? Infinity);
  }

  #isAftermath(now: number): boolean {
    const before = this.trace.faults[this.#fault - 1];
    return before !== undefined && now < before.to + aftermath;
  }

  #circuit(replica: number, key: number): Circuit {
    const id = replica * this.trace.keys + key;
    const known = this.#circuits.get(id);
    if (known !== undefined) return known;
    const policy = this.contender.make({
      random: this.#jitter,
      schedule: (at, run) => this.#agenda.add({ at, order: 0, run }),
      probe: (now) => this.#dependency.probe(now),
      onChange: (from, to, now) => this.#changed(circuit, from, to, now),
    });
    const circuit: Circuit = {
      policy,
      key,
      isBystander: this.trace.affects?.(key) === false,
      openedAt: undefined,
      closedAt: undefined,
      waiting: [],
    };
    this.#circuits.set(id, circuit);
    return circuit;
  }

  #changed(circuit: Circuit, from: State, to: State, now: number): void {
    if (from === "closed") {
      this.#notClosed += 1;
      circuit.closedAt = undefined;
      if (now >= this.#firstFault) circuit.openedAt ??= now;
      const isExcused = !circuit.isBystander && (this.#isFaulty(now) || this.#isAftermath(now));
      if (!isExcused) this.#falseOpens += 1;
    }
    if (to === "closed") {
      this.#notClosed -= 1;
      circuit.closedAt = now;
    }
  }

  /** A call that came at `from`, and may have been held until now. */
  #ask(circuit: Circuit, from: number, now: number, retries: number): void {
    const isFaulty = this.#isFaulty(now);
    const ticket = circuit.policy.ask(now, circuit.waiting.length);
    this.options.onCall?.(now, ticket);
    if (ticket === held) {
      circuit.waiting.push((now) => this.#ask(circuit, from, now, retries));
      return;
    }
    if (isFaulty) this.#askedInFaults += 1;
    if (ticket === refused) {
      this.#tick.refused += 1;
      if (isFaulty) this.#refusedInFaults += 1;
      if (this.#dependency.wouldSucceed(now, circuit.key)) this.#goodRefused += 1;
      if (circuit.isBystander) this.#bystandersRefused += 1;
      return this.#comeAgain(circuit, now, retries);
    }
    this.#tick.sent += 1;
    const { succeeds, latency } = this.#dependency.call(now, circuit.key);
    if (!succeeds) {
      this.#tick.failed += 1;
      if (isFaulty && !circuit.isBystander) this.#wasted += 1;
    }
    this.#agenda.add({
      at: now + latency,
      order: 0,
      run: (end) => {
        circuit.policy.settle(ticket, succeeds, end, latency);
        if (circuit.waiting.length > 0) this.#release(circuit, end);
        if (succeeds) {
          this.#served += 1;
          if (isFaulty) this.#latencies.push(end - from);
        } else this.#comeAgain(circuit, end, retries);
      },
    });
  }

  /** Lets go what a policy has held, while it holds no more. */
  #release({ policy, waiting }: Circuit, now: number): void {
    while (waiting.length > 0 && policy.isHolding?.() !== true) waiting.shift()?.(now);
  }

  #comeAgain(circuit: Circuit, now: number, retries: number): void {
    if (retries === 0) return;
    const { from, to } = returnAfter;
    const at = now + from + (to - from) * this.#users.uniform();
    this.#agenda.add({ at, order: 0, run: (now) => this.#ask(circuit, now, now, retries - 1) });
  }

  #measures(): Measures {
    const affected = [...this.#circuits.values()].filter(({ isBystander }) => !isBystander);
    const opened = affected.filter(({ openedAt }) => openedAt !== undefined);
    const opening = median(
      affected.map(({ openedAt }) =>
        openedAt === undefined ? Infinity : openedAt - this.#firstFault
      ),
    );
    const recovery = median(
      opened.map(({ policy, closedAt }) =>
        policy.state() === "closed" ? Math.max(0, (closedAt ?? 0) - this.#lastFault) : Infinity
      ),
    );
    return {
      timeToOpen: opening === Infinity ? null : opening,
      wasted: this.#wasted,
      falseOpens: this.#falseOpens,
      goodRefused: this.#goodRefused,
      timeToRecover: recovery,
      peakLoad: this.#peak === null
        ? null
        : this.#peak / this.#slice / this.trace.rate(this.#lastFault),
      latency: quantile(this.#latencies, 0.95),
      bystandersRefused: this.#bystandersRefused,
      requests: this.#requests,
      served: this.#served,
      shed: this.#refusedInFaults / Math.max(1, this.#askedInFaults),
    };
  }
}

/**
 * The `circuit_breaker_*` families, written from the breakers themselves when a scrape asks.
 *
 * Nothing is counted twice and a call costs nothing here; a series goes when its breaker goes. The
 * text is written directly: with the registry full of tenants there are 130,000 lines, for which
 * prom-client's gauges would stop the process for a third of a second. Every few hundred breakers
 * other work gets its turn.
 */
import { Effect } from "effect";
import type { Trip } from "../resilience/AdaptiveThreshold.ts";
import type { CircuitBreaker, Snapshot, Totals } from "../resilience/CircuitBreaker.ts";
import { escapeLabel, other } from "./MetricFamilies.ts";

type State = ReturnType<CircuitBreaker["unsafeState"]>;

const stateValues: Readonly<Record<State, number>> = { closed: 0, open: 1, "half-open": 2 };

/** The changes every breaker may make by itself, present with 0 from the start. */
const ordinaryTransitions: ReadonlyArray<readonly [State, State]> = [
  ["closed", "open"],
  ["open", "half-open"],
  ["half-open", "closed"],
  ["half-open", "open"],
];

/** By what an adaptive breaker opens. */
const openingRules: ReadonlyArray<Trip["rule"]> = [
  "failure-rate",
  "consecutive-failures",
  "slow-calls",
];

const outcomes = [
  ["success", "successes"],
  ["failure", "failures"],
  ["neutral", "neutral"],
] as const;

/** Breakers between two pauses, about 2 ms of work. */
const batch = 200;

export interface BreakerMetricsOptions {
  readonly service: string;
  /** Most breakers with series of their own; later ones share `other` [10,000]. */
  readonly maxBreakers?: number;
}

const noTotals: Totals = {
  successes: 0,
  failures: 0,
  neutral: 0,
  timeouts: 0,
  rejected: 0,
  transitions: [],
};

/** Makes the effect that writes the families' page; it remembers what `other` has summed up. */
export const make = (
  options: BreakerMetricsOptions,
  breakers: Effect.Effect<ReadonlyArray<CircuitBreaker>>,
): Effect.Effect<ReadonlyArray<Uint8Array>> => {
  const maxBreakers = options.maxBreakers ?? 10_000;
  /** Names with series of their own; a breaker keeps its place, so that no counter goes back. */
  let named = new Set<string>();
  /** What each breaker under `other` had when it was last added to the sum. */
  const counted = new WeakMap<CircuitBreaker, Totals>();
  let sum: Totals | undefined;

  return Effect.gen(function* () {
    const all = yield* breakers;
    const present = new Set(all.map(({ name }) => name));
    named = new Set([...named].filter((name) => present.has(name)));
    const page = new Page(options.service);
    let rest: State | undefined;
    for (const [index, breaker] of all.entries()) {
      if (index % batch === batch - 1) {
        page.encode();
        yield* pause;
      }
      const totals = yield* breaker.totals;
      const state = breaker.unsafeState();
      const isNamed = named.has(breaker.name) ||
        (named.size < maxBreakers && !counted.has(breaker));
      if (isNamed) {
        named.add(breaker.name);
        page.add(breaker.name, state, totals);
        const { adaptive } = yield* breaker.snapshot;
        if (adaptive !== undefined) page.addAdaptive(breaker.name, adaptive);
      } else {
        sum = plus(sum ?? noTotals, minus(totals, counted.get(breaker) ?? noTotals));
        counted.set(breaker, totals);
        rest = worse(rest, state);
      }
    }
    if (sum !== undefined) page.add(other, rest ?? "closed", sum);
    return page.end();
  });
};

// A real turn of the event loop, which an effect's own yield is not.
const pause = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)));

const worse = (one: State | undefined, another: State): State => {
  if (one === "open" || another === "open") return "open";
  return one === "half-open" ? one : another;
};

const combine = (one: Totals, another: Totals, sign: 1 | -1): Totals => ({
  successes: one.successes + sign * another.successes,
  failures: one.failures + sign * another.failures,
  neutral: one.neutral + sign * another.neutral,
  timeouts: one.timeouts + sign * another.timeouts,
  rejected: one.rejected + sign * another.rejected,
  transitions: [
    ...one.transitions.map(({ from, to, count }) => ({
      from,
      to,
      count: count + sign * countOf(another, from, to),
    })),
    ...another.transitions.filter(({ from, to }) => countOf(one, from, to) === 0)
      .map(({ from, to, count }) => ({ from, to, count: sign * count })),
  ],
});

const plus = (one: Totals, another: Totals): Totals => combine(one, another, 1);
const minus = (one: Totals, another: Totals): Totals => combine(one, another, -1);

const countOf = (totals: Totals, from: State, to: State): number =>
  totals.transitions.find((known) => known.from === from && known.to === to)?.count ?? 0;

const encoder = new TextEncoder();

/** One family: its lines of this batch, and what is encoded already. */
class Family {
  readonly chunks: Array<Uint8Array> = [];
  /** Whether it has any series. */
  isUsed = false;
  #lines: Array<string>;

  constructor(readonly name: string, type: "counter" | "gauge", help: string) {
    this.#lines = [`\n# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`];
  }

  add(labels: string, value: number): void {
    this.isUsed = true;
    this.#lines.push(`${this.name}{${labels}} ${value}\n`);
  }

  encode(): void {
    this.chunks.push(encoder.encode(this.#lines.join("")));
    this.#lines = [];
  }
}

/** The families side by side, as each must be written in one piece. */
class Page {
  readonly #states = new Family(
    "circuit_breaker_state",
    "gauge",
    "State of the breaker: 0 closed, 1 open, 2 half-open.",
  );
  readonly #failures = new Family(
    "circuit_breaker_failures_total",
    "counter",
    "Calls that failed by the breaker's judgement.",
  );
  readonly #calls = new Family(
    "circuit_breaker_calls_total",
    "counter",
    "Calls that ran, by outcome; rejected ones are not among them.",
  );
  readonly #rejections = new Family(
    "circuit_breaker_rejections_total",
    "counter",
    "Calls turned away without being run.",
  );
  readonly #transitions = new Family(
    "circuit_breaker_transitions_total",
    "counter",
    "Changes of state.",
  );
  readonly #thresholds = new Family(
    "circuit_breaker_failure_threshold",
    "gauge",
    "Share of failures from which on an adaptive breaker opens; 1: too few calls to tell.",
  );
  readonly #baselines = new Family(
    "circuit_breaker_baseline_failure_rate",
    "gauge",
    "Share of failures that is normal for what is behind an adaptive breaker.",
  );
  readonly #reasons = new Family(
    "circuit_breaker_open_reason",
    "gauge",
    "1 for the rule by which an adaptive breaker opened that is not closed.",
  );
  readonly #families = [
    this.#states,
    this.#failures,
    this.#calls,
    this.#rejections,
    this.#transitions,
  ];
  /** Shown only where there is an adaptive breaker. */
  readonly #adaptive = [this.#thresholds, this.#baselines, this.#reasons];
  readonly #service: string;

  constructor(service: string) {
    this.#service = escapeLabel(service);
  }

  #labels(name: string): string {
    return `service="${this.#service}",breaker="${escapeLabel(name)}"`;
  }

  /** Breakers under the label `other` have no series here: their figures cannot be summed up. */
  addAdaptive(
    name: string,
    { threshold, baseline, trip }: NonNullable<Snapshot["adaptive"]>,
  ): void {
    const labels = this.#labels(name);
    this.#thresholds.add(labels, threshold);
    this.#baselines.add(labels, baseline);
    for (const rule of openingRules) {
      this.#reasons.add(`${labels},rule="${rule}"`, trip?.rule === rule ? 1 : 0);
    }
  }

  add(name: string, state: State, totals: Totals): void {
    const labels = this.#labels(name);
    this.#states.add(labels, stateValues[state]);
    this.#failures.add(labels, totals.failures);
    this.#rejections.add(labels, totals.rejected);
    for (const [outcome, field] of outcomes) {
      this.#calls.add(`${labels},outcome="${outcome}"`, totals[field]);
    }
    for (const [from, to] of ordinaryTransitions) {
      this.#transitions.add(`${labels},from="${from}",to="${to}"`, countOf(totals, from, to));
    }
    for (const { from, to, count } of totals.transitions) {
      const isWritten = ordinaryTransitions.some(([a, b]) => a === from && b === to);
      if (!isWritten) this.#transitions.add(`${labels},from="${from}",to="${to}"`, count);
    }
  }

  encode(): void {
    for (const family of [...this.#families, ...this.#adaptive]) family.encode();
  }

  end(): ReadonlyArray<Uint8Array> {
    this.encode();
    const adaptive = this.#adaptive.filter(({ isUsed }) => isUsed);
    return [...this.#families, ...adaptive].flatMap(({ chunks }) => chunks);
  }
}

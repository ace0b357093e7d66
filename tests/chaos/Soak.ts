/**
 * A long run under load with faults at random: what the process holds must not grow, and its counters
 * must say exactly what the load knows to have sent.
 */
import fc from "fast-check";
import type { Amicis } from "../support/Amicis.ts";
import type { MetricsPage } from "../support/wire/MetricsPage.ts";
import { hang, noAnswer } from "./Answers.ts";
import type { Fault } from "./Fault.ts";
import { connectionGrowth, heldGrowth, heldTrend, type Trend } from "./Growth.ts";
import { collect, type Held, type HeldMeasure, heldMeasures } from "./Held.ts";
import { type Look, look } from "./Resources.ts";
import { type Report, runFaults, type RunOptions } from "./Run.ts";
import type { TestBed } from "./TestBed.ts";

export interface SoakOptions extends Pick<RunOptions, "abilities" | "onResult"> {
  /** Those to choose from; none that wants the services started in another way. */
  readonly faults: ReadonlyArray<Fault>;
  readonly seconds: number;
  /** The same seed chooses the same faults. */
  readonly seed: number;
  /** Requests a second [30]. */
  readonly rate?: number;
}

/** A counter beside what the load knows. */
export interface Comparison {
  readonly counter: string;
  /** What must have been counted. */
  readonly sent: number;
  /** Requests that the load gave up, of which nobody knows how they were answered. */
  readonly unknown: number;
  readonly counted: number;
}

const isRight = ({ sent, unknown, counted }: Comparison): boolean =>
  counted >= sent && counted <= sent + unknown;

export interface SoakReport {
  readonly seconds: number;
  readonly seed: number;
  readonly requests: number;
  readonly faults: number;
  /** What the services hold after their garbage is collected, in MiB. */
  readonly held: ReadonlyArray<Held>;
  readonly trends: Readonly<Record<HeldMeasure, Trend>>;
  /** What they take of the machine, garbage and all. */
  readonly looks: ReadonlyArray<Look>;
  /** How many counters were compared with the load. */
  readonly counters: number;
  readonly differences: ReadonlyArray<Comparison>;
  readonly violations: ReadonlyArray<string>;
  readonly report: Report;
}

/** Milliseconds between two looks at the process, and of calm between two faults. */
const lookEvery = 2_000;
const rest = 2_000;

/** When garbage is collected: a quarter of the run is its warming up, the rest has ten collections. */
const collections = (seconds: number): Array<number> =>
  Array.from({ length: 10 }, (_, index) => seconds * (0.25 + 0.075 * index));

export const soak = async (bed: TestBed, options: SoakOptions): Promise<SoakReport> => {
  const { services } = bed;
  const before = await countersOf(services);
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1_000;
  const looks: Array<Look> = [];
  const held: Array<Held> = [];
  const due = collections(options.seconds);
  let collecting = Promise.resolve();
  const timer = setInterval(() => {
    looks.push(look(services.pid, elapsed()));
    if (elapsed() < (due[0] ?? Infinity)) return;
    due.shift();
    collecting = collecting.then(async () => void held.push(await collect(services, elapsed())));
  }, lookEvery);
  const lines = new AccessLines(services);
  const chosen = atRandom(options.faults, options.seed, () => elapsed() < options.seconds);
  let report: Report;
  try {
    report = await runFaults(bed, {
      faults: chosen,
      abilities: options.abilities,
      rate: options.rate ?? 30,
      rest,
      ...(options.onResult === undefined ? {} : { onResult: options.onResult }),
    });
  } finally {
    clearInterval(timer);
    await collecting;
  }
  const after = await countersOf(services);
  const compared = compare({ before, after, report, accessLines: await lines.count() });
  return {
    seconds: elapsed(),
    seed: options.seed,
    requests: report.samples.length,
    faults: report.results.length,
    held,
    trends: {
      heap: heldTrend(held, "heap"),
      external: heldTrend(held, "external"),
      memory: heldTrend(held, "memory"),
    },
    looks,
    counters: compared.length,
    differences: compared.filter((one) => !isRight(one)),
    violations: [
      ...report.results.flatMap(({ name, violations }) =>
        violations.map((violation) => `${name}: ${violation}`)
      ),
      ...heldGrowth(held),
      ...connectionGrowth(looks),
      ...compared.filter((one) => !isRight(one))
        .map(({ counter, sent, counted }) => `${counter} says ${counted} where ${sent} were sent`),
    ],
    report,
  };
};

/** Faults one after the other for as long as there is time. */
function* atRandom(
  faults: ReadonlyArray<Fault>,
  seed: number,
  isTime: () => boolean,
): Generator<Fault> {
  const chosen = fc.sample(fc.constantFrom(...faults), { seed, numRuns: 2_000 });
  for (const fault of chosen) {
    if (!isTime()) return;
    yield fault;
  }
}

interface Counters {
  readonly routing: MetricsPage;
  readonly auth: MetricsPage;
}

/** One scrape of each service, after what is in flight has been counted. */
const countersOf = async (services: Amicis): Promise<Counters> => {
  const [routing, auth] = await services.metricsOfAll();
  return { routing, auth };
};

/** Counts the access lines of the load's own requests, which carry its correlation ids. */
class AccessLines {
  readonly #services: Amicis;
  readonly #leave: () => void;
  #count = 0;
  #rest = "";

  constructor(services: Amicis) {
    this.#services = services;
    this.#leave = services.follow((text) => {
      const lines = (this.#rest + text).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line.includes('"msg":"Request"') && line.includes('"correlationId":"load-')) {
          this.#count++;
        }
      }
    });
  }

  /** All of them, once a line that is written later has been read. */
  async count(): Promise<number> {
    const correlationId = `last-${crypto.randomUUID()}`;
    await this.#services.ask("/health/live", { headers: { "x-correlation-id": correlationId } });
    await this.#services.askAuth("/health/live", {
      headers: { "x-correlation-id": `${correlationId}-too` },
    });
    await this.#services.awaitLog({ correlationId });
    await this.#services.awaitLog({ correlationId: `${correlationId}-too` });
    this.#leave();
    return this.#count;
  }
}

interface Compared {
  readonly before: Counters;
  readonly after: Counters;
  readonly report: Report;
  readonly accessLines: number;
}

const compare = (
  { before, after, report, accessLines }: Compared,
): ReadonlyArray<Comparison> => {
  const { samples, changes } = report;
  const givenUp = samples.filter(({ label }) => label === noAnswer || label === hang);
  const answered = samples.filter(({ label }) => label !== noAnswer && label !== hang);
  const grownBy = (service: keyof Counters, name: string, labels: Record<string, string>) =>
    (after[service].value(name, labels) ?? 0) - (before[service].value(name, labels) ?? 0);
  const requests = Array.from(
    Map.groupBy(
      answered,
      ({ service, method, route, label }) => [service, method, route, label.slice(0, 3)].join(" "),
    ),
    ([counter, sent]): Comparison => {
      const [service = "", method = "", route = "", status = ""] = counter.split(" ");
      const labels = { service, method, route, status };
      return {
        counter: `http_requests_total ${counter}`,
        sent: sent.length,
        unknown:
          givenUp.filter((one) =>
            one.service === service && one.method === method && one.route === route
          ).length,
        counted: grownBy(service as keyof Counters, "http_requests_total", labels),
      };
    },
  );
  const transitions = Array.from(
    Map.groupBy(changes, ({ breaker, from, to }) => `${breaker} ${from} ${to}`),
    ([counter, seen]): Comparison => {
      const [service = "", breaker = "", from = "", to = ""] = counter.split(" ");
      return {
        counter: `circuit_breaker_transitions_total ${counter}`,
        sent: seen.length,
        unknown: 0,
        counted: grownBy(service as keyof Counters, "circuit_breaker_transitions_total", {
          service,
          breaker,
          from,
          to,
        }),
      };
    },
  );
  return [
    ...requests,
    ...transitions,
    {
      counter: "access lines",
      sent: answered.length,
      unknown: givenUp.length,
      counted: accessLines,
    },
  ];
};

/** What the soak tells at its end. */
export const soakSummary = (report: SoakReport): string => {
  const { counters, differences, faults, held, looks, requests, seconds, seed, trends } = report;
  const first = held[0];
  const last = held.at(-1);
  const heldLine = (measure: HeldMeasure) => {
    const { perHour, margin } = trends[measure];
    return `${measure.padEnd(8)} ${first?.[measure].toFixed(1)} to ${last?.[measure].toFixed(1)} ` +
      `MiB held, ${perHour.toFixed(1)} ± ${margin.toFixed(1)} MiB an hour`;
  };
  const range = (measure: keyof Look) => {
    const values = looks.map((look) => look[measure]);
    return `${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)}`;
  };
  return [
    `${Math.round(seconds)} s, ${requests} requests, ${faults} faults (seed ${seed})`,
    `After ${held.length} collections of all garbage:`,
    ...heldMeasures.map(heldLine),
    `Of the machine: ${range("memory")} MiB, ${range("handles")} handles, ` +
    `${range("sockets")} sockets`,
    `${counters - differences.length} of ${counters} counters are what the load sent`,
    ...report.violations.map((violation) => `BROKEN ${violation}`),
  ].join("\n");
};

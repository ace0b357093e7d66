/**
 * Metric families of what is off unless a setting turns it on: adaptive limits, hedges and recovery
 * probes. Each family comes to the page with its first child, so that what is off does not show.
 */
import type { Result } from "../resilience/Hedge.ts";
import { counters, type Families, gauges, keyed } from "./MetricFamilies.ts";

export interface OptionalFamilies {
  /** Shows the adaptive limit of a bulkhead; answers what takes it off again. */
  readonly bulkheadLimit: (dependency: string, limit: () => number) => () => void;
  /** Counts the hedges of an operation; all results show with 0 from now on. */
  readonly hedges: (operation: string) => (result: Result) => void;
  /** Counts the recovery probes of a dependency; both results show with 0 from now on. */
  readonly recoveryProbes: (dependency: string) => (succeeded: boolean) => void;
}

/** Makes `A` when it is first asked for. */
const once = <A>(make: () => A): () => A => {
  let made: { readonly value: A } | undefined;
  return () => (made ??= { value: make() }).value;
};

export const make = (families: Families, service: string): OptionalFamilies => {
  const newLimit = once(() =>
    gauges(
      families,
      "bulkhead_limit",
      "Calls that the adaptive limit lets run now.",
      ["service", "dependency"],
    )
  );
  const newHedge = once(() =>
    counters(
      families,
      "hedged_calls_total",
      "Calls that outlasted the percentile, by what a second attempt did.",
      ["service", "operation", "result"],
    )
  );
  const newProbe = once(() =>
    counters(
      families,
      "recovery_probes_total",
      "Background probes of dependencies whose breaker was open.",
      ["service", "dependency", "result"],
    )
  );
  const hedges = keyed((operation) => {
    const cell = (result: Result) => newHedge()({ service, operation, result });
    return { won: cell("won"), lost: cell("lost"), refused: cell("refused") };
  });
  const probes = keyed((dependency) => {
    const cell = (result: string) => newProbe()({ service, dependency, result });
    return { success: cell("success"), failure: cell("failure") };
  });
  return {
    bulkheadLimit: (dependency, limit) => newLimit()({ service, dependency }, limit),
    hedges: (operation) => {
      const cells = hedges(operation);
      return (result) => {
        cells[result].count += 1;
      };
    },
    recoveryProbes: (dependency) => {
      const cells = probes(dependency);
      return (succeeded) => {
        cells[succeeded ? "success" : "failure"].count += 1;
      };
    },
  };
};

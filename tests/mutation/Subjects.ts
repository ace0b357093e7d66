/** Which tests have to notice a change in which file of `src/resilience`. */

const source = "src/resilience/";
const tests = "tests/resilience/";

/** Of the breaker as a whole. The costliest last: most mutants fail before. */
const wholeBreaker = [
  "CircuitBreaker/tripping",
  "CircuitBreaker/halfOpen",
  "CircuitBreaker/open",
  "CircuitBreaker/hasten",
  "CircuitBreaker/control",
  "CircuitBreaker/counting",
  "AdaptiveThreshold",
  "CircuitBreaker/model",
];

/** Files whose behaviour shows in the tests of others beside, or instead of, their own. */
const elsewhere: Readonly<Record<string, ReadonlyArray<string>>> = {
  AdaptiveLimit: ["AdaptiveLimit/step", "AdaptiveLimit"],
  AdaptiveThreshold: [
    "AdaptiveThreshold/evidence",
    "AdaptiveThreshold/learning",
    "AdaptiveThreshold",
  ],
  BreakerExplanation: ["BreakerExplanation", "AdaptiveThreshold"],
  BreakerRefusal: ["CircuitBreaker/open", "CircuitBreaker/halfOpen", "CircuitBreaker/control"],
  BreakerSettings: ["BreakerSettings", "CircuitBreaker/construction", "AdaptiveThreshold"],
  BreakerSnapshot: [
    "CircuitBreaker/open",
    "CircuitBreaker/counting",
    "CircuitBreaker/control",
    "AdaptiveThreshold",
  ],
  BreakerState: [
    "BreakerState",
    "BreakerState/closed",
    "BreakerState/recovery",
    "BreakerState/control",
    ...wholeBreaker,
  ],
  Bulkhead: ["Bulkhead", "AdaptiveLimit"],
  Guard: ["Guard", "Guard/edges", "Guard/immediate", "Hedge", "AttemptSpan", "Throttle"],
  Immediate: ["Immediate", "Guard/immediate"],
  RollingWindow: ["RollingWindow", "CircuitBreaker/counting", "CircuitBreaker/tripping"],
  Breaker: ["Breaker", "CircuitBreaker/outcomes", ...wholeBreaker, "Guard/immediate"],
  BreakerChange: ["BreakerExplanation", ...wholeBreaker],
  BreakerPolicy: ["BreakerPolicy", ...wholeBreaker],
  BreakerTrouble: ["BreakerTrouble", "CircuitBreaker/outcomes"],
  CircuitBreaker: ["CircuitBreaker/construction", ...wholeBreaker],
};

/** A file to mutate and the test files that are run against each of its mutants. */
export interface Subject {
  /** Without folder and extension. */
  readonly name: string;
  readonly path: string;
  readonly tests: ReadonlyArray<string>;
}

/** The subject of a file's name. */
export const subjectOf = (name: string): Subject => ({
  name,
  path: `${source}${name}.ts`,
  tests: (elsewhere[name] ?? [name]).map((test) => `${tests}${test}.test.ts`),
});

/** Every file of `src/resilience` below `root`, in the order of their names. */
export async function allSubjects(root: URL): Promise<ReadonlyArray<Subject>> {
  const names: Array<string> = [];
  for await (const { name } of Deno.readDir(new URL(source, root))) {
    if (name.endsWith(".ts")) names.push(name.slice(0, -".ts".length));
  }
  return names.toSorted().map(subjectOf);
}

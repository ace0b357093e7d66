/**
 * `deno task simulate`: every policy on every trace and every published incident, on virtual time.
 * Prints tables in Markdown, the targets last.
 *
 *   --seeds=N       seeds 1 to N; figures are medians [1]
 *   --only=TEXT     only traces whose name has this in it [all]
 *   --targets       only the targets
 *   --docs          also writes docs/operations/simulation.md and the pictures in docs/images
 *   --check         exit 1 when a target is missed
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import { parseArgs } from "node:util";
import { draw } from "./Chart.ts";
import * as Contenders from "./Contenders.ts";
import { incidents } from "./Incidents.ts";
import { targetTable, traceTable } from "./Report.ts";
import { simulate, type Tick } from "./Simulation.ts";
import { judge, targets } from "./Targets.ts";
import { minute, type Trace } from "./Trace.ts";
import * as Traces from "./Traces.ts";

// Refusals are made by the million here, and nobody reads their stacks.
Error.stackTraceLimit = 0;

const { values } = parseArgs({
  args: Deno.args,
  options: {
    seeds: { type: "string", default: "1" },
    only: { type: "string", default: "" },
    targets: { type: "boolean", default: false },
    docs: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
  },
});

const seeds = Array.from({ length: Number(values.seeds) }, (_, index) => index + 1);
const docs = new URL("../../docs/", import.meta.url);
const pages: Array<string> = [];

const print = (text: string) => {
  pages.push(text);
  console.log(text);
};

const told = (trace: Trace & { readonly source?: string }): string => {
  const source = trace.source === undefined ? "" : ` ([report](${trace.source}))`;
  return `\n### ${trace.name}\n\n${trace.description}${source}\n`;
};

/** The traces that are drawn, with the minutes before the trouble that are shown. */
const drawn: ReadonlyArray<readonly [name: string, trace: Trace]> = [
  ["hard-outage", Traces.hardOutage],
  ["brown-out", Traces.brownOut],
  ["flapping", Traces.flapping],
  ["queueing", Traces.oneWorker],
  ["herd", Traces.herd],
  ["correlated", Traces.correlated],
];

const picture = (trace: Trace): string => {
  const from = Math.max(0, (trace.faults[0]?.from ?? 0) - minute);
  const strips = Contenders.contenders.map((contender) => {
    const ticks: Array<Tick> = [];
    simulate(trace, contender, 1, { onTick: (tick) => ticks.push(tick) });
    return { policy: contender.name, ticks };
  });
  return draw(trace, strips, from, Math.min(trace.length, from + 15 * minute));
};

if (!values.targets) {
  print("\n## Policies\n");
  for (const { name, description } of Contenders.contenders) print(`- **${name}**: ${description}`);
  for (const [heading, traces] of [["Traces", Traces.traces], ["Incidents", incidents]] as const) {
    print(`\n## ${heading}`);
    for (const trace of traces) {
      if (!trace.name.includes(values.only)) continue;
      print(told(trace));
      const name = drawn.find(([, known]) => known === trace)?.[0];
      if (name !== undefined) pages.push(`![${trace.name}](../images/simulation-${name}.svg)\n`);
      print(traceTable(
        trace,
        Contenders.contenders.map((contender) => ({
          policy: contender.name,
          measures: seeds.map((seed) => simulate(trace, contender, seed)),
        })),
      ));
    }
  }
}

print(`\n## Targets\n`);
const chosen = targets.filter(({ name }) => name.includes(values.only));
const verdicts = chosen.map((target) => judge(target, seeds));
print(targetTable(verdicts));

if (values.docs) {
  for (const [name, trace] of drawn) {
    await Deno.writeTextFile(new URL(`images/simulation-${name}.svg`, docs), picture(trace));
  }
  const head = `# What the policies do in an outage

Made by \`deno task simulate --docs\`; seeds 1 to ${seeds.length}. What follows from it is in
[choosing policies](choosing-policies.md).

*Opens after*: from the beginning of the trouble until half of the clients' breakers opened. *Wasted*:
calls sent during the trouble that failed. *False opens*: openings while the dependency was as it always
is. *Good refused*: refused calls that would have succeeded. *Recovers after*: from the end of the
trouble until half of the breakers are closed for good. *Peak load*: most calls after the trouble,
against the usual number, in a second, or in as many as usually see 200 calls. *Answered in*: 95 % of
the calls that succeeded during the trouble took no longer.
`;
  await Deno.writeTextFile(
    new URL("operations/simulation.md", docs),
    `${head}${pages.join("\n")}\n`,
  );
}
Deno.exit(values.check && verdicts.some(({ holds }) => !holds) ? 1 : 0);

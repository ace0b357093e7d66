/**
 * `deno task bench`: the services beside bare servers and well-tuned peers, in one go on one machine,
 * so that every figure is a ratio. Prints a table and writes JSON.
 *
 *   --quick            proves that everything runs, within a minute: 1 round of 1 second at 32
 *                      connections, nothing is judged
 *   --rounds=N         rounds of each cell [5]
 *   --seconds=N        seconds of load of each cell in each round [4]
 *   --connections=N,M  connections of wrk [32,256]
 *   --only=http,start,micro,simulation   parts to run [all]
 *   --seeds=N          seeds of the simulation [100; 1 with --quick]
 *   --service=COMMAND  the command before `--service=…` [deno run -A src/main.ts, V8 as in the binary]
 *   --output=FILE      where the JSON goes [tests/bench/results/latest.json]
 *   --markdown         prints the rows with targets as a table in Markdown, too
 *   --check            exit 1 when a ratio or the simulation misses what it must reach
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { httpRows } from "./HttpRows.ts";
import { installPeers, installPrograms, nodePath } from "./Installation.ts";
import * as MicroRuns from "./MicroRuns.ts";
import { markdown, type Row, summarize, type Summary, table } from "./Report.ts";
import * as Rounds from "./Rounds.ts";
import * as SimulationRun from "./SimulationRun.ts";
import * as StartTimes from "./StartTimes.ts";
import { ratios } from "./Statistics.ts";
import * as Subjects from "./Subjects.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string" },
    connections: { type: "string" },
    only: { type: "string", default: "http,start,micro,simulation" },
    seeds: { type: "string" },
    service: { type: "string" },
    output: { type: "string" },
    markdown: { type: "boolean", default: false },
    check: { type: "boolean", default: false },
  },
});

const { quick } = values;
const rounds = Number(values.rounds ?? (quick ? 1 : 5));
const seconds = Number(values.seconds ?? (quick ? 1 : 4));
const seeds = Number(values.seeds ?? (quick ? 1 : 100));
const parts = new Set(values.only.split(","));
const connections = (values.connections ?? (quick ? "32" : "32,256")).split(",").map(Number);

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
const service = values.service?.split(" ") ?? Subjects.fromSource();
const output = values.output ?? path("results/latest.json");

const tell = (line: string) => console.error(line);

const http = async (): Promise<ReadonlyArray<Row>> => {
  await installPrograms("wrk", "redis-server");
  const running = await Subjects.start({ service });
  try {
    const plan = { rounds, seconds, connections, warmUp: quick ? 0 : 6 };
    const results = await Rounds.run(running.subjects, plan, tell);
    return httpRows(results, connections);
  } finally {
    await running.stop();
  }
};

const start = async (): Promise<ReadonlyArray<Row>> => {
  const directory = await Deno.makeTempDir({ prefix: "amicis-bench-start-" });
  try {
    tell("compiling");
    const programs = await StartTimes.compile(directory);
    const { product, empty } = await StartTimes.measure(programs, quick ? 1 : 2 * rounds);
    const label = "start to ready, compiled ÷ an empty compiled program";
    return [{
      id: "start",
      label,
      unit: "ms",
      ours: product,
      peer: empty,
      ratio: ratios(product, empty),
    }];
  } catch (error) {
    // Without a `denort` nothing can be compiled here; the other figures stand all the same.
    tell(`Start times left out: ${error instanceof Error ? error.message : error}`);
    return [];
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
};

const machine = async () => {
  const node = await new Deno.Command(await nodePath(), { args: ["--version"] }).output();
  const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
  const processor = /^model name\s*: (.*)$/m.exec(cpuinfo)?.[1];
  return {
    processor: processor ?? Deno.build.arch,
    cores: navigator.hardwareConcurrency,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    node: new TextDecoder().decode(node.stdout).trim(),
  };
};

const write = async (
  summaries: ReadonlyArray<Summary>,
  simulation: SimulationRun.Summary | undefined,
): Promise<void> => {
  const report = {
    at: new Date().toISOString(),
    machine: await machine(),
    plan: { rounds, seconds, connections, quick },
    rows: summaries,
    ...(simulation === undefined ? {} : { simulation: { seeds, ...simulation } }),
  };
  await Deno.mkdir(output.slice(0, output.lastIndexOf("/") + 1) || ".", { recursive: true });
  await Deno.writeTextFile(output, `${JSON.stringify(report, null, 2)}\n`);
};

const isMeasuring = ["http", "start", "micro"].some((part) => parts.has(part));
const peers = isMeasuring ? await installPeers() : "";
const rows = [
  ...(parts.has("http") ? await http() : []),
  ...(parts.has("start") ? await start() : []),
  ...(parts.has("micro")
    ? await MicroRuns.run(
      { rounds: Math.max(rounds, quick ? 1 : 7), milliseconds: quick ? 20 : 100, peers },
      tell,
    )
    : []),
];
const summaries = rows.map((row) => summarize(row, !quick));
const simulation = parts.has("simulation") ? SimulationRun.run(seeds, tell) : undefined;
await write(summaries, simulation);
if (isMeasuring) console.log(table(summaries));
if (values.markdown) console.log(`\n${markdown(summaries)}`);
const isMany = rounds > 1;
if (simulation !== undefined) {
  const { table, reached, missed } = simulation;
  console.log(
    `\n${table}\n\nTargets over ${seeds} seed${
      seeds === 1 ? "" : "s"
    }: ${reached} reached, ${missed} missed`,
  );
}
console.log(
  `\n${isMany ? `Medians of ${rounds} interleaved rounds` : "One round"}; also in ${output}`,
);
const missed = summaries.filter(({ verdict }) => verdict === "missed");
const isMissed = missed.length > 0 || (simulation?.missed ?? 0) > 0;
Deno.exit(values.check && isMissed ? 1 : 0);

/**
 * `deno task fuzz [--cases=1000000] [--seed=1] [--only=NAME,…] [--from=0]`: inputs that nobody has
 * thought of, shared out among the targets by their weights. The same seed makes the same cases; a
 * finding says with which flags its case is made again. Ends with 1 at the first finding.
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import { parseArgs } from "node:util";
import { Finding, type Outcomes, type Target } from "./Target.ts";
import { targets } from "./targets.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    cases: { type: "string", default: "1000000" },
    seed: { type: "string", default: "1" },
    from: { type: "string", default: "0" },
    only: { type: "string" },
  },
});
const [cases, seed, from] = [values.cases, values.seed, values.from].map((text) => {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 0) throw new TypeError(`"${text}" is no number`);
  return number;
}) as [number, number, number];

const wanted = values.only?.split(",");
const chosen = targets.filter(({ name }) => wanted === undefined || wanted.includes(name));
if (chosen.length === 0) {
  console.error(`Targets: ${targets.map(({ name }) => name).join(", ")}`);
  Deno.exit(64);
}

/** How many cases were begun, and the number of the last one: what the watchdog looks at. */
const heartbeat = new Int32Array(new SharedArrayBuffer(8));
const watchdog = new Worker(new URL("watchdog.ts", import.meta.url), { type: "module" });
watchdog.postMessage(heartbeat.buffer);
const begin = (index: number) => {
  heartbeat[0] = (heartbeat[0] ?? 0) + 1;
  heartbeat[1] = index;
};

const unhandled = (event: PromiseRejectionEvent | ErrorEvent) => {
  console.error("Unhandled:", event instanceof ErrorEvent ? event.error : event.reason);
  Deno.exit(1);
};
globalThis.addEventListener("unhandledrejection", unhandled);
globalThis.addEventListener("error", unhandled);

async function fuzz({ name, open }: Target, cases: number): Promise<Outcomes> {
  console.log(`${name}: ${cases} cases`);
  const opened = await open();
  try {
    return await opened.run({ name, seed, from, cases, begin });
  } finally {
    await opened.close?.();
  }
}

const rows: Array<string> = [];
const weights = chosen.reduce((sum, { weight }) => sum + weight, 0);
let done = 0;
try {
  for (const target of chosen) {
    const startedAt = performance.now();
    const share = Math.ceil(cases * target.weight / weights);
    const outcomes = await fuzz(target, share);
    const seconds = (performance.now() - startedAt) / 1_000;
    const count = Array.from(outcomes.values()).reduce((sum, times) => sum + times, 0);
    done += count;
    const most = Array.from(outcomes).toSorted(([, one], [, other]) => other - one);
    const shown = most.slice(0, 8).map(([outcome, times]) => `${outcome} ${times}`).join(" · ");
    rows.push(`| ${target.name} | ${count} | ${seconds.toFixed(1)} | ${shown} |`);
  }
} catch (error) {
  if (!(error instanceof Finding)) throw error;
  console.error(`\nFOUND  ${error.message}\n`);
  const { target, seed, index } = error;
  console.error(`deno task fuzz --only="${target}" --seed=${seed} --from=${index} --cases=1`);
  Deno.exit(1);
}
console.log(
  ["", "| target | cases | s | outcomes |", "| --- | --- | --- | --- |", ...rows].join("\n"),
);
console.log(`\n${done} cases, seed ${seed}, nothing found`);
Deno.exit(0);

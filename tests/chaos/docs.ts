/**
 * Puts the figures of runs into the docs: `deno run -RW tests/chaos/docs.ts [DIRECTORY]`.
 *
 * Reads `chaos.json`, its pictures and `soak.json` from the directory [dist/chaos], fills the tables
 * of `docs/reliability/chaos.md` between their marks and copies the pictures to `docs/images`.
 */
import type { Result } from "./Result.ts";
import type { Report } from "./Run.ts";
import type { SoakReport } from "./Soak.ts";

const directory = Deno.args[0] ?? "dist/chaos";
const docs = new URL("../../docs/", import.meta.url);
const page = new URL("reliability/chaos.md", docs);

const read = async <A>(name: string): Promise<A> =>
  JSON.parse(await Deno.readTextFile(`${directory}/${name}`));

const ms = (value: number) => Math.round(value).toLocaleString("en");

/** Breakers that opened, by the names that operators know. */
const openedOf = ({ paths }: Result): string =>
  Object.keys(paths).map((name) => name.replace("token-exchange-ikea", "token-exchange")).toSorted()
    .join(", ") || "–";

/** Statuses of the services' answers while the fault lasted, the most frequent first. */
const statusesOf = ({ answers }: Result): string => {
  const totals = new Map<string, number>();
  for (const [label, count] of Object.values(answers).flatMap((one) => Object.entries(one))) {
    totals.set(label, (totals.get(label) ?? 0) + count);
  }
  return Array.from(totals).toSorted(([, one], [, another]) => another - one)
    .map(([label, count]) => `${label} ${count}`).join(", ");
};

const chaosTable = (results: ReadonlyArray<Result>): string =>
  [
    "| fault | answers while it lasted | p50 ms | longest ms | opened | well after ms |",
    "| --- | --- | ---: | ---: | --- | ---: |",
    ...results.map((result) =>
      `| ${result.name} | ${statusesOf(result)} | ${ms(result.p50)} | ${ms(result.longest)} | ${
        openedOf(result)
      } | ${result.recoveryMs === undefined ? "never" : ms(result.recoveryMs)} |`
    ),
  ].join("\n");

const soakTable = ({ slopes, looks, violations, ...soak }: SoakReport): string => {
  const row = (measure: "memory" | "handles" | "sockets", unit: string) => {
    const values = looks.slice(Math.floor(looks.length / 4)).map((look) => look[measure]);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return `| ${measure}${unit} | ${least.toFixed(0)} to ${most.toFixed(0)} | ${
      slopes[measure].toFixed(1)
    } |`;
  };
  return [
    `${Math.round(soak.seconds / 60)} minutes, ${soak.requests.toLocaleString("en")} requests, ` +
    `${soak.faults} faults: ${soak.counters - soak.differences.length} of ${soak.counters} ` +
    "counters said what the load had sent. Broken promises: " +
    `${violations.length === 0 ? "none" : violations.join("; ")}.`,
    "",
    "| after warming up | from, to | slope an hour |",
    "| --- | ---: | ---: |",
    row("memory", " (anonymous, MiB)"),
    row("handles", ""),
    row("sockets", ""),
  ].join("\n");
};

const fill = (text: string, mark: string, content: string): string =>
  text.replace(
    new RegExp(`(<!-- ${mark} -->\n)[^]*?(\n<!-- /${mark} -->)`),
    (_, begin: string, end: string) => `${begin}${content}${end}`,
  );

const { results, durationMs } = await read<Report>("chaos.json");
const requests = results.reduce((sum, result) => sum + result.requests, 0);
const headline = `${results.length} faults, ${requests.toLocaleString("en")} requests, ` +
  `${Math.round(durationMs / 60_000)} minutes: ${
    results.filter(({ violations }) => violations.length > 0).length
  } broken promises.`;
const before = await Deno.readTextFile(page);
const withChaos = fill(before, "chaos", `${headline}\n\n${chaosTable(results)}`);
await Deno.writeTextFile(page, fill(withChaos, "soak", soakTable(await read("soak.json"))));
for (const name of ["chaos.svg", "chaos-combinations.svg"]) {
  await Deno.copyFile(`${directory}/${name}`, new URL(`images/${name}`, docs));
}

/**
 * Puts the figures of runs into the docs: `deno run -RW tests/chaos/docs.ts [DIRECTORY]`.
 *
 * Reads `chaos.json` with its pictures and `soak.json`, as far as they are there, from the directory
 * [dist/chaos], fills the tables of `docs/reliability/chaos.md` between their marks and copies the pictures to `docs/images`.
 */
import { type HeldMeasure, heldMeasures } from "./Held.ts";
import type { Look } from "./Resources.ts";
import type { Result } from "./Result.ts";
import type { Report } from "./Run.ts";
import type { SoakReport } from "./Soak.ts";

const directory = Deno.args[0] ?? "dist/chaos";
const docs = new URL("../../docs/", import.meta.url);
const page = new URL("reliability/chaos.md", docs);

/** The file, or undefined where that run was not made. */
const read = async <A>(name: string): Promise<A | undefined> => {
  try {
    return JSON.parse(await Deno.readTextFile(`${directory}/${name}`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
};

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

const held: Readonly<Record<HeldMeasure, string>> = {
  heap: "heap, MiB",
  external: "outside of it (buffers), MiB",
  memory: "the process, MiB",
};

const soakTable = (
  { held: collections, trends, looks, violations, ...soak }: SoakReport,
): string => {
  const heldRow = (measure: HeldMeasure) => {
    const values = collections.map((one) => one[measure].toFixed(1));
    const { perHour, margin } = trends[measure];
    return `| ${held[measure]} | ${values[0]} | ${values.at(-1)} | ` +
      `${perHour.toFixed(1)} ± ${margin.toFixed(1)} |`;
  };
  const range = (measure: Exclude<keyof Look, "seconds">) => {
    const values = looks.map((look) => look[measure]);
    return `${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)}`;
  };
  return [
    `${Math.round(soak.seconds / 60)} minutes, ${soak.requests.toLocaleString("en")} requests, ` +
    `${soak.faults} faults: ${soak.counters - soak.differences.length} of ${soak.counters} ` +
    "counters said what the load had sent. Broken promises: " +
    `${violations.length === 0 ? "none" : violations.join("; ")}.`,
    "",
    "| held after a collection | after warming up | at the end | an hour (95 %) |",
    "| --- | ---: | ---: | ---: |",
    ...heldMeasures.map(heldRow),
    "",
    `Seen from outside, garbage and all: ${range("memory")} MiB, ${range("handles")} handles, ` +
    `${range("sockets")} sockets among them.`,
  ].join("\n");
};

const fill = (text: string, mark: string, content: string): string =>
  text.replace(
    new RegExp(`(<!-- ${mark} -->\n)[^]*?(\n<!-- /${mark} -->)`),
    (_, begin: string, end: string) => `${begin}${content}${end}`,
  );

const fillPage = async (mark: string, content: string): Promise<void> =>
  await Deno.writeTextFile(page, fill(await Deno.readTextFile(page), mark, content));

const fillChaos = async ({ results, durationMs }: Report): Promise<void> => {
  const requests = results.reduce((sum, result) => sum + result.requests, 0);
  const headline = `${results.length} faults, ${requests.toLocaleString("en")} requests, ` +
    `${Math.round(durationMs / 60_000)} minutes: ${
      results.filter(({ violations }) => violations.length > 0).length
    } broken promises.`;
  await fillPage("chaos", `${headline}\n\n${chaosTable(results)}`);
  for (const name of ["chaos.svg", "chaos-combinations.svg"]) {
    await Deno.copyFile(`${directory}/${name}`, new URL(`images/${name}`, docs));
  }
};

const chaos = await read<Report>("chaos.json");
if (chaos !== undefined) await fillChaos(chaos);
const soak = await read<SoakReport>("soak.json");
if (soak !== undefined) await fillPage("soak", soakTable(soak));

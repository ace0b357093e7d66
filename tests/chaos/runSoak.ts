/**
 * The soak: `deno task soak [--minutes=30] [--seed=N] [--out=DIRECTORY]`.
 *
 * Half an hour of load with faults at random; exits with 1 when anything grew, was miscounted or
 * answered wrongly. `--out`: where `soak.json` and its picture go [dist/chaos].
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import { faults } from "./Faults.ts";
import { collecting } from "./Held.ts";
import { soak, soakSummary } from "./Soak.ts";
import { line } from "./Table.ts";
import { TestBed } from "./TestBed.ts";

const option = (name: string): string | undefined =>
  Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);

/** Everything that needs no more of a machine than a few processes. */
const chosen = faults.filter(({ needs = [], launch }) =>
  needs.length === 0 && launch === undefined
);

const main = async (): Promise<number> => {
  await using bed = await TestBed.start({ program: collecting });
  const report = await soak(bed, {
    faults: chosen,
    abilities: new Set(),
    seconds: Number(option("minutes") ?? 30) * 60,
    seed: Number(option("seed") ?? 1),
    onResult: (result) => console.log(line(result)),
  });
  console.log(soakSummary(report));
  const directory = option("out") ?? "dist/chaos";
  await Deno.mkdir(directory, { recursive: true });
  const { report: { results, changes }, ...figures } = report;
  await Deno.writeTextFile(
    `${directory}/soak.json`,
    `${JSON.stringify({ ...figures, results, changes }, null, 2)}\n`,
  );
  return report.violations.length > 0 ? 1 : 0;
};

Deno.exit(await main());

/**
 * The whole chaos suite: `deno task chaos [--only=TEXT] [--list] [--out=DIRECTORY]`.
 *
 * `--only`: just the faults whose family or name holds the text (a regular expression). `--out`: where
 * `chaos.json` and the pictures go [dist/chaos]. Exits with 1 when a promise was broken.
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import { compileBinary } from "../support/Binary.ts";
import { prepare } from "./Abilities.ts";
import { installChaosTools } from "./ChaosTools.ts";
import { faults } from "./Faults.ts";
import { runFaults } from "./Run.ts";
import { line, summary } from "./Table.ts";
import { TestBed } from "./TestBed.ts";

const option = (name: string): string | undefined =>
  Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);

const only = new RegExp(option("only") ?? "", "i");
const chosen = faults.filter(({ family, name }) => only.test(`${family}: ${name}`));

if (Deno.args.includes("--list")) {
  for (const { family, name, needs = [] } of chosen) {
    console.log(`${family}: ${name}${needs.length === 0 ? "" : ` (needs ${needs.join(", ")})`}`);
  }
  Deno.exit(0);
}

const main = async (): Promise<number> => {
  await installChaosTools();
  const binary = await compileBinary();
  if (binary === undefined) {
    console.error("Cannot compile the services: denort cannot be had here");
    return 1;
  }
  const grounds = await prepare();
  try {
    await using bed = await TestBed.start({ binary, ...grounds.options });
    const report = await runFaults(bed, {
      faults: chosen,
      abilities: grounds.abilities,
      onResult: (result) => console.log(line(result)),
    });
    console.log(summary(report));
    const directory = option("out") ?? "dist/chaos";
    await Deno.mkdir(directory, { recursive: true });
    const { samples: _, ...rest } = report;
    await Deno.writeTextFile(`${directory}/chaos.json`, `${JSON.stringify(rest, null, 2)}\n`);
    return report.results.some(({ violations }) => violations.length > 0) ? 1 : 0;
  } finally {
    await grounds.close();
  }
};

Deno.exit(await main());

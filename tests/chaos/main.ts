/**
 * The chaos suite: `deno task chaos [--short] [--only=TEXT] [--list] [--out=DIRECTORY]`.
 *
 * `--short`: the few faults that every change is held against, in about a minute, with nothing
 * installed and nothing written. `--only`: just the faults whose family or name holds the text (a
 * regular expression). `--out`: where `chaos.json` and the pictures go [dist/chaos]. Exits with 1 when
 * a promise was broken.
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import { compileBinary } from "../support/Binary.ts";
import { type Grounds, prepare } from "./Abilities.ts";
import { installChaosTools } from "./ChaosTools.ts";
import { faults, shortForm } from "./Faults.ts";
import { write } from "./Files.ts";
import { runFaults } from "./Run.ts";
import { line, summary } from "./Table.ts";
import { TestBed } from "./TestBed.ts";

const option = (name: string): string | undefined =>
  Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3);

const isShort = Deno.args.includes("--short");
const only = new RegExp(option("only") ?? "", "i");
const chosen = (isShort ? shortForm : faults)
  .filter(({ family, name }) => only.test(`${family}: ${name}`));

/** What needs nothing of the machine. */
const bare: Grounds = { abilities: new Set(), options: {}, close: () => Promise.resolve() };

const list = (): number => {
  for (const { family, name, needs = [] } of chosen) {
    console.log(`${family}: ${name}${needs.length === 0 ? "" : ` (needs ${needs.join(", ")})`}`);
  }
  return 0;
};

const main = async (): Promise<number> => {
  if (Deno.args.includes("--list")) return list();
  if (!isShort) await installChaosTools();
  const binary = await compileBinary();
  if (binary === undefined) {
    console.error("Cannot compile the services: denort cannot be had here");
    return 1;
  }
  const grounds = isShort ? bare : await prepare();
  // What was taken of the machine is given back also when the run is broken off.
  const breakOff = () => void grounds.close().finally(() => Deno.exit(130));
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, breakOff);
  try {
    await using bed = await TestBed.start({ program: [binary], ...grounds.options });
    const report = await runFaults(bed, {
      faults: chosen,
      abilities: grounds.abilities,
      onResult: (result) => console.log(line(result)),
    });
    console.log(summary(report));
    if (!isShort) await write(report, option("out") ?? "dist/chaos");
    return report.results.some(({ violations }) => violations.length > 0) ? 1 : 0;
  } finally {
    await grounds.close();
  }
};

Deno.exit(await main());

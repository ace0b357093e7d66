/** What the last runs found, kept in `results.json`, and the page that shows it. */
import { Encoding, Schema } from "effect";
import { reasonFor } from "./Reasons.ts";

/** A change that no test noticed. Line numbers would move with every edit; the text does not. */
export const Survivor = Schema.Struct({
  mutator: Schema.String,
  /** The line of the source in which the change begins. */
  line: Schema.String,
  original: Schema.String,
  replacement: Schema.String,
});
export type Survivor = typeof Survivor.Type;

/** The outcome for one file. */
export const Result = Schema.Struct({
  /** Of the file that was changed; see {@link digestOf}. */
  source: Schema.String,
  mutants: Schema.Int,
  /** Mutants with which a test failed. */
  killed: Schema.Int,
  /** Mutants with which the tests did not end. */
  timeout: Schema.Int,
  survivors: Schema.Array(Survivor),
});
export type Result = typeof Result.Type;
type Counts = Omit<Result, "source">;

/** Results by the file's name, without folder and extension. */
const Results = Schema.parseJson(Schema.Record({ key: Schema.String, value: Result }));
export type Results = Readonly<Record<string, Result>>;

const file = new URL("results.json", import.meta.url);
const page = new URL("../../docs/reliability/mutation.md", import.meta.url);

/** The least share of mutants that must be noticed, in each file and in all. */
export const LEAST_SHARE = 0.9;

export const readResults = async (): Promise<Results> =>
  Schema.decodeUnknownSync(Results)(await Deno.readTextFile(file));

/** Replaces the results of these files and keeps all others. */
export async function keepResults(fresh: Results): Promise<Results> {
  const all = { ...await readResults(), ...fresh };
  const sorted = Object.fromEntries(
    Object.entries(all).toSorted(([one], [other]) => one < other ? -1 : 1),
  );
  await Deno.writeTextFile(file, `${JSON.stringify(sorted, null, 2)}\n`);
  return sorted;
}

/** Tells one version of a file's code from another: the beginning of a SHA-256, comments left out. */
export async function digestOf(file: URL): Promise<string> {
  const lines = (await Deno.readTextFile(file)).split("\n");
  const code = lines.filter((line) => !/^\s*(\/\*|\*|\/\/)/.test(line)).join("\n");
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(code));
  return Encoding.encodeHex(new Uint8Array(hash)).slice(0, 16);
}

/** Noticed mutants as a share of all; 1 for a file with nothing to mutate. */
export const shareOf = ({ mutants, killed, timeout }: Counts): number =>
  mutants === 0 ? 1 : (killed + timeout) / mutants;

/** All files as one. */
export const totalOf = (results: Results): Counts =>
  Object.values<Counts>(results).reduce((total, { mutants, killed, timeout, survivors }) => ({
    mutants: total.mutants + mutants,
    killed: total.killed + killed,
    timeout: total.timeout + timeout,
    survivors: [...total.survivors, ...survivors],
  }), { mutants: 0, killed: 0, timeout: 0, survivors: [] });

/** What is wrong with these results: too many survivors, or one that nobody has explained. */
export function problemsOf(results: Results): ReadonlyArray<string> {
  return Object.entries(results).flatMap(([name, result]) => [
    ...(shareOf(result) < LEAST_SHARE
      ? [`${name}: only ${percent(result)} of its mutants are noticed`]
      : []),
    ...result.survivors
      .filter((survivor) => reasonFor(name, survivor) === undefined)
      .map(({ line, original, replacement }) =>
        `${name}: no reason for ${original} → ${replacement} in "${line}"`
      ),
  ]);
}

const percent = (result: Counts): string => `${(shareOf(result) * 100).toFixed(1)} %`;

const row = (name: string, result: Counts): string => {
  const { mutants, killed, timeout, survivors } = result;
  return `| ${name} | ${mutants} | ${killed} | ${timeout} | ${survivors.length} | ${
    percent(result)
  } |`;
};

/** A cell of code: a bar would end the cell, a back-quote the code. */
const code = (text: string): string =>
  `\`${(text === "" ? "(nothing)" : text).replaceAll("|", "\\|").replaceAll("`", "'")}\``;

/** The tables of the page; `names` are all files that there are. */
export function tables(results: Results, names: ReadonlyArray<string>): string {
  const missing = names.filter((name) => results[name] === undefined);
  const withMutants = Object.entries(results).filter(([, { mutants }]) => mutants > 0);
  const survivors = withMutants.flatMap(([name, result]) =>
    result.survivors.map((survivor) => {
      const { line, original, replacement } = survivor;
      const reason = reasonFor(name, survivor) ?? "**not explained**";
      return `| ${name} | ${code(line)} | ${code(original)} → ${code(replacement)} | ${reason} |`;
    })
  );
  return [
    "| file | mutants | a test failed | tests did not end | survived | noticed |",
    "| --- | --- | --- | --- | --- | --- |",
    ...withMutants.map(([name, result]) => row(name, result)),
    row("**all**", totalOf(results)),
    "",
    ...(missing.length === 0 ? [] : [`Not run yet: ${missing.join(", ")}.`, ""]),
    "| file | line | change | why no test can, or need, notice it |",
    "| --- | --- | --- | --- |",
    ...survivors,
  ].join("\n");
}

const MARKED = /(<!-- mutation -->\n)[^]*(\n<!-- \/mutation -->)/;

/** The page with its tables replaced. */
export const pageWith = (text: string, results: Results, names: ReadonlyArray<string>): string =>
  text.replace(MARKED, (_, start, end) => `${start}${tables(results, names)}${end}`);

/** Brings the page up to date. */
export async function writePage(results: Results, names: ReadonlyArray<string>): Promise<void> {
  await Deno.writeTextFile(page, pageWith(await Deno.readTextFile(page), results, names));
}

export const readPage = (): Promise<string> => Deno.readTextFile(page);

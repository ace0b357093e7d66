/** The README's settings table, generated from `Config.ts`; run as a program it writes it there. */
import { table } from "../../src/Config.ts";

const cell = (text: string) => text.replaceAll("|", "\\|");

/** The table in Markdown, without a trailing newline. */
export const settingsTable = (): string =>
  [
    "| variable | default | what it sets |",
    "| --- | --- | --- |",
    ...table.map((row) =>
      `| \`${row.name}\` | ${row.default === "" ? "" : cell(row.default)} | ${
        cell(row.description)
      } |`
    ),
  ].join("\n");

if (import.meta.main) {
  const readme = new URL("../../README.md", import.meta.url);
  const text = await Deno.readTextFile(readme);
  const between = /(<!-- settings -->\n)[\s\S]*?(<!-- \/settings -->)/;
  await Deno.writeTextFile(readme, text.replace(between, `$1${settingsTable()}\n$2`));
}

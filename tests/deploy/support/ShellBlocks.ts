/** The commands of the docs: shell blocks, and inline code that begins with a command's name. */

/** One block of a page. */
export interface ShellBlock {
  /** Path in the repository. */
  readonly page: string;
  /** Of its first line, from 1. */
  readonly line: number;
  readonly text: string;
}

const fence = /^```(?:sh|bash|shell|console)\n([^]*?)^```$/gm;

/** Every shell block of a page, in order. */
export const shellBlocks = (page: string, text: string): ReadonlyArray<ShellBlock> =>
  Array.from(text.matchAll(fence), (match) => ({
    page,
    line: text.slice(0, match.index).split("\n").length + 1,
    text: match[1] ?? "",
  }));

const inline = /`((?:curl|amicis|kubectl|docker|deno task|deno run) [^`\n]+)`/g;

/** Commands within sentences and tables; a bar in a table is escaped. */
export const inlineCommands = (page: string, text: string): ReadonlyArray<ShellBlock> => {
  // Blocks are blanked, so that lines keep their numbers.
  const prose = text.replace(/^```[^]*?^```$/gm, (block) => block.replaceAll(/[^\n]/g, " "));
  return Array.from(prose.matchAll(inline), (match) => ({
    page,
    line: prose.slice(0, match.index).split("\n").length,
    text: `${(match[1] ?? "").replaceAll("\\|", "|")}\n`,
  }));
};

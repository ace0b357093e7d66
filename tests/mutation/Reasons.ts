/** Why mutants survive that do: every one must fit an entry here. */
import type { Survivor } from "./Results.ts";

interface Reason {
  /** The file it is in; in any file when left out. */
  readonly file?: string;
  /** Text that the line holds. */
  readonly line?: string;
  readonly mutator?: string;
  readonly replacement?: string;
  readonly why: string;
}

const reasons: ReadonlyArray<Reason> = [
  {
    file: "Retry",
    line: 'if (cause._tag === "Fail")',
    why: "A shorter way to the same answer for the commonest cause, a single failure",
  },
];

/** The first reason that fits, or undefined: then a test is missing. */
export const reasonFor = (file: string, survivor: Survivor): string | undefined =>
  reasons.find((reason) =>
    (reason.file === undefined || reason.file === file) &&
    (reason.line === undefined || survivor.line.includes(reason.line)) &&
    (reason.mutator === undefined || reason.mutator === survivor.mutator) &&
    (reason.replacement === undefined || reason.replacement === survivor.replacement)
  )?.why;

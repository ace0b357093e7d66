/** Results as lines for people. */
import { noAnswer } from "./Answers.ts";
import type { Result } from "./Result.ts";
import type { Report } from "./Run.ts";

const pad = (text: string, width: number) => text.padEnd(width);
const ms = (value: number) => `${Math.round(value)} ms`;

/** Answers of all kinds together, the most frequent first. */
const answersOf = ({ answers }: Result): string => {
  const totals = new Map<string, number>();
  for (const ofKind of Object.values(answers)) {
    for (const [label, count] of Object.entries(ofKind)) {
      const status = label === noAnswer ? label : label.slice(0, 3);
      totals.set(status, (totals.get(status) ?? 0) + count);
    }
  }
  return Array.from(totals).toSorted(([, one], [, another]) => another - one)
    .map(([label, count]) => `${label}×${count}`).join(" ");
};

/** The breakers that opened, and how often. */
const openedOf = ({ paths }: Result): string =>
  Object.entries(paths).map(([name, path = []]) => {
    const times = path.filter((state) => state === "open").length;
    return times === 1 ? name : `${name} (${times}×)`;
  }).join(", ") || "none";

/** One result in one line, its violations below. */
export const line = (result: Result): string =>
  [
    [
      result.violations.length === 0 ? "ok    " : "BROKEN",
      pad(result.name, 62),
      pad(`p50 ${ms(result.p50)}`, 12),
      pad(`p99 ${ms(result.p99)}`, 13),
      pad(`longest ${ms(result.longest)}`, 16),
      pad(`well after ${result.recoveryMs === undefined ? "never" : ms(result.recoveryMs)}`, 21),
      pad(answersOf(result), 34),
      `opened: ${openedOf(result)}`,
    ].join(" "),
    ...(result.repeats === 0
      ? []
      : [`         tried ${result.repeats + 1} times: the machine stood still meanwhile`]),
    ...result.violations.map((violation) => `         ${violation}`),
  ].join("\n");

/** What remains to be said at the end. */
export const summary = ({ results, skipped, samples, durationMs }: Report): string => {
  const broken = results.filter(({ violations }) => violations.length > 0).length;
  const slowest =
    results.toSorted((one, another) =>
      (another.recoveryMs ?? Infinity) - (one.recoveryMs ?? Infinity)
    )[0];
  return [
    ...skipped.map(({ name, needs }) => `skipped ${name}: needs ${needs.join(", ")}`),
    `${results.length} faults, ${samples.length} requests, ${Math.round(durationMs / 1_000)} s: ` +
    `${broken} broken, ${skipped.length} skipped`,
    ...(slowest === undefined ? [] : [
      `slowest recovery: ${slowest.name}, ` +
      (slowest.recoveryMs === undefined ? "never" : ms(slowest.recoveryMs)),
    ]),
  ].join("\n");
};

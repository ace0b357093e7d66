/**
 * Counts the cases of a `deno test --parallel` run from its log: `TestCount.ts <log>` prints
 * `<passed> <failed> <skipped>`.
 *
 * A case is a test or step that has no steps of its own: suites are not counted, so that moving
 * tests into a `describe` changes no number. A suite that fails by itself (a leak, a hook) counts as
 * one failed case, and so does a failure outside of all tests. A suite that is skipped as a whole
 * counts as one skipped case: Deno does not look into it. The totals of lines are compared with
 * Deno's own summary; if they differ, the summary (which counts suites too) is what is given.
 */

/** Numbers of cases. */
export interface TestCount {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface Result {
  /** File, suites and name, joined as Deno prints them. */
  readonly path: string;
  readonly status: string;
  /** It failed because of its steps alone. */
  readonly bySteps: boolean;
}

const SEPARATOR = " ... ";
const RESULT = /^(\S+ => .+) \.\.\. (ok|FAILED|ignored)(?: \(.*)?$/;
const SUMMARY =
  /^(?:ok|FAILED) \| (\d+) passed(?: \((\d+) steps?\))? \| (\d+) failed(?: \((\d+) steps?\))?(?: \| (\d+) ignored(?: \((\d+) steps?\))?)?/;

/** Counts the cases of a log; undefined when the log holds no summary: the run broke off. */
export function countTests(log: string): TestCount | undefined {
  // deno-lint-ignore no-control-regex -- colours are control characters
  const lines = log.replace(/\x1b\[[0-9;]*m/g, "").split("\n");
  const summary = lines.map((line) => SUMMARY.exec(line)).findLast((match) => match !== null);
  if (summary === undefined || summary === null) return undefined;
  const [passed = 0, failed = 0, skipped = 0] = [1, 3, 5].map((at) =>
    Number(summary[at] ?? 0) + Number(summary[at + 1] ?? 0)
  );
  const results = lines.flatMap((line) => resultOf(line) ?? []);
  const ofStatus = (status: string) => results.filter((one) => one.status === status).length;
  const agree = ofStatus("ok") === passed && ofStatus("ignored") === skipped;
  if (!agree) return { passed, failed, skipped };
  const suites = new Set(results.flatMap(({ path }) => ancestorsOf(path)));
  const isCase = ({ path }: Result) => !suites.has(path);
  const failures =
    results.filter((one) => one.status === "FAILED" && (isCase(one) || !one.bySteps)).length;
  // A failure outside of all tests is in the summary only.
  const outside = Math.max(0, failed - ofStatus("FAILED"));
  return {
    passed: results.filter((one) => one.status === "ok" && isCase(one)).length,
    failed: failures + outside,
    skipped: results.filter((one) => one.status === "ignored" && isCase(one)).length,
  };
}

function resultOf(line: string): Result | undefined {
  const match = RESULT.exec(line);
  if (match === null) return undefined;
  return { path: match[1] ?? "", status: match[2] ?? "", bySteps: line.includes("(due to ") };
}

function ancestorsOf(path: string): ReadonlyArray<string> {
  const parts = path.split(SEPARATOR);
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join(SEPARATOR));
}

if (import.meta.main) {
  const count = countTests(await Deno.readTextFile(Deno.args[0] ?? ""));
  if (count === undefined) Deno.exit(1);
  // deno-lint-ignore no-console -- the output of a command line tool
  console.log(count.passed, count.failed, count.skipped);
}

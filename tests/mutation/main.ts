/**
 * Mutation testing of `src/resilience`: `deno task mutate` changes every condition, number and
 * statement of it, one at a time, and says which changes no test notices. It takes the files that have
 * changed since their last result; `deno task mutate Retry Guard` takes these two, `--all` takes all,
 * seconds to ten minutes each, so no test runs this. `--survivors` runs again what has survived
 * in files that are still the same, after their tests have become better. Results and the page in the
 * docs are brought up to date after each file; it ends with 1 when fewer than 90 % of a file's mutants
 * are noticed or a survivor has no reason in `Reasons.ts`.
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import {
  digestOf,
  keepResults,
  problemsOf,
  readResults,
  type Result,
  writePage,
} from "./Results.ts";
import { mutate, retest } from "./Stryker.ts";
import { allSubjects, type Subject } from "./Subjects.ts";

const root = new URL("../../", import.meta.url);
const subjects = await allSubjects(root);
const names = Deno.args.filter((arg) => !arg.startsWith("--"));
const isAll = Deno.args.includes("--all");
const isAgain = Deno.args.includes("--survivors");
const unknown = names.filter((name) => !subjects.some((subject) => subject.name === name));
if (unknown.length > 0) {
  console.error(`No such file in src/resilience: ${unknown.join(", ")}`);
  Deno.exit(64);
}

const known = await readResults();

/** The result of a file that it is to have now; `undefined` when there is nothing to find out. */
async function resultOf(subject: Subject): Promise<Result | undefined> {
  const { name, path } = subject;
  if (names.length > 0 && !names.includes(name)) return undefined;
  const last = known[name];
  const isSame = last?.source === await digestOf(new URL(path, root));
  if (!isAgain) {
    return names.length > 0 || isAll || !isSame ? await mutate(subject, root) : undefined;
  }
  return isSame && last.survivors.length > 0 ? await retest(subject, last, root) : undefined;
}

const problems: Array<string> = [];
for (const subject of subjects) {
  const result = await resultOf(subject);
  if (result === undefined) continue;
  await writePage(
    await keepResults({ [subject.name]: result }),
    subjects.map(({ name }) => name),
  );
  problems.push(...problemsOf({ [subject.name]: result }));
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) Deno.exit(1);

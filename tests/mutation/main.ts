/**
 * Mutation testing of `src/resilience`: `deno task mutate` changes every condition, number and
 * statement of it, one at a time, and says which changes no test notices. It takes the files that have
 * changed since their last result; `deno task mutate Retry Guard` takes these two, `--all` takes all,
 * which is about an hour of one core, so no test runs this. Results and the page in the docs are
 * brought up to date after each file; it ends with 1 when fewer than 90 % of a file's mutants are
 * noticed or a survivor has no reason in `Reasons.ts`.
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import { digestOf, keepResults, problemsOf, readResults, writePage } from "./Results.ts";
import { mutate } from "./Stryker.ts";
import { allSubjects, type Subject } from "./Subjects.ts";

const root = new URL("../../", import.meta.url);
const subjects = await allSubjects(root);
const names = Deno.args.filter((arg) => arg !== "--all");
const unknown = names.filter((name) => !subjects.some((subject) => subject.name === name));
if (unknown.length > 0) {
  console.error(`No such file in src/resilience: ${unknown.join(", ")}`);
  Deno.exit(64);
}

const known = await readResults();
const isChosen = async ({ name, path }: Subject): Promise<boolean> => {
  if (Deno.args.length > 0) return Deno.args.includes("--all") || names.includes(name);
  return known[name]?.source !== await digestOf(new URL(path, root));
};

const problems: Array<string> = [];
for (const subject of subjects) {
  if (!await isChosen(subject)) continue;
  console.log(`Mutating ${subject.path}`);
  const result = await mutate(subject, root);
  await writePage(await keepResults({ [subject.name]: result }));
  problems.push(...problemsOf({ [subject.name]: result }));
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) Deno.exit(1);

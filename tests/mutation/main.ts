/**
 * Mutation testing of `src/resilience`: `deno task mutate` changes every condition, number and
 * statement of it, one at a time, and says which changes no test notices. `deno task mutate Retry
 * Guard` takes these files alone. Results and the page in the docs are brought up to date after each
 * file; it ends with 1 when fewer than 90 % are noticed or a survivor has no reason in `Reasons.ts`.
 *
 * All files take about an hour of one core, so no test runs this.
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import { keepResults, problemsOf, writePage } from "./Results.ts";
import { mutate } from "./Stryker.ts";
import { allSubjects } from "./Subjects.ts";

const root = new URL("../../", import.meta.url);
const subjects = await allSubjects(root);
const unknown = Deno.args.filter((name) => !subjects.some((subject) => subject.name === name));
if (unknown.length > 0) {
  console.error(`No such file in src/resilience: ${unknown.join(", ")}`);
  Deno.exit(64);
}

const chosen = subjects.filter(({ name }) => Deno.args.length === 0 || Deno.args.includes(name));
const problems: Array<string> = [];
for (const subject of chosen) {
  const result = await mutate(subject, root);
  await writePage(await keepResults({ [subject.name]: result }));
  problems.push(...problemsOf({ [subject.name]: result }));
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) Deno.exit(1);

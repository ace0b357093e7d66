/** One run of Stryker over one file: every mutant against the tests of that file. */
import { Schema } from "effect";
import { digestOf, type Result, type Survivor } from "./Results.ts";
import type { Subject } from "./Subjects.ts";

/** A package that Deno runs from its cache; no part of the project's own packages. */
const STRYKER = "npm:@stryker-mutator/core@10.1.1/stryker";

const Position = Schema.Struct({ line: Schema.Number, column: Schema.Number });

const Mutant = Schema.Struct({
  mutatorName: Schema.String,
  replacement: Schema.String,
  status: Schema.String,
  location: Schema.Struct({ start: Position, end: Position }),
});

/** What is used of a mutation testing report (schema 1.0). */
const Report = Schema.parseJson(Schema.Struct({
  files: Schema.Record({
    key: Schema.String,
    value: Schema.Struct({ source: Schema.String, mutants: Schema.Array(Mutant) }),
  }),
}));

type Mutant = typeof Mutant.Type;

type FileReport = (typeof Report.Type)["files"][string];

/** Runs all mutants of the subject, one after the other; what Stryker says goes to the terminal. */
export async function mutate(subject: Subject, root: URL): Promise<Result> {
  const source = await digestOf(new URL(subject.path, root));
  const file = await report(subject, [subject.path], root);
  const count = (...statuses: ReadonlyArray<string>) =>
    file.mutants.filter(({ status }) => statuses.includes(status)).length;
  const survivors = file.mutants
    .filter(({ status }) => status === "Survived")
    .map((mutant) => survivorOf(mutant, file.source));
  const [killed, timeout] = [count("Killed"), count("Timeout")];
  return { source, mutants: killed + timeout + survivors.length, killed, timeout, survivors };
}

/**
 * Runs again what has survived in a file that is still the same, because its tests are others now.
 * Of mutants that begin in one line and end in another the last result stands.
 */
export async function retest(subject: Subject, last: Result, root: URL): Promise<Result> {
  const text = await Deno.readTextFile(new URL(subject.path, root));
  const ranges = text.split("\n").flatMap((line, index) =>
    last.survivors.some((survivor) => survivor.line === line.trim())
      ? [`${subject.path}:${index + 1}-${index + 1}`]
      : []
  );
  const file = await report(subject, ranges, root);
  const statusOf = (survivor: Survivor): string | undefined => {
    const same = file.mutants.filter((mutant) =>
      JSON.stringify(survivorOf(mutant, file.source)) === JSON.stringify(survivor)
    );
    return same.find(({ status }) => status === "Survived")?.status ?? same[0]?.status;
  };
  const statuses = last.survivors.map(statusOf);
  const count = (status: string) => statuses.filter((other) => other === status).length;
  return {
    ...last,
    killed: last.killed + count("Killed"),
    timeout: last.timeout + count("Timeout"),
    survivors: last.survivors.filter((_, index) =>
      statuses[index] !== "Killed" && statuses[index] !== "Timeout"
    ),
  };
}

/** Runs the mutants of some lines of a file. */
async function report(
  { name, path, tests }: Subject,
  mutated: ReadonlyArray<string>,
  root: URL,
): Promise<FileReport> {
  const directory = await Deno.makeTempDir({ prefix: `amicis-mutation-${name}-` });
  const entry = "mutation.test.ts";
  const imports = tests.map((test) => `'import "./${test}";'`);
  try {
    const configuration = {
      // Without a list it looks for plugins in a directory that Deno does not have.
      plugins: [],
      testRunner: "command",
      commandRunner: {
        // One module: test files by themselves would load Effect once each.
        command: `printf '%s\\n' ${imports.join(" ")} > ${entry} && ` +
          "TEST_FAIL_FAST=true TEST_QUICK_CLOCK=true " +
          `"${Deno.execPath()}" test --no-check --quiet --fail-fast -A ${entry}`,
      },
      mutate: mutated,
      concurrency: 1,
      // A test that waits for what a mutant keeps from happening; generous, for busy machines.
      timeoutMS: 5_000,
      timeoutFactor: 2,
      // Mutants need not have the right types.
      disableTypeChecks: false,
      reporters: ["clear-text", "json"],
      clearTextReporter: { allowColor: false, logTests: false },
      allowConsoleColors: false,
      jsonReporter: { fileName: `${directory}/report.json` },
      tempDirName: `${directory}/sandbox`,
      ignorePatterns: [".git", "dist", "docs", "deploy", "tests/bench"],
    };
    await Deno.writeTextFile(`${directory}/stryker.json`, JSON.stringify(configuration));
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--quiet", "-A", "--no-lock", "--no-config", STRYKER],
        ...["run", `${directory}/stryker.json`],
      ],
      cwd: root,
      stdin: "null",
    }).spawn().status;
    if (!success) throw new Error(`Stryker failed on ${path}`);
    const { files } = Schema.decodeUnknownSync(Report)(
      await Deno.readTextFile(`${directory}/report.json`),
    );
    // A file of types alone has nothing to mutate.
    return files[path] ?? { source: "", mutants: [] };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function survivorOf({ mutatorName, replacement, location }: Mutant, text: string): Survivor {
  const lines = text.split("\n").slice(location.start.line - 1, location.end.line);
  const last = lines.length - 1;
  const from = location.start.column - 1;
  const to = location.end.column - 1;
  const original = last === 0
    ? (lines[0] ?? "").slice(from, to)
    : [lines[0]?.slice(from), ...lines.slice(1, last), lines[last]?.slice(0, to)].join("\n");
  return {
    mutator: mutatorName,
    line: (lines[0] ?? "").trim(),
    original: oneLine(original),
    replacement: oneLine(replacement),
  };
}

const oneLine = (code: string): string => {
  const joined = code.replace(/\s+/g, " ").trim();
  return joined.length > 80 ? `${joined.slice(0, 79)}…` : joined;
};

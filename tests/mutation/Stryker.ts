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

/** Runs all mutants of the subject, one after the other; what Stryker says goes to the terminal. */
export async function mutate({ name, path, tests }: Subject, root: URL): Promise<Result> {
  const directory = await Deno.makeTempDir({ prefix: `amicis-mutation-${name}-` });
  const entry = "mutation.test.ts";
  const source = await digestOf(new URL(path, root));
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
      mutate: [path],
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
    const report = Schema.decodeUnknownSync(Report)(
      await Deno.readTextFile(`${directory}/report.json`),
    );
    return { source, ...countsOf(report.files[path]) };
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function countsOf(
  file: (typeof Report.Type)["files"][string] | undefined,
): Omit<Result, "source"> {
  // A file of types alone has nothing to mutate.
  if (file === undefined) return { mutants: 0, killed: 0, timeout: 0, survivors: [] };
  const count = (...statuses: ReadonlyArray<string>) =>
    file.mutants.filter(({ status }) => statuses.includes(status)).length;
  const survived = file.mutants.filter(({ status }) => ["Survived", "NoCoverage"].includes(status));
  const killed = count("Killed");
  const timeout = count("Timeout");
  return {
    mutants: killed + timeout + survived.length,
    killed,
    timeout,
    survivors: survived.map((mutant) => survivorOf(mutant, file.source)),
  };
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

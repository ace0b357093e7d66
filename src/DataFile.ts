/** A `DATA_FILE`: tenants and stores as JSON, in the shapes of the two collections. */
import { Data, Effect, ParseResult, Schema } from "effect";
import { Tenant } from "./auth/Tenant.ts";
import { Store } from "./routing/Store.ts";

/** What the embedded store holds. */
export const Embedded = Schema.Struct({
  tenants: Schema.Array(Tenant),
  stores: Schema.Array(Store),
});

export interface Embedded extends Schema.Schema.Type<typeof Embedded> {}

/** The data file is missing, not JSON, or not of the shape it must have. */
export class InvalidDataFile extends Data.TaggedError("InvalidDataFile")<{
  readonly path: string;
  readonly problems: ReadonlyArray<string>;
}> {
  override get message(): string {
    return this.lines.join("; ");
  }

  /** One line a problem, each with the setting's name, as those of other settings. */
  get lines(): ReadonlyArray<string> {
    return this.problems.map((problem) => `DATA_FILE "${this.path}" ${problem}`);
  }
}

const decode = Schema.decodeUnknown(Schema.parseJson(Embedded), { errors: "all" });

/** Everything that is wrong with a file, one line each, without its values: they may be secrets. */
const problemsOf = (error: ParseResult.ParseError): ReadonlyArray<string> =>
  ParseResult.ArrayFormatter.formatErrorSync(error).map(({ path, _tag }) =>
    path.length === 0
      ? "is not valid JSON of that shape"
      : `is wrong: ${path.join(".")} is ${wordFor(_tag)}`
  );

const wordFor = (tag: ParseResult.ParseIssue["_tag"]): string =>
  tag === "Missing" ? "missing" : "invalid";

/** Reads a file whole; everything that is wrong with it is told at once. */
export const read = (path: string): Effect.Effect<Embedded, InvalidDataFile> =>
  Effect.tryPromise({
    try: () => Deno.readTextFile(path),
    catch: () => new InvalidDataFile({ path, problems: ["cannot be read"] }),
  }).pipe(
    Effect.flatMap((text) =>
      Effect.mapError(
        decode(text),
        (error) => new InvalidDataFile({ path, problems: problemsOf(error) }),
      )
    ),
  );

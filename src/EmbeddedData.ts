/**
 * Tenants and stores of the embedded, in-memory store: demo data, or a `DATA_FILE` in the shapes of
 * the two collections.
 */
import { Data, Effect, ParseResult, Schema } from "effect";
import { Tenant } from "./auth/Tenant.ts";
import { Store } from "./routing/Store.ts";

const Embedded = Schema.Struct({
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

/** Two furniture chains with three stores each; their token endpoints are the demo's own. */
const demo: typeof Embedded.Encoded = {
  tenants: [
    {
      tenantId: "ikea",
      name: "IKEA",
      authConfig: { tokenEndpoint: "http://127.0.0.1:4000/ikea/token", clientId: "amicis" },
    },
    {
      tenantId: "habitat",
      name: "Habitat",
      authConfig: { tokenEndpoint: "http://127.0.0.1:4000/habitat/token", clientId: "amicis" },
    },
  ],
  stores: [
    {
      tenantId: "ikea",
      storeId: "berlin-01",
      name: "Berlin Tempelhof",
      backendUrl: "https://eu-central.backend.example/ikea",
      backendContext: { region: "eu-central", currency: "EUR" },
      location: { lat: 52.46, lon: 13.39 },
    },
    {
      tenantId: "ikea",
      storeId: "paris-01",
      name: "Paris Nord",
      backendUrl: "https://eu-west.backend.example/ikea",
      backendContext: { region: "eu-west", currency: "EUR" },
      location: { lat: 48.97, lon: 2.49 },
    },
    {
      tenantId: "ikea",
      storeId: "oslo-01",
      name: "Oslo Furuset",
      backendUrl: "https://eu-north.backend.example/ikea",
      backendContext: { region: "eu-north", currency: "NOK" },
      location: { lat: 59.94, lon: 10.89 },
    },
    {
      tenantId: "habitat",
      storeId: "london-01",
      name: "London Finchley Road",
      backendUrl: "https://eu-west.backend.example/habitat",
      backendContext: { region: "eu-west", currency: "GBP" },
    },
    {
      tenantId: "habitat",
      storeId: "lyon-01",
      name: "Lyon Part-Dieu",
      backendUrl: "https://eu-west.backend.example/habitat",
      backendContext: { region: "eu-west", currency: "EUR" },
    },
    {
      tenantId: "habitat",
      storeId: "berlin-01",
      name: "Berlin Mitte",
      backendUrl: "https://eu-central.backend.example/habitat",
      backendContext: { region: "eu-central", currency: "EUR" },
    },
  ],
};

/** Everything that is wrong with a file, one line each, without its values: they may be secrets. */
const problemsOf = (error: ParseResult.ParseError): ReadonlyArray<string> =>
  ParseResult.ArrayFormatter.formatErrorSync(error).map(({ path, _tag }) =>
    path.length === 0
      ? "is not valid JSON of that shape"
      : `is wrong: ${path.join(".")} is ${wordFor(_tag)}`
  );

const wordFor = (tag: ParseResult.ParseIssue["_tag"]): string =>
  tag === "Missing" ? "missing" : "invalid";

/** The embedded data: the demo's, or those of a file. */
export const load = (path: string | undefined): Effect.Effect<Embedded, InvalidDataFile> =>
  path === undefined ? Effect.sync(() => Schema.decodeSync(Embedded)(demo)) : Effect.tryPromise({
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

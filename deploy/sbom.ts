/**
 * `deno task sbom`: what the binary is made of, as a CycloneDX document (`deploy/sbom/amicis.cdx.json`)
 * and as a list of licences (`deploy/sbom/licences.md`).
 *
 * The generator reads `deno.lock`; kept is what `src/main.ts` reaches, because packages that only
 * tests use are not shipped. Nothing in it changes unless the packages do: no time, no serial number.
 */
import { Schema } from "effect";
import { keyOf, shippedPackages } from "./ShippedPackages.ts";

const GENERATOR = "@cyclonedx/cdxgen@12.8.4";

const root = new URL("../", import.meta.url);
const sbom = new URL("sbom/amicis.cdx.json", import.meta.url);
const licences = new URL("sbom/licences.md", import.meta.url);

const Licence = Schema.Struct({
  license: Schema.optional(Schema.Struct({
    id: Schema.optional(Schema.String),
    name: Schema.optional(Schema.String),
  })),
  expression: Schema.optional(Schema.String),
});

const Component = Schema.Struct({
  group: Schema.optional(Schema.String),
  name: Schema.String,
  version: Schema.String,
  hashes: Schema.optional(
    Schema.Array(Schema.Struct({ alg: Schema.String, content: Schema.String })),
  ),
  licenses: Schema.optional(Schema.Array(Licence)),
});
type Component = typeof Component.Type;

/** What is used of the generator's document. */
const Generated = Schema.parseJson(Schema.Struct({
  components: Schema.Array(Component),
}));

/** Runs the generator on the lock file alone, in a directory that holds nothing else. */
async function generate(): Promise<typeof Generated.Type> {
  const directory = await Deno.makeTempDir({ prefix: "amicis-sbom-" });
  try {
    for (const name of ["deno.json", "deno.lock"]) {
      await Deno.copyFile(new URL(name, root), `${directory}/${name}`);
    }
    const { success, stderr } = await new Deno.Command("npm", {
      args: [
        ...["exec", "--yes", "--ignore-scripts", `--package=${GENERATOR}`, "--"],
        ...["cdxgen", "-t", "deno", "-o", `${directory}/bom.json`, "--no-install-deps", "."],
      ],
      cwd: directory,
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return Schema.decodeUnknownSync(Generated)(await Deno.readTextFile(`${directory}/bom.json`));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const nameOf = ({ group, name }: Component): string =>
  group === undefined || group === "" ? name : `${group}/${name}`;

const licenceOf = ({ licenses = [] }: Component): string | undefined => {
  const all = licenses.flatMap(({ expression, license }) =>
    expression ?? license?.id ?? license?.name ?? []
  );
  return all.length === 0 ? undefined : all.join(" AND ");
};

const version: string = JSON.parse(await Deno.readTextFile(new URL("deno.json", root))).version;
const shipped = await shippedPackages(root);
const generated = await generate();

/** The lock file's versions also name the peers that a package was resolved with. */
const withoutPeers = (version: string): string => version.replace(/_.*$/, "");

const purlOf = (key: string): string => `pkg:npm/${key.replace(/^@/, "%40")}`;

const components = shipped.map((wanted) => {
  const found = generated.components.find((component) =>
    nameOf(component) === wanted.name && withoutPeers(component.version) === wanted.version
  );
  if (found === undefined) throw new Error(`The generator does not know ${keyOf(wanted)}`);
  const { group = "", name, hashes = [] } = found;
  const purl = purlOf(keyOf(wanted));
  return {
    type: "library",
    "bom-ref": purl,
    ...(group === "" ? {} : { group }),
    name,
    version: wanted.version,
    purl,
    hashes: hashes.map(({ alg, content }) => ({ alg, content })),
    licenses: [{ expression: licenceOf(found) ?? wanted.licence }],
  };
});

const application = `pkg:generic/amicis@${version}`;
const dependencies = shipped.map((one) => ({
  ref: purlOf(keyOf(one)),
  dependsOn: one.dependencies.map(purlOf),
}));

const document = {
  $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
  bomFormat: "CycloneDX",
  specVersion: "1.6",
  version: 1,
  metadata: {
    tools: {
      components: [{
        type: "application",
        name: "cdxgen",
        version: GENERATOR.slice(GENERATOR.lastIndexOf("@") + 1),
      }],
    },
    component: {
      type: "application",
      "bom-ref": application,
      name: "amicis",
      version,
      purl: application,
      licenses: [{ expression: "MIT" }],
    },
  },
  components,
  dependencies: [
    { ref: application, dependsOn: components.map(({ purl }) => purl) },
    ...dependencies,
  ],
};

const table = [
  "# Licences of what the binary holds",
  "",
  "Made by `deno task sbom`; the same packages with their digests are in `amicis.cdx.json`. The binary",
  "also holds the runtime, Deno (MIT) with V8 (BSD-3-Clause) and what these are built of.",
  "",
  "| package | version | licence |",
  "| --- | --- | --- |",
  ...components.map(({ licenses: [licence] }, index) => {
    const { name = "", version = "" } = shipped[index] ?? {};
    return `| ${name} | ${version} | ${licence?.expression} |`;
  }),
  "",
];

await Deno.mkdir(new URL("./", sbom), { recursive: true });
await Deno.writeTextFile(sbom, `${JSON.stringify(document, null, 2)}\n`);
await Deno.writeTextFile(licences, table.join("\n"));

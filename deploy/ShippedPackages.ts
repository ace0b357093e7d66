/** The npm packages that the program reaches, from what Deno has in its cache; asks no network. */
import { Schema } from "effect";

/** A package of the program. */
export interface ShippedPackage {
  readonly name: string;
  readonly version: string;
  /** As its own `package.json` says. */
  readonly licence: string;
  /** What it asks for, as `name@version`. */
  readonly dependencies: ReadonlyArray<string>;
}

/** How a package is referred to. */
export const keyOf = ({ name, version }: Pick<ShippedPackage, "name" | "version">): string =>
  `${name}@${version}`;

const Info = Schema.parseJson(Schema.Struct({
  modules: Schema.Array(Schema.Struct({ npmPackage: Schema.optional(Schema.String) })),
  npmPackages: Schema.Record({
    key: Schema.String,
    value: Schema.Struct({
      name: Schema.String,
      version: Schema.String,
      dependencies: Schema.Array(Schema.String),
      localPath: Schema.optional(Schema.String),
    }),
  }),
}));

/** What the lock file says of packages that are for some systems only. */
const Lock = Schema.parseJson(Schema.Struct({
  npm: Schema.Record({
    key: Schema.String,
    value: Schema.Struct({ os: Schema.optional(Schema.Array(Schema.String)) }),
  }),
}));

const Package = Schema.parseJson(Schema.Struct({
  license: Schema.optionalWith(Schema.String, { default: () => "not declared" }),
}));

/** Every package reached from `src/main.ts`, through others too, once and in the order of names. */
export async function shippedPackages(root: URL): Promise<ReadonlyArray<ShippedPackage>> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "src/main.ts"],
    cwd: root,
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const { modules, npmPackages } = Schema.decodeUnknownSync(Info)(new TextDecoder().decode(stdout));
  const reached = new Set<string>();
  const reach = (id: string): void => {
    if (reached.has(id)) return;
    reached.add(id);
    for (const dependency of npmPackages[id]?.dependencies ?? []) reach(dependency);
  };
  for (const { npmPackage } of modules) if (npmPackage !== undefined) reach(npmPackage);

  const { npm } = Schema.decodeUnknownSync(Lock)(
    await Deno.readTextFile(new URL("deno.lock", root)),
  );
  const found = new Map<string, ShippedPackage>();
  for (const id of reached) {
    const known = npmPackages[id];
    if (known === undefined) continue;
    const { name, version, dependencies, localPath } = known;
    // Native code, which the binary has no right to load and does not hold.
    if (localPath === undefined || npm[id]?.os !== undefined) continue;
    const { license } = Schema.decodeUnknownSync(Package)(
      await Deno.readTextFile(`${localPath}/package.json`),
    );
    const wanted = dependencies.flatMap((id) => npmPackages[id] ?? []).map(keyOf);
    found.set(keyOf(known), { name, version, licence: license, dependencies: wanted });
  }
  return Array.from(found.values(), (one) => ({
    ...one,
    dependencies: one.dependencies.filter((key) => found.has(key)).toSorted(),
  })).toSorted((one, other) => keyOf(one) < keyOf(other) ? -1 : 1);
}

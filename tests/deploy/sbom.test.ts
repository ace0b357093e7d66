/** The list of what the binary holds is that of the lock file, and every licence is one we may ship. */
import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import { Buffer } from "node:buffer";
import { shippedPackages } from "../../deploy/ShippedPackages.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, root));

interface Component {
  readonly "bom-ref": string;
  readonly group?: string;
  readonly name: string;
  readonly version: string;
  readonly hashes: ReadonlyArray<{ readonly alg: string; readonly content: string }>;
  readonly licenses: ReadonlyArray<{ readonly expression: string }>;
}

interface Sbom {
  readonly bomFormat: string;
  readonly specVersion: string;
  readonly metadata: {
    readonly component: { readonly "bom-ref": string; readonly version: string };
  };
  readonly components: ReadonlyArray<Component>;
  readonly dependencies: ReadonlyArray<
    { readonly ref: string; readonly dependsOn: ReadonlyArray<string> }
  >;
}

const sbom: Sbom = JSON.parse(await read("deploy/sbom/amicis.cdx.json"));
const shipped = await shippedPackages(root);
const keyOf = ({ group, name, version }: Component) =>
  `${group === undefined ? "" : `${group}/`}${name}@${version}`;

/** Licences that ask for no more than their notice. */
const permissive = ["MIT", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD"];

describe("deploy/sbom/amicis.cdx.json", () => {
  it("lists exactly the packages that the program reaches; else run `deno task sbom`", () => {
    const listed = sbom.components.map(keyOf);
    const wanted = shipped.map(({ name, version }) => `${name}@${version}`);
    assert.deepEqual(listed.toSorted(), wanted.toSorted());
    assert.ok(wanted.length > 20);
    // What only tests use is not shipped.
    assert.ok(!listed.some((name) => /^(axe-core|playwright-core)@/.test(name)));
  });

  it("is of the program's version", async () => {
    const { version } = JSON.parse(await read("deno.json"));
    assert.deepEqual([sbom.bomFormat, sbom.metadata.component.version], ["CycloneDX", version]);
  });

  it("has the digests of the lock file", async () => {
    interface Lock {
      readonly npm: Readonly<Record<string, { readonly integrity: string }>>;
    }
    const { npm }: Lock = JSON.parse(await read("deno.lock"));
    for (const component of sbom.components) {
      // The lock's key also names the peers that a package was resolved with.
      const key = Object.keys(npm).find((key) =>
        key === keyOf(component) || key.startsWith(`${keyOf(component)}_`)
      );
      const [, digest = ""] = npm[key ?? ""]?.integrity.split("sha512-") ?? [];
      assert.notEqual(digest, "", keyOf(component));
      const sha512 = component.hashes.find(({ alg }) => alg === "SHA-512");
      assert.equal(sha512?.content, Buffer.from(digest, "base64").toString("hex"));
    }
  });

  it("refers in its graph only to what is in it, and to all of that", () => {
    const known = sbom.components.map((component) => component["bom-ref"]);
    const application = sbom.metadata.component["bom-ref"];
    for (const { ref, dependsOn } of sbom.dependencies) {
      assert.ok(ref === application || known.includes(ref), ref);
      assert.deepEqual(dependsOn.filter((other) => !known.includes(other)), []);
    }
    assert.deepEqual(
      sbom.dependencies.map(({ ref }) => ref).toSorted(),
      [...known, application].toSorted(),
    );
  });

  it("has no licence that asks for more than its notice", () => {
    for (const component of sbom.components) {
      const [{ expression } = { expression: "" }] = component.licenses;
      const names = expression.split(/ (?:AND|OR) |[()]/).filter((name) => name !== "");
      assert.ok(names.length > 0 && names.every((name) => permissive.includes(name)), expression);
    }
  });
});

describe("deploy/sbom/licences.md", () => {
  it("names each component with its licence", async () => {
    const rows = (await read("deploy/sbom/licences.md")).matchAll(
      /^\| (\S+) \| (\S+) \| (.+) \|$/gm,
    );
    const listed = Array.from(rows, ([, name, version, licence]) => `${name}@${version} ${licence}`)
      .filter((row) => !row.startsWith("package@") && !row.startsWith("---"));
    assert.deepEqual(
      listed.toSorted(),
      sbom.components.map((one) => `${keyOf(one)} ${one.licenses[0]?.expression}`).toSorted(),
    );
  });
});

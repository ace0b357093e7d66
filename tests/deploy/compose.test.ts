/** What `deploy/compose.yaml` starts: files that exist, settings that amicis accepts, data it can read. */
import { strict as assert } from "node:assert";
import { beforeAll, describe, it } from "@std/testing/bdd";
import { Schema } from "effect";
import { Tenant } from "../../src/auth/Tenant.ts";
import { environmentNames } from "../../src/Config.ts";
import { Store } from "../../src/routing/Store.ts";
import { needs, toolPath } from "../support/Tools.ts";
import { deployTools, needsTools, parseYaml, run } from "./support/DeployTools.ts";

const tools = await deployTools();
const path = (relative: string) => new URL(`../../${relative}`, import.meta.url).pathname;
const read = (relative: string) => Deno.readTextFile(path(relative));

interface Service {
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: ReadonlyArray<string>;
  readonly ports?: ReadonlyArray<string>;
  readonly read_only?: boolean;
  readonly cap_drop?: ReadonlyArray<string>;
  readonly image: string;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

/** `${NAME:-default}` and `${NAME:?problem}` as compose does, with `given` for what must be set. */
const interpolated = (value: string, given: Readonly<Record<string, string>>): string =>
  value.replace(
    /^\$\{(\w+):([-?])(.*)\}$/,
    (_, name, kind, fallback) => given[name] ?? (kind === "-" ? fallback : ""),
  );

describe("compose.yaml", needsTools(tools.python), () => {
  let compose: Compose;
  let amicis: ReadonlyArray<readonly [string, Service]>;
  beforeAll(async () => {
    const [first] = await parseYaml<Compose>(tools, await read("deploy/compose.yaml"));
    assert.ok(first !== undefined);
    compose = first;
    amicis = Object.entries(compose.services).filter(([, { image }]) => image === "amicis");
  });

  it("runs both services", () => {
    assert.deepEqual(amicis.map(([name, { environment }]) => [name, environment?.["SERVICE"]]), [
      ["auth", "auth"],
      ["routing", "routing"],
    ]);
  });

  it("mounts only files that exist and volumes that are declared", async () => {
    for (const { volumes = [] } of Object.values(compose.services)) {
      for (const volume of volumes) {
        const [source = ""] = volume.split(":");
        if (source.startsWith(".")) assert.ok((await Deno.stat(path(`deploy/${source}`))).isFile);
        else assert.ok(source in compose.volumes, source);
      }
    }
  });

  it("is reached from this machine only", () => {
    const ports = Object.values(compose.services).flatMap((service) => service.ports ?? []);
    assert.ok(ports.length >= 4);
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/);
  });

  it("sets only what amicis reads, and gives it no rights", () => {
    for (const [name, service] of amicis) {
      const names = Object.keys(service.environment ?? {});
      assert.deepEqual(names.filter((given) => !environmentNames.includes(given)), [], name);
      assert.equal(service.read_only, true);
      assert.deepEqual(service.cap_drop, ["ALL"]);
    }
  });

  it("is a configuration that amicis accepts, but not without its secret", async () => {
    const check = (service: Service, given: Readonly<Record<string, string>>) =>
      run([Deno.execPath(), "run", "-A", "--no-check", path("src/main.ts"), "--check"], {
        env: Object.fromEntries(
          Object.entries(service.environment ?? {})
            .map(([name, value]) => [name, interpolated(value, given)]),
        ),
      });
    for (const [name, service] of amicis) {
      const { success, said } = await check(service, { JWT_SECRET: crypto.randomUUID() });
      assert.ok(success, said);
      assert.equal((await check(service, {})).success, name === "auth");
    }
  });
});

describe("compose/seed.js", () => {
  it("inserts tenants and stores in the collections' shapes", async () => {
    const inserted = new Map<string, ReadonlyArray<unknown>>();
    const collection = (name: string) => ({
      insertMany: (documents: ReadonlyArray<unknown>) => inserted.set(name, documents),
    });
    const seed = new Function("db", await read("deploy/compose/seed.js"));
    seed({ tenants: collection("tenants"), stores: collection("stores") });
    const strict = { onExcessProperty: "error" } as const;
    const tenants = Schema.decodeUnknownSync(Schema.NonEmptyArray(Tenant), strict)(
      inserted.get("tenants"),
    );
    const stores = Schema.decodeUnknownSync(Schema.NonEmptyArray(Store), strict)(
      inserted.get("stores"),
    );
    const known = tenants.map(({ tenantId }) => tenantId);
    assert.deepEqual(stores.filter(({ tenantId }) => !known.includes(tenantId)), []);
  });
});

describe("prometheus.yml", needs("promtool"), () => {
  it("passes promtool check config with the rules where it looks for them", async () => {
    const directory = await Deno.makeTempDir();
    try {
      const text = await read("deploy/prometheus/prometheus.yml");
      const local = text.replace("/etc/prometheus/alerts.yaml", `${directory}/alerts.yaml`);
      assert.notEqual(local, text);
      await Deno.writeTextFile(`${directory}/prometheus.yml`, local);
      await Deno.copyFile(path("src/operations/assets/alerts.yaml"), `${directory}/alerts.yaml`);
      const config = `${directory}/prometheus.yml`;
      const { success, said } = await run([toolPath("promtool"), "check", "config", config]);
      assert.ok(success, said);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });

  it("scrapes the services of compose.yaml on their own ports", async () => {
    const text = await read("deploy/prometheus/prometheus.yml");
    const targets = Array.from(text.matchAll(/"(\w+):(\d+)"/g), ([, name, port]) => [name, port]);
    const compose = await read("deploy/compose.yaml");
    assert.equal(targets.length, 2);
    for (const [name, port] of targets) {
      assert.ok(compose.includes(`127.0.0.1:${port}:${port}`), `${name}:${port}`);
    }
  });
});

interface CollectorConfig {
  readonly receivers: Readonly<Record<string, unknown>>;
  readonly processors: Readonly<Record<string, unknown>>;
  readonly exporters: Readonly<Record<string, unknown>>;
  readonly extensions: Readonly<Record<string, unknown>>;
  readonly service: {
    readonly extensions: ReadonlyArray<string>;
    readonly pipelines: Readonly<
      Record<string, Readonly<Record<"receivers" | "processors" | "exporters", Array<string>>>>
    >;
  };
}

describe("collector/config.yaml", needsTools(tools.python), () => {
  it("uses in its pipelines all that it configures, and nothing else", async () => {
    const text = await read("deploy/collector/config.yaml");
    const [config] = await parseYaml<CollectorConfig>(tools, text);
    assert.ok(config !== undefined);
    assert.deepEqual(Object.keys(config.extensions), config.service.extensions);
    const pipelines = Object.values(config.service.pipelines);
    assert.equal(pipelines.length, 3);
    for (const kind of ["receivers", "processors", "exporters"] as const) {
      const used = new Set(pipelines.flatMap((pipeline) => pipeline[kind]));
      assert.deepEqual([...used].toSorted(), Object.keys(config[kind]).toSorted());
    }
  });

  it("is given every variable that it reads", async () => {
    const text = await read("deploy/collector/config.yaml");
    const wanted = Array.from(text.matchAll(/\$\{env:(\w+)\}/g), ([, name]) => name ?? "");
    const [compose] = await parseYaml<Compose>(tools, await read("deploy/compose.yaml"));
    const given = Object.keys(compose?.services["collector"]?.environment ?? {});
    assert.deepEqual(given.toSorted(), Array.from(new Set(wanted)).toSorted());
  });
});

/** The operations handbook names only what exists: log lines, metrics, settings, files, commands. */
import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import { Effect, Layer } from "effect";
import { environmentNames } from "../../src/Config.ts";
import { Metrics } from "../../src/operations/Metrics.ts";
import { CircuitBreakers } from "../../src/resilience/CircuitBreakers.ts";
import { deployTools, needsTools, parseYaml, run } from "./support/DeployTools.ts";

const tools = await deployTools();
const root = new URL("../../", import.meta.url);
const read = (path: string) => Deno.readTextFile(new URL(path, root));
const directory = "docs/operations/";
const names = ["deployment.md", "observability.md", "runbooks.md", "tracing.md"];
const pages = new Map(
  await Promise.all(names.map(async (name) => [name, await read(directory + name)] as const)),
);
const all = Array.from(pages.values()).join("\n");

async function sources(folder: string): Promise<string> {
  const texts: Array<string> = [];
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
    if (isDirectory) texts.push(await sources(`${folder}${name}/`));
    else if (name.endsWith(".ts")) texts.push(await read(folder + name));
  }
  return texts.join("\n");
}

/** `name type` of every family that a service exports. */
const families = Effect.gen(function* () {
  const breakers = yield* CircuitBreakers;
  yield* breakers.get("mongodb");
  const metrics = yield* Metrics;
  // What comes only with its setting.
  metrics.optional.bulkheadLimit("mongodb", () => 64);
  metrics.optional.hedges("mongodb_find");
  metrics.optional.recoveryProbes("mongodb");
  const page = yield* metrics.page;
  const text = new TextDecoder().decode(page);
  return Array.from(text.matchAll(/^# TYPE (\w+) (\w+)$/gm), ([, name, type]) => `${name} ${type}`);
}).pipe(
  Effect.provide(
    Layer.provideMerge(
      Metrics.layer({ service: "routing", logLinesDropped: () => 0, telemetryDropped: () => [] }),
      CircuitBreakers.layer({ adaptive: true }),
    ),
  ),
);

describe("docs/operations", () => {
  it("lists in observability.md exactly the metrics that are exported", async () => {
    const rows = pages.get("observability.md")?.matchAll(/^\| `(\w+)` \| (\w+) \|/gm) ?? [];
    const documented = Array.from(rows, ([, name, type]) => `${name} ${type}`)
      .filter((row) => /(gauge|counter|histogram)$/.test(row));
    assert.deepEqual(documented.toSorted(), (await Effect.runPromise(families)).toSorted());
  });

  it("names in queries only metrics that are exported", async () => {
    const known = new Set((await Effect.runPromise(families)).map((row) => row.split(" ")[0]));
    const pattern =
      /\b(?:circuit_breaker|retry|http|cache|dependency|bulkhead|hedged|recovery|rate_limit|process|log_lines|fallbacks|telemetry)_[a-z_]+/g;
    const named = new Set(all.match(pattern)?.map((name) => name.replace(/_(bucket|count)$/, "")));
    assert.ok(named.size > 10);
    assert.deepEqual([...named].filter((name) => !known.has(name)), []);
  });

  it("quotes only log lines that the program writes", async () => {
    const text = await sources("src/");
    const quoted = Array.from(all.matchAll(/msg="([^"]+)"/g), ([, msg = ""]) => msg);
    const table = pages.get("observability.md")?.split("## Log")[1]?.split("## ")[0] ?? "";
    const listed = Array.from(table.matchAll(/^\| (`[^|]+`) \|/gm), ([, cell = ""]) => cell)
      .flatMap((cell) => Array.from(cell.matchAll(/`([A-Z][^`]+)`/g), ([, msg = ""]) => msg));
    assert.ok(listed.length > 15);
    for (const msg of [...quoted, ...listed]) {
      assert.ok(text.includes(`"${msg}"`), msg);
    }
  });

  it("names only settings that exist", () => {
    const ours =
      /\b(?:BREAKER|RETRY|CACHE|RATE_LIMIT|MONGODB|REDIS|TOKEN|NEAR|SHUTDOWN|ACCESS|JWT|ADMIN|MANAGEMENT|DATA|AUTH|OTEL|APPLICATIONINSIGHTS)_[A-Z_]+\b/g;
    const named = new Set(all.match(ours));
    assert.ok(named.size > 15);
    assert.deepEqual([...named].filter((name) => !environmentNames.includes(name)), []);
  });

  it("links only to files and sections that exist", async () => {
    for (const [page, text] of pages) {
      for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        const [path = "", section] = target.split("#");
        const url = new URL(path === "" ? page : path, new URL(directory, root));
        assert.ok((await Deno.stat(url)).isFile || path.includes("deploy/"), target);
        if (section === undefined) continue;
        const titles = Array.from(
          (await Deno.readTextFile(url)).matchAll(/^##+ (.+)$/gm),
          ([, title = ""]) => title.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-"),
        );
        assert.ok(titles.includes(section), target);
      }
    }
  });
});

describe("docs/operations/observability.md", needsTools(tools.python), () => {
  it("makes a PrometheusRule of the alerts that has all their groups", async () => {
    const [block = ""] = pages.get("observability.md")?.match(/^\{\n[^]+?^\} (?=\| kubectl)/m) ??
      [];
    const print = `${Deno.execPath()} run -A --no-check ${new URL("src/main.ts", root).pathname}`;
    const script = block.replace("amicis --print", `${print} --print`);
    const { stdout, said } = await run(["sh", "-euc", script]);
    interface Rules {
      readonly groups: ReadonlyArray<unknown>;
    }
    const [rule] = await parseYaml<{ kind: string; spec: Rules }>(tools, stdout);
    const [alerts] = await parseYaml<Rules>(tools, await read("src/operations/assets/alerts.yaml"));
    assert.equal(rule?.kind, "PrometheusRule", said);
    assert.ok((alerts?.groups.length ?? 0) > 3);
    assert.deepEqual(rule?.spec, alerts);
  });
});

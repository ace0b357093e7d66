/**
 * Every command of the docs is run: the blocks of a page in order, in one shell, against the program
 * from source. What needs Docker or a cluster meets a stand-in (support/stand-ins) that checks all
 * names against the manifests and runs the program in a container's place; long tasks are checked to
 * exist, because something else runs them.
 */
import { strict as assert } from "node:assert";
import { beforeAll, describe, it } from "@std/testing/bdd";
import { freePort, releasePort } from "../support/ports.ts";
import { deployTools, needsTools, parseYaml } from "./support/DeployTools.ts";
import { Built, containerOf } from "./support/Manifests.ts";
import { pageNames, root } from "./support/Pages.ts";
import { inlineCommands, type ShellBlock, shellBlocks } from "./support/ShellBlocks.ts";

const tools = await deployTools();
const standIns = new URL("support/stand-ins", import.meta.url).pathname;

const texts = new Map(
  await Promise.all(
    (await pageNames()).map(async (page) =>
      [page, await Deno.readTextFile(new URL(page, root))] as const
    ),
  ),
);

/** Inline code that is no whole command, by its beginning, with the reason. */
const noCommand: ReadonlyArray<readonly [string, string]> = [
  ["deno task ok", "runs this suite"],
  ["deno task test", "runs this suite"],
  ["curl -sv", "speaks of an endpoint that only the reader knows"],
  ["docker run --rm --env-file prod.env", "the reader's own file"],
  ["amicis --healthcheck", "asks a service of the same container"],
  ["deno compile", "names a program"],
  ["deno run -A tests/operations/throughCollector.ts path/to", "the reader's own collector"],
];

const isCommand = ({ text }: ShellBlock) =>
  !text.includes("…") && !noCommand.some(([start]) => text.startsWith(start));

/** Resources that the stand-ins know: those of the overlays, and the services of the compose file. */
async function resources(): Promise<ReadonlyArray<string>> {
  const found: Array<string> = [];
  for (const overlay of ["overlays/development", "overlays/production"]) {
    const built = await Built.from(tools, overlay);
    const named = (kind: string, short: string) =>
      built.of(kind).map(({ metadata: { name } }) => `${short}/${name}`);
    found.push(
      ...named("Namespace", "namespace"),
      ...named("Deployment", "deploy"),
      ...named("Service", "svc"),
      ...built.of("Service").flatMap(({ spec }) => spec.ports.map(({ port }) => `port/${port}`)),
    );
    for (const deployment of built.of("Deployment")) {
      const { labels } = deployment.spec.template.metadata;
      found.push(...Object.entries(labels).map(([name, value]) => `label/${name}=${value}`));
      for (const { valueFrom } of containerOf(deployment).env) {
        const { name, key } = valueFrom?.secretKeyRef ?? {};
        if (name !== undefined) found.push(`secret/${name}`, `secret/${name}/${key}`);
      }
    }
  }
  const compose = await Deno.readTextFile(new URL("deploy/compose.yaml", root));
  interface Compose {
    readonly services: Readonly<Record<string, unknown>>;
  }
  const [file] = await parseYaml<Compose>(tools, compose);
  found.push(...Object.keys(file?.services ?? {}).map((name) => `compose/${name}`));
  return found;
}

/** As a reader would type it, but for ports and for what only the reader knows. */
const adapted = (text: string, ports: Readonly<Record<string, number>>): string =>
  Object.entries(ports)
    .reduce(
      (script, [port, own]) => script.replaceAll(`localhost:${port}`, `localhost:${own}`),
      text,
    )
    .replaceAll("…", "x".repeat(40));

describe("docs", needsTools(tools.kustomize, tools.python), () => {
  let known: ReadonlyArray<string>;
  let version: string;
  beforeAll(async () => {
    known = await resources();
    const dockerfile = await Deno.readTextFile(new URL("Dockerfile", root));
    version = /^ARG DENO_VERSION=(.+)$/m.exec(dockerfile)?.[1] ?? "";
  });

  for (const [page, text] of texts) {
    const commands = [
      ...shellBlocks(page, text),
      ...inlineCommands(page, text).filter(isCommand),
    ];
    if (commands.length === 0) continue;
    it(`${page}: its ${commands.length} commands run`, async () => {
      const state = await Deno.makeTempDir({ prefix: "amicis-docs-" });
      const ports = { 3000: freePort(), 8080: freePort(), 9000: freePort() };
      try {
        await Deno.writeTextFile(`${state}/resources`, known.join("\n"));
        await Deno.mkdir(`${state}/work`);
        const script = commands.map(({ line, text }) =>
          `echo "== ${page}:${line}" >&2\n${adapted(text, ports)}`
        );
        const child = new Deno.Command("bash", {
          args: [
            "-euo",
            "pipefail",
            "-c",
            // What was left running ends with the page.
            `trap 'kill $(jobs -p) $(cat ${state}/pid 2>/dev/null) 2>/dev/null || true' EXIT\n${
              script.join("\n")
            }`,
          ],
          cwd: `${state}/work`,
          env: {
            PATH: `${standIns}:${Deno.env.get("PATH")}`,
            DENO: Deno.execPath(),
            DENO_VERSION: version,
            NO_COLOR: "1",
            REPOSITORY: root.pathname,
            STAND_INS: standIns,
            STATE: state,
            START: page === "docs/quick-start.md" ? "serve" : "check",
            HOST: "127.0.0.1",
            // For sentences that speak of either service; a flag wins.
            SERVICE: "auth",
            AUTH_PORT: String(ports[3000]),
            ROUTING_PORT: String(ports[8080]),
            MANAGEMENT: String(ports[9000]),
            DOCS_ADMIN_TOKEN: "docs-admin-token-0123456789",
          },
          stdin: "null",
          stdout: "piped",
          stderr: "piped",
        });
        const { success, stdout, stderr } = await child.output();
        const said = new TextDecoder().decode(stderr);
        const out = new TextDecoder().decode(stdout);
        assert.ok(success, `${said.slice(-2_000)}\n${out.slice(-1_000)}`);
        expectations[page]?.(out);
      } finally {
        for (const port of Object.values(ports)) releasePort(port);
        await Deno.remove(state, { recursive: true });
      }
    });
  }
});

/** The output shows it; it is too long to be part of the error whole. */
const sees = (out: string, what: RegExp) =>
  assert.ok(what.test(out), `No ${what} in ${out.slice(-2_000)}`);

/** What a page says its reader will see. */
const expectations: Readonly<Record<string, (out: string) => void>> = {
  "docs/quick-start.md": (out) => {
    sees(out, /x-cache: MISS[^]*x-cache: HIT/i);
    sees(out, /Store not found/);
    sees(out, /503[^]*retry-after: \d+/i);
    sees(out, /"token-exchange-ikea":\{"state":"open"/);
    sees(out, /"to":"open"/);
  },
  "docs/configuration.md": (out) => {
    sees(out, /JWT_SECRET = <redacted>/);
    sees(out, /REDIS_TIMEOUT = 100ms$/m);
  },
  "docs/operations/runbooks.md": (out) => sees(out, /"name": "mongodb"/),
  "docs/operations/deployment.md": (out) => {
    sees(out, /Demo token of tenant/);
    sees(out, /"storeId":"oslo-01"/);
  },
};

describe("shellBlocks()", () => {
  it("finds blocks of shells with their lines, and no others", () => {
    const text = "a\n```sh\none\ntwo\n```\n```js\nthree\n```\n```bash\nfour\n```\n";
    assert.deepEqual(shellBlocks("p", text), [
      { page: "p", line: 3, text: "one\ntwo\n" },
      { page: "p", line: 10, text: "four\n" },
    ]);
  });
});

describe("inlineCommands()", () => {
  it("finds commands in sentences and tables, and none in blocks", () => {
    const text = "Run `deno task x`.\n| `curl a \\| jq` |\n```sh\n`curl b`\n```\n`curl`\n";
    assert.deepEqual(inlineCommands("p", text).map(({ line, text }) => [line, text]), [
      [1, "deno task x\n"],
      [2, "curl a | jq\n"],
    ]);
  });
});

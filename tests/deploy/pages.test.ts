/** The pages of the docs: every one can be reached, and names only what is there. */
import { strict as assert } from "node:assert";
import { describe, it } from "@std/testing/bdd";
import { environmentNames } from "../../src/Config.ts";
import { importsIn } from "../support/architecture/Rules.ts";
import { pageNames, root } from "./support/Pages.ts";

const read = (path: string) => Deno.readTextFile(new URL(path, root));
const pages = new Map(
  await Promise.all((await pageNames()).map(async (name) => [name, await read(name)] as const)),
);

/** Targets of a page's links that are files of this repository, as paths, with their sections. */
const linksOf = (page: string, text: string) =>
  Array.from(text.matchAll(/\]\(([^)\s]+)\)/g), ([, target = ""]) => target)
    .filter((target) => !/^https?:/.test(target))
    .map((target) => {
      const [path = "", section] = target.split("#");
      const url = new URL(path === "" ? `/${page}` : path, `file:///${page}`);
      return { target, path: url.pathname.slice(1), section };
    });

const anchor = (title: string) =>
  title.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-");

const exists = (path: string) => Deno.stat(new URL(path, root)).then(() => true, () => false);

describe("docs", () => {
  it("links only to files and sections that exist", async () => {
    for (const [page, text] of pages) {
      for (const { target, path, section } of linksOf(page, text)) {
        assert.ok(await exists(path), `${page}: ${target}`);
        if (section === undefined) continue;
        const titles = Array.from(
          (await read(path)).matchAll(/^#+ (.+)$/gm),
          ([, title = ""]) => anchor(title),
        );
        assert.ok(titles.includes(section), `${page}: ${target}`);
      }
    }
  });

  it("can all be reached from the index, and the index from the README", () => {
    const index = linksOf("docs/README.md", pages.get("docs/README.md") ?? "");
    const listed = index.map(({ path }) => path);
    const wanted = Array.from(pages.keys()).filter((page) => /^docs\/(?!README)/.test(page));
    assert.deepEqual(wanted.filter((page) => !listed.includes(page)), []);
    const fromReadme = linksOf("README.md", pages.get("README.md") ?? "").map(({ path }) => path);
    assert.ok(fromReadme.includes("docs/README.md") && fromReadme.includes("SECURITY.md"));
  });

  it("names only settings that exist", () => {
    const ours =
      /`[^`]*?\b((?:BREAKER|RETRY|CACHE|RATE_LIMIT|MONGODB|REDIS|TOKEN|NEAR|SHUTDOWN|JWT|ADMIN|MANAGEMENT|DATA)_[A-Z_]+[A-Z])\b[^`]*`/g;
    // The page of the settings' table names families of settings.
    for (const [page, text] of pages) {
      if (page === "README.md") continue;
      const named = Array.from(text.matchAll(ours), ([, name = ""]) => name);
      const unknown = named.filter((name) =>
        !environmentNames.includes(name) &&
        !environmentNames.some((one) => one.startsWith(`${name}_`))
      );
      assert.deepEqual(unknown, [], page);
    }
  });

  it("names only files and tasks that exist", async () => {
    const { tasks } = JSON.parse(await read("deno.json"));
    for (const [page, text] of pages) {
      for (const [, path = ""] of text.matchAll(/`((?:src|tests|deploy)\/[\w./-]+)`/g)) {
        assert.ok(await exists(path), `${page}: ${path}`);
      }
      for (const [, task = ""] of text.matchAll(/deno task (?:--quiet )?([a-z][\w-]*)/g)) {
        assert.ok(task in tasks, `${page}: deno task ${task}`);
      }
    }
  });
});

describe("docs/architecture.md", () => {
  /** `src/auth/…` is in the room auth; what stands above the rooms is `top`. */
  const roomOf = (path: string): string => {
    const [, first = "", second] = path.split("/");
    return second === undefined || /^[A-Z]/.test(first) ? "top" : first;
  };

  it("draws exactly the imports between rooms that there are", async () => {
    const sources = new Map<string, string>();
    const collect = async (folder: string) => {
      for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
        if (isDirectory) await collect(`${folder}${name}/`);
        else if (name.endsWith(".ts")) sources.set(folder + name, await read(folder + name));
      }
    };
    await collect("src/");
    const found = importsIn(sources)
      .filter(({ to, external }) => !external && to.startsWith("src/"))
      .map(({ from, to }) => `${roomOf(from)} --> ${roomOf(to)}`)
      .filter((edge) => new Set(edge.split(" --> ")).size === 2);
    const [diagram = ""] = /```mermaid\n(flowchart TD[^]*?)```/.exec(
      pages.get("docs/architecture.md") ?? "",
    ) ?? [];
    const drawn = Array.from(diagram.matchAll(/^ {2}(\w+ --> \w+)$/gm), ([, edge = ""]) => edge);
    assert.deepEqual(drawn.toSorted(), Array.from(new Set(found)).toSorted());
  });
});

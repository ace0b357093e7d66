/** The rules of the rooms, held against src; each rule is also shown to be able to fail. */
import { strict as assert } from "node:assert";
import { beforeAll, describe, it } from "@std/testing/bdd";
import {
  emptyNames,
  type ForbiddenCall,
  forbiddenCalls,
  idleExceptions,
  importCycles,
  importsIn,
  importViolations,
  longFiles,
  MAX_LINES,
  type Sources,
} from "./support/architecture/Rules.ts";
import { importsOf, readSource } from "./support/architecture/SourceText.ts";

/** A request's times are read without an effect; ApiServer ties them to the Clock once. */
const HOT_PATH = "hot path of a request";

/** What the live Clock reads, without its bigint; any other Clock is asked. */
const CHEAP_CLOCK = "the one cheap reading of Effect's own Clock";

const FORBIDDEN: ReadonlyArray<ForbiddenCall> = [
  {
    call: "Date.now(",
    instead: "read Effect's Clock",
    allowed: { "src/resilience/Monotonic.ts": CHEAP_CLOCK },
  },
  {
    call: "performance.now(",
    instead: "read Effect's Clock",
    allowed: {
      "src/http/ApiServer.ts": HOT_PATH,
      "src/http/Dispatch.ts": HOT_PATH,
      "src/http/InFlight.ts": HOT_PATH,
      "src/http/Respond.ts": HOT_PATH,
      "src/resilience/Monotonic.ts": CHEAP_CLOCK,
    },
  },
  {
    call: "Effect.runPromise",
    instead: "return the effect",
    allowed: { "src/Launch.ts": "the edge of the program" },
  },
  {
    call: "Effect.orDie",
    instead: "handle or declare the failure",
    allowed: {
      "src/auth/TenantGuards.ts": "settings that were found legal just before",
    },
  },
];

const root = new URL("../", import.meta.url);

async function sourcesBelow(folder: string, sources = new Map<string, string>()) {
  for await (const entry of Deno.readDir(new URL(folder, root))) {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory) await sourcesBelow(`${path}/`, sources);
    else if (path.endsWith(".ts")) sources.set(path, await Deno.readTextFile(new URL(path, root)));
  }
  return sources;
}

describe("src", () => {
  let sources: Sources;
  beforeAll(async () => {
    sources = await sourcesBelow("src/");
  });
  const none = (violations: ReadonlyArray<string>) => assert.equal(violations.join("\n"), "");

  it("imports only along the one-way rule", () => none(importViolations(sources)));
  it("has no cycles of imports", () => none(importCycles(sources)));
  it(`has no file over ${MAX_LINES} lines`, () => none(longFiles(sources)));
  it("has no file name without a purpose", () => none(emptyNames(sources)));
  it("reads time from the Clock, runs no effect and dies of no dependency", () =>
    none(forbiddenCalls(sources, FORBIDDEN)));
  it("needs every exception from the forbidden calls", () =>
    none(idleExceptions(sources, FORBIDDEN)));

  it("compares secrets by digests and in constant time only", () => {
    const gate = sources.get("src/operations/Admin.ts") ?? "";
    assert.match(gate, /timingSafeEqual\(sha256\(given\), expected\)/);
    assert.match(gate, /expected = sha256\(Redacted\.value\(token\)\)/);
    const compared = Array.from(sources).filter(([, text]) =>
      /Redacted\.value\([^)]*\)\s*[!=]==?|[!=]==?\s*Redacted\.value\(/.test(text)
    );
    none(compared.map(([path]) => path));
  });

  it("has the imports that Deno's own parser finds", async () => {
    const ours = importsIn(sources).filter(({ to }) => to.startsWith("src/"));
    const theirs = await localImports(Array.from(sources.keys()));
    assert.deepEqual(ours.map(({ from, to }) => `${from} → ${to}`).toSorted(), theirs);
    assert.ok(theirs.length > 0);
  });
});

interface ModuleGraph {
  readonly modules: ReadonlyArray<{
    readonly specifier: string;
    readonly dependencies?: ReadonlyArray<{
      readonly code?: { readonly specifier?: string };
      readonly type?: { readonly specifier?: string };
    }>;
  }>;
}

/** Imports inside src as `deno info` reports them. */
async function localImports(paths: ReadonlyArray<string>): Promise<ReadonlyArray<string>> {
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const lines = paths.map((path) => `import ${JSON.stringify(new URL(path, root).href)};\n`);
    await Deno.writeTextFile(entry, lines.join(""));
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-lock", entry],
      cwd: root,
    }).output();
    const graph: ModuleGraph = JSON.parse(new TextDecoder().decode(stdout));
    const found = graph.modules.flatMap(({ specifier, dependencies = [] }) =>
      dependencies.flatMap(({ code, type }) => {
        const target = code?.specifier ?? type?.specifier ?? "";
        const [from, to] = [specifier, target].map((url) => url.replace(root.href, ""));
        const local = from?.startsWith("src/") && to?.startsWith("src/");
        return local ? [`${from} → ${to}`] : [];
      })
    );
    return Array.from(new Set(found)).toSorted();
  } finally {
    await Deno.remove(entry);
  }
}

describe("importViolations()", () => {
  /** One file that imports another; both exist, and so do the files named after them. */
  const violations = (from: string, specifier: string, ...others: ReadonlyArray<string>) => {
    const files = new Map(others.map((path) => [path, "export {};"]));
    if (specifier.startsWith(".")) {
      files.set(new URL(specifier, `file:///${from}`).pathname.slice(1), "export {};");
    }
    files.set(from, `import { x } from "${specifier}";`);
    return importViolations(files);
  };
  const allowed: ReadonlyArray<readonly [string, string, ...ReadonlyArray<string>]> = [
    ["src/main.ts", "./Launch.ts"],
    ["src/Launch.ts", "./App.ts"],
    ["src/Cli.ts", "./Config.ts"],
    ["src/Version.ts", "../deno.json"],
    ["src/App.ts", "./Config.ts"],
    ["src/App.ts", "./auth/Http.ts"],
    ["src/App.ts", "./routing/StoreCache/Redis.ts", "src/routing/StoreCache.ts"],
    ["src/App.ts", "./connections/Mongo.ts"],
    ["src/auth/Http.ts", "./TokenExchange.ts"],
    ["src/auth/Http.ts", "../http/Problem.ts"],
    ["src/auth/TokenExchange.ts", "../resilience/Guard.ts"],
    ["src/auth/TokenCache/Redis.ts", "../TokenCache.ts", "src/auth/TokenCache.ts"],
    ["src/auth/TokenCache/Redis.ts", "../../connections/Redis.ts", "src/auth/TokenCache.ts"],
    ["src/auth/TokenCache/Redis.ts", "ioredis", "src/auth/TokenCache.ts"],
    ["src/auth/TokenCache/Redis.ts", "./Cipher.ts", "src/auth/TokenCache.ts"],
    ["src/connections/Mongo.ts", "mongodb"],
    ["src/connections/Mongo.ts", "../resilience/Retry.ts"],
    ["src/http/Authentication.ts", "jose"],
    ["src/http/ApiServer.ts", "@effect/platform/HttpApi"],
    ["src/operations/Metrics.ts", "prom-client"],
    ["src/operations/StatusPage.ts", "./page.html"],
    ["src/operations/Fleet/Redis.ts", "../../connections/Redis.ts", "src/operations/Fleet.ts"],
    ["src/resilience/Retry.ts", "effect/Schedule"],
  ];
  for (const [from, specifier, ...others] of allowed) {
    it(`lets ${from} import ${specifier}`, () => {
      assert.deepEqual(violations(from, specifier, ...others), []);
    });
  }
  const refused: ReadonlyArray<readonly [string, string, RegExp, ...ReadonlyArray<string>]> = [
    ["src/resilience/Guard.ts", "@effect/platform", /resilience may import only effect/],
    ["src/resilience/Guard.ts", "effects", /may import only/],
    ["src/resilience/Guard.ts", "../http/Problem.ts", /resilience may import only resilience/],
    ["src/http/ApiServer.ts", "../operations/Metrics.ts", /http may import only/],
    ["src/http/ApiServer.ts", "../auth/Tenant.ts", /http may import only/],
    ["src/http/ApiServer.ts", "../connections/Redis.ts", /http may import only/],
    ["src/http/ApiServer.ts", "mongodb", /may import only/],
    ["src/operations/Health.ts", "../auth/Tenant.ts", /operations may import only/],
    ["src/operations/Health.ts", "../routing/Store.ts", /operations may import only/],
    ["src/operations/Health.ts", "../connections/Redis.ts", /backends and connections/],
    ["src/operations/Health.ts", "ioredis", /backends may import a driver/],
    ["src/operations/Fleet.ts", "mongodb", /operations may import only/],
    ["src/connections/Mongo.ts", "../operations/Metrics.ts", /connections may import only/],
    ["src/auth/Tenant.ts", "../routing/Store.ts", /auth may import only/],
    ["src/routing/Store.ts", "../auth/Tenant.ts", /routing may import only/],
    ["src/routing/StoreLookup.ts", "../connections/Redis.ts", /backends and connections/],
    ["src/routing/StoreLookup.ts", "mongodb", /backends may import a driver/],
    [
      "src/routing/StoreCache.ts",
      "./StoreCache/Redis.ts",
      /must not import its backend/,
    ],
    [
      "src/routing/StoreLookup.ts",
      "./StoreCache/Redis.ts",
      /only App.ts and its own folder/,
      "src/routing/StoreCache.ts",
    ],
    [
      "src/routing/StoreRepository/Mongo.ts",
      "../StoreCache/Redis.ts",
      /only App.ts and its own folder/,
      "src/routing/StoreRepository.ts",
      "src/routing/StoreCache.ts",
    ],
    ["src/auth/Http.ts", "../App.ts", /only Launch.ts/],
    ["src/Config.ts", "./App.ts", /only Launch.ts/],
    ["src/auth/Http.ts", "../Config.ts", /no room may/],
    ["src/http/ApiServer.ts", "../Config.ts", /no room may/],
    ["src/Config.ts", "./http/Problem.ts", /Config may import only/],
    ["src/main.ts", "./auth/Http.ts", /main may import only/],
    ["src/App.ts", "../tests/support/it.ts", /outside of src/],
    ["src/shop/Basket.ts", "effect", /"shop" is no room/],
    ["src/auth/Http.ts", "../shop/Basket.ts", /auth may import only/],
  ];
  for (const [from, specifier, reason, ...others] of refused) {
    it(`refuses that ${from} imports ${specifier}`, () => {
      const [first = "", ...rest] = violations(from, specifier, ...others);
      assert.match(first, reason);
      assert.ok(first.startsWith(`${from} imports `));
      assert.deepEqual(rest, []);
    });
  }

  it("refuses a file that is not there", () => {
    const files = new Map([["src/auth/Http.ts", 'import { x } from "./Gone.ts";']]);
    assert.match(importViolations(files).join(), /no such file/);
  });
});

describe("importCycles()", () => {
  it("prints each cycle once, type imports included", () => {
    const files = new Map([
      ["src/auth/A.ts", 'import type { B } from "./B.ts";'],
      ["src/auth/B.ts", 'export * from "./C.ts";'],
      ["src/auth/C.ts", 'const a = await import("./A.ts");'],
      ["src/auth/D.ts", 'import "./A.ts";'],
    ]);
    assert.deepEqual(importCycles(files), [
      "src/auth/A.ts → src/auth/B.ts → src/auth/C.ts → src/auth/A.ts",
    ]);
    files.set("src/auth/C.ts", "");
    assert.deepEqual(importCycles(files), []);
  });
});

describe("longFiles()", () => {
  it(`names a file from ${MAX_LINES + 1} lines on`, () => {
    const lines = (count: number) => new Map([["src/a.ts", "x;\n".repeat(count)]]);
    assert.deepEqual(longFiles(lines(MAX_LINES)), []);
    assert.equal(longFiles(lines(MAX_LINES + 1)).length, 1);
  });
});

describe("emptyNames()", () => {
  it("finds empty words in files and folders, and not inside other words", () => {
    const found = (path: string) => emptyNames(new Map([[path, ""]])).length;
    for (const name of ["utils", "StringUtils", "CacheManager", "HealthLive", "store_impl"]) {
      assert.equal(found(`src/auth/${name}.ts`), 1, name);
    }
    assert.equal(found("src/common/Thing.ts"), 1);
    for (const name of ["Liveness", "Delivery", "Simple", "Commonality", "Reutilize"]) {
      assert.equal(found(`src/auth/${name}.ts`), 0, name);
    }
  });
});

describe("forbiddenCalls()", () => {
  const forbidden = [{ call: "Date.now(", instead: "Clock", allowed: { "src/b.ts": "why" } }];

  it("finds a call with its line, outside of the exceptions", () => {
    const files = new Map([["src/a.ts", "\nDate.now();"], ["src/b.ts", "Date.now();"]]);
    assert.deepEqual(forbiddenCalls(files, forbidden), ["src/a.ts:2 holds Date.now(: Clock"]);
  });

  it("does not take comments, strings and patterns for calls", () => {
    const text = "// Date.now()\n/* Date.now() */ 'Date.now()' + `Date.now()` + /Date.now()/;";
    assert.deepEqual(forbiddenCalls(new Map([["src/a.ts", text]]), forbidden), []);
    const inTemplate = new Map([["src/a.ts", "`${Date.now()}`"]]);
    assert.equal(forbiddenCalls(inTemplate, forbidden).length, 1);
  });

  it("idleExceptions() names an exception that is not needed", () => {
    assert.equal(idleExceptions(new Map([["src/b.ts", "Date.now()"]]), forbidden).length, 0);
    assert.equal(idleExceptions(new Map([["src/b.ts", ""]]), forbidden).length, 1);
    assert.equal(idleExceptions(new Map(), forbidden).length, 1);
  });
});

describe("importsOf()", () => {
  it("finds every form of import and nothing in comments, strings and templates", () => {
    const text = `
      import a from "./a.ts";
      import { b, type B as Bee } from './b.ts'
      import * as c from "./c.ts"; import d, { e } from "./d.ts";
      import type { F } from "./f.ts";
      import "./g.ts";
      import {
        h,
      } from "./h.ts";
      export { i } from "./i.ts";
      export * from "./j.ts";
      export type { K } from "./k.ts";
      const l = await import("./l.ts");
      type M = import("./m.ts").M;
      import page from "./page.html" with { type: "text" };
      // import n from "./n.ts";
      /* import o from "./o.ts"; */
      const p = 'import p from "./p.ts";';
      const q = \`
import q from "./q.ts";
\${await import("./r.ts")} } import("./s.ts")\`;
      const t = /import "t.ts"/.test("") ? 1 / 2 : 3 / 4; const u = "it's";
      export const v = { from: "./v.ts" };
    `;
    assert.deepEqual(importsOf(readSource(text)), [
      ..."abcdfghijklm".split("").map((name) => `./${name}.ts`),
      "./page.html",
      "./r.ts",
    ]);
  });
});

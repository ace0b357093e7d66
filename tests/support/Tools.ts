/**
 * Where the programs are that tests start: on PATH, or for SecantusDB in a Python environment in the
 * user's cache directory. `provision.ts` puts them there.
 */

/** The pinned version of SecantusDB, the server that speaks MongoDB's protocol. */
export const SECANTUSDB_VERSION = "0.7.0b3";

/** The pinned version of the generator of requests from an OpenAPI document. */
export const SCHEMATHESIS_VERSION = "4.32.5";

/** The pinned version of the linter of OpenAPI documents, a package that Deno runs. */
export const REDOCLY_VERSION = "2.77.0";

/** A program that some tests need; `setpriv` is used where it is there. */
export type Tool =
  | "setpriv"
  | "script"
  | "redis-server"
  | "secantusdb"
  | "openssl"
  | "chromium"
  | "prometheus"
  | "promtool"
  | "redocly"
  | "schemathesis";

/** Every program that tests cannot do without. */
export const tools: ReadonlyArray<Tool> = [
  "script",
  "redis-server",
  "secantusdb",
  "openssl",
  "chromium",
  "prometheus",
  "promtool",
  "redocly",
  "schemathesis",
];

const names: Readonly<Record<Tool, ReadonlyArray<string>>> = {
  setpriv: ["setpriv"],
  script: ["script"],
  "redis-server": ["redis-server"],
  secantusdb: [],
  openssl: ["openssl"],
  chromium: ["chromium", "chromium-browser", "google-chrome"],
  prometheus: ["prometheus"],
  promtool: ["promtool"],
  redocly: [],
  schemathesis: [],
};

/** The user's cache directory for this project. */
export function cacheDirectory(): string {
  const home = Deno.env.get("HOME") ?? "/tmp";
  return `${Deno.env.get("XDG_CACHE_HOME") ?? `${home}/.cache`}/amicis`;
}

/** The Python environment that holds SecantusDB. */
export const secantusEnvironment = (): string =>
  `${cacheDirectory()}/secantusdb-${SECANTUSDB_VERSION}`;

/** The Python environment that holds schemathesis. */
export const schemathesisEnvironment = (): string =>
  `${cacheDirectory()}/schemathesis-${SCHEMATHESIS_VERSION}`;

/** Exists once Deno's cache holds the linter. */
export const redoclyMarker = (): string => `${cacheDirectory()}/redocly-${REDOCLY_VERSION}`;

/** The path of a program, or undefined when it is not installed. */
export function findTool(tool: Tool): string | undefined {
  if (tool === "secantusdb") {
    const path = `${secantusEnvironment()}/bin/secantusd-py`;
    return isFile(path) ? path : undefined;
  }
  if (tool === "schemathesis") {
    const path = `${schemathesisEnvironment()}/bin/st`;
    return isFile(path) ? path : undefined;
  }
  if (tool === "redocly") return isFile(redoclyMarker()) ? redoclyMarker() : undefined;
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    for (const name of names[tool]) {
      if (isFile(`${directory}/${name}`)) return `${directory}/${name}`;
    }
  }
  return undefined;
}

/** The path of a program; throws when it is not installed. */
export function toolPath(tool: Tool): string {
  const path = findTool(tool);
  if (path === undefined) {
    throw new Error(`Cannot find "${tool}": run "deno run -A tests/support/provision.ts"`);
  }
  return path;
}

/**
 * Options for `describe` or `it` that need programs: ignored where one is missing, as in
 * `describe("RedisCache", needs("redis-server"), () => …)`. With `CI=true` nothing is ignored, so
 * that what is missing shows as a failure.
 */
export function needs(...wanted: ReadonlyArray<Tool>): { readonly ignore: boolean } {
  if (Deno.env.get("CI") === "true") return { ignore: false };
  return { ignore: wanted.some((tool) => findTool(tool) === undefined) };
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

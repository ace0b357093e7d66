/**
 * The rules of the rooms (DESIGN: main → App → service → resilience → contract ← backend) as checks
 * over a set of source texts. Each gives its violations as sentences, none when all is well.
 */
import { importsOf, readSource } from "./SourceText.ts";

/** Source texts by path, for example "src/auth/Http.ts". */
export type Sources = ReadonlyMap<string, string>;

/** One import that leads to a file of the set, or (with `external`) out of it. */
interface Import {
  readonly from: string;
  readonly to: string;
  readonly external: boolean;
}

interface Room {
  /** Rooms that its files may import besides their own. */
  readonly rooms: ReadonlyArray<string>;
  /** Packages that its files may import. */
  readonly packages: ReadonlyArray<string>;
}

const EFFECT = ["effect", "@effect/schema"];
const PLATFORM = [...EFFECT, "@effect/platform"];
const TELEMETRY = ["@effect/opentelemetry", "@opentelemetry"];

/**
 * What each room may import. Where it names connections or a driver, that is for its backends only.
 * A room that is not here is a violation: it needs a decision.
 */
const ROOMS: Readonly<Record<string, Room>> = {
  resilience: { rooms: [], packages: ["effect"] },
  http: { rooms: ["resilience"], packages: [...PLATFORM, "jose", "node:"] },
  operations: {
    rooms: ["http", "resilience", "connections"],
    packages: [...PLATFORM, ...TELEMETRY, "prom-client", "ioredis", "node:"],
  },
  connections: { rooms: ["resilience"], packages: [...EFFECT, "mongodb", "ioredis", "node:"] },
  auth: {
    rooms: ["operations", "http", "resilience", "connections"],
    packages: [...PLATFORM, "mongodb", "ioredis", "node:"],
  },
  routing: {
    rooms: ["operations", "http", "resilience", "connections"],
    packages: [...PLATFORM, "mongodb", "ioredis", "node:"],
  },
};

/** Packages that only backends and connections may import. */
const DRIVERS = ["mongodb", "ioredis"];

/** Files at the top of src that see more than a room does. */
const TOP_LEVEL: Readonly<Record<string, ReadonlyArray<string>>> = {
  main: ["Launch", "Start"],
  Start: ["Launch"],
  Launch: [
    "App",
    "Cli",
    "Config",
    "ConfigCheck",
    "DemoToken",
    "Documents",
    "EmbeddedData",
    "HealthCheck",
    "TelemetryOptions",
    "Version",
    "*",
  ],
  DemoToken: ["Config", "EmbeddedData"],
  HealthCheck: ["Config"],
  Cli: ["Config"],
  ApiDocument: ["Version", "*"],
  Documents: ["ApiDocument", "AuthService", "Cli", "Config", "RoutingService", "*"],
  App: ["AuthService", "Config", "EmbeddedData", "RoutingService", "Service", "*"],
  AuthService: ["CallSpans", "Config", "Guards", "Recovery", "Service", "*"],
  RoutingService: ["Config", "Guards", "Recovery", "Service", "*"],
  Service: ["ApiDocument", "Config", "Guards", "Recovery", "Version", "*"],
  Guards: ["CallSpans", "Config", "*"],
  Recovery: ["Config", "operations", "resilience"],
  CallSpans: ["Config", "resilience"],
  ConfigCheck: ["Config", "Guards", "TelemetryOptions", "*"],
  TelemetryOptions: ["Config", "Version", "*"],
  Config: ["resilience"],
  EmbeddedData: ["DataFile"],
  DataFile: ["auth", "routing"],
  Version: [],
};

/** Every import rule but the one on cycles. */
export function importViolations(sources: Sources): ReadonlyArray<string> {
  return importsIn(sources).flatMap((one) => {
    const reason = one.external ? packageProblem(one, sources) : fileProblem(one, sources);
    return reason === undefined ? [] : [`${one.from} imports ${one.to}: ${reason}`];
  });
}

function packageProblem({ from, to }: Import, sources: Sources): string | undefined {
  const unit = unitOf(from);
  if (isTopLevel(from)) return undefined;
  const room = ROOMS[unit];
  if (room === undefined) return `"${unit}" is no room of the table`;
  if (!room.packages.some((name) => isOf(to, name))) {
    return `${unit} may import only ${room.packages.join(", ")}`;
  }
  const isDriver = DRIVERS.some((driver) => isOf(to, driver));
  if (isDriver && unit !== "connections" && contractOf(from, sources) === undefined) {
    return "only connections and backends may import a driver";
  }
  return undefined;
}

/** `name` itself, a path in it, or for a name that ends in a colon or is a scope all it holds. */
function isOf(specifier: string, name: string): boolean {
  return specifier === name || specifier.startsWith(name.endsWith(":") ? name : `${name}/`);
}

function fileProblem({ from, to }: Import, sources: Sources): string | undefined {
  const [unit, target] = [unitOf(from), unitOf(to)];
  if (!to.startsWith("src/")) {
    return to === "deno.json" ? undefined : "what is outside of src is not part of the program";
  }
  if (to.endsWith(".ts") && !sources.has(to)) return "there is no such file";
  // Text that is embedded is a part of who imports it.
  const contract = to.endsWith(".ts") ? contractOf(to, sources) : undefined;
  if (contract === from) return "a contract must not import its backend";
  if (contract !== undefined && unit !== "App" && folderOf(from) !== folderOf(to)) {
    return "only App.ts and its own folder may import a backend";
  }
  if (target === "App" && unit !== "App" && unit !== "Launch") {
    return "only Launch.ts may import App.ts";
  }
  if (target === "Config" && !isTopLevel(from)) return "no room may import Config.ts";
  if (unit === target) return undefined;
  if (isTopLevel(from)) {
    const allowed = TOP_LEVEL[unit] ?? [];
    const fits = allowed.includes(target) || (allowed.includes("*") && !isTopLevel(to));
    return fits ? undefined : `${unit} may import only ${allowed.join(", ")}`;
  }
  const room = ROOMS[unit];
  if (room === undefined) return `"${unit}" is no room of the table`;
  if (!room.rooms.includes(target)) {
    return `${unit} may import only ${[unit, ...room.rooms].join(", ")}`;
  }
  if (target === "connections" && contractOf(from, sources) === undefined) {
    return "only App.ts, backends and connections may import connections";
  }
  return undefined;
}

/** Cycles of imports, `import type` included: each as "a → b → a", each once. */
export function importCycles(sources: Sources): ReadonlyArray<string> {
  const graph = new Map<string, Array<string>>();
  for (const path of sources.keys()) graph.set(path, []);
  for (const { from, to, external } of importsIn(sources)) {
    if (!external && graph.has(to)) graph.get(from)?.push(to);
  }
  const cycles = new Map<string, string>();
  const done = new Set<string>();
  const visit = (path: string, trail: ReadonlyArray<string>): void => {
    const start = trail.indexOf(path);
    if (start >= 0) {
      const cycle = trail.slice(start);
      const key = cycle.toSorted().join();
      if (!cycles.has(key)) cycles.set(key, [...cycle, path].join(" → "));
      return;
    }
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return Array.from(cycles.values());
}

/** Most lines that a file may have. */
export const MAX_LINES = 400;

/** Files with more lines than `MAX_LINES`. */
export function longFiles(sources: Sources): ReadonlyArray<string> {
  return Array.from(sources).flatMap(([path, text]) => {
    const lines = text.trimEnd().split("\n").length;
    return lines > MAX_LINES ? [`${path} has ${lines} lines: split it by purpose`] : [];
  });
}

/** Words that name no purpose. */
const EMPTY_WORDS = ["util", "utils", "helper", "helpers", "common", "manager", "impl", "live"];

/** File and folder names that hold a word that names no purpose. */
export function emptyNames(sources: Sources): ReadonlyArray<string> {
  return Array.from(sources.keys()).flatMap((path) => {
    const words = path.split(/[^A-Za-z]+|(?<=[a-z])(?=[A-Z])/).map((word) => word.toLowerCase());
    const empty = words.find((word) => EMPTY_WORDS.includes(word));
    return empty === undefined ? [] : [`${path}: "${empty}" does not say what is in it`];
  });
}

/** A call that the code must not hold, but for the files listed with a reason. */
export interface ForbiddenCall {
  readonly call: string;
  readonly instead: string;
  readonly allowed: Readonly<Record<string, string>>;
}

/** Forbidden calls outside the files that may hold them. Comments and strings do not count. */
export function forbiddenCalls(
  sources: Sources,
  forbidden: ReadonlyArray<ForbiddenCall>,
): ReadonlyArray<string> {
  return Array.from(sources).flatMap(([path, text]) => {
    const { code } = readSource(text);
    return forbidden.flatMap(({ call, instead, allowed }) => {
      if (path in allowed || !code.includes(call)) return [];
      const line = code.slice(0, code.indexOf(call)).split("\n").length;
      return [`${path}:${line} holds ${call}: ${instead}`];
    });
  });
}

/** Exceptions that are not needed: the file is gone or does not hold the call. */
export function idleExceptions(
  sources: Sources,
  forbidden: ReadonlyArray<ForbiddenCall>,
): ReadonlyArray<string> {
  return forbidden.flatMap(({ call, allowed }) =>
    Object.keys(allowed).flatMap((path) => {
      const text = sources.get(path);
      const holds = text !== undefined && readSource(text).code.includes(call);
      return holds ? [] : [`${path} does not hold ${call}: take it off the list`];
    })
  );
}

/** Every import of a set of files, relative ones resolved to paths. */
export function importsIn(sources: Sources): ReadonlyArray<Import> {
  return Array.from(sources).flatMap(([from, text]) =>
    importsOf(readSource(text)).map((specifier): Import => {
      const external = !specifier.startsWith(".");
      const to = external ? specifier : new URL(specifier, `file:///${from}`).pathname.slice(1);
      return { from, to, external };
    })
  );
}

/** "auth" for src/auth/Http.ts; "App" for src/App.ts and for files in src/App/. */
function unitOf(path: string): string {
  const [, first = ""] = path.split("/");
  return first.replace(/\.ts$/, "");
}

function isTopLevel(path: string): boolean {
  return unitOf(path) in TOP_LEVEL;
}

/** src/auth/TokenCache.ts for src/auth/TokenCache/Redis.ts when there is such a file. */
function contractOf(path: string, sources: Sources): string | undefined {
  const contract = `${folderOf(path)}.ts`;
  return path.split("/").length === 4 && sources.has(contract) ? contract : undefined;
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));

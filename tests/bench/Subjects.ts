/**
 * Everything that is put under load: the services as their users run them, the bare servers, the
 * Fastify peers, and the real Redis behind them; all with equal work, and on loopback only.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { v8Flags } from "../../deploy/binary/V8Flags.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { Child, type ChildCommand } from "./Child.ts";
import { nodePath, peersDirectory } from "./Installation.ts";
import * as Question from "./Question.ts";
import type { Load } from "./Wrk.ts";

/** The names of what is measured. */
export const subjectNames = [
  "routing over Redis",
  "routing, near cache",
  "routing, breaker open",
  "auth",
  "bare",
  "bare, same headers",
  "bare, same 503",
  "bare + ioredis",
  "Fastify routing",
  "Fastify auth",
] as const;

export type SubjectName = typeof subjectNames[number];

/** One server under load, and the request it is sent. */
export interface Subject {
  readonly name: SubjectName;
  readonly child: Child;
  readonly load: Load;
  /** The status that every answer must have. */
  readonly status: number;
}

/** Subjects that run, until they are stopped. */
export interface Running {
  readonly subjects: ReadonlyArray<Subject>;
  readonly stop: () => Promise<void>;
}

/** What to start. */
export interface Options {
  /** The command before `--service=…`. */
  readonly service: ReadonlyArray<string>;
  /** Which of them [all]. */
  readonly names?: ReadonlyArray<SubjectName>;
}

type CleanUp = Array<() => Promise<unknown>>;

/** Starts the subjects and what is behind them, and fills the caches. */
export const start = async ({ service, names = subjectNames }: Options): Promise<Running> => {
  const cleanUp: CleanUp = [];
  const stop = async () => {
    for (const end of cleanUp.splice(0).reverse()) await end();
  };
  try {
    const scene = await setScene(cleanUp);
    const subjects: Array<Subject> = [];
    for (const name of names) subjects.push(await makers[name](scene, service));
    await checkEqual(subjects);
    return { subjects, stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

/** What all subjects share. */
interface Scene {
  readonly redis: Redis;
  readonly launch: (
    name: SubjectName,
    command: ReadonlyArray<string>,
    env: Readonly<Record<string, string>>,
    ready?: ChildCommand["ready"],
  ) => Promise<Child>;
}

const setScene = async (cleanUp: CleanUp): Promise<Scene> => {
  const directory = await Deno.makeTempDir({ prefix: "amicis-bench-" });
  cleanUp.push(() => Deno.remove(directory, { recursive: true }));
  const redis = await Redis.start();
  cleanUp.push(() => redis.stop());
  const endpoint = await TokenEndpoint.start();
  cleanUp.push(() => endpoint.stop());
  const dataFile = `${directory}/data.json`;
  await Deno.writeTextFile(dataFile, Question.dataFile(endpoint.url));
  return {
    redis,
    launch: async (name, command, env, ready = readiness) => {
      const logFile = `${directory}/${name.replaceAll(/\W+/g, "-")}.log`;
      const whole = { ...inherited(), DATA_FILE: dataFile, ...env };
      const child = await Child.start({ name, command, env: whole, logFile, ready });
      cleanUp.push(() => child.stop());
      return child;
    },
  };
};

/** What every child sees of the environment, beside its own settings. */
const inherited = (): Record<string, string> => {
  const names = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME", "TMPDIR"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
};

/** The services from source, with V8 as in the binary and these options of the runtime. */
export const fromSource = (...options: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...[Deno.execPath(), "run", "-A", "--no-check", `--v8-flags=${v8Flags}`, ...options],
  fileURLToPath(new URL("../../src/main.ts", import.meta.url)),
];

const productSettings = {
  HOST: "127.0.0.1",
  LOG_LEVEL: "info",
  LOG_FORMAT: "json",
  RATE_LIMIT_RPS: "1000000000",
  RATE_LIMIT_BURST: "1000000000",
};

/** Of the services and the peers. */
const readiness = { path: "/health/ready", status: 200 };

/** Of the bare servers, which have one answer for everything. */
const bareReadiness = { path: "/", status: 200 };

const denoRun = (file: string) => [
  ...[Deno.execPath(), "run", "-A", "--no-check"],
  fileURLToPath(new URL(file, import.meta.url)),
];

const routing = async (
  { launch }: Scene,
  name: SubjectName,
  service: ReadonlyArray<string>,
  env: Readonly<Record<string, string>>,
) => {
  const child = await launch(name, [...service, "--service=routing"], {
    ...productSettings,
    JWT_SECRET: Question.jwtSecret,
    ...env,
  });
  return { name, child, load: await Question.routeQuestion(child.port) };
};

const withOpenBreaker = async (
  scene: Scene,
  name: SubjectName,
  service: ReadonlyArray<string>,
): Promise<Subject> => {
  const { adminToken } = Question;
  const subject = await routing(scene, name, service, { ADMIN_TOKEN: adminToken });
  const answer = await Question.ask({
    url: `http://127.0.0.1:${subject.child.port}/admin/breakers/mongodb`,
    method: "POST",
    headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
    body: JSON.stringify({ action: "open" }),
  });
  assert.ok(answer.ok, await answer.text());
  return { ...subject, status: 503 };
};

/** Headers that the runtime adds by itself, and the one that is new with each request. */
const ownHeaders = new Set(["date", "content-length", "vary", "x-correlation-id"]);

/** In place of the product, which is stopped: a server that only has its headers, and says its body. */
const floorOf = async (scene: Scene, product: Subject): Promise<Subject> => {
  const { name, status, load } = product;
  const answer = await Question.ask(load);
  const { headers } = answer;
  const body = await answer.text();
  const id = headers.get("x-correlation-id") ?? "";
  await product.child.stop();
  const env = {
    BODY: body.replace(id, "{id}"),
    HEADERS: JSON.stringify([...headers].filter(([name]) => !ownHeaders.has(name))),
    STATUS: String(status),
  };
  const child = await scene.launch(name, denoRun("bare/headers.ts"), env, { path: "/", status });
  return {
    name,
    status,
    child,
    load: { ...load, url: load.url.replace(/:\d+/, `:${child.port}`) },
  };
};

const fastify = async ({ launch, redis }: Scene, name: SubjectName, file: string) =>
  await launch(name, [await nodePath(), `${peersDirectory()}/${file}`], {
    NODE_ENV: "production",
    REDIS_URL: redis.url,
    JWT_SECRET: Question.jwtSecret,
    TOKEN_CACHE_KEY: Question.tokenCacheKey,
  });

const makers: Readonly<
  Record<SubjectName, (scene: Scene, service: ReadonlyArray<string>) => Promise<Subject>>
> = {
  "routing over Redis": async (scene, service) => {
    const subject = await routing(scene, "routing over Redis", service, {
      REDIS_URL: scene.redis.url,
      NEAR_CACHE_SIZE: "0",
    });
    await untilHit(subject.load);
    return { ...subject, status: 200 };
  },
  "routing, near cache": async (scene, service) => {
    const subject = await routing(scene, "routing, near cache", service, {
      REDIS_URL: scene.redis.url,
    });
    await untilHit(subject.load);
    return { ...subject, status: 200 };
  },
  "routing, breaker open": async (scene, service) =>
    await withOpenBreaker(scene, "routing, breaker open", service),
  "auth": async ({ launch, redis }, service) => {
    const child = await launch("auth", [...service, "--service=auth"], {
      ...productSettings,
      REDIS_URL: redis.url,
      TOKEN_CACHE_KEY: Question.tokenCacheKey,
    });
    const load = Question.tokenQuestion(child.port);
    await until(async () => {
      await (await Question.ask(load)).body?.cancel();
      const keys = await redis.command("KEYS", "token:*");
      return Array.isArray(keys) && keys.length > 0;
    }, "the token is cached");
    return { name: "auth", child, load, status: 200 };
  },
  "bare": async ({ launch }) => {
    const command = denoRun("bare/serve.ts");
    const child = await launch("bare", command, { BODY: Question.routeAnswer }, bareReadiness);
    return { name: "bare", child, load: { url: `http://127.0.0.1:${child.port}/` }, status: 200 };
  },
  "bare, same headers": async (scene, service) => {
    const name = "bare, same headers";
    return await floorOf(scene, { ...await routing(scene, name, service, {}), status: 200 });
  },
  "bare, same 503": async (scene, service) =>
    await floorOf(scene, await withOpenBreaker(scene, "bare, same 503", service)),
  "bare + ioredis": async ({ launch, redis }) => {
    const name = "bare + ioredis";
    const key = "bench:answer";
    await redis.command("SET", key, Question.routeAnswer);
    const env = { REDIS_URL: redis.url, KEY: key };
    const child = await launch(name, denoRun("bare/redis.ts"), env, bareReadiness);
    return { name, child, load: { url: `http://127.0.0.1:${child.port}/` }, status: 200 };
  },
  "Fastify routing": async (scene) => {
    const name = "Fastify routing";
    const child = await fastify(scene, name, "routing.cjs");
    return { name, child, load: await Question.routeQuestion(child.port), status: 200 };
  },
  "Fastify auth": async (scene) => {
    const name = "Fastify auth";
    const child = await fastify(scene, name, "auth.cjs");
    return { name, child, load: Question.tokenQuestion(child.port), status: 200 };
  },
};

/** Asks until the answer is the wished one; caches are filled in the background. */
const until = async (isReached: () => Promise<boolean>, what: string): Promise<void> => {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline) {
    if (await isReached()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Not within 10 s: ${what}`);
};

const untilHit = (load: Load) =>
  until(async () => {
    const response = await Question.ask(load);
    await response.body?.cancel();
    return response.headers.get("x-cache") === "HIT";
  }, "the store is cached");

/** All that answer the same question give the same answer. */
const checkEqual = async (subjects: ReadonlyArray<Subject>): Promise<void> => {
  const answers = new Map<string, unknown>();
  for (const { name, load, status } of subjects) {
    const response = await Question.ask(load);
    assert.equal(response.status, status, name);
    const answer: unknown = await response.json();
    if (status !== 200) continue;
    const kind = load.method ?? "GET";
    const known = answers.get(kind);
    if (known === undefined) answers.set(kind, withoutTime(answer));
    else assert.deepEqual(withoutTime(answer), known, name);
  }
};

/** `expiresIn` counts down while the servers are asked one after the other. */
const withoutTime = (answer: unknown): unknown =>
  typeof answer === "object" && answer !== null && "expiresIn" in answer
    ? { ...answer, expiresIn: 0 }
    : answer;

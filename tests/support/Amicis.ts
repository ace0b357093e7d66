/**
 * The program itself as a child process, from source or as a compiled binary, with nothing in its
 * environment but what the test gives it. It listens on reserved ports of loopback.
 *
 * Starting waits until it answers; what it writes is kept whole. Use it with `await using`.
 */
import assert from "node:assert/strict";
import { eventually } from "./eventually.ts";
import { freePort, releasePort } from "./ports.ts";
import { tied } from "./servers/ServerProcess.ts";
import { jwtSecret } from "./wire/Jwt.ts";
import { MetricsPage } from "./wire/MetricsPage.ts";

const repository = new URL("../../", import.meta.url).pathname;

/** Runs the source. */
export const fromSource: ReadonlyArray<string> = [
  Deno.execPath(),
  ...["run", "-A", "--no-check", `${repository}src/main.ts`],
];

/** How the program is started. */
export interface AmicisOptions {
  readonly service: "auth" | "routing" | "all";
  /** Settings beside the ports and `HOST`; routing gets a `JWT_SECRET` unless one is here. */
  readonly env?: Readonly<Record<string, string>>;
  /** Program and first arguments [{@link fromSource}]. */
  readonly program?: ReadonlyArray<string>;
  /** What to wait for: an answer of 200 to `/health/ready`, or to `/health` ["ready"]. */
  readonly until?: "ready" | "answering";
  /** Health, metrics and administration on a port of their own [false]. */
  readonly hasManagementPort?: boolean;
  /** Address to listen on, which tests must be able to reach ["127.0.0.1"]. */
  readonly hostname?: string;
  /** Whether somebody reads standard output; else it stays in the pipe until `readOutput` [true]. */
  readonly isOutputRead?: boolean;
}

/** One line of the log. */
export type LogLine = Readonly<Record<string, unknown>>;

/** An answer, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // deno-lint-ignore no-explicit-any -- tests compare it with what it should be
  readonly json: any;
}

/** A request as tests write it. */
export interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON when it is no string. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** A program that runs. */
export class Amicis implements AsyncDisposable {
  /** Port of the one service; that of routing under `all`. */
  readonly port: number;
  /** Port of auth under `all`, else that of the one service. */
  readonly authPort: number;
  /** Where health and metrics are. */
  readonly managementPort: number;
  readonly hostname: string;
  readonly #ports: ReadonlyArray<number>;
  readonly #child: Child;

  private constructor(options: AmicisOptions) {
    const { service, program = fromSource, hasManagementPort = false } = options;
    this.hostname = options.hostname ?? "127.0.0.1";
    this.port = freePort();
    this.authPort = service === "all" ? freePort() : this.port;
    this.managementPort = hasManagementPort ? freePort() : this.port;
    this.#ports = [...new Set([this.port, this.authPort, this.managementPort])];
    const ports = service === "all"
      ? { AUTH_PORT: String(this.authPort), ROUTING_PORT: String(this.port) }
      : { PORT: String(this.port) };
    this.#child = new Child(options.isOutputRead ?? true, [...program, `--service=${service}`], {
      HOST: this.hostname,
      ...(service === "auth" ? {} : { JWT_SECRET: jwtSecret }),
      ...ports,
      ...(hasManagementPort ? { MANAGEMENT_PORT: String(this.managementPort) } : {}),
      ...options.env,
    });
  }

  /** Starts it and waits until it answers; a program that ends before is an error. */
  static async start(options: AmicisOptions): Promise<Amicis> {
    const amicis = new Amicis(options);
    const path = options.until === "answering" ? "/health" : "/health/ready";
    const ports = options.service === "all"
      ? [amicis.authPort, amicis.port]
      : [amicis.managementPort];
    try {
      for (const port of ports) {
        const state = await eventually(async () => {
          if (!amicis.#child.running) return "ended";
          return (await send(amicis.hostname, port, path)).status === 200 && "answers";
        }, { within: "20 seconds" });
        if (state === "ended") throw new Error("it ended by itself");
      }
      return amicis;
    } catch (error) {
      await amicis.stop();
      throw new Error(`Cannot start: ${error}\n${amicis.stdout}\n${amicis.stderr}`);
    }
  }

  get pid(): number {
    return this.#child.pid;
  }
  /** False once the process has ended. */
  get running(): boolean {
    return this.#child.running;
  }
  /** Everything written to standard output so far. */
  get stdout(): string {
    return this.#child.stdout.text;
  }
  get stderr(): string {
    return this.#child.stderr.text;
  }
  /** Begins to read standard output, where nobody did. */
  readOutput(): void {
    this.#child.read();
  }
  /** Settles with the end of the process, its output read to the end. */
  get ended(): Promise<Deno.CommandStatus> {
    return this.#child.ended;
  }

  /** Tells everything that is written to standard output from now on; gives what ends that. */
  follow(listener: (text: string) => void): () => void {
    const { listeners } = this.#child;
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** The lines logged so far; one that is not JSON is an error. */
  get logs(): ReadonlyArray<LogLine> {
    return this.stdout.split("\n").slice(0, -1).map((line) => JSON.parse(line));
  }

  /** The lines that have these fields. */
  logged(fields: LogLine): ReadonlyArray<LogLine> {
    return this.logs.filter((line) =>
      Object.entries(fields).every(([name, value]) => line[name] === value)
    );
  }

  /** Waits for a line with these fields; gives the first. Lines are written in batches. */
  async awaitLog(fields: LogLine): Promise<LogLine> {
    return await eventually(() => {
      const [first] = this.logged(fields);
      assert.ok(first, `No log line with ${JSON.stringify(fields)} in\n${this.stdout}`);
      return first;
    });
  }

  /** Sends one request to the service. */
  ask(path: string, request: Ask = {}): Promise<Answer> {
    return send(this.hostname, this.port, path, request);
  }

  /** Sends one request to auth, where it has another port. */
  askAuth(path: string, request: Ask = {}): Promise<Answer> {
    return send(this.hostname, this.authPort, path, request);
  }

  /** Sends one request to where health and metrics are. */
  askManagement(path: string, request: Ask = {}): Promise<Answer> {
    return send(this.hostname, this.managementPort, path, request);
  }

  /** `GET /health`, parsed. */
  async health(): Promise<Answer["json"]> {
    return (await this.askManagement("/health")).json;
  }

  /** Waits until `/health` is as the check wants it: it neither throws nor gives false. */
  async awaitHealth(check: (health: Answer["json"]) => boolean | void): Promise<void> {
    await eventually(async () => {
      const health = await this.health();
      assert.ok(check(health) !== false, JSON.stringify(health));
    }, { within: "15 seconds" });
  }

  /** One scrape. */
  async metrics(): Promise<MetricsPage> {
    return new MetricsPage((await this.askManagement("/metrics")).text);
  }

  /** One scrape of each service under `all`: routing, then auth. */
  async metricsOfAll(): Promise<readonly [MetricsPage, MetricsPage]> {
    const [routing, auth] = await Promise.all([this.ask("/metrics"), this.askAuth("/metrics")]);
    return [new MetricsPage(routing.text), new MetricsPage(auth.text)];
  }

  signal(name: Deno.Signal): void {
    this.#child.signal(name);
  }

  /** SIGTERM, then SIGKILL after 10 s; waits for the end and gives the ports back. */
  async stop(): Promise<Deno.CommandStatus> {
    const status = await this.#child.stop();
    for (const port of this.#ports) releasePort(port);
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** What a run that ends by itself left behind. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program with these arguments until it ends by itself. */
export async function runToEnd(
  args: ReadonlyArray<string>,
  options: Pick<AmicisOptions, "env" | "program"> = {},
): Promise<Ended> {
  const child = new Child(true, [...(options.program ?? fromSource), ...args], options.env ?? {});
  const { code } = await child.ended;
  return { code, stdout: child.stdout.text, stderr: child.stderr.text };
}

async function send(
  hostname: string,
  port: number,
  path: string,
  request: Ask = {},
): Promise<Answer> {
  const { method = "GET", headers = {}, body, signal } = request;
  const isJson = body !== undefined && typeof body !== "string";
  return await readAnswer(
    await fetch(`http://${hostname}:${port}${path}`, {
      method,
      headers: isJson ? { "content-type": "application/json", ...headers } : { ...headers },
      redirect: "manual",
      ...(body === undefined ? {} : { body: isJson ? JSON.stringify(body) : body as string }),
      ...(signal === undefined ? {} : { signal }),
    }),
  );
}

/** Reads an answer to its end. */
export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text();
  const isParsed = /json/.test(response.headers.get("content-type") ?? "") && text !== "";
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isParsed ? JSON.parse(text) : undefined,
  };
}

/** What a test run must have in its environment to run Deno at all. */
const inherited = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME", "TMPDIR"];

const alive = new Set<Deno.ChildProcess>();

globalThis.addEventListener("unload", () => {
  for (const child of alive) child.kill("SIGKILL");
});

/** The process and its output. */
class Child {
  readonly stdout = { text: "" };
  readonly stderr = { text: "" };
  /** Told of each piece of standard output. */
  readonly listeners = new Set<(text: string) => void>();
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;

  #output: Promise<void> | undefined;

  constructor(
    isOutputRead: boolean,
    command: ReadonlyArray<string>,
    env: Readonly<Record<string, string>>,
  ) {
    const [first = "", ...rest] = command;
    const [program = first, ...args] = tied(first, rest);
    const own = inherited.flatMap((name): Array<[string, string]> => {
      const value = Deno.env.get(name);
      return value === undefined ? [] : [[name, value]];
    });
    const child = new Deno.Command(program, {
      args,
      cwd: repository,
      clearEnv: true,
      env: { ...Object.fromEntries(own), NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    alive.add(child);
    if (isOutputRead) this.read();
    const errors = collect(child.stderr, (text) => void (this.stderr.text += text));
    this.ended = child.status.then(async (status) => {
      alive.delete(child);
      this.read();
      await Promise.all([this.#output, errors]);
      return status;
    });
  }

  /** Reads standard output from now on. */
  read(): void {
    this.#output ??= collect(this.#child.stdout, (text) => {
      this.stdout.text += text;
      for (const tell of this.listeners) tell(text);
    });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get running(): boolean {
    return alive.has(this.#child);
  }

  signal(name: Deno.Signal): void {
    if (!this.running) return;
    try {
      this.#child.kill(name);
    } catch (error) {
      // It ended between the check and the signal.
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  async stop(): Promise<Deno.CommandStatus> {
    this.signal("SIGCONT");
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), 10_000);
    const status = await this.ended;
    clearTimeout(timer);
    return status;
  }
}

async function collect(
  stream: ReadableStream<Uint8Array>,
  take: (text: string) => void,
): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) take(text);
}

/**
 * A real redis-server on a reserved loopback port, which a test may kill, freeze and bring back.
 * Without `persistent` it holds its data in memory only, so a restart starts empty.
 */
import { Effect, type Scope } from "effect";
import { freePort, releasePort } from "../ports.ts";
import { toolPath } from "../Tools.ts";
import { type Certificate, makeCertificate } from "./Certificate.ts";
import { type Reply, type RespTarget, sendCommand } from "./Resp.ts";
import { ServerProcess } from "./ServerProcess.ts";

/** How the server is started. */
export interface RedisOptions {
  /** More arguments for redis-server. */
  readonly args?: ReadonlyArray<string>;
  /** Where a directory for its files is made [the system's place for temporary ones]. */
  readonly directory?: string;
  /** Asks clients for this password (`requirepass`). */
  readonly password?: string;
  /** Listens with TLS only, with a certificate made for it [false]. */
  readonly tls?: boolean;
  /** As `--maxmemory`, for example "2mb", with no eviction: writes then fail with OOM. */
  readonly maxmemory?: string;
  /** Appends every write to disk, so that data outlives kill and restart [false]. */
  readonly persistent?: boolean;
}

/** A redis-server of one test. */
export class Redis {
  readonly port: number;
  /** What a client connects to, with the password. */
  readonly url: string;
  /** The certificate when started with TLS. */
  readonly certificate: Certificate | undefined;
  readonly #directory: string;
  readonly #options: RedisOptions;
  #process: ServerProcess | undefined;

  private constructor(
    port: number,
    directory: string,
    certificate: Certificate | undefined,
    options: RedisOptions,
  ) {
    this.port = port;
    this.certificate = certificate;
    this.#directory = directory;
    this.#options = options;
    const scheme = certificate === undefined ? "redis" : "rediss";
    const password = options.password === undefined
      ? ""
      : `:${encodeURIComponent(options.password)}@`;
    this.url = `${scheme}://${password}127.0.0.1:${port}`;
  }

  /** Starts a server and waits until it answers. */
  static async start(options: RedisOptions = {}): Promise<Redis> {
    const port = freePort();
    const directory = await Deno.makeTempDir({
      prefix: "amicis-redis-",
      ...(options.directory === undefined ? {} : { dir: options.directory }),
    });
    const certificate = options.tls === true ? await makeCertificate(directory) : undefined;
    const redis = new Redis(port, directory, certificate, options);
    try {
      await redis.#spawn();
      return redis;
    } catch (error) {
      await redis.stop();
      throw error;
    }
  }

  /** The same as `start`, stopped with the scope. */
  static scoped(options: RedisOptions = {}): Effect.Effect<Redis, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.promise(() => Redis.start(options)),
      (redis) => Effect.promise(() => redis.stop()),
    );
  }

  /** Process id of the running server. */
  get pid(): number {
    if (this.#process === undefined) throw new Error("The server is not running");
    return this.#process.pid;
  }

  /** Runs one command on a connection of its own: `command("SET", "key", "value")`. */
  command(...command: ReadonlyArray<string>): Promise<Reply> {
    return sendCommand(this.#target(), command);
  }

  /** True when the server answers PING within 2 s. */
  async isReady(): Promise<boolean> {
    try {
      return await this.command("PING") === "PONG";
    } catch {
      return false;
    }
  }

  /** Ends the server gracefully and removes its files; its port is given back. */
  async stop(): Promise<void> {
    await this.#process?.stop();
    this.#process = undefined;
    releasePort(this.port);
    await Deno.remove(this.#directory, { recursive: true }).catch(ignoreMissing);
  }

  /** Ends the server by SIGKILL; its port and files stay for `restart`. */
  async kill(): Promise<void> {
    await this.#process?.kill();
    this.#process = undefined;
  }

  /** Ends the server gracefully; its port and files stay for `restart`. */
  async shutdown(): Promise<void> {
    await this.#process?.stop();
    this.#process = undefined;
  }

  /** Starts the server on the same port and files, after ending it gracefully if it runs. */
  async restart(): Promise<void> {
    await this.shutdown();
    await this.#spawn();
  }

  /** Freezes the server: connections stay open and nothing answers. */
  pause(): void {
    this.#process?.pause();
  }

  /** Undoes `pause`. */
  resume(): void {
    this.#process?.resume();
  }

  #target(): RespTarget {
    return { port: this.port, password: this.#options.password, ca: this.certificate?.ca };
  }

  async #spawn(): Promise<void> {
    this.#process = await ServerProcess.start({
      program: toolPath("redis-server"),
      args: this.#arguments(),
      isReady: async (pid) => {
        const info = await sendCommand(this.#target(), ["INFO", "server"], 500);
        return typeof info === "string" && info.includes(`process_id:${pid}\r`);
      },
    });
  }

  #arguments(): ReadonlyArray<string> {
    const { args = [], maxmemory, password, persistent } = this.#options;
    const listen = this.certificate === undefined ? ["--port", String(this.port)] : [
      ...["--port", "0", "--tls-port", String(this.port), "--tls-auth-clients", "no"],
      ...["--tls-cert-file", this.certificate.certFile],
      ...["--tls-key-file", this.certificate.keyFile],
      ...["--tls-ca-cert-file", this.certificate.caFile],
    ];
    return [
      ...listen,
      ...["--bind", "127.0.0.1", "--dir", this.#directory, "--save", "", "--databases", "2"],
      ...(persistent === true ? ["--appendonly", "yes", "--appendfsync", "always"] : []),
      ...(password === undefined ? [] : ["--requirepass", password]),
      ...(maxmemory === undefined
        ? []
        : ["--maxmemory", maxmemory, "--maxmemory-policy", "noeviction"]),
      ...args,
    ];
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

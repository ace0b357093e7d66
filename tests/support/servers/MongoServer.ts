/**
 * A real server of MongoDB's wire protocol (SecantusDB, a test tool only) on a reserved loopback
 * port, with data in a directory of its own that outlives kill and restart, and with fail points.
 * Starting takes about a second.
 */
import { Effect, type Scope } from "effect";
import { type Document, MongoClient, type MongoClientOptions } from "mongodb";
import { freePort, releasePort } from "../ports.ts";
import { toolPath } from "../Tools.ts";
import { type Certificate, makeCertificate } from "./Certificate.ts";
import { ServerProcess } from "./ServerProcess.ts";

/** How the server is started. */
export interface MongoServerOptions {
  /** More arguments for secantusd-py. */
  readonly args?: ReadonlyArray<string>;
  /** Where a directory for its files is made [the system's place for temporary ones]. */
  readonly directory?: string;
  /** Makes this user (role root) and then asks every client for its credentials. */
  readonly auth?: { readonly username: string; readonly password: string };
  /** Listens with TLS only, with a certificate made for it [false]. */
  readonly tls?: boolean;
}

/** What a fail point does to the commands it names; see `configureFailPoint` in MongoDB. */
export interface FailPoint {
  /** Names of commands, for example "find" or "insert". */
  readonly failCommands: ReadonlyArray<string>;
  /** How often it acts: "alwaysOn" (default), the next `times`, or after `skip` commands. */
  readonly mode?: "alwaysOn" | { readonly times: number } | { readonly skip: number } | {
    readonly activationProbability: number;
  };
  /** Answers with this code. */
  readonly errorCode?: number;
  readonly errorLabels?: ReadonlyArray<string>;
  /** Closes the connection in place of an answer. */
  readonly closeConnection?: boolean;
  /** Holds the command for this long, in milliseconds. */
  readonly blockTimeMS?: number;
  /** Only for clients with this name. */
  readonly appName?: string;
}

const OPTIONS = "directConnection=true&serverMonitoringMode=poll&heartbeatFrequencyMS=500";

/** A MongoDB-like server of one test. */
export class MongoServer {
  readonly port: number;
  /** What a client connects to, with credentials and options that suit fail points. */
  readonly url: string;
  /** The certificate when started with TLS. */
  readonly certificate: Certificate | undefined;
  readonly #directory: string;
  readonly #options: MongoServerOptions;
  #process: ServerProcess | undefined;
  /** False until the user of `auth` exists. */
  #asksForCredentials = false;

  private constructor(
    port: number,
    directory: string,
    certificate: Certificate | undefined,
    options: MongoServerOptions,
  ) {
    this.port = port;
    this.certificate = certificate;
    this.#directory = directory;
    this.#options = options;
    this.url = this.#urlWith(options.auth);
  }

  /** Starts a server and waits until it answers. */
  static async start(options: MongoServerOptions = {}): Promise<MongoServer> {
    const port = freePort();
    const directory = await Deno.makeTempDir({
      prefix: "amicis-mongo-",
      ...(options.directory === undefined ? {} : { dir: options.directory }),
    });
    const certificate = options.tls === true ? await makeCertificate(directory) : undefined;
    const server = new MongoServer(port, directory, certificate, options);
    try {
      await server.#spawn();
      if (options.auth !== undefined) await server.#addUser(options.auth);
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** The same as `start`, stopped with the scope. */
  static scoped(options: MongoServerOptions = {}): Effect.Effect<MongoServer, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.promise(() => MongoServer.start(options)),
      (server) => Effect.promise(() => server.stop()),
    );
  }

  /** Process id of the running server. */
  get pid(): number {
    if (this.#process === undefined) throw new Error("The server is not running");
    return this.#process.pid;
  }

  /** Runs the body with a client of its own, which is closed at the end. */
  async use<A>(
    body: (client: MongoClient) => Promise<A>,
    options: MongoClientOptions = {},
  ): Promise<A> {
    const url = this.#urlWith(this.#asksForCredentials ? this.#options.auth : undefined);
    const client = new MongoClient(url, {
      appName: "amicis-test-bed",
      serverSelectionTimeoutMS: 5_000,
      connectTimeoutMS: 2_000,
      socketTimeoutMS: 5_000,
      maxPoolSize: 2,
      ...options,
    });
    try {
      return await body(client);
    } finally {
      await client.close(true);
    }
  }

  /** Inserts documents on a connection of the test bed's own. */
  async insert(
    database: string,
    collection: string,
    documents: ReadonlyArray<Document>,
  ): Promise<void> {
    await this.use((client) =>
      client.db(database).collection(collection).insertMany(documents.map((one) => ({ ...one })))
    );
  }

  /** Makes the named commands fail until `clearFailPoint`, or as often as `mode` says. */
  async failPoint({ mode = "alwaysOn", blockTimeMS, ...data }: FailPoint): Promise<void> {
    const block = blockTimeMS === undefined ? {} : { blockConnection: true, blockTimeMS };
    await this.#admin({
      configureFailPoint: "failCommand",
      mode,
      data: { ...data, ...block },
    });
  }

  /** Undoes `failPoint`. */
  async clearFailPoint(): Promise<void> {
    await this.#admin({ configureFailPoint: "failCommand", mode: "off" });
  }

  /** True when the server answers within 2 s. */
  async isReady(): Promise<boolean> {
    try {
      await this.#ping(2_000);
      return true;
    } catch {
      return false;
    }
  }

  /** Ends the server gracefully and removes its files; its port is given back. */
  async stop(): Promise<void> {
    await this.shutdown();
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

  /** Starts the server on the same port with no data, as after the loss of its disk. */
  async restartEmpty(): Promise<void> {
    await this.shutdown();
    await Deno.remove(`${this.#directory}/data`, { recursive: true });
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

  async #addUser({ username, password }: { username: string; password: string }): Promise<void> {
    await this.#admin({ createUser: username, pwd: password, roles: ["root"] });
    this.#asksForCredentials = true;
    await this.restart();
  }

  async #admin(command: Document): Promise<void> {
    await this.use((client) => client.db("admin").command(command));
  }

  async #ping(limitMs: number): Promise<void> {
    await this.use((client) => client.db("admin").command({ ping: 1 }), {
      serverSelectionTimeoutMS: limitMs,
      connectTimeoutMS: limitMs,
      socketTimeoutMS: limitMs,
    });
  }

  #urlWith(auth: MongoServerOptions["auth"]): string {
    const user = auth === undefined
      ? ""
      : `${encodeURIComponent(auth.username)}:${encodeURIComponent(auth.password)}@`;
    const tls = this.certificate === undefined
      ? ""
      : `&tls=true&tlsCAFile=${encodeURIComponent(this.certificate.caFile)}`;
    return `mongodb://${user}127.0.0.1:${this.port}/?${OPTIONS}${tls}`;
  }

  async #spawn(): Promise<void> {
    this.#process = await ServerProcess.start({
      program: toolPath("secantusdb"),
      args: this.#arguments(),
      // A home without settings of the user, which the server would read.
      env: { HOME: this.#directory },
      isReady: async () => {
        // The driver waits long for a server that is not there: knock first.
        (await Deno.connect({ hostname: "127.0.0.1", port: this.port })).close();
        await this.#ping(2_000);
        return true;
      },
    });
  }

  #arguments(): ReadonlyArray<string> {
    return [
      ...["--host", "127.0.0.1", "--port", String(this.port)],
      ...["--storage-path", `${this.#directory}/data`, "--sync-on-commit", "--cache-size", "64M"],
      ...["--enable-test-commands", "--log-level", "WARNING"],
      ...(this.#asksForCredentials ? ["--auth"] : []),
      ...(this.certificate === undefined ? [] : [
        ...["--tls-cert-file", this.certificate.certFile],
        ...["--tls-key-file", this.certificate.keyFile],
      ]),
      ...(this.#options.args ?? []),
    ];
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

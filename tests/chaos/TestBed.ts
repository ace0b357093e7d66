/**
 * Everything that a fault can be done to: the compiled services on a real Redis, a real server of
 * MongoDB's protocol and a token endpoint, with a proxy in front of each of the three, and in front
 * of the servers toxiproxy where it is there.
 */
import { type Collection, type Document, MongoBulkWriteError } from "mongodb";
import { Amicis, fromSource } from "../support/Amicis.ts";
import { MongoServer } from "../support/servers/MongoServer.ts";
import { Redis } from "../support/servers/Redis.ts";
import { TcpProxy } from "../support/servers/TcpProxy.ts";
import { TokenEndpoint } from "../support/servers/TokenEndpoint.ts";
import { Toxiproxy } from "../support/servers/Toxiproxy.ts";
import type { Dependency } from "./Answers.ts";
import { findToxiproxy } from "./ChaosTools.ts";
import type { Disk } from "./Disk.ts";
import type { MemoryLimit } from "./MemoryLimit.ts";
import { loopback, type Network } from "./Network.ts";
import { database, issue, stores, tenantOf } from "./Shop.ts";

/** How the services are started for a fault that has to be prepared. */
export interface Launch {
  readonly name: string;
  /** Inside the bed's group with a limit of memory [false]. */
  readonly inMemoryLimit?: boolean;
  /** From source, so on the very runtime that runs the suite, not on a binary's [false]. */
  readonly isFromSource?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** The usual way. */
export const plainLaunch: Launch = { name: "plain" };

export interface TestBedOptions {
  /** The services: program and first arguments. */
  readonly program: ReadonlyArray<string>;
  readonly network?: Network;
  /** Where the servers keep their files [the system's place for temporary ones]. */
  readonly disks?: Readonly<Record<"mongodb" | "redis", Disk>>;
  /** Whether toxiproxy is put in between, where it is there [false]. */
  readonly toxiproxy?: boolean;
  readonly memoryLimit?: MemoryLimit;
  /** Settings beside {@link settings}. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The longest that the services may take for an answer, in milliseconds. */
export const requestTimeout = 3_000;

/** Small, so that outages of seconds show everything that those of minutes would. */
const settings: Readonly<Record<string, string>> = {
  REQUEST_TIMEOUT: `${requestTimeout}ms`,
  MONGODB_TIMEOUT: "800ms",
  REDIS_TIMEOUT: "600ms",
  TOKEN_EXCHANGE_TIMEOUT: "800ms",
  RETRY_INITIAL_DELAY: "50ms",
  BREAKER_WINDOW: "3s",
  BREAKER_OPEN_FOR: "1s",
  BREAKER_TRIAL_LEASE: "2s",
  CACHE_TTL: "2s",
  CACHE_STALE_IF_ERROR: "5m",
  CACHE_NEGATIVE_TTL: "1s",
  RATE_LIMIT_RPS: "100000",
  RATE_LIMIT_BURST: "100000",
  TOKEN_CACHE_KEY: btoa("k".repeat(32)),
  ALLOW_INSECURE_TOKEN_ENDPOINTS: "true",
};

export class TestBed implements AsyncDisposable {
  readonly mongo: MongoServer;
  readonly redis: Redis;
  readonly endpoint: TokenEndpoint;
  readonly network: Network;
  readonly disks: TestBedOptions["disks"];
  readonly memoryLimit: MemoryLimit | undefined;
  readonly toxiproxy: Toxiproxy | undefined;
  /** What the services connect to, by dependency. */
  readonly proxies: Readonly<Record<Dependency, TcpProxy>>;
  readonly #otherEndpoint: TokenEndpoint;
  readonly #otherProxy: TcpProxy;
  readonly #options: TestBedOptions;
  #launch: Launch = plainLaunch;
  #services: Amicis | undefined;

  private constructor(options: TestBedOptions, parts: Parts) {
    this.#options = options;
    this.network = options.network ?? loopback;
    this.disks = options.disks;
    this.memoryLimit = options.memoryLimit;
    this.mongo = parts.mongo;
    this.redis = parts.redis;
    this.endpoint = parts.endpoint;
    this.toxiproxy = parts.toxiproxy;
    this.proxies = parts.proxies;
    this.#otherEndpoint = parts.otherEndpoint;
    this.#otherProxy = parts.otherProxy;
  }

  /** Starts all of it and waits until the services are ready. */
  static async start(options: TestBedOptions): Promise<TestBed> {
    const bed = new TestBed(options, await startParts(options));
    try {
      await bed.fill();
      await bed.launch(plainLaunch);
      return bed;
    } catch (error) {
      await bed[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The running services. */
  get services(): Amicis {
    if (this.#services === undefined) throw new Error("The services do not run");
    return this.#services;
  }

  /** Stores and tenants into MongoDB, as far as they are not there. */
  async fill(): Promise<void> {
    const tenantDocuments = [
      tenantOf("ikea", this.#endpointUrl(this.proxies["token endpoint"])),
      tenantOf("habitat", this.#endpointUrl(this.#otherProxy)),
    ];
    await this.mongo.use(async (client) => {
      const db = client.db(database);
      // The indexes first: over what is there already the server takes seconds, and reads wait.
      await db.collection("stores").createIndex({ tenantId: 1, storeId: 1 }, { unique: true });
      await db.collection("tenants").createIndex({ tenantId: 1 }, { unique: true });
      await insertMissing(db.collection("stores"), stores);
      await insertMissing(db.collection("tenants"), tenantDocuments);
    }, { socketTimeoutMS: 30_000 });
  }

  /** True while the services run that were started this way. */
  isLaunched({ name }: Launch): boolean {
    return this.#services?.running === true && this.#launch.name === name;
  }

  /** Starts the services this way, after ending them if they run. */
  async launch(launch: Launch): Promise<void> {
    await this.#services?.stop();
    const { memoryLimit, network, proxies } = this;
    const prefix = launch.inMemoryLimit === true ? memoryLimit?.prefix ?? [] : [];
    const program = launch.isFromSource === true ? fromSource : this.#options.program;
    const mongodb = `${network.nameOf("mongodb")}:${proxies.mongodb.port}`;
    this.#services = await Amicis.start({
      service: "all",
      // Into the group first: a namespace hides the system's files that say so.
      program: [...prefix, ...network.within(program)],
      hostname: network.services,
      env: {
        ...settings,
        MONGODB_URI:
          `mongodb://${mongodb}/?directConnection=true&serverMonitoringMode=poll&heartbeatFrequencyMS=500`,
        REDIS_URL: `redis://${network.nameOf("redis")}:${proxies.redis.port}`,
        ...this.#options.env,
        ...launch.env,
      },
    });
    this.#launch = launch;
  }

  /** The services' own address. */
  address(service: "auth" | "routing"): string {
    const { hostname, port, authPort } = this.services;
    return `http://${hostname}:${service === "routing" ? port : authPort}`;
  }

  /** Breaks every connection of the services once. */
  async dropConnections(): Promise<void> {
    await Promise.all(Object.values(this.proxies).map((proxy) => proxy.drop()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#services?.stop();
    await stopParts({
      mongo: this.mongo,
      redis: this.redis,
      endpoint: this.endpoint,
      otherEndpoint: this.#otherEndpoint,
      otherProxy: this.#otherProxy,
      proxies: this.proxies,
      toxiproxy: this.toxiproxy,
    });
  }

  #endpointUrl(proxy: TcpProxy): string {
    return `http://${this.network.nameOf("login")}:${proxy.port}/token`;
  }
}

/** A server under strain may have kept what it said it had not. */
const insertMissing = async (
  collection: Collection,
  documents: ReadonlyArray<Document>,
): Promise<void> => {
  const duplicateKey = 11000;
  try {
    await collection.insertMany(documents.map((one) => ({ ...one })), { ordered: false });
  } catch (error) {
    if (!(error instanceof MongoBulkWriteError && error.code === duplicateKey)) throw error;
  }
};

interface Parts {
  readonly mongo: MongoServer;
  readonly redis: Redis;
  readonly endpoint: TokenEndpoint;
  readonly otherEndpoint: TokenEndpoint;
  readonly otherProxy: TcpProxy;
  readonly proxies: Readonly<Record<Dependency, TcpProxy>>;
  readonly toxiproxy: Toxiproxy | undefined;
}

const startParts = async (options: TestBedOptions): Promise<Parts> => {
  const { disks, network = loopback } = options;
  const program = options.toxiproxy === true ? findToxiproxy() : undefined;
  const [mongo, redis, endpoint, otherEndpoint, toxiproxy] = await Promise.all([
    MongoServer.start(disks === undefined ? {} : { directory: disks.mongodb.path }),
    Redis.start({
      // Written to disk once a second, as production does; never rewritten on the way.
      args: ["--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"],
      ...(disks === undefined ? {} : { directory: disks.redis.path }),
    }),
    TokenEndpoint.start(),
    TokenEndpoint.start(),
    program === undefined ? undefined : Toxiproxy.start(program),
  ]);
  endpoint.behave(issue);
  otherEndpoint.behave(issue);
  const proxyOf = async (name: Dependency, port: number) => {
    const behind = await toxiproxy?.proxy(name.replace(" ", "-"), port) ?? port;
    return await TcpProxy.start({ port: behind }, network.gateway);
  };
  return {
    mongo,
    redis,
    endpoint,
    otherEndpoint,
    toxiproxy,
    otherProxy: await TcpProxy.start({ port: otherEndpoint.port }, network.gateway),
    proxies: {
      mongodb: await proxyOf("mongodb", mongo.port),
      redis: await proxyOf("redis", redis.port),
      "token endpoint": await proxyOf("token endpoint", endpoint.port),
    },
  };
};

const stopParts = async (parts: Parts): Promise<void> => {
  const proxies = [parts.otherProxy, ...Object.values(parts.proxies)];
  await Promise.all(proxies.map((proxy) => proxy.stop()));
  const { mongo, redis, endpoint, otherEndpoint, toxiproxy } = parts;
  await Promise.all(
    [mongo, redis, endpoint, otherEndpoint, toxiproxy].map((server) => server?.stop()),
  );
};

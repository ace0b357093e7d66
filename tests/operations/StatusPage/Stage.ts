/**
 * The routing program on real servers, with breakers that open for seconds, so that a viewer of its
 * status page sees a whole outage.
 */
import assert from "node:assert/strict";
import { Amicis } from "../../support/Amicis.ts";
import { eventually } from "../../support/eventually.ts";
import { MongoServer } from "../../support/servers/MongoServer.ts";
import { Redis } from "../../support/servers/Redis.ts";
import { bearer } from "../../support/wire/Jwt.ts";

export const adminToken = "status-page-admin-token";

type State = "closed" | "open" | "half-open";

/** A service, what it depends on, and a caller. */
export class Stage implements AsyncDisposable {
  readonly mongo: MongoServer;
  readonly redis: Redis;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #env: Readonly<Record<string, string>>;
  amicis: Amicis;

  private constructor(
    mongo: MongoServer,
    redis: Redis,
    amicis: Amicis,
    headers: Readonly<Record<string, string>>,
    env: Readonly<Record<string, string>>,
  ) {
    this.mongo = mongo;
    this.redis = redis;
    this.amicis = amicis;
    this.#headers = headers;
    this.#env = env;
  }

  /** Starts all of it; `env` beside or in place of the usual settings. */
  static async start(env: Readonly<Record<string, string>> = {}): Promise<Stage> {
    const [mongo, redis] = await Promise.all([MongoServer.start(), Redis.start()]);
    await mongo.insert("amicis", "stores", [{
      tenantId: "ikea",
      storeId: "berlin-01",
      name: "Berlin Tempelhof",
      backendUrl: "https://backend.example/ikea/berlin-01",
      backendContext: {},
    }]);
    const settings = {
      MONGODB_URI: mongo.url,
      REDIS_URL: redis.url,
      MONGODB_TIMEOUT: "500ms",
      RETRY_INITIAL_DELAY: "20ms",
      BREAKER_OPEN_JITTER: "0",
      MONGODB_BREAKER_OPEN_FOR: "5s",
      ADMIN_TOKEN: adminToken,
      ...env,
    };
    const amicis = await Amicis.start({ service: "routing", env: settings });
    return new Stage(mongo, redis, amicis, await bearer("ikea"), settings);
  }

  get page(): string {
    return `http://127.0.0.1:${this.amicis.port}/status`;
  }

  /** A call that only MongoDB can answer; gives the status of its answer. */
  async call(): Promise<number> {
    return (await this.amicis.ask("/api/v1/stores", { headers: this.#headers })).status;
  }

  /** A call that the cache can answer. */
  async cachedCall(): Promise<number> {
    const path = "/api/v1/route?storeId=berlin-01";
    return (await this.amicis.ask(path, { headers: this.#headers })).status;
  }

  /** The state of MongoDB's breaker as the service itself tells it. */
  async state(): Promise<State> {
    return (await this.amicis.health()).circuitBreakers.mongodb.state;
  }

  /** Kills MongoDB and calls until its breaker is open. */
  async breakDown(): Promise<void> {
    await this.mongo.kill();
    await this.#callUntil("open");
  }

  /** Starts MongoDB again and calls until one trial has succeeded. */
  async repair(): Promise<void> {
    if (!await this.mongo.isReady()) await this.mongo.restart();
    await this.#callUntil("half-open");
  }

  /** Calls until the breaker is closed again. */
  async recover(): Promise<void> {
    if (!await this.mongo.isReady()) await this.mongo.restart();
    await this.#callUntil("closed");
  }

  /** Ends the program and starts another in its place, on another port. */
  async restart(): Promise<void> {
    await this.amicis.stop();
    this.amicis = await Amicis.start({ service: "routing", env: this.#env });
  }

  async #callUntil(state: State): Promise<void> {
    await eventually(async () => {
      if (await this.state() !== state) await this.call();
      assert.equal(await this.state(), state);
    }, { within: "30 seconds", every: "100 millis" });
  }

  async stop(): Promise<void> {
    await this.amicis.stop();
    await Promise.all([this.mongo.stop(), this.redis.stop()]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

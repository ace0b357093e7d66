/**
 * Five minutes of both services under load on real servers, in which MongoDB hangs, Redis dies and
 * two tenants' token endpoints fail, watched by a real Prometheus.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Amicis } from "../../support/Amicis.ts";
import { MongoServer } from "../../support/servers/MongoServer.ts";
import { Redis } from "../../support/servers/Redis.ts";
import { type TokenBehaviour, TokenEndpoint } from "../../support/servers/TokenEndpoint.ts";
import { bearer } from "../../support/wire/Jwt.ts";
import { database, store, tenant } from "../../e2e/support/Shops.ts";
import { Prometheus } from "../../deploy/support/Prometheus.ts";

const tenants = ["ikea", "habitat", "muji", "bolia", "vitra", "hay", "muuto", "fritz"];
const storesOfEach = 40;
const shoppersOfEach = 150;

/** Milliseconds between two handfuls of requests. */
const beat = 100;

type Act = (stage: Stage) => void | Promise<void>;

/** Seconds of all of it. */
const length = 265;

/** What happens, by the second after the load has begun. */
const acts: ReadonlyArray<readonly [second: number, act: Act]> = [
  [45, ({ mongo }) => mongo.pause()],
  [70, ({ broken }) => void broken.set("vitra", { kind: "reset" })],
  [95, ({ mongo }) => mongo.resume()],
  [110, ({ broken }) => void broken.delete("vitra")],
  [130, ({ broken }) => void broken.set("habitat", { kind: "answer", status: 500 })],
  [150, ({ redis }) => redis.kill()],
  [190, ({ redis }) => redis.restart()],
  [205, ({ broken }) => void broken.set("muuto", { kind: "answer", status: 503 })],
  [215, ({ broken }) => void broken.delete("habitat")],
  [235, (stage) => void (stage.isRushing = true)],
  [225, ({ broken }) => void broken.delete("muuto")],
  [243, (stage) => void (stage.isRushing = false)],
  [240, ({ broken }) => void broken.set("bolia", { kind: "hang" })],
];

/** The same for every run: what is chosen at random must not change the story. */
const random = (() => {
  let state = 42;
  return (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (state >>> 8) % below;
  };
})();

/** Services, servers and callers. */
class Stage implements AsyncDisposable {
  /** Tenants whose endpoint does not just answer. */
  readonly broken = new Map<string, TokenBehaviour>();
  /** One tenant asks far more than it may. */
  isRushing = false;
  readonly #open = new Set<Promise<unknown>>();

  constructor(
    readonly mongo: MongoServer,
    readonly redis: Redis,
    readonly endpoint: TokenEndpoint,
    readonly auth: Amicis,
    readonly routing: Amicis,
    readonly prometheus: Prometheus,
    readonly headers: ReadonlyMap<string, Readonly<Record<string, string>>>,
  ) {
    endpoint.behave(({ form }) => {
      const client = (form.get("client_id") ?? "").replace("client-of-", "");
      return this.broken.get(client) ?? { kind: "ok", expiresIn: 601 };
    });
  }

  /** The requests of one beat. */
  ask(): void {
    for (let call = 0; call < 4; call += 1) this.#route(tenants[random(tenants.length)] ?? "");
    if (random(3) === 0) this.#get(tenants[random(tenants.length)] ?? "", "/api/v1/stores");
    for (let call = 0; call < 2; call += 1) this.#exchange(tenants[random(tenants.length)] ?? "");
    if (this.isRushing) { for (let call = 0; call < 6; call += 1) this.#route("muji"); }
  }

  #route(tenantId: string): void {
    // A few of them do not exist.
    this.#get(tenantId, `/api/v1/route?storeId=store-${random(storesOfEach + 1)}`);
  }

  #get(tenantId: string, path: string): void {
    this.#send(this.routing.ask(path, { headers: this.headers.get(tenantId) ?? {} }));
  }

  #exchange(tenantId: string): void {
    const userToken = `${tenantId}:shopper-${random(shoppersOfEach)}`;
    this.#send(this.auth.ask("/auth/exchange", { method: "POST", body: { userToken } }));
  }

  #send(answer: Promise<unknown>): void {
    this.#open.add(answer);
    void answer.finally(() => this.#open.delete(answer));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open);
    await Promise.all([this.auth.stop(), this.routing.stop(), this.prometheus.stop()]);
    this.mongo.resume();
    await Promise.all([this.mongo.stop(), this.redis.stop(), this.endpoint.stop()]);
  }
}

const open = async (): Promise<Stage> => {
  const [mongo, redis, endpoint] = await Promise.all([
    MongoServer.start(),
    Redis.start(),
    TokenEndpoint.start(),
  ]);
  await mongo.insert(
    database,
    "stores",
    tenants.flatMap((tenantId) =>
      Array.from({ length: storesOfEach }, (_, index) => store(tenantId, `store-${index}`))
    ),
  );
  await mongo.insert(database, "tenants", tenants.map((id) => tenant(id, endpoint.url)));
  const env = {
    MONGODB_URI: mongo.url,
    REDIS_URL: redis.url,
    MONGODB_TIMEOUT: "1s",
    TOKEN_EXCHANGE_TIMEOUT: "1s",
    BREAKER_OPEN_FOR: "8s",
    // Stores expire within the picture, so that expired copies are needed.
    CACHE_TTL: "25s",
    RATE_LIMIT_RPS: "20",
    RATE_LIMIT_BURST: "30",
    LOG_LEVEL: "error",
    TOKEN_CACHE_KEY: btoa("k".repeat(32)),
    // Off by default; their panels would be empty.
    BREAKER_ADAPTIVE: "true",
    BREAKER_PROBE_INTERVAL: "2s",
    MONGODB_ADAPTIVE_CONCURRENCY: "true",
    MONGODB_HEDGE: "true",
    MONGODB_THROTTLE: "2",
  };
  const [auth, routing] = await Promise.all([
    Amicis.start({ service: "auth", env }),
    Amicis.start({ service: "routing", env }),
  ]);
  const prometheus = await Prometheus.start({
    targets: [
      { job: "amicis-auth", port: auth.port },
      { job: "amicis-routing", port: routing.port },
    ],
  });
  const headers = new Map(
    await Promise.all(tenants.map(async (id) => [id, await bearer(id)] as const)),
  );
  return new Stage(mongo, redis, endpoint, auth, routing, prometheus, headers);
};

/** Plays all of it and then lets `look` ask Prometheus about the last `seconds`. */
export const play = async <A>(
  look: (prometheus: Prometheus, seconds: number) => Promise<A>,
): Promise<A> => {
  await using stage = await open();
  const began = performance.now();
  const pending = acts.toSorted(([a], [b]) => a - b);
  for (let beats = 0; beats * beat < length * 1_000; beats += 1) {
    while (pending[0] !== undefined && beats * beat >= pending[0][0] * 1_000) {
      await pending.shift()?.[1](stage);
    }
    stage.ask();
    stage.endpoint.forget();
    // A beat that comes late is made up for, so that the load stays what it is.
    await delay(Math.max(1, began + (beats + 1) * beat - performance.now()));
  }
  return await look(stage.prometheus, length - 5);
};

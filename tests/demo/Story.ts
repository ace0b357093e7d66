/**
 * The outage story, played by HTTP on running services: a dependency fails, its breaker opens,
 * callers get fast and honest answers, and everything comes back by itself.
 */
import { Duration, Effect } from "effect";
import { eventually } from "../support/eventually.ts";

const encoder = new TextEncoder();

/** Prints one or more lines. */
export const say = (text: string): void => {
  Deno.stdout.writeSync(encoder.encode(`${text}\n`));
};

/** What the story needs to know of the services it is played on. */
export interface Stage {
  readonly routing: string;
  readonly auth: string;
  readonly routingToken: string;
  readonly unplugStore: () => void;
  readonly plugStore: () => void;
  readonly breakEndpoint: () => void;
  readonly repairEndpoint: () => void;
  /** From one step, or call, to the next: slow enough to be watched, or 0. */
  readonly pace: Duration.DurationInput;
}

interface Breaker {
  readonly state: string;
  readonly retryAfterSeconds?: number;
}

interface Health {
  readonly circuitBreakers: Readonly<Record<string, Breaker>>;
}

/** Prints one line a step and remembers whether all of them held. */
class Teller {
  held = true;
  #step = 0;
  readonly #pace: Duration.DurationInput;

  constructor(pace: Duration.DurationInput) {
    this.#pace = pace;
  }

  heading(text: string): void {
    say(`\n${text}`);
  }

  /** One step: what happened, and whether it is what should have happened. */
  async tell(holds: boolean, text: string): Promise<void> {
    this.#step += 1;
    if (!holds) this.held = false;
    say(`${String(this.#step).padStart(3)}. ${holds ? "ok    " : "FAILED"} ${text}`);
    await Effect.runPromise(Effect.sleep(this.#pace));
  }
}

const health = async (origin: string): Promise<Health> =>
  await (await fetch(`${origin}/health`)).json();

const breakerOf = async (origin: string, name: string): Promise<Breaker | undefined> =>
  (await health(origin)).circuitBreakers[name];

/** True as soon as the breaker has the state, false after 20 seconds without. */
const reaches = async (
  { pace }: Stage,
  origin: string,
  name: string,
  state: string,
  meanwhile: () => Promise<unknown>,
): Promise<boolean> => {
  const seen = async () => {
    await meanwhile();
    return (await breakerOf(origin, name))?.state === state;
  };
  const every = Duration.max(pace, "20 millis");
  return await eventually(seen, { within: "20 seconds", every }).then(() => true, () => false);
};

const withBody = async (response: Response) => ({
  status: response.status,
  headers: response.headers,
  body: await response.json(),
});

const routingStory = async (stage: Stage, teller: Teller): Promise<void> => {
  const { routing, routingToken } = stage;
  const get = async (path: string) =>
    await withBody(
      await fetch(`${routing}${path}`, { headers: { authorization: `Bearer ${routingToken}` } }),
    );
  const route = () => get("/api/v1/route?storeId=berlin-01");
  const list = () => get("/api/v1/stores");

  teller.heading("The store behind routing fails");
  const miss = await route();
  const hit = await route();
  await teller.tell(
    miss.headers.get("x-cache") === "MISS" && hit.headers.get("x-cache") === "HIT",
    `a store is asked for twice: ${miss.headers.get("x-cache")}, then from the cache: ${
      hit.headers.get("x-cache")
    }`,
  );
  stage.unplugStore();
  const answers = [];
  for (let request = 0; request < 10; request += 1) answers.push((await list()).status);
  await teller.tell(
    answers.every((status) => status === 503),
    `the store is unplugged; 10 lists are asked for: ${answers.join(" ")}`,
  );
  const opened = await breakerOf(routing, "mongodb");
  await teller.tell(
    opened?.state === "open",
    `/health: breaker mongodb is ${opened?.state}, next trial in ${opened?.retryAfterSeconds} s`,
  );
  const startedAt = performance.now();
  const refused = await list();
  const took = performance.now() - startedAt;
  await teller.tell(
    refused.status === 503 && refused.headers.has("retry-after"),
    `the next list is refused in ${
      took.toFixed(1)
    } ms: ${refused.status} "${refused.body.error}", ` +
      `Retry-After ${refused.headers.get("retry-after")}`,
  );
  const cached = await route();
  await teller.tell(
    cached.status === 200 && cached.headers.get("x-cache") === "HIT",
    `a cached store is still served: ${cached.status}, X-Cache ${cached.headers.get("x-cache")}`,
  );
  stage.plugStore();
  const isTrying = await reaches(stage, routing, "mongodb", "half-open", list);
  await teller.tell(isTrying, "the store is back; when the open time is over a trial goes through");
  const isClosed = await reaches(stage, routing, "mongodb", "closed", list);
  const after = await list();
  await teller.tell(
    isClosed && after.status === 200,
    `three trials succeed, the breaker closes by itself; a list answers ${after.status}`,
  );
};

const authStory = async (stage: Stage, teller: Teller): Promise<void> => {
  const { auth } = stage;
  let shopper = 0;
  const exchange = async (tenantId: string, token: string) =>
    await withBody(
      await fetch(`${auth}/auth/exchange`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ userToken: `${tenantId}:${token}` }),
      }),
    );
  const anyone = (tenantId: string) => exchange(tenantId, `shopper-${++shopper}`);
  const name = "token-exchange-ikea";

  teller.heading("One tenant's token endpoint fails");
  const issued = await exchange("ikea", "shopper-known");
  await teller.tell(
    issued.status === 200,
    `a shopper of ikea exchanges a token: ${issued.status}, for ${issued.body.expiresIn} s`,
  );
  stage.breakEndpoint();
  const answers = [];
  for (let request = 0; request < 10; request += 1) answers.push((await anyone("ikea")).status);
  await teller.tell(
    answers.every((status) => status === 503),
    `ikea's endpoint breaks; 10 other shoppers come: ${answers.join(" ")}`,
  );
  const opened = await breakerOf(auth, name);
  await teller.tell(opened?.state === "open", `/health: breaker ${name} is ${opened?.state}`);
  const refused = await anyone("ikea");
  await teller.tell(
    refused.status === 503 && refused.headers.has("retry-after"),
    `the next one is told: ${refused.status} "${refused.body.error}", Retry-After ${
      refused.headers.get("retry-after")
    }`,
  );
  const known = await exchange("ikea", "shopper-known");
  const other = await anyone("habitat");
  await teller.tell(
    known.status === 200 && other.status === 200,
    `the first shopper's cached token is still served (${known.status}), ` +
      `habitat is not affected (${other.status})`,
  );
  stage.repairEndpoint();
  const isClosed = await reaches(stage, auth, name, "closed", () => anyone("ikea"));
  await teller.tell(
    isClosed,
    "ikea's endpoint is repaired; its breaker tries, and closes by itself",
  );
};

/** Plays both acts; true if every step held. */
export const play = async (stage: Stage): Promise<boolean> => {
  const teller = new Teller(stage.pace);
  await routingStory(stage, teller);
  await authStory(stage, teller);
  say(teller.held ? "\nThe story held." : "\nThe story did NOT hold.");
  return teller.held;
};

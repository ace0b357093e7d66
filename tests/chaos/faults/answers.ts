/** Answers that are wrong by themselves: fail points, error replies, statuses. */
import { eventually } from "../../support/eventually.ts";
import type { TokenBehaviour } from "../../support/servers/TokenEndpoint.ts";
import type { FailPoint } from "../../support/servers/MongoServer.ts";
import { type Fault, outage, signOf, strain } from "../Fault.ts";
import { accessTokenOf, issue } from "../Shop.ts";

const family = "answers";

/** Codes that another attempt may cure, as DESIGN §7 lists them. */
const transientCodes = [
  6,
  7,
  50,
  89,
  91,
  134,
  189,
  262,
  9001,
  10107,
  11600,
  11602,
  13435,
  13436,
  16500,
];

/** Refused credentials: no call will do better. */
const credentialCodes = [13, 18];

/** The server's refusal of this one call, which proves that it lives: 503 with a closed breaker. */
const refusalCodes = [2, 20];

const failing = (
  data: Omit<FailPoint, "failCommands" | "appName">,
): Pick<Fault, "inflict" | "lift"> => ({
  inflict: (bed) => bed.mongo.failPoint({ ...data, failCommands: ["find"], appName: "amicis" }),
  lift: (bed) => bed.mongo.clearFailPoint(),
});

const mongodb: ReadonlyArray<Fault> = [
  ...transientCodes.map((errorCode) =>
    outage("mongodb", {
      name: `MongoDB answers code ${errorCode} (transient)`,
      family,
      seconds: 2.5,
      ...failing({ errorCode }),
    })
  ),
  ...credentialCodes.map((errorCode) =>
    outage("mongodb", {
      name: `MongoDB answers code ${errorCode} (credentials)`,
      family,
      seconds: 2.5,
      ...failing({ errorCode }),
    })
  ),
  ...refusalCodes.map((errorCode) =>
    outage("mongodb", {
      name: `MongoDB answers code ${errorCode} (permanent)`,
      family,
      seconds: 2,
      breakers: {},
      ...failing({ errorCode }),
    })
  ),
  outage("mongodb", {
    name: "MongoDB closes the connection in place of an answer",
    family,
    ...failing({ closeConnection: true }),
  }),
  outage("mongodb", {
    name: "MongoDB holds every read for 2 s",
    family,
    seconds: 4,
    ...failing({ blockTimeMS: 2_000 }),
  }),
  strain("mongodb", {
    name: "MongoDB fails every fifth read (code 11600)",
    family,
    ...failing({ errorCode: 11600, mode: { activationProbability: 0.2 } }),
  }),
];

/** A change of Redis's configuration, and the one that undoes it. */
const configured = (
  inflict: ReadonlyArray<string>,
  lift: ReadonlyArray<string>,
): Pick<Fault, "inflict" | "lift"> => ({
  inflict: (bed) => bed.redis.command(...inflict),
  lift: (bed) => bed.redis.command(...lift),
});

/** The one client that Redis still takes is here, until it is lifted. */
const fullOfClients = (): Fault => {
  let guest: Deno.Conn | undefined;
  return outage("redis", {
    name: "Redis takes no more clients",
    family,
    inflict: async (bed) => {
      guest = await Deno.connect({ hostname: "127.0.0.1", port: bed.redis.port });
      await bed.redis.command("CONFIG", "SET", "maxclients", "1");
      await bed.proxies.redis.drop();
    },
    lift: async (bed) => {
      // While the services knock there is no place for the command that lets them in.
      await bed.proxies.redis.mode("refuse");
      guest?.close();
      await eventually(() => bed.redis.command("CONFIG", "SET", "maxclients", "10000"));
      await bed.proxies.redis.mode("pass");
    },
  });
};

const redis: ReadonlyArray<Fault> = [
  strain("redis", {
    name: "Redis is out of memory (OOM)",
    family,
    ...configured(["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]),
  }),
  strain("redis", {
    name: "Redis is a read-only replica (READONLY)",
    family,
    ...configured(["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
  }),
  outage("redis", {
    name: "Redis lost its master (MASTERDOWN)",
    family,
    inflict: async (bed) => {
      await bed.redis.command("CONFIG", "SET", "replica-serve-stale-data", "no");
      await bed.redis.command("REPLICAOF", "127.0.0.1", "1");
    },
    lift: async (bed) => {
      await bed.redis.command("REPLICAOF", "NO", "ONE");
      await bed.redis.command("CONFIG", "SET", "replica-serve-stale-data", "yes");
    },
  }),
  outage("redis", {
    name: "Redis is busy with a script (BUSY)",
    family,
    inflict: async (bed) => {
      await bed.redis.command("CONFIG", "SET", "busy-reply-threshold", "50");
      // Its answer is the end of the script, which nobody waits for.
      void bed.redis.command("EVAL", "while true do end", "0").catch(() => {});
    },
    lift: (bed) => bed.redis.command("SCRIPT", "KILL"),
  }),
  outage("redis", {
    name: "Redis refuses what the user may do (NOPERM)",
    family,
    ...configured(
      ["ACL", "SETUSER", "default", "-get", "-mget", "-set", "-ping"],
      ["ACL", "SETUSER", "default", "+@all"],
    ),
  }),
  fullOfClients(),
];

const behaving = (behaviour: TokenBehaviour): Pick<Fault, "inflict" | "lift"> => ({
  inflict: (bed) => bed.endpoint.behave(behaviour),
  lift: (bed) => bed.endpoint.behave(issue),
});

const status = (code: number, headers: Readonly<Record<string, string>> = {}): TokenBehaviour => ({
  kind: "answer",
  status: code,
  headers,
  body: { error: "invalid_request" },
});

/** A token endpoint whose answers are 502 to the caller and failures to the breaker. */
const unusable = (name: string, behaviour: TokenBehaviour): Fault =>
  outage("token endpoint", {
    name: `The token endpoint answers ${name}`,
    family,
    allows: { "new token": ["502"] },
    shows: [["new token", "502"]],
    ...behaving(behaviour),
  });

const tokens: ReadonlyArray<Fault> = [
  ...[400, 401, 403].map((code) =>
    strain("token endpoint", {
      name: `The token endpoint answers ${code}`,
      family,
      seconds: 2,
      // It is alive: the shopper's token is what is wrong.
      breakers: {},
      allows: { "new token": ["401"] },
      shows: [["new token", "401"]],
      ...behaving(status(code)),
    })
  ),
  strain("token endpoint", {
    name: "The token endpoint answers 429 with Retry-After",
    family,
    seconds: 2,
    breakers: {},
    shows: [signOf["token endpoint"]],
    ...behaving(status(429, { "retry-after": "1" })),
  }),
  ...[408, 500, 503].map((code) =>
    outage("token endpoint", {
      name: `The token endpoint answers ${code}`,
      family,
      ...behaving(status(code)),
    })
  ),
  unusable("a redirect", { kind: "redirect", location: "http://127.0.0.1:1/" }),
  unusable("HTML", {
    kind: "answer",
    status: 200,
    headers: { "content-type": "text/html" },
    body: "<p>Down for maintenance</p>",
  }),
  unusable("a token without its type", {
    kind: "ok",
    accessToken: accessTokenOf("ikea", "nobody"),
    fields: { token_type: undefined },
  }),
  unusable("far too much", { kind: "oversized", bytes: 1_000_000 }),
  outage("token endpoint", {
    name: "The token endpoint stalls in the middle of each answer",
    family,
    seconds: 4,
    ...behaving({ kind: "stall" }),
  }),
  outage("token endpoint", {
    name: "The token endpoint resets in the middle of each answer",
    family,
    ...behaving({ kind: "reset", middle: true }),
  }),
  outage("token endpoint", {
    name: "The token endpoint takes requests and never answers",
    family,
    seconds: 4,
    ...behaving({ kind: "hang" }),
  }),
];

export const answers: ReadonlyArray<Fault> = [...mongodb, ...redis, ...tokens];

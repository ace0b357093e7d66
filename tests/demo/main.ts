/**
 * `deno task demo`: both services on embedded data, and the outage story played on them by HTTP.
 *
 * Keeps serving afterwards until Ctrl-C; with `--exit` it ends with 0 if the story held, else 1.
 */
import { Effect, Fiber, Layer, Redacted } from "effect";
import { SignJWT } from "jose";
import * as App from "../../src/App.ts";
import * as ConfigCheck from "../../src/ConfigCheck.ts";
import * as EmbeddedData from "../../src/EmbeddedData.ts";
import { Logging } from "../../src/operations/Logging.ts";
import { Telemetry } from "../../src/operations/Telemetry.ts";
import { eventually } from "../support/eventually.ts";
import { TokenEndpoints, UnpluggableStore } from "./Outage.ts";
import { play, say, type Stage } from "./Story.ts";

const isExiting = Deno.args.includes("--exit");
/** Somebody follows it: slowly then, and not before there was time to open a live page. */
const isWatched = Deno.stdin.isTerminal() && !isExiting;

/** The wished port if nobody has it, else any free one. */
const portOrFree = (wished: number): number => {
  for (const port of [wished, 0]) {
    try {
      const listener = Deno.listen({ hostname: "127.0.0.1", port });
      listener.close();
      return listener.addr.port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error("No free port");
};

const random = () => crypto.getRandomValues(new Uint8Array(32)).toHex();

const environment: Readonly<Record<string, string>> = {
  HOST: "127.0.0.1",
  AUTH_PORT: String(portOrFree(3_000)),
  ROUTING_PORT: String(portOrFree(8_080)),
  JWT_SECRET: random(),
  ADMIN_TOKEN: random().slice(0, 16),
  // Short, so that the story is: 30 s in earnest.
  BREAKER_OPEN_FOR: isWatched ? "6s" : "3s",
};

const get = (name: string) => environment[name] ?? Deno.env.get(name);

const settings = await Effect.runPromise(ConfigCheck.load("all", get));
const data = await Effect.runPromise(EmbeddedData.load(undefined));
const store = new UnpluggableStore();
const endpoints = new TokenEndpoints();
const backends = {
  ...App.backends(settings, { ...data, tenants: endpoints.adopt(data.tenants) }),
  stores: store.layer(data.stores),
};

const logFile = await Deno.makeTempFile({ prefix: "amicis-demo-", suffix: ".log" });
const sink = await Deno.open(logFile, { append: true });
const services = Effect.runFork(
  App.run("all", settings, backends).pipe(
    Effect.provide(Layer.merge(Telemetry.layerOff, Logging.layer({ writer: { sink } }))),
  ),
);

const routing = `http://127.0.0.1:${settings.routingPort}`;
const auth = `http://127.0.0.1:${settings.authPort}`;
const isReady = async (origin: string) => {
  const response = await fetch(`${origin}/health/ready`);
  await response.body?.cancel();
  return response.ok;
};
await eventually(async () => await isReady(routing) && await isReady(auth), {
  within: "20 seconds",
});

const tenantId = "ikea";
const routingToken = await new SignJWT({ tenantId })
  .setProtectedHeader({ alg: "HS256" }).setSubject("demo").setIssuedAt().setExpirationTime("12h")
  .sign(new TextEncoder().encode(Redacted.value(settings.jwtSecret ?? Redacted.make(""))));

say(`amicis demo

  routing  ${routing}   live page ${routing}/status
  auth     ${auth}   live page ${auth}/status
  log      ${logFile}
  admin    token ${environment["ADMIN_TOKEN"]}

A demo token of tenant ${tenantId}, and what to do with it:

TOKEN=${routingToken}
curl -i -H "Authorization: Bearer $TOKEN" "${routing}/api/v1/route?storeId=berlin-01"
curl -i -H "Authorization: Bearer $TOKEN" ${routing}/api/v1/stores
curl -i -H "content-type: application/json" -d '{"userToken":"ikea:shopper-1"}' ${auth}/auth/exchange
curl -s ${routing}/health
curl -s ${routing}/metrics
curl -i -X POST -H "Authorization: Bearer ${environment["ADMIN_TOKEN"]}" \\
  -H "content-type: application/json" -d '{"action":"open"}' ${routing}/admin/breakers/mongodb`);

const stage: Stage = {
  routing,
  auth,
  routingToken,
  unplugStore: () => void (store.isPlugged = false),
  plugStore: () => void (store.isPlugged = true),
  breakEndpoint: () => endpoints.break("ikea"),
  repairEndpoint: () => endpoints.repair("ikea"),
  pace: isWatched ? "1 second" : "0 seconds",
};

const stop = async (code: number): Promise<never> => {
  await Effect.runPromise(Fiber.interrupt(services));
  await endpoints.stop();
  sink.close();
  if (isExiting) await Deno.remove(logFile);
  Deno.exit(code);
};

if (isExiting) {
  await stop(await play(stage) ? 0 : 1);
} else {
  Deno.addSignalListener("SIGINT", () => void stop(0));
  Deno.addSignalListener("SIGTERM", () => void stop(0));
  if (isWatched) {
    say("\nThe story begins in 10 seconds; open a live page to follow it there.");
    await Effect.runPromise(Effect.sleep("10 seconds"));
  }
  await play(stage);
  say("\nBoth services keep serving; Ctrl-C ends them.");
}

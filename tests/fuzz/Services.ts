/** Both services in this process, on real sockets of loopback, each on a port of its own. */
import { Effect, Exit, Layer, Scope } from "effect";
import * as App from "../../src/App.ts";
import * as ConfigCheck from "../../src/ConfigCheck.ts";
import * as EmbeddedData from "../../src/EmbeddedData.ts";
import { Logging } from "../../src/operations/Logging.ts";
import { Telemetry } from "../../src/operations/Telemetry.ts";
import { eventually } from "../support/eventually.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { jwtSecret } from "../support/wire/Jwt.ts";

const quiet = Layer.provideMerge(
  Telemetry.layerOff,
  Logging.layer({ writer: { sink: { write: (bytes) => Promise.resolve(bytes.length) } } }),
);

/** Where they listen. */
export interface Services {
  readonly authPort: number;
  readonly routingPort: number;
  readonly stop: () => Promise<void>;
}

/** Starts both as the environment says, with limits that no case reaches, and waits for them. */
export async function start(
  environment: Readonly<Record<string, string>> = {},
  tenants: ReadonlyArray<unknown> = [],
): Promise<Services> {
  const [authPort, routingPort] = [freePort(), freePort()];
  const file = await Deno.makeTempFile({ prefix: "amicis-fuzz-" });
  const demo = await Effect.runPromise(EmbeddedData.load(undefined));
  await Deno.writeTextFile(file, JSON.stringify({ tenants, stores: demo.stores }));
  const all: Readonly<Record<string, string>> = {
    HOST: "127.0.0.1",
    AUTH_PORT: String(authPort),
    ROUTING_PORT: String(routingPort),
    JWT_SECRET: jwtSecret,
    DATA_FILE: file,
    ADMIN_TOKEN: "fuzz-admin-token-0123456789",
    RATE_LIMIT_RPS: "1000000000",
    RATE_LIMIT_BURST: "1000000000",
    ...environment,
  };
  const scope = await Effect.runPromise(Scope.make());
  const ready = Effect.gen(function* () {
    const settings = yield* ConfigCheck.load("all", (name) => all[name]);
    const data = yield* EmbeddedData.load(settings.dataFile);
    yield* App.run("all", settings, App.backends(settings, data)).pipe(
      Effect.provide(quiet),
      Effect.forkIn(scope),
    );
  });
  await Effect.runPromise(ready);
  for (const port of [authPort, routingPort]) {
    await eventually(async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/health/ready`);
      await answer.body?.cancel();
      return answer.status === 200;
    });
  }
  return {
    authPort,
    routingPort,
    stop: async () => {
      await Effect.runPromise(Scope.close(scope, Exit.void));
      await Deno.remove(file);
      releasePort(authPort);
      releasePort(routingPort);
    },
  };
}

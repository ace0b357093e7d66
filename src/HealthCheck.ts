/**
 * `--healthcheck`: asks the service beside this process, in the same container, for its readiness.
 *
 * An image's health check cannot see the arguments the service was started with. So without a
 * chosen service every port it may listen on is asked, and those where nobody listens do not count.
 */
import { Effect } from "effect";
import type { AppConfig, ServiceName } from "./Config.ts";

type Answer = "ready" | "not ready" | "nobody";

const ask = (host: string, port: number): Effect.Effect<Answer> =>
  Effect.tryPromise(async (signal): Promise<Answer> => {
    const response = await fetch(`http://${host}:${port}/health/ready`, { signal });
    await response.body?.cancel();
    return response.ok ? "ready" : "not ready";
  }).pipe(
    Effect.timeoutTo({
      duration: "2 seconds",
      onSuccess: (answer): Answer => answer,
      onTimeout: (): Answer => "not ready",
    }),
    Effect.orElseSucceed((): Answer => "nobody"),
  );

const hostOf = ({ host }: AppConfig): string => {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
};

const portsOf = (service: ServiceName | undefined, settings: AppConfig): ReadonlyArray<number> => {
  const { managementPort, port, authPort, routingPort } = settings;
  if (service === "all") return [authPort, routingPort];
  const own = managementPort ?? port;
  if (own !== undefined) return [own];
  if (service === undefined) return [authPort, routingPort];
  return [service === "auth" ? authPort : routingPort];
};

/** True when the chosen service, or whatever runs here, is ready. */
export const isHealthy = (
  service: ServiceName | undefined,
  settings: AppConfig,
): Effect.Effect<boolean> =>
  Effect.map(
    Effect.forEach(portsOf(service, settings), (port) => ask(hostOf(settings), port)),
    (answers) =>
      service === undefined
        ? answers.includes("ready") && !answers.includes("not ready")
        : answers.every((answer) => answer === "ready"),
  );

/**
 * Background probes of the dependencies whose breakers are open, where a setting asks for them.
 */
import { Context, Duration, Effect, Layer } from "effect";
import type { AppConfig } from "./Config.ts";
import * as Events from "./operations/Events.ts";
import { Metrics } from "./operations/Metrics.ts";
import type { CircuitBreaker } from "./resilience/CircuitBreaker.ts";
import type { InvalidPolicy } from "./resilience/InvalidPolicy.ts";
import * as RecoveryProbe from "./resilience/RecoveryProbe.ts";

/** What can be probed, by the name it has in metrics. */
export type Kind = keyof AppConfig["probeIntervals"];

/** A probe is given no longer than a call would be. */
const timeouts = (settings: AppConfig): Readonly<Record<Kind, Duration.Duration>> => ({
  mongodb: settings.mongodbTimeout,
  redis: settings.redisTimeout,
  "token-exchange": settings.tokenExchangeTimeout,
  jwks: Duration.seconds(5),
});

/** Keeps an eye on breakers. */
export class Recovery extends Context.Tag("Recovery")<Recovery, {
  /** Probes the breaker's dependency while it is open. Does nothing where probing is off. */
  readonly watch: (
    kind: Kind,
    breaker: CircuitBreaker,
    probe: Effect.Effect<unknown, unknown>,
  ) => Effect.Effect<void>;
}>() {
  static readonly layer = (
    settings: AppConfig,
    kinds: ReadonlyArray<Kind>,
  ): Layer.Layer<Recovery, InvalidPolicy, Metrics> =>
    Layer.scoped(
      this,
      Effect.gen(function* () {
        const metrics = yield* Metrics;
        const probes = new Map<Kind, RecoveryProbe.RecoveryProbe>();
        for (const kind of kinds) {
          const interval = settings.probeIntervals[kind];
          if (interval === null) continue;
          const count = metrics.optional.recoveryProbes(kind);
          const made = yield* RecoveryProbe.make({ interval, timeout: timeouts(settings)[kind] }, {
            onProbe: (probed) => {
              count(probed.succeeded);
              return probed.hastened ? Events.recoveryForetold(probed.breaker) : Effect.void;
            },
          });
          probes.set(kind, made);
        }
        return {
          watch: (kind, breaker, probe) => probes.get(kind)?.watch(breaker, probe) ?? Effect.void,
        };
      }),
    );
}

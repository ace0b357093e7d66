/**
 * Application Insights without its SDK, which needs half a second to load, rights of its own and an
 * https address: spans, warnings, errors and breaker changes become envelopes, gathered and sent as
 * JSON arrays to the ingestion endpoint of the connection string.
 */
import { HttpBody } from "@effect/platform";
import { Effect, type Scope } from "effect";
import { type Envelope, envelopes } from "./AppInsightsEnvelope.ts";
import type { Exporter } from "./Exporter.ts";
import type { Outbox } from "./Outbox.ts";
import type { AppInsightsConnection, BatchOptions, Sender } from "./TelemetrySettings.ts";

/** The name under which deliveries are logged and counted. */
export const exporterName = "applicationinsights";

/** Items that the endpoint says, in an answer of 2xx, it did not take. */
export const rejected = (answer: string): number => {
  const number = (name: string) => {
    const [, found] = new RegExp(`"${name}"\\s*:\\s*(\\d{1,9})`).exec(answer) ?? [];
    return found === undefined ? undefined : Number(found);
  };
  const [received, accepted] = [number("itemsReceived"), number("itemsAccepted")];
  return received === undefined || accepted === undefined ? 0 : Math.max(0, received - accepted);
};

export interface Options {
  readonly connection: AppInsightsConnection;
  readonly batch: BatchOptions;
  readonly sender: Sender;
  readonly outbox: Outbox;
}

/** Gathers until the scope closes; then hands the rest over. */
export const make = (options: Options): Effect.Effect<Exporter, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { connection, batch, outbox } = options;
    const url = `${connection.endpoint}/v2.1/track`;
    const headers = { accept: "application/json" };
    const make = envelopes(connection, options.sender);
    let gathered: Array<Envelope> = [];

    const handOver = (): void => {
      if (gathered.length === 0) return;
      const items = gathered;
      gathered = [];
      const body = HttpBody.unsafeJson(items);
      outbox.offer({ url, headers, body, signal: "items", items: items.length });
    };
    const add = (envelope: Envelope): void => {
      gathered.push(envelope);
      if (gathered.length >= batch.maxBatch) handOver();
    };

    yield* Effect.addFinalizer(() => Effect.sync(handOver));
    yield* Effect.sleep(batch.delayMillis).pipe(
      Effect.zipRight(Effect.sync(handOver)),
      Effect.forever,
      Effect.forkScoped,
    );
    return {
      span: (span) => add(make.span(span)),
      log: (record) => {
        if (record.level === "warn" || record.level === "error") add(make.log(record));
      },
      stateChanged: (change, service, span) => add(make.stateChanged(change, service, span)),
    };
  });

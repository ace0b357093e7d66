/**
 * A process that logs far more than its reader takes: `LINES` access lines in many turns, then one
 * error line. It tells on standard error when it is done, waits for a byte on standard input, and
 * ends as the service does: by closing the log's scope, then `Deno.exit`.
 */
import { Effect } from "effect";
import { Logging } from "../../src/operations/Logging.ts";

const total = Number(Deno.args[0]);
const turns = 100;

const say = (report: unknown) =>
  Deno.stderr.write(new TextEncoder().encode(JSON.stringify(report)));

const turn = Effect.promise(() => new Promise<void>((resolve) => setTimeout(resolve, 0)));

const main = Effect.gen(function* () {
  const logging = yield* Logging;
  let written = 0;
  for (let index = 0; index < turns; index += 1) {
    for (let line = 0; line < total / turns; line += 1) {
      logging.access({
        service: "routing",
        correlationId: `id-${written}`,
        method: "GET",
        route: "/api/v1/route",
        status: 200,
        durationMs: 1.5,
      });
      written += 1;
    }
    yield* turn;
  }
  yield* Effect.logError("Last words");
  yield* Effect.promise(() => say({ written, dropped: logging.dropped() }));
  yield* Effect.promise(() => Deno.stdin.read(new Uint8Array(1)));
});

await Effect.runPromise(Effect.provide(main, Logging.layer({ service: "routing" })));
Deno.exit(0);

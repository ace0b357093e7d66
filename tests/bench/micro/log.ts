/** Making one access line of a request, beside pino; what both write goes nowhere. */
import { Effect } from "effect";
import { Logging } from "../../../src/operations/Logging.ts";
import { calling, measure, peer } from "./Measure.ts";

interface Pino {
  (options: unknown, stream: unknown): { info(fields: unknown, msg: string): void };
  readonly stdTimeFunctions: { readonly isoTime: unknown };
}

// What the package exports is known from its documentation.
const pino = peer("pino") as Pino;
const logger = pino({
  base: undefined,
  timestamp: pino.stdTimeFunctions.isoTime,
  formatters: { level: (level: string) => ({ level }) },
}, { write: () => {} });

const line = (i: number) => ({
  service: "routing",
  correlationId: "5f0c6ff5-9d3b-4c0e-8a4d-0f6f7a7f8f10",
  method: "GET",
  route: "/api/v1/route",
  status: 200,
  durationMs: (i % 1_000) / 100,
});

const sink = { write: (bytes: Uint8Array) => Promise.resolve(bytes.length) };
const breath = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/** In batches, between which the writers get to write: else they would drop or hoard lines. */
const batches = (write: (i: number) => void) => async (iterations: number) => {
  const batch = calling(write);
  for (let done = 0; done < iterations; done += 1_000) {
    batch(Math.min(1_000, iterations - done));
    await breath();
  }
};

const program = Effect.flatMap(Logging, ({ access }) =>
  Effect.promise(() =>
    measure({
      "pause": batches(() => {}),
      "ours": batches((i) => access(line(i))),
      "pino": batches((i) => logger.info(line(i), "Request")),
    })
  ));

await Effect.runPromise(Effect.provide(program, Logging.layer({ writer: { sink } })));

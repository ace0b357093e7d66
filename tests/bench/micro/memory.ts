/** Heap of ten thousand breakers, each used, and what a million names leave behind. */
import { Effect } from "effect";
import { CircuitBreakers } from "../../../src/resilience/CircuitBreakers.ts";
import { print } from "./Measure.ts";
import { opossum } from "./Peers.ts";

const count = 10_000;
const work = Effect.succeed(1);

const heap = async (): Promise<number> => {
  // Given by `--expose-gc`; finalizers and weak references need a turn of the event loop.
  const collect: unknown = Reflect.get(globalThis, "gc");
  if (typeof collect !== "function") throw new Error("Run with --v8-flags=--expose-gc");
  for (let i = 0; i < 3; i += 1) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return Deno.memoryUsage().heapUsed;
};

const use = (name: string) =>
  Effect.flatMap(
    CircuitBreakers,
    ({ get }) =>
      Effect.flatMap(get(name), (breaker) =>
        Effect.zipRight(breaker.protect(work), breaker.protect(work))),
  );

const program = Effect.gen(function* () {
  const measured = Effect.promise(heap);
  yield* use("warm-up");
  const empty = yield* measured;
  for (let i = 0; i < count; i += 1) yield* use(`token-exchange-tenant-${i}`);
  const full = yield* measured;
  for (let i = 0; i < 1_000_000; i += 1) yield* use(`token-exchange-unknown-${i}`);
  const flooded = yield* measured;
  return { perBreaker: (full - empty) / count, full, flooded };
});

const ours = await Effect.runPromise(Effect.provide(program, CircuitBreakers.layer()));

const before = await heap();
const peers = Array.from({ length: count }, () => opossum());
for (const peer of peers) await peer.fire();
const opossumBytes = (await heap() - before) / peers.length;

print({
  "ours bytes": [ours.perBreaker],
  "full": [ours.full],
  "flooded": [ours.flooded],
  "opossum bytes": [opossumBytes],
});

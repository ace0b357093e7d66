/** Looking a breaker up among ten thousand, beside a plain `Map` of opossum breakers. */
import { Effect } from "effect";
import { CircuitBreakers } from "../../../src/resilience/CircuitBreakers.ts";
import { calling, inFiber, measure } from "./Measure.ts";

const size = 10_000;
const names = Array.from({ length: size }, (_, i) => `token-exchange-tenant-${i}`);
const nameOf = (i: number): string => names[(i * 7919) % size] ?? "";

const program = Effect.gen(function* () {
  const { get } = yield* CircuitBreakers;
  for (const name of names) yield* get(name);
  const map = new Map(names.map((name) => [name, { name }]));
  let i = 0;
  yield* Effect.promise(() =>
    measure({
      "effect": inFiber(() => Effect.sync(() => nameOf(i += 1))),
      "ours": inFiber(() => get(nameOf(i += 1))),
      "map": calling((i) => map.get(nameOf(i))),
    })
  );
});

await Effect.runPromise(Effect.provide(program, CircuitBreakers.layer({}, { capacity: size })));

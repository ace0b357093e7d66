/**
 * The loop of every micro benchmark: each file here is a process of its own, so that the cases of
 * one do not spoil the compiled code of another. The cases of a file take turns, round by round.
 */
import { createRequire } from "node:module";
import { Effect } from "effect";
import process from "node:process";
import { type Figures, marker } from "./Figures.ts";

/** Does its work so many times over. */
export type Case = (iterations: number) => void | Promise<void>;

const setting = (name: string): number => Number(process.env[name] ?? NaN);

/** Loads a peer from where the benchmark has installed it; its types are the caller's claim. */
export const peer: (name: string) => unknown = createRequire(
  `${process.env.BENCH_PEERS ?? "."}/package.json`,
);

/** Runs an effect over and over in one fiber. */
export const inFiber = <A, E>(body: () => Effect.Effect<A, E>): Case => (iterations) => {
  let i = 0;
  return Effect.runPromise(Effect.orDie(Effect.whileLoop({
    while: () => i < iterations,
    body: () => {
      i += 1;
      return body();
    },
    step: () => {},
  })));
};

/** Calls and awaits over and over. */
export const awaiting = (body: () => Promise<unknown>): Case => async (iterations) => {
  for (let i = 0; i < iterations; i += 1) await body();
};

/** Awaits what must reject, over and over. */
export const rejecting = (body: () => Promise<unknown>): Case => async (iterations) => {
  for (let i = 0; i < iterations; i += 1) {
    try {
      await body();
    } catch {
      continue;
    }
    throw new Error("It did not reject");
  }
};

/** Calls over and over, and keeps what comes out alive. */
export const calling = (body: (i: number) => unknown): Case => {
  const kept: Array<unknown> = [undefined];
  return (iterations) => {
    for (let i = 0; i < iterations; i += 1) kept[0] = body(i);
  };
};

const time = async (run: Case, iterations: number): Promise<number> => {
  const from = performance.now();
  await run(iterations);
  return performance.now() - from;
};

/** Measures the cases in turns and prints the figures. */
export const measure = async (cases: Readonly<Record<string, Case>>): Promise<void> => {
  const rounds = setting("BENCH_ROUNDS");
  const milliseconds = setting("BENCH_MILLISECONDS");
  const counts = new Map<string, number>();
  for (const [name, run] of Object.entries(cases)) {
    let iterations = 100;
    // Long enough to be compiled, then as many as fill the time.
    let took = await time(run, iterations);
    while (took < milliseconds / 2) {
      iterations *= 2;
      took = await time(run, iterations);
    }
    counts.set(name, Math.max(1, Math.round(iterations * milliseconds / took)));
  }
  const figures: Record<string, Array<number>> = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, run] of Object.entries(cases)) {
      const iterations = counts.get(name) ?? 1;
      (figures[name] ??= []).push(await time(run, iterations) * 1e6 / iterations);
    }
  }
  print(figures);
};

/** Prints figures that were measured in another way. */
export const print = (figures: Figures): void => {
  process.stdout.write(`${marker}${JSON.stringify(figures)}\n`);
  process.exit(0);
};

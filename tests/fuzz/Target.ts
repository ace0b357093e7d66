/**
 * What can be fuzzed, and the two ways to do it: by mutating the bytes of known inputs, and by
 * properties of generated values.
 *
 * A check answers with the kind of outcome, which is counted, and throws for what must not be.
 */
import * as fc from "fast-check";
import type { Tool } from "../support/Tools.ts";
import { mutate, randomOf } from "./Mutator.ts";

/** How often each kind of outcome was seen. */
export type Outcomes = ReadonlyMap<string, number>;

/** A place where input from outside comes in. */
export interface Target {
  readonly name: string;
  /** Its share of a run's cases, beside those of the others. */
  readonly weight: number;
  /** What is promised of it, in one sentence. */
  readonly promise: string;
  /** Programs that have to be there. */
  readonly needs?: ReadonlyArray<Tool>;
  /** Starts what is to be asked. */
  readonly open: () => Promise<Opened> | Opened;
}

/** A target that can be asked. */
export interface Opened {
  readonly run: (run: Run) => Promise<Outcomes>;
  readonly close?: () => Promise<void>;
}

/** A stretch of cases, and whom to tell before each. */
export interface Run {
  readonly name: string;
  readonly seed: number;
  readonly from: number;
  readonly cases: number;
  readonly begin: (index: number) => void;
}

/** An input that was not dealt with as promised, and how to make it again. */
export class Finding extends Error {
  constructor(
    readonly target: string,
    readonly seed: number,
    readonly index: number,
    readonly input: string,
    cause: unknown,
  ) {
    super(
      `${target}, seed ${seed}, case ${index}: ${cause instanceof Error ? cause.stack : cause}\n` +
        `input: ${input}`,
      { cause },
    );
  }
}

type Check<I> = (input: I, index: number) => string | Promise<string>;

const counter = () => {
  const outcomes = new Map<string, number>();
  const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  return { outcomes, count };
};

const folder = new URL("corpus/", import.meta.url);

/** The files of a corpus, in the order of their names. */
export async function readCorpus(name: string): Promise<ReadonlyArray<Uint8Array>> {
  const entries = await Array.fromAsync(Deno.readDir(new URL(`${name}/`, folder)));
  const names = entries.map(({ name }) => name).toSorted();
  return await Promise.all(
    names.map((file) => Deno.readFile(new URL(`${name}/${file}`, folder))),
  );
}

/** Cases made of a corpus' files; the first cases are the files as they are. */
export async function byMutation(options: {
  /** Directory below `corpus/`. */
  readonly corpus: string;
  /** Inputs made at the start, beside the files. */
  readonly more?: ReadonlyArray<Uint8Array>;
  /** Words that mean something to the reader. */
  readonly dictionary: ReadonlyArray<string>;
  readonly check: Check<Uint8Array>;
}): Promise<Opened["run"]> {
  const corpus = [...await readCorpus(options.corpus), ...options.more ?? []];
  const encoder = new TextEncoder();
  const dictionary = options.dictionary.map((word) => encoder.encode(word));
  return async ({ name, seed, from, cases, begin }) => {
    const { outcomes, count } = counter();
    for (let index = from; index < from + cases; index++) {
      begin(index);
      const input = corpus[index] ?? mutate(randomOf(name, seed, index), { corpus, dictionary });
      try {
        const outcome = options.check(input, index);
        count(typeof outcome === "string" ? outcome : await outcome);
      } catch (error) {
        const shown = Deno.inspect(new TextDecoder("latin1").decode(input), {
          strAbbreviateSize: 1e5,
        });
        throw new Finding(name, seed, index, shown, error);
      }
    }
    return outcomes;
  };
}

/** Values per call of fast-check: it keeps all of a call's values in memory. */
const batch = 500;

/** Cases made of an arbitrary, with failing values shrunk. Batches are numbered by their first case. */
export const byProperty =
  <I>(arbitrary: fc.Arbitrary<I>, check: Check<I>): Opened["run"] =>
  async ({ name, seed, from, cases, begin }) => {
    const { outcomes, count } = counter();
    for (let first = from; first < from + cases; first += batch) {
      begin(first);
      const property = fc.asyncProperty(arbitrary, async (input) => {
        const outcome = check(input, first);
        count(typeof outcome === "string" ? outcome : await outcome);
      });
      const details = await fc.check(property, {
        seed: randomOf(name, seed, first).integer(2 ** 31),
        numRuns: Math.min(batch, from + cases - first),
      });
      if (details.failed) {
        const shown = Deno.inspect(details.counterexample, { depth: 10, strAbbreviateSize: 1e5 });
        throw new Finding(name, seed, first, shown, details.errorInstance ?? details.error);
      }
    }
    return outcomes;
  };

/** Several ways to fuzz one target, with their shares of its cases. */
export const together =
  (...ways: ReadonlyArray<readonly [share: number, run: Opened["run"]]>): Opened["run"] =>
  async (run) => {
    const all = ways.reduce((sum, [share]) => sum + share, 0);
    const { outcomes } = counter();
    for (const [share, way] of ways) {
      const cases = Math.max(1, Math.round(run.cases * share / all));
      for (const [outcome, times] of await way({ ...run, cases })) {
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + times);
      }
    }
    return outcomes;
  };

/**
 * Byte-level mutation: an input of the corpus, changed in a few places. Everything follows from the
 * random source, so that a case can be made again from its number alone.
 */
import { PCGRandom } from "effect/Utils";

/** The random source of one case of one target. */
export function randomOf(target: string, seed: number, index: number): PCGRandom {
  let hash = 2_166_136_261;
  // FNV-1a: targets that share a seed do not share their cases.
  for (const character of target) hash = Math.imul(hash ^ character.charCodeAt(0), 16_777_619);
  return new PCGRandom((hash ^ seed) >>> 0, index >>> 0);
}

/** Values at which programs change their mind. */
const telling = [
  0x00,
  0x09,
  0x0a,
  0x0d,
  0x20,
  0x22,
  0x25,
  0x2c,
  0x3a,
  0x7f,
  0x80,
  0xc3,
  0xfe,
  0xff,
];

/** Longest input that mutations let grow. */
const longest = 16_384;

type Mutation = (bytes: Uint8Array, random: PCGRandom, others: Others) => Uint8Array;

interface Others {
  readonly corpus: ReadonlyArray<Uint8Array>;
  readonly dictionary: ReadonlyArray<Uint8Array>;
}

const replaced = (bytes: Uint8Array, from: number, to: number, by: Uint8Array): Uint8Array => {
  const result = new Uint8Array(bytes.length - (to - from) + by.length);
  result.set(bytes.subarray(0, from));
  result.set(by, from);
  result.set(bytes.subarray(to), from + by.length);
  return result;
};

const place = (bytes: Uint8Array, random: PCGRandom) => random.integer(bytes.length + 1);

/** A range of the bytes, mostly short. */
const range = (bytes: Uint8Array, random: PCGRandom): readonly [number, number] => {
  const from = place(bytes, random);
  const length = random.integer(random.integer(4) === 0 ? bytes.length + 1 : 9);
  return [from, Math.min(bytes.length, from + length)];
};

const pick = <A>(items: ReadonlyArray<A>, random: PCGRandom): A | undefined =>
  items[random.integer(items.length)];

const changed = (bytes: Uint8Array, random: PCGRandom, change: (byte: number) => number) => {
  if (bytes.length === 0) return bytes;
  const copy = bytes.slice();
  const at = random.integer(bytes.length);
  copy[at] = change(copy[at] ?? 0);
  return copy;
};

const mutations: ReadonlyArray<Mutation> = [
  // One bit.
  (bytes, random) => changed(bytes, random, (byte) => byte ^ (1 << random.integer(8))),
  // One byte.
  (bytes, random) => changed(bytes, random, () => random.integer(256)),
  (bytes, random) => changed(bytes, random, () => pick(telling, random) ?? 0),
  // A little more or less: digits, lengths, letters.
  (bytes, random) => changed(bytes, random, (byte) => byte + random.integer(5) - 2),
  // Less.
  (bytes, random) => replaced(bytes, ...range(bytes, random), new Uint8Array()),
  // Cut off.
  (bytes, random) => bytes.slice(0, place(bytes, random)),
  // More of the same.
  (bytes, random) => {
    const part = bytes.slice(...range(bytes, random));
    const at = place(bytes, random);
    return replaced(bytes, at, at, part);
  },
  // Very much more of the same.
  (bytes, random) => {
    const part = bytes.slice(...range(bytes, random));
    const times = 1 << random.integer(9);
    const many = new Uint8Array(part.length * times);
    for (let time = 0; time < times; time++) many.set(part, time * part.length);
    const at = place(bytes, random);
    return replaced(bytes, at, at, many);
  },
  // Something else in a place.
  (bytes, random) => {
    const noise = Uint8Array.from({ length: random.integer(9) }, () => random.integer(256));
    return replaced(bytes, ...range(bytes, random), noise);
  },
  // A word that means something.
  (bytes, random, { dictionary }) => {
    const at = place(bytes, random);
    return replaced(bytes, at, at, pick(dictionary, random) ?? new Uint8Array());
  },
  (bytes, random, { dictionary }) =>
    replaced(bytes, ...range(bytes, random), pick(dictionary, random) ?? new Uint8Array()),
  // The end of another input.
  (bytes, random, { corpus }) => {
    const other = pick(corpus, random) ?? new Uint8Array();
    const from = place(bytes, random);
    return replaced(bytes, from, bytes.length, other.slice(place(other, random)));
  },
];

/** An input of the corpus with one to eight mutations, mostly few. */
export function mutate(random: PCGRandom, others: Others): Uint8Array {
  let bytes = pick(others.corpus, random) ?? new Uint8Array();
  const count = 1 + random.integer(1 << random.integer(4));
  for (let done = 0; done < count; done++) {
    const mutation = pick(mutations, random) ?? ((same: Uint8Array) => same);
    bytes = mutation(bytes, random, others).subarray(0, longest);
  }
  return bytes;
}

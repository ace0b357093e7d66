/**
 * What the services may answer, by kind of request and by what is away: the contract that every fault
 * is held against. An answer is written as its status and, where there is one, its `X-Cache`.
 */

/** What a fault can take away. The token endpoint is that of one tenant of two. */
export type Dependency = "mongodb" | "redis" | "token endpoint";

/** Every kind of request in the load, in the order in which they are sent. */
export const kinds = [
  "cached store",
  "new token",
  "first read",
  "known token",
  "stores",
  "other tenant's token",
  "cached store again",
  "unknown tenant",
  "record",
  "other tenant's store",
  "unknown store",
  "liveness",
  "readiness",
] as const;

export type Kind = typeof kinds[number];

/** The legal answers of each kind. */
export type Answers = ReadonlyMap<Kind, ReadonlySet<string>>;

/** Nothing came back: the connection was refused or broken by the service. Never legal by itself. */
export const noAnswer = "no answer";

/** Nothing came back in the time that a request may take at most. Never legal. */
export const hang = "hang";

const calmly: Readonly<Record<Kind, ReadonlyArray<string>>> = {
  "cached store": ["200 HIT", "200 MISS"],
  "cached store again": ["200 HIT", "200 MISS"],
  "first read": ["200 MISS"],
  "stores": ["200"],
  "record": ["200 HIT", "200 MISS"],
  "other tenant's store": ["404"],
  "unknown store": ["404"],
  "known token": ["200"],
  "new token": ["200"],
  "other tenant's token": ["200"],
  "unknown tenant": ["404"],
  "liveness": ["200"],
  "readiness": ["200"],
};

/** A cache that is late costs latency only, whatever made it late: never wrong, and not calm. */
const always: Additions = {
  "cached store": ["200 BYPASS"],
  "cached store again": ["200 BYPASS"],
  "first read": ["200 BYPASS"],
  "record": ["200 BYPASS"],
};

type Additions = Partial<Readonly<Record<Kind, ReadonlyArray<string>>>>;

/** What is legal beside the calm answers while one dependency fails or is slow. */
const without: Readonly<Record<Dependency, Additions>> = {
  mongodb: {
    "cached store": ["200 STALE"],
    "cached store again": ["200 STALE"],
    "first read": ["503"],
    "stores": ["503"],
    "record": ["200 STALE"],
    "other tenant's store": ["503"],
    "unknown store": ["503"],
    "unknown tenant": ["503"],
  },
  // What is always legal is all that its loss leads to.
  redis: {},
  "token endpoint": {
    "new token": ["503"],
  },
};

/** What only two that fail at once can lead to. */
const withoutBoth: ReadonlyArray<readonly [Dependency, Dependency, Additions]> = [
  ["mongodb", "redis", {
    "cached store": ["503"],
    "cached store again": ["503"],
    "record": ["503"],
    "readiness": ["503"],
  }],
  ["redis", "token endpoint", { "known token": ["503"] }],
];

/** The legal answers while all of these are harmed; none: the calm ones. */
export const answersWithout = (
  harmed: ReadonlyArray<Dependency>,
  further: Additions = {},
): Answers => {
  const additions = [
    calmly,
    always,
    ...harmed.map((dependency) => without[dependency]),
    ...withoutBoth.filter(([one, another]) => harmed.includes(one) && harmed.includes(another))
      .map(([, , additions]) => additions),
    further,
  ];
  const legal = (kind: Kind) => new Set(additions.flatMap((one) => one[kind] ?? []));
  return new Map(kinds.map((kind) => [kind, legal(kind)]));
};

/** The answers while nothing is wrong and nothing late. */
export const calm: Answers = new Map(kinds.map((kind) => [kind, new Set(calmly[kind])]));

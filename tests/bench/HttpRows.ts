/** Rows of the load runs: which subject is compared with which, and in what. */
import type { Row } from "./Report.ts";
import type { Results } from "./Rounds.ts";
import type { SubjectName } from "./Subjects.ts";
import { ratios } from "./Statistics.ts";

const pairs: ReadonlyArray<{
  readonly id: string;
  readonly label: string;
  readonly ours: SubjectName;
  readonly peer: SubjectName;
}> = [
  {
    id: "redis/bare",
    label: "cached route over Redis ÷ bare Deno.serve + ioredis",
    ours: "routing over Redis",
    peer: "bare + ioredis",
  },
  {
    id: "redis/fastify",
    label: "cached route over Redis ÷ Fastify",
    ours: "routing over Redis",
    peer: "Fastify routing",
  },
  {
    id: "near/bare",
    label: "near-cache hit ÷ bare Deno.serve",
    ours: "routing, near cache",
    peer: "bare",
  },
  {
    id: "headers/bare",
    label: "Deno.serve with the same headers ÷ bare Deno.serve",
    ours: "bare, same headers",
    peer: "bare",
  },
  {
    id: "near/headers",
    label: "near-cache hit ÷ Deno.serve with the same headers",
    ours: "routing, near cache",
    peer: "bare, same headers",
  },
  {
    id: "near/fastify",
    label: "near-cache hit ÷ Fastify over Redis",
    ours: "routing, near cache",
    peer: "Fastify routing",
  },
  {
    id: "open/bare",
    label: "503 of an open breaker ÷ bare Deno.serve",
    ours: "routing, breaker open",
    peer: "bare",
  },
  {
    id: "503/bare",
    label: "Deno.serve with the same 503 ÷ bare Deno.serve",
    ours: "bare, same 503",
    peer: "bare",
  },
  {
    id: "open/503",
    label: "503 of an open breaker ÷ Deno.serve with the same 503",
    ours: "routing, breaker open",
    peer: "bare, same 503",
  },
  {
    id: "token/fastify",
    label: "token exchange from cache ÷ Fastify",
    ours: "auth",
    peer: "Fastify auth",
  },
];

const megabytes = (bytes: number): number => bytes / 2 ** 20;

/** Throughputs at each number of connections, then latency at the first and memory at the last. */
export const httpRows = (
  results: Results,
  connections: ReadonlyArray<number>,
): ReadonlyArray<Row> => {
  const noteOf = (count: number) => `${count} connections`;
  const throughputs = connections.flatMap((count) =>
    pairs.map(({ id, label, ours, peer }): Row => {
      const rate = (name: SubjectName) => results.of(name, count).map(({ perSecond }) => perSecond);
      return {
        id,
        label,
        note: noteOf(count),
        unit: "req/s",
        ours: rate(ours),
        peer: rate(peer),
        ratio: ratios(rate(ours), rate(peer)),
      };
    })
  );
  const few = Math.min(...connections);
  const many = Math.max(...connections);
  const p99 = (name: SubjectName) => results.of(name, few).map(({ p99 }) => p99);
  const memory = (name: SubjectName) =>
    results.of(name, many).map(({ residentBytes }) => megabytes(residentBytes));
  const compared = (
    id: string,
    label: string,
    note: string,
    unit: string,
    figures: (name: SubjectName) => ReadonlyArray<number>,
  ): Row => {
    const ours = figures("routing over Redis");
    const peer = figures("Fastify routing");
    return { id, label, note, unit, ours, peer, ratio: ratios(ours, peer) };
  };
  return [
    ...throughputs,
    compared("p99", "p99 of the cached route over Redis ÷ Fastify", noteOf(few), "ms", p99),
    compared("memory", "resident memory under that load ÷ Fastify", noteOf(many), "MB", memory),
  ];
};

/** Between machines: names that do not resolve, and partitions. */
import type { Dependency } from "../Answers.ts";
import { breakersOf, type Fault, signOf } from "../Fault.ts";
import type { NameServerMode } from "../NameServer.ts";
import type { Block } from "../Network.ts";

const family = "hosts";

const all: ReadonlyArray<Dependency> = ["mongodb", "redis", "token endpoint"];

/** Names stop resolving, and what stood on them breaks: open connections need no name. */
const nameless = (what: string, mode: NameServerMode): Fault => ({
  name: `No name resolves (${what}) and connections break`,
  family,
  harms: all,
  shows: all.map((one) => one === "redis" ? ["known token", "503"] as const : signOf[one]),
  // The other tenant's endpoint has a name too, and a kept connection perhaps.
  allows: { "other tenant's token": ["503"] },
  breakers: {
    ...breakersOf("mongodb", "opens"),
    ...breakersOf("redis", "opens"),
    ...breakersOf("token endpoint", "opens"),
    "auth token-exchange-habitat": "may open",
  },
  needs: ["namespace"],
  seconds: 4,
  inflict: async (bed) => {
    const { names } = bed.network.namespace ?? {};
    if (names !== undefined) names.mode = mode;
    await bed.dropConnections();
  },
  lift: (bed) => {
    const { names } = bed.network.namespace ?? {};
    if (names !== undefined) names.mode = "well";
  },
});

const blocks: Readonly<Record<Block, string>> = {
  drop: "packets are dropped",
  reset: "packets are refused with a reset",
  unreachable: "packets are refused as unreachable",
};

const partition = (targets: ReadonlyArray<Dependency>, how: Block): Fault => ({
  name: `Partition from ${targets.join(", ")}: ${blocks[how]}`,
  family,
  harms: targets,
  shows: targets.length > 1 ? [signOf.mongodb] : targets.map((one) => signOf[one]),
  breakers: Object.assign({}, ...targets.map((one) => breakersOf(one, "opens"))),
  needs: ["namespace"],
  seconds: 5,
  inflict: async (bed) => {
    for (const one of targets) await bed.network.namespace?.block(bed.proxies[one].port, how);
  },
  lift: (bed) => bed.network.namespace?.unblock(),
});

export const hosts: ReadonlyArray<Fault> = [
  nameless("SERVFAIL", "failing"),
  nameless("NXDOMAIN", "unknown"),
  nameless("no answer", "silent"),
  ...all.flatMap((one) => [partition([one], "drop"), partition([one], "reset")]),
  partition(["mongodb"], "unreachable"),
  partition(all, "drop"),
];

/** The servers' own processes: killed, frozen, restarted, with and without their data. */
import { eventually } from "../../support/eventually.ts";
import { type Fault, outage, strain } from "../Fault.ts";
import type { TestBed } from "../TestBed.ts";

/** Dead as its clients see it: connections break, new ones are refused. */
const kill = async (bed: TestBed, name: "mongodb" | "redis"): Promise<void> => {
  await (name === "redis" ? bed.redis : bed.mongo).kill();
  await bed.proxies[name].mode("refuse");
};

const revive = async (bed: TestBed, name: "mongodb" | "redis"): Promise<void> => {
  await (name === "redis" ? bed.redis : bed.mongo).restart();
  await bed.proxies[name].mode("pass");
};

export const processes: ReadonlyArray<Fault> = [
  outage("mongodb", {
    name: "MongoDB is killed (kill -9), and comes back with its data",
    family: "processes",
    inflict: (bed) => kill(bed, "mongodb"),
    lift: (bed) => revive(bed, "mongodb"),
  }),
  outage("redis", {
    name: "Redis is killed (kill -9), and comes back with its data",
    family: "processes",
    inflict: (bed) => kill(bed, "redis"),
    lift: (bed) => revive(bed, "redis"),
  }),
  outage("redis", {
    name: "Redis is killed (kill -9), and comes back empty",
    family: "processes",
    inflict: (bed) => kill(bed, "redis"),
    lift: async (bed) => {
      await bed.redis.restart();
      // Refused while it still reads its files.
      await eventually(() => bed.redis.command("FLUSHALL"));
      await bed.proxies.redis.mode("pass");
    },
  }),
  strain("redis", {
    name: "Redis loses all its data (FLUSHALL)",
    family: "processes",
    harms: [],
    breakers: {},
    seconds: 1,
    inflict: (bed) => bed.redis.command("FLUSHALL"),
    lift: () => {},
  }),
  strain("mongodb", {
    name: "MongoDB is restarted",
    family: "processes",
    inflict: (bed) => bed.mongo.restart(),
    lift: () => {},
    seconds: 1,
  }),
  strain("redis", {
    name: "Redis is restarted",
    family: "processes",
    inflict: (bed) => bed.redis.restart(),
    lift: () => {},
    seconds: 1,
  }),
  strain("mongodb", {
    name: "MongoDB comes back without its data",
    family: "processes",
    // What is not there is not there: 404 is the truth until the data is back. While it is written
    // the server is late for reads, and what was found missing meanwhile has no copy any more.
    allows: {
      "cached store": ["404"],
      "cached store again": ["404"],
      "first read": ["404"],
      "record": ["404"],
      "stores": ["200 empty"],
      "known token": ["404"],
      "new token": ["404"],
      "other tenant's token": ["404"],
    },
    forgets: ["cached store", "cached store again", "record"],
    shows: [["first read", "404"]],
    inflict: (bed) => bed.mongo.restartEmpty(),
    lift: (bed) => bed.fill(),
  }),
  outage("mongodb", {
    name: "MongoDB is frozen (SIGSTOP, SIGCONT)",
    family: "processes",
    inflict: (bed) => bed.mongo.pause(),
    lift: (bed) => bed.mongo.resume(),
    seconds: 5,
  }),
  outage("redis", {
    name: "Redis is frozen (SIGSTOP, SIGCONT)",
    family: "processes",
    inflict: (bed) => bed.redis.pause(),
    lift: (bed) => bed.redis.resume(),
    seconds: 5,
  }),
];

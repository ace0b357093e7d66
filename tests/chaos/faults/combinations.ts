/** More than one at once, and what comes and goes. */
import type { Dependency } from "../Answers.ts";
import { breakersOf, type Fault, signOf } from "../Fault.ts";
import type { TestBed } from "../TestBed.ts";

const family = "combinations";

const both: ReadonlyArray<Dependency> = ["mongodb", "redis"];
const all: ReadonlyArray<Dependency> = [...both, "token endpoint"];

const modeOf = async (
  bed: TestBed,
  dependencies: ReadonlyArray<Dependency>,
  mode: "refuse" | "silent" | "pass",
): Promise<void> => {
  await Promise.all(dependencies.map((one) => bed.proxies[one].mode(mode)));
};

const opening = (dependencies: ReadonlyArray<Dependency>): Fault["breakers"] =>
  Object.assign({}, ...dependencies.map((one) => breakersOf(one, "opens")));

/** Away for half a period, there for the other half, until it is lifted. */
const flapping = (dependency: Dependency, periodMs: number): Fault => {
  let timer: ReturnType<typeof setInterval> | undefined;
  return {
    name: `The way to ${dependency} opens and closes every ${periodMs / 2} ms`,
    family,
    harms: [dependency],
    breakers: breakersOf(dependency, "may open"),
    seconds: 6,
    inflict: (bed) => {
      let isAway = false;
      timer = setInterval(() => {
        isAway = !isAway;
        void bed.proxies[dependency].mode(isAway ? "refuse" : "pass");
      }, periodMs / 2);
    },
    lift: async (bed) => {
      clearInterval(timer);
      await bed.proxies[dependency].mode("pass");
    },
  };
};

const away = (
  name: string,
  dependencies: ReadonlyArray<Dependency>,
  mode: "refuse" | "silent",
): Fault => ({
  name,
  family,
  harms: dependencies,
  shows: [
    signOf.mongodb,
    ...(dependencies.includes("token endpoint") ? [["known token", "503"] as const] : []),
  ],
  breakers: opening(dependencies),
  seconds: 5,
  inflict: (bed) => modeOf(bed, dependencies, mode),
  lift: async (bed) => {
    await modeOf(bed, dependencies, "pass");
    if (mode === "silent") await bed.dropConnections();
  },
});

export const combinations: ReadonlyArray<Fault> = [
  away("MongoDB and Redis refuse connections", both, "refuse"),
  away("MongoDB and Redis accept and say nothing", both, "silent"),
  away("All three refuse connections", all, "refuse"),
  away("All three accept and say nothing", all, "silent"),
  {
    name: "MongoDB is killed while Redis is frozen; both come back",
    family,
    harms: both,
    shows: [signOf.mongodb],
    breakers: opening(both),
    seconds: 5,
    inflict: async (bed) => {
      bed.redis.pause();
      await bed.mongo.kill();
    },
    lift: async (bed) => {
      bed.redis.resume();
      await bed.mongo.restart();
    },
  },
  flapping("mongodb", 800),
  flapping("redis", 800),
  flapping("token endpoint", 800),
];

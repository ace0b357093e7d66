/** The machines themselves: clocks that jump, memory, descriptors, disks. */
import { kinds, noAnswer } from "../Answers.ts";
import { findFaketime } from "../ChaosTools.ts";
import { breakersOf, type Fault, signOf, strain } from "../Fault.ts";
import { run } from "../Shell.ts";
import type { Launch, TestBed } from "../TestBed.ts";

const family = "machine";

/** Where libfaketime reads how far the services' clock is off. */
const clockFile = `${Deno.env.get("TMPDIR") ?? "/tmp"}/amicis-chaos-clock-${Deno.pid}`;

/** The services with a wall clock that can be set; monotonic time is left alone, as by NTP. */
const withClock: Launch = {
  name: "clock",
  env: {
    LD_PRELOAD: findFaketime() ?? "",
    FAKETIME_TIMESTAMP_FILE: clockFile,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  },
};

const jump = (seconds: number) => async () => {
  // Renamed into place: a file read while it is written would be no clock at all.
  await Deno.writeTextFile(`${clockFile}.new`, `${seconds < 0 ? "-" : "+"}${Math.abs(seconds)}s\n`);
  await Deno.rename(`${clockFile}.new`, clockFile);
};

const hour = 3_600;

const clocks: ReadonlyArray<Fault> = [hour, -hour].flatMap((seconds) => {
  const direction = seconds > 0 ? "forward" : "back";
  return [
    {
      name: `The clock jumps an hour ${direction} and back again`,
      family,
      harms: [],
      breakers: {},
      needs: ["faketime"],
      launch: withClock,
      inflict: jump(seconds),
      lift: jump(0),
    } as const,
    {
      name: `The clock jumps an hour ${direction} while MongoDB is away`,
      family,
      harms: ["mongodb"],
      shows: [["first read", "503"]],
      // Cached by the clock of before: too old now, or not yet read.
      allows: { "cached store": ["503"], "cached store again": ["503"], "record": ["503"] },
      breakers: breakersOf("mongodb", "opens"),
      needs: ["faketime"],
      launch: withClock,
      seconds: 4,
      inflict: async (bed: TestBed) => {
        await bed.proxies.mongodb.mode("refuse");
        await bed.services.awaitHealth(({ circuitBreakers }) =>
          circuitBreakers.mongodb.state === "open"
        );
        await jump(seconds)();
      },
      lift: async (bed: TestBed) => {
        await bed.proxies.mongodb.mode("pass");
        await jump(0)();
      },
    } as const,
  ];
});

const mebibyte = 2 ** 20;

/** What the services may take more than they have, in MiB. */
const spareMemory = 48;

/** The services in a group of their own, which the bed has when the machine allows it. */
const limitMemory = async (bed: TestBed): Promise<void> => {
  const limit = bed.memoryLimit;
  if (limit === undefined) return;
  await limit.set(await limit.used() + spareMemory * mebibyte);
};

/** The services' limit of descriptors; the hard limit stays. */
const limitDescriptors = async (bed: TestBed, limit: number): Promise<void> => {
  await run("prlimit", "--pid", String(bed.services.pid), `--nofile=${limit}:`);
};

/** The next descriptor that the services would be given; a limit is on its number. */
const nextDescriptor = (bed: TestBed): number => {
  const used = new Set(
    Array.from(Deno.readDirSync(`/proc/${bed.services.pid}/fd`), ({ name }) => Number(name)),
  );
  let next = 0;
  while (used.has(next)) next++;
  return next;
};

/** Enough for everything, and below every system's hard limit. */
const manyDescriptors = 1_024;

/** Takes away every descriptor that comes free, until it is stopped. */
const noDescriptors = (): Pick<Fault, "inflict" | "lift"> => {
  let isOver = false;
  let over = Promise.resolve();
  return {
    inflict: async (bed) => {
      isOver = false;
      const tighten = async () => {
        while (!isOver) await limitDescriptors(bed, nextDescriptor(bed));
      };
      over = tighten();
      await bed.dropConnections();
    },
    lift: async (bed) => {
      isOver = true;
      await over;
      await limitDescriptors(bed, manyDescriptors);
    },
  };
};

export const machine: ReadonlyArray<Fault> = [
  ...clocks,
  {
    name: `The services have hardly any memory left (${spareMemory} MiB)`,
    family,
    harms: [],
    breakers: {},
    needs: ["cgroup"],
    seconds: 5,
    launch: { name: "memory", inMemoryLimit: true },
    inflict: limitMemory,
    lift: (bed) => bed.memoryLimit?.set(undefined),
  },
  {
    name: "The services run out of descriptors, and connections break",
    family,
    harms: ["mongodb", "redis", "token endpoint"],
    // No new connection of anybody can be had, callers' included.
    allows: {
      ...Object.fromEntries(kinds.map((kind) => [kind, [noAnswer]])),
      "other tenant's token": ["503", noAnswer],
    },
    breakers: {
      ...breakersOf("mongodb", "opens"),
      ...breakersOf("redis", "opens"),
      ...breakersOf("token endpoint", "opens"),
      "auth token-exchange-habitat": "may open",
    },
    shows: [signOf.mongodb],
    needs: ["prlimit"],
    // A binary made with a denort before 2.9 is not told that it listens no more.
    launch: { name: "source", isFromSource: true },
    ...noDescriptors(),
  },
  strain("redis", {
    name: "The disk of Redis is full",
    family,
    needs: ["tmpfs"],
    seconds: 4,
    inflict: (bed) => bed.disks?.redis.fill(),
    lift: (bed) => bed.disks?.redis.free(),
  }),
  strain("mongodb", {
    name: "The disk of MongoDB is full",
    family,
    needs: ["tmpfs"],
    inflict: async (bed) => {
      await bed.disks?.mongodb.fill();
      const big = { storeId: "too much", text: "x".repeat(1_000_000) };
      // Refused, or the end of the server: either is what a full disk does.
      await bed.mongo.insert("other", "big", [big]).catch(() => {});
    },
    lift: async (bed) => {
      await bed.disks?.mongodb.free();
      await bed.mongo.restart();
    },
  }),
];

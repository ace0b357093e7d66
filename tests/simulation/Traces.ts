/** The stories: one kind of trouble each, in the sizes in which services meet it. */
import { failing, limited, type Phase, queueing, type Workers } from "./Dependency.ts";
import { day, hour, minute, second, type Trace } from "./Trace.ts";

/** Calls a second of one client; 20 is a busy endpoint or a quiet database. */
const usual = 20;

/** Time in which a policy can get to know the dependency. */
const before = 30 * minute;

/** Ordinary traffic of one client to one dependency. */
const common: Pick<Trace, "replicas" | "keys" | "rate" | "userRetries"> = {
  replicas: 1,
  keys: 1,
  rate: () => usual,
  userRetries: 0,
};

const phased = (
  name: string,
  description: string,
  phases: ReadonlyArray<Phase>,
  more: Partial<Trace> = {},
): Trace => ({
  ...common,
  name,
  description,
  length: (phases.at(-1)?.to ?? 0) + 5 * minute,
  faults: phases,
  dependency: (random) => failing(random, phases),
  ...more,
});

const span = (from: number, length: number) => ({ from, to: from + length });

export const hardOutage = phased(
  "hard outage",
  "Connections are refused for 10 minutes.",
  [{ ...span(before, 10 * minute), failing: 1, failsAfter: 5 }],
);

const brownOutOf = (share: number, cause: string) =>
  phased(
    `brown-out ${Math.round(share * 100)} %`,
    `${
      Math.round(share * 100)
    } % of the calls fail for 10 minutes, whatever their number: ${cause}.`,
    [{ ...span(before, 10 * minute), failing: share }],
  );

export const brownOut20 = brownOutOf(0.2, "a replica of five is sick");
export const brownOut = brownOutOf(0.3, "a replica of three is sick");
export const brownOut40 = brownOutOf(0.4, "two replicas of five are sick");

export const varyingBrownOut = phased(
  "brown-out 20–40 %",
  "The failing share changes every minute, from 20 to 40 %, for 10 minutes.",
  [0.2, 0.4, 0.3, 0.25, 0.35, 0.2, 0.4, 0.3, 0.25, 0.35].map((failing, index) => ({
    ...span(before + index * minute, minute),
    failing,
  })),
);

export const shortCapacity: Trace = {
  ...common,
  name: "capacity 70 %",
  description: "The dependency serves 14 of 20 calls a second for 10 minutes and refuses the rest.",
  length: before + 15 * minute,
  faults: [span(before, 10 * minute)],
  dependency: (random) =>
    limited(random, {
      capacity: (now) => now >= before && now < before + 10 * minute ? 14 : 1_000,
      isUp: () => true,
      collapsesFor: 0,
    }),
};

export const slowOutage = phased(
  "slow outage",
  "Every call hangs until its deadline of 2 seconds, for 10 minutes.",
  [{ ...span(before, 10 * minute), failing: 1, failsAfter: 2 * second }],
);

export const flapping = phased(
  "flapping",
  "Down for 20 seconds, up for 20 seconds, for 10 minutes.",
  Array.from({ length: 15 }, (_, index) => ({
    ...span(before + index * 40 * second, 20 * second),
    failing: 1,
    failsAfter: 5,
  })),
);

const noise = (share: number): Trace => ({
  ...common,
  name: `noise ${Math.round(share * 100)} %`,
  description: `A week in which ${Math.round(share * 100)} % of the calls fail, as they always do.`,
  length: 7 * day,
  faults: [],
  dependency: (random) => failing(random, [], share),
});

export const noise5 = noise(0.05);
export const noise15 = noise(0.15);

export const lowTraffic = phased(
  "low traffic",
  "One call a minute; an outage of 2 hours after a day.",
  [{ ...span(day, 2 * hour), failing: 1, failsAfter: 5 }],
  { rate: () => 1 / 60, length: day + 4 * hour },
);

export const surge: Trace = {
  ...common,
  name: "surge",
  description: "Ten times the calls for 5 minutes; the dependency serves 100 a second.",
  length: before + 10 * minute,
  rate: (now) => now >= before && now < before + 5 * minute ? 10 * usual : usual,
  faults: [span(before, 5 * minute)],
  dependency: (random) =>
    limited(random, { capacity: () => 100, isUp: () => true, collapsesFor: 0 }),
};

/** A dependency that works on 100 calls a second, 40 ms each, and is in trouble for 5 minutes. */
const queued = (
  name: string,
  description: string,
  usually: { readonly count: number; readonly work: number },
  trouble: { readonly count: number; readonly work: number },
): Trace => {
  const fault = span(10 * minute, 5 * minute);
  const at = (now: number) => now >= fault.from && now < fault.to ? trouble : usually;
  const workers: Workers = { count: (now) => at(now).count, work: (now) => at(now).work };
  return {
    ...common,
    name,
    description,
    length: fault.to + 5 * minute,
    rate: () => 100,
    faults: [fault],
    isQueueing: true,
    dependency: (random) => queueing(random, workers),
  };
};

export const lostWorkers = queued(
  "calls that queue",
  "100 calls a second of 40 ms each; for 5 minutes 2 of 8 workers are left, which do 50 a second, and the other calls wait for them. A call fails after 2 seconds.",
  { count: 8, work: 40 },
  { count: 2, work: 40 },
);

export const oneWorker = queued(
  "calls that queue for long",
  "The same with one worker left, which does 25 a second: 64 calls that wait at a time are more than it does in their 2 seconds.",
  { count: 8, work: 40 },
  { count: 1, work: 40 },
);

export const slower = queued(
  "slower for all",
  "100 calls a second that take 200 instead of 40 ms for 5 minutes, however few there are at a time.",
  { count: 100, work: 40 },
  { count: 100, work: 200 },
);

const badTenant = 77;

export const oneBadTenant = phased(
  "one bad tenant of 200",
  "200 tenants with an endpoint each, a call a second; one endpoint is dead for 10 minutes.",
  [{
    ...span(before, 10 * minute),
    failing: 1,
    failsAfter: 5,
    keys: (key) => key === badTenant,
  }],
  { keys: 200, rate: () => 200, affects: (key) => key === badTenant },
);

const fleet = { ...common, replicas: 50, rate: () => 50 * usual, userRetries: 3 };

/** Enough for policies of 1,000 calls a second together to know what is normal. */
const fleetBefore = 3 * minute;

/** Up again after 2 minutes, with half of its capacity; all of it 40 seconds later. */
export const herd: Trace = {
  ...fleet,
  name: "recovery that collapses",
  description:
    "50 clients; after 2 minutes the dependency comes up with half of its capacity, gains 2 % a second, and collapses for 10 seconds under more than it can bear. Users come again up to 3 times.",
  length: fleetBefore + 7 * minute,
  faults: [span(fleetBefore, 2 * minute)],
  dependency: (random) =>
    limited(random, {
      capacity: (_now, upFor) => 50 * usual * Math.min(1.5, 0.5 + 0.02 * upFor / second),
      isUp: (now) => now < fleetBefore || now >= fleetBefore + 2 * minute,
      collapsesFor: 10 * second,
    }),
};

export const correlated: Trace = {
  ...fleet,
  name: "outage of 50 clients",
  description: "50 clients lose the same dependency for 5 minutes. Users come again up to 3 times.",
  length: fleetBefore + 8 * minute,
  faults: [span(fleetBefore, 5 * minute)],
  dependency: (random) =>
    failing(random, [{ ...span(fleetBefore, 5 * minute), failing: 1, failsAfter: 5 }]),
};

export const traces: ReadonlyArray<Trace> = [
  hardOutage,
  brownOut20,
  brownOut,
  brownOut40,
  varyingBrownOut,
  shortCapacity,
  slowOutage,
  flapping,
  noise5,
  noise15,
  lowTraffic,
  surge,
  lostWorkers,
  oneWorker,
  slower,
  oneBadTenant,
  herd,
  correlated,
];

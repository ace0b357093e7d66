/** Every fault of the whole suite, in the order in which they are inflicted. */
import type { Fault } from "./Fault.ts";
import { answers } from "./faults/answers.ts";
import { combinations } from "./faults/combinations.ts";
import { hosts } from "./faults/hosts.ts";
import { machine } from "./faults/machine.ts";
import { network } from "./faults/network.ts";
import { processes } from "./faults/processes.ts";

export const faults: ReadonlyArray<Fault> = [
  ...processes,
  ...network,
  ...answers,
  ...hosts,
  ...combinations,
  ...machine,
];

/** A few of each family that need nothing of a machine: what every change is held against. */
export const shortForm: ReadonlyArray<Fault> = [
  "MongoDB is killed (kill -9), and comes back with its data",
  "Redis is frozen (SIGSTOP, SIGCONT)",
  "Redis answers garbage",
  "MongoDB answers code 11600 (transient)",
  "The token endpoint takes requests and never answers",
  "MongoDB and Redis refuse connections",
  "The way to mongodb opens and closes every 400 ms",
].map((wanted) => {
  const fault = faults.find(({ name }) => name === wanted);
  if (fault === undefined) throw new Error(`Unknown fault "${wanted}"`);
  return fault;
});

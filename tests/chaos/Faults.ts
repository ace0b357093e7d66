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

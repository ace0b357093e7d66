/** What this machine allows the suite to do, found out by doing it. */
import { findFaketime, findToxiproxy } from "./ChaosTools.ts";
import { Disk } from "./Disk.ts";
import type { Ability } from "./Fault.ts";
import { MemoryLimit } from "./MemoryLimit.ts";
import { makeNamespace, type Network } from "./Network.ts";
import { succeeds } from "./Shell.ts";
import type { TestBedOptions } from "./TestBed.ts";

/** What a bed is given of the machine; it is taken back with `close`. */
export interface Grounds {
  readonly abilities: ReadonlySet<Ability>;
  readonly options: Omit<TestBedOptions, "program" | "env">;
  readonly close: () => Promise<void>;
}

/** Prepares everything that the machine allows. */
export const prepare = async (): Promise<Grounds> => {
  const network: Network | undefined = await makeNamespace();
  const [mongodb, redis] = await Promise.all([Disk.mount(), Disk.mount()]);
  const memoryLimit = await MemoryLimit.make();
  const disks = mongodb === undefined || redis === undefined ? undefined : { mongodb, redis };
  const found: Readonly<Record<Ability, boolean>> = {
    namespace: network !== undefined,
    tmpfs: disks !== undefined,
    cgroup: memoryLimit !== undefined,
    prlimit: await succeeds("prlimit", "--version"),
    faketime: findFaketime() !== undefined,
    toxiproxy: findToxiproxy() !== undefined,
  };
  const names = Object.keys(found) as ReadonlyArray<Ability>;
  return {
    abilities: new Set(names.filter((name) => found[name])),
    options: {
      toxiproxy: true,
      ...(network === undefined ? {} : { network }),
      ...(disks === undefined ? {} : { disks }),
      ...(memoryLimit === undefined ? {} : { memoryLimit }),
    },
    close: async () => {
      for (const part of [network, mongodb, redis, memoryLimit]) {
        await part?.[Symbol.asyncDispose]();
      }
    },
  };
};

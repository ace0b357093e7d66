/** What a process holds of its machine, looked at from outside over a long time. Linux only. */

/** One look at a process. */
export interface Look {
  /** Seconds since the first look. */
  readonly seconds: number;
  /** Resident memory of its own in MiB; the mapped program, which the system may drop, is not in it. */
  readonly memory: number;
  /** Open descriptors, sockets among them. */
  readonly handles: number;
  readonly sockets: number;
}

/** The process as it is now. */
export const look = (pid: number, seconds: number): Look => {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const kilobytes = Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? NaN);
  let handles = 0;
  let sockets = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    handles++;
    try {
      if (Deno.readLinkSync(`/proc/${pid}/fd/${name}`).startsWith("socket:")) sockets++;
    } catch (error) {
      // Closed since the directory was read.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return { seconds, memory: kilobytes / 1_024, handles, sockets };
};

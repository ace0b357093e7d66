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

export type Measure = "memory" | "handles" | "sockets";

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

/** How much more a measure becomes in an hour: the slope of the least squares through all looks. */
export const slopeOf = (looks: ReadonlyArray<Look>, measure: Measure): number => {
  const mean = (of: (look: Look) => number) =>
    looks.reduce((sum, look) => sum + of(look), 0) / looks.length;
  const middle = mean(({ seconds }) => seconds);
  const level = mean((look) => look[measure]);
  const spread = mean(({ seconds }) => (seconds - middle) ** 2);
  const together = mean((look) => (look.seconds - middle) * (look[measure] - level));
  return spread === 0 ? 0 : (together / spread) * 3_600;
};

/** The middle value of a measure. */
export const medianOf = (looks: ReadonlyArray<Look>, measure: Measure): number => {
  const sorted = looks.map((look) => look[measure]).toSorted((one, another) => one - another);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
};

/** A heap is as large as it gets after some ten minutes; what it may grow until then, in MiB. */
const warmUp = { seconds: 600, memory: 64 };

/** How much a measure may grow from the second quarter of a run to its last and still be flat. */
const tolerance = (measure: Measure, level: number, seconds: number): number => {
  // Connections of the pools, which breathe with the load.
  if (measure !== "memory") return 16;
  // Half-empty pages of the heap come and go.
  return level * 0.2 + (seconds < warmUp.seconds ? warmUp.memory : 0);
};

/** The first quarter of a run is its warming up; what grew after it is told. */
export const grown = (looks: ReadonlyArray<Look>, measure: Measure): string | undefined => {
  const quarter = Math.floor(looks.length / 4);
  const before = medianOf(looks.slice(quarter, 2 * quarter), measure);
  const after = medianOf(looks.slice(3 * quarter), measure);
  return after - before <= tolerance(measure, before, looks.at(-1)?.seconds ?? 0)
    ? undefined
    : `${measure} grew from ${before.toFixed(1)} to ${after.toFixed(1)}`;
};

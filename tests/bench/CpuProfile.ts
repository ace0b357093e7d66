/** Reads V8's CPU profiles. */

/** A profile as V8 writes it (`.cpuprofile`); times in microseconds. */
export interface Profile {
  readonly nodes: ReadonlyArray<{
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
  }>;
  readonly samples: ReadonlyArray<number>;
  readonly timeDeltas: ReadonlyArray<number>;
  readonly endTime: number;
  readonly startTime: number;
}

/** A function's time of its own, as a share of all time that was not idle. */
export interface SelfTime {
  readonly share: number;
  readonly name: string;
  /** File and line, short. */
  readonly place: string;
}

/** Self times summed up by package or by folder of the product; the runtime's own are together. */
export const byPart = (times: ReadonlyArray<SelfTime>): ReadonlyArray<SelfTime> => {
  const parts = new Map<string, number>();
  for (const { share, name, place } of times) {
    const part = partOf(name, place);
    parts.set(part, (parts.get(part) ?? 0) + share);
  }
  return Array.from(parts, ([name, share]): SelfTime => ({ share, name, place: "" }))
    .toSorted((a, b) => b.share - a.share);
};

const partOf = (name: string, place: string): string => {
  if (name === "(garbage collector)") return name;
  if (place.startsWith("src/")) return place.split("/").slice(0, 2).join("/").split(":")[0] ?? "";
  const [scope = "", second = ""] = place.split("/");
  if (scope.startsWith("@")) return `${scope}/${second}`;
  return /^[a-z][\w.-]*$/.test(scope) && !scope.includes(":") ? scope : "the runtime";
};

/** Where this project's own files are. */
const projectRoot = new URL("../../", import.meta.url).href;

/** The file without what all files of the project or of npm's packages begin with. */
const shortened = (url: string, root: string): string =>
  url.startsWith(root)
    ? url.slice(root.length)
    : url.replace(/^.*\/(?:registry\.[^/]+|node_modules)\//, "").replace(/^file:\/\//, "");

const waiting = new Set(["(idle)", "(root)"]);

/** Self times in the last `seconds` in which there was work, greatest first. */
export const selfTimes = (
  profile: Profile,
  seconds: number,
  root: string = projectRoot,
): ReadonlyArray<SelfTime> => {
  const { nodes, samples, timeDeltas } = profile;
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const isWork = (index: number) => {
    const frame = frames.get(samples[index] ?? -1);
    return frame !== undefined && !waiting.has(frame.functionName);
  };
  const times = new Map<string, number>();
  let total = 0;
  let left = seconds * 1e6;
  // From the end: what comes last is the load at full speed, and the end of the process.
  for (let index = samples.length - 1; index >= 0 && left > 0; index -= 1) {
    const delta = timeDeltas[index] ?? 0;
    if (!isWork(index)) continue;
    const frame = frames.get(samples[index] ?? -1);
    if (frame === undefined) continue;
    const { functionName, url, lineNumber } = frame;
    const key = `${functionName || "(anonymous)"}\t${shortened(url, root)}:${lineNumber + 1}`;
    times.set(key, (times.get(key) ?? 0) + delta);
    total += delta;
    left -= delta;
  }
  return Array.from(times, ([key, time]): SelfTime => {
    const [name = "", place = ""] = key.split("\t");
    return { share: time / total, name, place: place.startsWith(":") ? "" : place };
  }).toSorted((a, b) => b.share - a.share);
};

/** What a run leaves behind: its results as JSON, and pictures of it. */
import { draw } from "./Picture.ts";
import type { Report } from "./Run.ts";
import { timelineOf } from "./Timeline.ts";

/** The family whose stretch of the run is drawn by itself, second by second. */
const closeUp = "combinations";

/** Writes `chaos.json`, `chaos.svg` of the whole run, and a close-up. */
export const write = async (report: Report, directory: string): Promise<void> => {
  await Deno.mkdir(directory, { recursive: true });
  const { samples: _, ...rest } = report;
  await Deno.writeTextFile(`${directory}/chaos.json`, `${JSON.stringify(rest, null, 2)}\n`);
  const { durationMs, results } = report;
  const whole = timelineOf(report, { from: 0, to: durationMs, step: 5_000 });
  const title = `${results.length} faults under steady load`;
  await Deno.writeTextFile(`${directory}/chaos.svg`, await draw(whole, title));
  const near = results.filter(({ family }) => family === closeUp);
  const [first, last] = [near.at(0), near.at(-1)];
  if (first === undefined || last === undefined) return;
  const stretch = { from: first.inflictedAt - 1_000, to: last.endedAt, step: 500 };
  const detail = timelineOf(report, stretch);
  const names = "Two or three dependencies away at once, and flapping ones";
  await Deno.writeTextFile(`${directory}/chaos-${closeUp}.svg`, await draw(detail, names));
};

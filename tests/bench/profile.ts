/**
 * `deno task profile`: where the processor's time goes while a service is under load. Takes a V8 CPU
 * profile and prints the functions with the most time of their own.
 *
 *   --subject=NAME     "routing over Redis", "routing, near cache", "routing, breaker open", "auth"
 *   --seconds=N        seconds of load [8]
 *   --connections=N    connections of wrk [32]
 *   --top=N            functions to print [30]
 *   --output=FILE      keeps the profile, for the browser's developer tools
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import { parseArgs } from "node:util";
import { installPeers, installPrograms } from "./Installation.ts";
import { byPart, type Profile, type SelfTime, selfTimes } from "./CpuProfile.ts";
import * as Subjects from "./Subjects.ts";
import * as Wrk from "./Wrk.ts";

const { values } = parseArgs({
  args: Deno.args,
  options: {
    subject: { type: "string", default: "routing over Redis" },
    seconds: { type: "string", default: "8" },
    connections: { type: "string", default: "32" },
    top: { type: "string", default: "30" },
    output: { type: "string" },
  },
});

const name = Subjects.subjectNames.find((name) => name === values.subject);
if (name === undefined) {
  console.error(`--subject must be one of ${Subjects.subjectNames.join("; ")}`);
  Deno.exit(64);
}

const show = (times: ReadonlyArray<SelfTime>): void => {
  for (const { share, name, place } of times) {
    console.log(`${(share * 100).toFixed(1).padStart(5)} %  ${name}  ${place}`.trimEnd());
  }
};

const seconds = Number(values.seconds);
const directory = await Deno.makeTempDir({ prefix: "amicis-profile-" });
const service = Subjects.fromSource("--cpu-prof", `--cpu-prof-dir=${directory}`);

await installPrograms("wrk", "redis-server");
await installPeers();
const running = await Subjects.start({ service, names: [name] });
try {
  for (const { load } of running.subjects) {
    const { perSecond, p99 } = await Wrk.run(load, {
      connections: Number(values.connections),
      seconds,
    });
    console.log(`${name}: ${Math.round(perSecond)} requests/s, p99 ${p99.toFixed(2)} ms`);
  }
} finally {
  // A graceful end is what writes the profile.
  await running.stop();
}

for await (const entry of Deno.readDir(directory)) {
  const file = `${directory}/${entry.name}`;
  const profile: Profile = JSON.parse(await Deno.readTextFile(file));
  // The first half of the load is for the compilers.
  const times = selfTimes(profile, seconds / 2);
  console.log("\nTime by part:");
  show(byPart(times).filter(({ share }) => share >= 0.005));
  console.log("\nTime by function, each without what it calls:");
  show(times.slice(0, Number(values.top)));
  if (values.output !== undefined) await Deno.copyFile(file, values.output);
}
await Deno.remove(directory, { recursive: true });

/**
 * The shapes of published incidents, at the length they had: when how large a share of the calls
 * failed, as far as the reports tell. What they leave open is filled in as simply as possible.
 */
import { failing, limited, type Phase } from "./Dependency.ts";
import { minute, second, type Trace } from "./Trace.ts";

export interface Incident extends Trace {
  /** Where the report is. */
  readonly source: string;
}

const before = 30 * minute;

/** Phases one after another: minutes, and the share of calls that fail. */
const shape = (
  ...parts: ReadonlyArray<readonly [minutes: number, failing: number, failsAfter?: number]>
): ReadonlyArray<Phase> => {
  let from = before;
  return parts.map(([minutes, failing, failsAfter = 15]) => {
    const phase = { from, to: from + minutes * minute, failing, failsAfter };
    from = phase.to;
    return phase;
  });
};

const replay = (
  name: string,
  description: string,
  source: string,
  phases: ReadonlyArray<Phase>,
): Incident => ({
  name,
  description,
  source,
  replicas: 1,
  keys: 1,
  rate: () => 20,
  userRetries: 0,
  length: (phases.at(-1)?.to ?? 0) + 10 * minute,
  faults: phases.filter(({ failing }) => failing > 0.002),
  dependency: (random) => failing(random, phases),
});

/** A share that rises evenly, minute by minute. */
const rising = (minutes: number, to: number) =>
  Array.from(
    { length: minutes },
    (_, index): readonly [number, number] => [1, to * (index + 1) / minutes],
  );

export const dynamodb = replay(
  "DynamoDB 2015",
  "A metadata service overloaded by retries: errors rose to 55 % in 18 minutes and stayed until its load was taken away after 2 h 47 min; well 2 hours later.",
  "https://aws.amazon.com/message/5467D2/",
  shape(...rising(18, 0.55), [149, 0.55], [124, 0.1]),
);

export const cloudflare = replay(
  "Cloudflare 2025",
  "A bad file that was made anew every five minutes, sometimes a good one in its place: errors came and went, then stayed; core traffic flowed again after 3 h 10 min.",
  "https://blog.cloudflare.com/18-november-2025-outage/",
  shape(
    ...Array.from(
      { length: 20 },
      (_, index): readonly [number, number] => [5, index % 2 === 0 ? 0.9 : 0.002],
    ),
    [90, 0.9],
  ),
);

export const slack = replay(
  "Slack 2021",
  "Packet loss from 6:00 on: 1 % of messages failed until 7:00, then nearly everything with it, until about 8:15; elevated errors until 10:40.",
  "https://slack.engineering/slacks-outage-on-january-4th-2021/",
  shape([60, 0.01, 500], [75, 0.95, 2 * second], [145, 0.08, 500]),
);

const crash = { from: 3 * minute, to: 43 * minute };

/** A tenth of a fleet and of its datastore, which gains 1 % of its capacity a second. */
export const googleCloud: Incident = {
  name: "Google Cloud 2025",
  description:
    "Service Control crashed; when its tasks started again after about 40 minutes, all at once and without backoff, they overloaded the datastore behind them.",
  source: "https://status.cloud.google.com/incidents/ow5i3PPK96RduMcb1SsW",
  replicas: 10,
  keys: 1,
  rate: () => 200,
  userRetries: 3,
  length: crash.to + 15 * minute,
  faults: [crash],
  dependency: (random) =>
    limited(random, {
      capacity: (_now, upFor) => 200 * Math.min(1.5, 0.5 + 0.01 * upFor / second),
      isUp: (now) => now < crash.from || now >= crash.to,
      collapsesFor: 20 * second,
    }),
};

export const incidents: ReadonlyArray<Incident> = [dynamodb, cloudflare, slack, googleCloud];

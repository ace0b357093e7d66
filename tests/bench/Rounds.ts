/**
 * Load in rounds: every subject once a round, each round begun by another one, so that whatever else
 * the machine does meets all of them alike.
 */
import type { Subject, SubjectName } from "./Subjects.ts";
import * as Wrk from "./Wrk.ts";

/** How much is sent. */
export interface Plan {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: ReadonlyArray<number>;
  /** Seconds of load before the first round, for the compilers of the runtimes. */
  readonly warmUp: number;
}

/** A run and the memory that the server held at most while it lasted. */
export interface Run extends Wrk.Measured {
  readonly residentBytes: number;
}

/** Runs of every subject and number of connections, in the order of the rounds. */
export interface Results {
  readonly of: (name: SubjectName, connections: number) => ReadonlyArray<Run>;
}

const keyOf = (name: SubjectName, connections: number) => `${name}@${connections}`;

const rotated = <A>(items: ReadonlyArray<A>, by: number): ReadonlyArray<A> => {
  const from = by % items.length;
  return [...items.slice(from), ...items.slice(0, from)];
};

/** Puts all subjects under load; `tell` is given a line on each step. */
export const run = async (
  subjects: ReadonlyArray<Subject>,
  plan: Plan,
  tell: (line: string) => void,
): Promise<Results> => {
  const runs = new Map<string, Array<Run>>();
  if (plan.warmUp > 0) {
    for (const subject of subjects) {
      tell(`warming up: ${subject.name}`);
      // A cold server may miss its own deadlines; what it answers then is not measured.
      await load(subject, Math.max(...plan.connections), plan.warmUp);
    }
  }
  for (const connections of plan.connections) {
    for (let round = 0; round < plan.rounds; round += 1) {
      for (const subject of rotated(subjects, round)) {
        const measured = await measure(subject, connections, plan.seconds, tell);
        const key = keyOf(subject.name, connections);
        const list = runs.get(key) ?? [];
        list.push(measured);
        runs.set(key, list);
        const rate = `${Math.round(measured.perSecond)}/s, p99 ${measured.p99.toFixed(2)} ms`;
        tell(`round ${round + 1}, ${connections} connections: ${subject.name} ${rate}`);
      }
    }
  }
  for (const { name, child } of subjects) {
    const requests = plan.connections.flatMap((count) => runs.get(keyOf(name, count)) ?? [])
      .reduce((sum, { requests }) => sum + requests, 0);
    const lines = await child.accessLines();
    // Those of the warm-up come on top; the bare servers write none.
    if (lines > 0) tell(`${name}: ${lines} access lines for ${requests} measured requests`);
  }
  return { of: (name, connections) => runs.get(keyOf(name, connections)) ?? [] };
};

/** How often a run is taken again in which the server answered wrongly. */
const repetitions = 3;

/** A run in which every answer was the right one: refusals are cheap, and would flatter whoever gives them. */
const measure = async (
  subject: Subject,
  connections: number,
  seconds: number,
  tell: (line: string) => void,
): Promise<Run> => {
  for (let attempt = 0;; attempt += 1) {
    const run = await load(subject, connections, seconds);
    const { requests, refused, broken } = run;
    const unexpected = subject.status < 400 ? refused : requests - refused;
    if (unexpected === 0 && broken === 0 && requests > 0) return run;
    const text = `${subject.name}: ${unexpected} wrong and ${broken} broken of ${requests} answers`;
    if (attempt >= repetitions) throw new Error(text);
    tell(`once more, ${text}`);
  }
};

const load = async (subject: Subject, connections: number, seconds: number): Promise<Run> => {
  const { child } = subject;
  let residentBytes = child.residentBytes();
  const timer = setInterval(() => {
    residentBytes = Math.max(residentBytes, child.residentBytes());
  }, 100);
  try {
    return { ...await Wrk.run(subject.load, { connections, seconds }), residentBytes };
  } finally {
    clearInterval(timer);
  }
};

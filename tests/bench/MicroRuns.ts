/** Runs the micro benchmarks, each in a process of its own, and makes rows of their figures. */
import { fileURLToPath } from "node:url";
import { type Figures, marker } from "./micro/Figures.ts";
import type { Row } from "./Report.ts";
import { byRound, ratios } from "./Statistics.ts";

/** How long to measure. */
export interface Plan {
  readonly rounds: number;
  /** Milliseconds of each case in each round. */
  readonly milliseconds: number;
  /** Where the peers are installed. */
  readonly peers: string;
}

const runFile = async (file: string, plan: Plan): Promise<Figures> => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "-A", "--no-check", "--v8-flags=--expose-gc"],
      fileURLToPath(new URL(`micro/${file}`, import.meta.url)),
    ],
    env: {
      BENCH_PEERS: plan.peers,
      BENCH_ROUNDS: String(plan.rounds),
      BENCH_MILLISECONDS: String(plan.milliseconds),
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const lines = new TextDecoder().decode(stdout).split("\n");
  const line = lines.find((line) => line.startsWith(marker));
  if (!success || line === undefined) {
    throw new Error(`${file} failed: ${new TextDecoder().decode(stderr)}`);
  }
  return JSON.parse(line.slice(marker.length));
};

type Pick = (name: string) => ReadonlyArray<number>;

/** What a case costs beyond another one. */
const added = (pick: Pick, name: string, without: string) =>
  byRound((a = NaN, b = NaN) => a - b, pick(name), pick(without));

const least = (...lists: ReadonlyArray<ReadonlyArray<number>>) =>
  byRound((...figures) => Math.min(...figures), ...lists);

const row = (
  id: string,
  label: string,
  ours: ReadonlyArray<number>,
  peer: ReadonlyArray<number>,
  unit = "ns",
): Row => ({ id, label, unit, ours, peer, ratio: ratios(ours, peer) });

const benchmarks: ReadonlyArray<{
  readonly file: string;
  readonly rows: (pick: Pick) => ReadonlyArray<Row>;
}> = [
  {
    file: "breaker.ts",
    rows: (pick) => {
      const ours = added(pick, "ours closed", "effect");
      const best = least(pick("opossum open"), pick("cockatiel open"));
      return [
        row(
          "breaker-closed",
          "breaker closed, added ÷ opossum without timeout",
          ours,
          added(pick, "opossum closed", "promise"),
        ),
        row(
          "breaker-closed/cockatiel",
          "breaker closed, added ÷ cockatiel",
          ours,
          added(pick, "cockatiel closed", "promise"),
        ),
        row(
          "breaker-open",
          "breaker open ÷ better of opossum and cockatiel",
          pick("ours open"),
          best,
        ),
        row(
          "breaker-half-open",
          "breaker half-open, refused ÷ opossum",
          pick("ours half-open"),
          pick("opossum half-open"),
        ),
      ];
    },
  },
  {
    file: "guard.ts",
    rows: (pick) => {
      const whole = added(pick, "ours whole", "effect");
      return [
        row(
          "guard/cockatiel",
          "whole guard, added ÷ cockatiel wrap",
          whole,
          added(pick, "cockatiel whole", "promise"),
        ),
        row(
          "guard/opossum",
          "whole guard, added ÷ opossum with timeout and capacity",
          whole,
          added(pick, "opossum whole", "promise"),
        ),
        row(
          "retry",
          "retry without failure, added ÷ cockatiel",
          added(pick, "ours retry", "effect"),
          added(pick, "cockatiel retry", "promise"),
        ),
      ];
    },
  },
  {
    file: "options.ts",
    rows: (pick) => [
      row(
        "options/adaptive",
        "breaker closed, BREAKER_ADAPTIVE ÷ fixed",
        pick("adaptive"),
        pick("fixed"),
      ),
      row("options/throttle", "guard with a throttle ÷ without", pick("throttle"), pick("guard")),
      row(
        "options/adaptive-limit",
        "bulkhead with an adaptive limit ÷ with a fixed one",
        pick("adaptive limit"),
        pick("bulkhead"),
      ),
      row("options/hedge", "guard with a hedge, none sent ÷ without", pick("hedge"), pick("guard")),
    ],
  },
  {
    file: "registry.ts",
    rows: (pick) => [
      row("registry", "one of 10,000 breakers ÷ a Map's entry", pick("ours"), pick("map")),
    ],
  },
  {
    file: "metrics.ts",
    rows: (pick) => [
      row("metrics", "request counted ÷ prom-client", pick("ours"), pick("prom-client")),
      row(
        "metrics/bound",
        "request counted ÷ prom-client with bound labels",
        pick("ours"),
        pick("prom-client bound"),
      ),
      row(
        "metrics-cost",
        "all that a request can count ÷ 2 µs",
        pick("ours whole"),
        pick("ours whole").map(() => 2_000),
      ),
    ],
  },
  {
    file: "log.ts",
    rows: (pick) => [
      row("log", "access line ÷ pino", added(pick, "ours", "pause"), added(pick, "pino", "pause")),
    ],
  },
  {
    file: "jwt.ts",
    rows: (pick) => [row("jwt", "known token ÷ fast-jwt", pick("ours"), pick("fast-jwt"))],
  },
  {
    file: "router.ts",
    rows: (pick) =>
      ["literal", "param"].map((kind) =>
        row(
          `router-${kind}`,
          `route of a ${kind} path ÷ better of find-my-way and hono`,
          pick(`ours ${kind}`),
          least(pick(`find-my-way ${kind}`), pick(`hono ${kind}`)),
        )
      ),
  },
  {
    file: "memory.ts",
    rows: (pick) => {
      const bytes = pick("ours bytes");
      const kilobyte = bytes.map(() => 1_024);
      return [
        row("breaker-heap", "heap of a closed breaker ÷ 1 KB", bytes, kilobyte, "B"),
        row("breaker-heap/opossum", "… ÷ opossum", bytes, pick("opossum bytes"), "B"),
        row(
          "breaker-flood",
          "heap after a million more names ÷ before",
          pick("flooded"),
          pick("full"),
          "B",
        ),
      ];
    },
  },
];

/** Runs all micro benchmarks; `tell` is given a line on each. */
export const run = async (
  plan: Plan,
  tell: (line: string) => void,
): Promise<ReadonlyArray<Row>> => {
  const rows: Array<Row> = [];
  for (const { file, rows: rowsOf } of benchmarks) {
    tell(`micro: ${file}`);
    const figures = await runFile(file, plan);
    rows.push(...rowsOf((name) => {
      const found = figures[name];
      if (found === undefined) throw new Error(`${file} has no case "${name}"`);
      return found;
    }));
  }
  return rows;
};

/**
 * A real Prometheus on a reserved loopback port with a data directory of its own, and the few
 * questions that tests ask of its HTTP API.
 */
import { freePort, releasePort } from "../../support/ports.ts";
import { ServerProcess } from "../../support/servers/ServerProcess.ts";
import { toolPath } from "../../support/Tools.ts";

/** One scraped address. */
export interface Target {
  readonly job: string;
  readonly port: number;
}

export interface PrometheusOptions {
  /** What is scraped twice a second. */
  readonly targets?: ReadonlyArray<Target>;
  /** Paths of rule files. */
  readonly ruleFiles?: ReadonlyArray<string>;
}

/** A rule as Prometheus understood it. */
export interface Rule {
  readonly name: string;
  readonly query: string;
  readonly type: "alerting" | "recording";
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Why it could not be evaluated, if so. */
  readonly lastError?: string;
}

/** One series of an answer: its labels, and its values over time. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: ReadonlyArray<number>;
  /** When each value was, in epoch seconds. */
  readonly times: ReadonlyArray<number>;
}

/** Which moments a query over time is asked for. */
export interface Range {
  /** Seconds before the end. */
  readonly seconds: number;
  /** Epoch seconds [now]. */
  readonly end?: number;
  /** Seconds from one to the next [1]. */
  readonly step?: number;
}

type Sample = readonly [time: number, value: string];

interface Answered<A> {
  readonly status: string;
  readonly data: A;
  readonly error?: string;
}

/** A Prometheus of one test. */
export class Prometheus {
  readonly #url: string;
  readonly #port: number;
  readonly #directory: string;
  readonly #process: ServerProcess;

  private constructor(port: number, directory: string, process: ServerProcess) {
    this.#port = port;
    this.#url = `http://127.0.0.1:${port}`;
    this.#directory = directory;
    this.#process = process;
  }

  /** Starts a server and waits until it is ready. */
  static async start({ targets = [], ruleFiles = [] }: PrometheusOptions): Promise<Prometheus> {
    const port = freePort();
    const directory = await Deno.makeTempDir({ prefix: "amicis-prometheus-" });
    try {
      // JSON is YAML.
      const configuration = JSON.stringify({
        global: { scrape_interval: "500ms", scrape_timeout: "400ms", evaluation_interval: "1s" },
        rule_files: ruleFiles,
        scrape_configs: targets.map((target) => ({
          job_name: target.job,
          static_configs: [{ targets: [`127.0.0.1:${target.port}`] }],
        })),
      });
      await Deno.writeTextFile(`${directory}/prometheus.yml`, configuration);
      const process = await ServerProcess.start({
        program: toolPath("prometheus"),
        args: [
          `--config.file=${directory}/prometheus.yml`,
          `--storage.tsdb.path=${directory}/data`,
          `--web.listen-address=127.0.0.1:${port}`,
          "--log.level=warn",
        ],
        isReady: async () => {
          const answer = await fetch(`http://127.0.0.1:${port}/-/ready`);
          await answer.body?.cancel();
          return answer.status === 200;
        },
      });
      return new Prometheus(port, directory, process);
    } catch (error) {
      await Deno.remove(directory, { recursive: true });
      releasePort(port);
      throw error;
    }
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    releasePort(this.#port);
    await Deno.remove(this.#directory, { recursive: true });
  }

  /** All rules of the loaded files. */
  async rules(): Promise<ReadonlyArray<Rule>> {
    const { groups } = await this.#get<
      { readonly groups: ReadonlyArray<{ readonly rules: ReadonlyArray<Rule> }> }
    >("rules", {});
    return groups.flatMap(({ rules }) => rules);
  }

  /** The value of each series now, or at the given epoch second. */
  async query(query: string, time = Date.now() / 1_000): Promise<ReadonlyArray<Series>> {
    const { result } = await this.#get<
      { readonly result: ReadonlyArray<{ metric: Series["metric"]; value: Sample }> }
    >("query", { query, time: String(time) });
    return result.map(({ metric, value: [time, value] }) => ({
      metric,
      values: [Number(value)],
      times: [time],
    }));
  }

  /** The values of each series over time. */
  async queryRange(query: string, range: Range): Promise<ReadonlyArray<Series>> {
    const { seconds, end = Date.now() / 1_000, step = 1 } = range;
    const times = { start: String(end - seconds), end: String(end), step: String(step) };
    const { result } = await this.#get<
      { readonly result: ReadonlyArray<{ metric: Series["metric"]; values: Array<Sample> }> }
    >("query_range", { query, ...times });
    return result.map(({ metric, values }) => ({
      metric,
      values: values.map(([, value]) => Number(value)),
      times: values.map(([time]) => time),
    }));
  }

  async #get<A>(path: string, parameters: Readonly<Record<string, string>>): Promise<A> {
    const answer = await fetch(`${this.#url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const { status, data, error }: Answered<A> = await answer.json();
    if (status !== "success") throw new Error(`Prometheus refused "${path}": ${error}`);
    return data;
  }
}

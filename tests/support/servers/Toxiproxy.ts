/**
 * A real toxiproxy: a TCP proxy that is told over HTTP to make a connection late, uneven, slow or to
 * break it. A test tool only, built from source by Go where Go is (tests/chaos/ChaosTools.ts).
 */
import { freePort, releasePort } from "../ports.ts";
import { ServerProcess } from "./ServerProcess.ts";

/** One harm; see toxiproxy's README for the attributes of each type. */
export interface Toxic {
  readonly type:
    | "latency"
    | "bandwidth"
    | "slow_close"
    | "timeout"
    | "reset_peer"
    | "slicer"
    | "limit_data";
  /** To the client (default) or to the server. */
  readonly stream?: "downstream" | "upstream";
  /** Share of connections that it acts on [1]. */
  readonly toxicity?: number;
  readonly attributes: Readonly<Record<string, number>>;
}

export class Toxiproxy {
  readonly #process: ServerProcess;
  readonly #port: number;
  readonly #ports: Array<number> = [];

  private constructor(process: ServerProcess, port: number) {
    this.#process = process;
    this.#port = port;
  }

  /** `program` is the path of its server. */
  static async start(program: string): Promise<Toxiproxy> {
    const port = freePort();
    const process = await ServerProcess.start({
      program,
      args: ["-host", "127.0.0.1", "-port", String(port)],
      isReady: async () => {
        const response = await fetch(`http://127.0.0.1:${port}/version`);
        await response.body?.cancel();
        return response.ok;
      },
    });
    return new Toxiproxy(process, port);
  }

  /** A proxy on loopback in front of this port; gives its own port. */
  async proxy(name: string, upstream: number): Promise<number> {
    const port = freePort();
    this.#ports.push(port);
    await this.#post("/proxies", {
      name,
      listen: `127.0.0.1:${port}`,
      upstream: `127.0.0.1:${upstream}`,
      enabled: true,
    });
    return port;
  }

  /** Adds a harm to a proxy's open and new connections. */
  async add(proxy: string, toxic: Toxic): Promise<void> {
    await this.#post(`/proxies/${proxy}/toxics`, { stream: "downstream", toxicity: 1, ...toxic });
  }

  /** Takes every harm away. */
  async reset(): Promise<void> {
    await this.#post("/reset", {});
  }

  async stop(): Promise<void> {
    await this.#process.stop();
    for (const port of [this.#port, ...this.#ports]) releasePort(port);
  }

  async #post(path: string, body: unknown): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`toxiproxy answers ${response.status}: ${text}`);
  }
}

/**
 * A server under load: a child process whose output goes to a file, as an access log does in
 * production, and not through a pipe that this process would have to empty on the same cores.
 */
import { freePort, releasePort } from "../support/ports.ts";
import { tied } from "../support/servers/ServerProcess.ts";

/** What to start. */
export interface ChildCommand {
  readonly name: string;
  readonly command: ReadonlyArray<string>;
  readonly env: Readonly<Record<string, string>>;
  /** Where its output goes. */
  readonly logFile: string;
  /** What it answers as soon as it works. */
  readonly ready: { readonly path: string; readonly status: number };
}

const startLimit = 30_000;

/** The file that `LOG_FILE` names, for servers that write their access log by themselves. */
const accessFile = (logFile: string): string => `${logFile}.access`;

const delay = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** A running child, on a loopback port that it was given in `PORT`. */
export class Child {
  private constructor(
    readonly name: string,
    readonly port: number,
    readonly logFile: string,
    readonly process: Deno.ChildProcess,
  ) {}

  /** Starts the child and waits until it is ready. */
  static async start(options: ChildCommand): Promise<Child> {
    const { name, command, env, logFile, ready } = options;
    const port = freePort();
    const [program = "", ...args] = tied("sh", ["-c", 'exec "$@" >"$0" 2>&1', logFile, ...command]);
    const process = new Deno.Command(program, {
      args,
      env: { ...env, PORT: String(port), LOG_FILE: accessFile(logFile) },
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const child = new Child(name, port, logFile, process);
    let isRunning = true;
    process.status.then(() => isRunning = false);
    const deadline = performance.now() + startLimit;
    while (isRunning && performance.now() < deadline) {
      if (await statusOf(`http://127.0.0.1:${port}${ready.path}`) === ready.status) return child;
      await delay(20);
    }
    await child.stop();
    const output = await Deno.readTextFile(logFile);
    throw new Error(`Cannot start "${name}": ${output.slice(-2_000)}`);
  }

  /** Resident memory at this moment in bytes. */
  residentBytes(): number {
    return residentBytes(this.process.pid);
  }

  /** Access lines written so far, wherever this server writes them. */
  async accessLines(): Promise<number> {
    const files = [this.logFile, accessFile(this.logFile)];
    const { stdout } = await new Deno.Command("grep", {
      args: ["--no-messages", "--no-filename", "--count", "--fixed-strings", '"Request"', ...files],
    }).output();
    const counts = new TextDecoder().decode(stdout).trim().split("\n");
    return counts.reduce((sum, count) => sum + Number(count), 0);
  }

  /** Ends it; its port is given back. */
  async stop(): Promise<void> {
    const timer = setTimeout(() => this.#signal("SIGKILL"), 5_000);
    this.#signal("SIGTERM");
    await this.process.status;
    clearTimeout(timer);
    releasePort(this.port);
  }

  #signal(name: Deno.Signal): void {
    try {
      this.process.kill(name);
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

/** Resident memory of a process in bytes, as Linux counts it. */
export const residentBytes = (pid: number): number => {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? NaN) * 1024;
};

/** The status of an answer, or `undefined` when there is none. */
const statusOf = async (url: string): Promise<number | undefined> => {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(1_000) });
    await response.body?.cancel();
    return response.status;
  } catch {
    return undefined;
  }
};

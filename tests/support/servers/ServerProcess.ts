/**
 * A child process that listens on a loopback port, with the signals that make it fail: stopped
 * gracefully, killed, frozen. Its output is kept (last 64 KiB) for the error when it does not start.
 * Children that a broken test leaves behind are killed when the test file ends, and on Linux also
 * when the test run itself is killed.
 */
import { findTool } from "../Tools.ts";

const KEPT_OUTPUT = 64 * 1024;
const START_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 10_000;

const alive = new Set<Deno.ChildProcess>();

globalThis.addEventListener("unload", () => {
  for (const child of alive) signal(child, "SIGKILL");
});

/** The process ended before it was ready, or was not ready in time. */
export class StartFailed extends Error {
  override readonly name = "StartFailed";
}

/** What to start, and how to know that it is ready. */
export interface ServerCommand {
  readonly program: string;
  readonly args: ReadonlyArray<string>;
  readonly env?: Readonly<Record<string, string>>;
  /** Rejects or gives false as long as the server is not ready; asked again every 15 ms. */
  readonly isReady: (pid: number) => Promise<boolean>;
}

/** A running server process. */
export class ServerProcess {
  readonly pid: number;
  /** Settles when the process has ended and its output is closed. */
  readonly ended: Promise<Deno.CommandStatus>;
  #child: Deno.ChildProcess;
  #output: { text: string };

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#output = { text: "" };
    this.pid = child.pid;
    alive.add(child);
    const drained = [keep(child.stdout, this.#output), keep(child.stderr, this.#output)];
    this.ended = child.status.then(async (status) => {
      alive.delete(child);
      await Promise.all(drained);
      return status;
    });
  }

  /** What the process wrote to stdout and stderr, the last 64 KiB. */
  get output(): string {
    return this.#output.text;
  }

  /** True until the process has ended. */
  get running(): boolean {
    return alive.has(this.#child);
  }

  /** Starts the process and waits until it is ready. */
  static async start(command: ServerCommand): Promise<ServerProcess> {
    const [program = command.program, ...args] = tied(command.program, command.args);
    const child = new Deno.Command(program, {
      args,
      env: { ...command.env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const process = new ServerProcess(child);
    const deadline = performance.now() + START_LIMIT_MS;
    let last: unknown = "It gave no answer";
    while (process.running && performance.now() < deadline) {
      try {
        if (await command.isReady(process.pid) && process.running) return process;
      } catch (error) {
        last = error;
      }
      await new Promise((resolve) => setTimeout(resolve, 15));
    }
    await process.kill();
    throw new StartFailed(`Cannot start "${command.program}": ${last}\n${process.output}`);
  }

  /** SIGTERM, then SIGKILL after 10 s; waits for the end. A frozen process is woken first. */
  async stop(): Promise<void> {
    if (!this.running) return void (await this.ended);
    this.resume();
    signal(this.#child, "SIGTERM");
    const timer = setTimeout(() => signal(this.#child, "SIGKILL"), STOP_LIMIT_MS);
    await this.ended;
    clearTimeout(timer);
  }

  /** SIGKILL; waits for the end. */
  async kill(): Promise<void> {
    signal(this.#child, "SIGKILL");
    await this.ended;
  }

  /** SIGSTOP: connections stay open and nothing answers. */
  pause(): void {
    signal(this.#child, "SIGSTOP");
  }

  /** SIGCONT: undoes `pause`. */
  resume(): void {
    signal(this.#child, "SIGCONT");
  }
}

/** The command such that the system kills it with its parent, where `setpriv` can say so. */
export function tied(program: string, args: ReadonlyArray<string>): ReadonlyArray<string> {
  const setpriv = findTool("setpriv");
  const prefix = setpriv === undefined ? [] : [setpriv, "--pdeathsig", "KILL"];
  return [...prefix, program, ...args];
}

function signal(child: Deno.ChildProcess, name: Deno.Signal): void {
  if (!alive.has(child)) return;
  try {
    child.kill(name);
  } catch (error) {
    // It ended between the check and the signal.
    if (!(error instanceof TypeError || error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function keep(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  output: { text: string },
): Promise<void> {
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    output.text = (output.text + text).slice(-KEPT_OUTPUT);
  }
}

/** A memory cgroup (v1) that the services are put into, with a limit that can be pulled tight. */
const root = "/sys/fs/cgroup/memory";

export class MemoryLimit implements AsyncDisposable {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes the group; undefined without the right to, or where groups are of another kind. */
  static async make(): Promise<MemoryLimit | undefined> {
    const directory = `${root}/amicis-chaos-${Deno.pid}`;
    try {
      await Deno.stat(`${root}/memory.limit_in_bytes`);
      await Deno.mkdir(directory);
      return new MemoryLimit(directory);
    } catch {
      return undefined;
    }
  }

  /** The command that starts a program inside the group: program and first arguments. */
  get prefix(): ReadonlyArray<string> {
    const enter = `echo $$ > ${this.#directory}/cgroup.procs && exec "$@"`;
    return ["sh", "-c", enter, "sh"];
  }

  /** Bytes in use. */
  async used(): Promise<number> {
    return Number(await Deno.readTextFile(`${this.#directory}/memory.usage_in_bytes`));
  }

  /** The most bytes that may be in use; undefined: no limit. */
  async set(bytes: number | undefined): Promise<void> {
    await Deno.writeTextFile(`${this.#directory}/memory.limit_in_bytes`, String(bytes ?? -1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#directory).catch(() => {});
  }
}

/** A small disk in memory that can be filled to the last byte, as a server's own may be. */
import { run } from "./Shell.ts";

const megabytes = 192;

export class Disk implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Mounts it; undefined without the right to. */
  static async mount(): Promise<Disk | undefined> {
    const path = await Deno.makeTempDir({ prefix: "amicis-disk-" });
    try {
      await run("mount", "-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path);
      return new Disk(path);
    } catch {
      await Deno.remove(path);
      return undefined;
    }
  }

  /** Takes all room that is left. */
  async fill(): Promise<void> {
    using file = await Deno.open(this.#filler, { create: true, write: true });
    const chunk = new Uint8Array(64 * 1024);
    try {
      for (;;) await file.write(chunk);
    } catch (error) {
      if (!/os error 28/.test(String(error))) throw error;
    }
  }

  /** Gives it back. */
  async free(): Promise<void> {
    await Deno.remove(this.#filler);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("umount", "--lazy", this.path);
    await Deno.remove(this.path);
  }

  get #filler(): string {
    return `${this.path}/filler`;
  }
}

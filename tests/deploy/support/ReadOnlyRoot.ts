/**
 * What a container of the image is made of, without a container runtime: a root directory with the
 * binary and what the base image holds, mounted read-only, in which the binary runs as process 1 and
 * as the image's user. Needs the right to mount and to make namespaces, which root has.
 */
// deno-lint-ignore-file no-console -- says which tests are left out
import { run } from "./DeployTools.ts";

/** The user of the distroless images' `nonroot`. */
export const user = 65_532;

/** Shared libraries of `gcr.io/distroless/cc-debian12`: glibc, libgcc, libstdc++, libgomp, OpenSSL. */
const libraries =
  /^(ld-linux-(x86-64|aarch64)|lib(c|m|dl|pthread|rt|resolv|util|gcc_s|stdc\+\+|gomp|ssl|crypto))\.so\.\d+$/;

/** Whether this user may make such a root; says so when not. */
export async function canIsolate(): Promise<boolean> {
  const { success } = await run(["unshare", "--pid", "--fork", "--mount", "mount", "--version"]);
  if (success && Deno.uid() === 0) return true;
  globalThis.addEventListener("unload", () => {
    console.error("Skipped: tests that need the right to make namespaces and mounts");
  });
  return false;
}

/** A library that a program is loaded with. */
export interface Library {
  readonly name: string;
  readonly path: string;
}

/** The libraries that the loader finds for a program. */
export async function librariesOf(program: string): Promise<ReadonlyArray<Library>> {
  const { stdout } = await run(["ldd", program]);
  return Array.from(
    stdout.matchAll(/(\/\S+\/(\S+\.so[.\d]*)) \(0x/g),
    ([, path = "", name = ""]) => ({
      name,
      path,
    }),
  );
}

/** Libraries that the base image does not hold. */
export const foreign = (found: ReadonlyArray<Library>): ReadonlyArray<string> =>
  found.map(({ name }) => name).filter((name) => !libraries.test(name));

/** A root directory with the binary in it. */
export class ReadOnlyRoot implements AsyncDisposable {
  private constructor(readonly path: string) {}

  static async make(binary: string): Promise<ReadOnlyRoot> {
    const path = await Deno.makeTempDir({ prefix: "amicis-root-" });
    const root = new ReadOnlyRoot(path);
    // Others than root have to be able to enter.
    await Deno.chmod(path, 0o755);
    for (const { path: library } of await librariesOf(binary)) await root.#copy(library);
    for (const folder of ["proc", "tmp", "etc/ssl/certs"]) {
      await Deno.mkdir(`${path}/${folder}`, { recursive: true });
    }
    await Deno.writeTextFile(
      `${path}/etc/passwd`,
      `root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:${user}:${user}:nonroot:/home/nonroot:/sbin/nologin\n`,
    );
    await Deno.writeTextFile(`${path}/etc/nsswitch.conf`, "hosts: files dns\n");
    await Deno.link(binary, `${path}/amicis`);
    return root;
  }

  async #copy(file: string): Promise<void> {
    const to = this.path + file;
    await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(file, to);
  }

  /** The command that runs the binary in it; arguments for the binary come after. */
  get command(): ReadonlyArray<string> {
    const script = [
      'mount --bind "$0" "$0"',
      'mount -o remount,ro,bind "$0"',
      'mount -t proc proc "$0/proc"',
      `exec chroot --userspec=${user}:${user} "$0" /amicis "$@"`,
    ].join(" && ");
    return [
      ...["unshare", "--pid", "--fork", "--kill-child", "--mount", "sh", "-euc", script],
      this.path,
    ];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** A process as the kernel describes it. */
export interface ProcessStatus {
  readonly pid: number;
  /** Its number in its own namespace. */
  readonly innerPid: number;
  readonly uid: number;
  /** How its root is mounted: `ro` or `rw`. */
  readonly rootMount: string;
}

/** The first child of a process, that is, what runs inside. */
export async function childOf(parent: number): Promise<ProcessStatus> {
  const read = (path: string) => Deno.readTextFile(`/proc/${path}`);
  const pid = Number.parseInt(await read(`${parent}/task/${parent}/children`));
  const status = await read(`${pid}/status`);
  const number = (field: string) =>
    Number(new RegExp(`^${field}:.*?(\\d+)$`, "m").exec(status)?.[1]);
  const mounts = await read(`${pid}/mountinfo`);
  return {
    pid,
    innerPid: number("NSpid"),
    uid: number("Uid"),
    rootMount: /^\d+ \d+ \S+ \S+ \/ (r[ow])\b/m.exec(mounts)?.[1] ?? "",
  };
}

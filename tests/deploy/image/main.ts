/**
 * `deno task image`: builds the Dockerfile step by step and starts what comes out, on machines that
 * reach no registry of images. Stand-ins take the base images' names: a Debian 12 made of its own
 * packages, and a root with the libraries that the run stage's base holds. So this proves the steps
 * and the final layout, not the real bases' contents. Needs root, Debian and about two minutes.
 */
// deno-lint-ignore-file no-console -- a command line tool speaks to its terminal
import assert from "node:assert/strict";
import { providedDenort } from "../../support/Binary.ts";
import { librariesOf, user } from "../support/ReadOnlyRoot.ts";

const repository = new URL("../../../", import.meta.url).pathname;
const work = await Deno.makeTempDir({ prefix: "amicis-image-" });
const storage = ["--root", `${work}/storage`, "--runroot", `${work}/run`];

/** Runs a program to its end and gives what it printed; what it says besides goes to the terminal. */
async function run(program: string, ...args: ReadonlyArray<string>): Promise<string> {
  const { success, code, stdout } = await new Deno.Command(program, {
    args: [...args],
    env: { DEBIAN_FRONTEND: "noninteractive", STORAGE_DRIVER: "overlay" },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (!success) throw new Error(`${program} ended with ${code}:\n${text.slice(-4_000)}`);
  return text;
}

const buildah = (...args: ReadonlyArray<string>) => run("buildah", ...storage, ...args);

/** An image of a directory, with environment variables. */
async function imageOf(directory: string, name: string, env: Readonly<Record<string, string>>) {
  const lines = Object.entries(env).map(([name, value]) => `ENV ${name}=${value}`);
  const file = `${work}/${name.replaceAll(/\W/g, "-")}.dockerfile`;
  await Deno.writeTextFile(file, ["FROM scratch", "COPY . /", ...lines, ""].join("\n"));
  await buildah("bud", "--format", "docker", "-f", file, "-t", name, directory);
}

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

/** How this machine reaches package registries, if not as any other: its proxy and authorities. */
const own = ["/etc/apt/apt.conf.d/99artifact-registry", "/etc/npmrc"];
const authorities = "/etc/ssl/certs/ca-certificates.crt";

async function debian(pair: Readonly<Record<string, string>>): Promise<void> {
  const root = `${work}/debian`;
  await run(
    "mmdebstrap",
    ...["--variant=apt", "--mode=root", "--include=ca-certificates", "bookworm", root],
    "/etc/apt/sources.list.d/debian.sources",
  );
  for (const file of [...own, authorities]) {
    if (await exists(file)) await Deno.copyFile(file, root + file);
  }
  await imageOf(root, "docker.io/library/debian:12", {
    NODE_EXTRA_CA_CERTS: authorities,
    SSL_CERT_FILE: authorities,
    ...Object.fromEntries(Object.keys(pair).map((name) => [name, `/opt/deno/${pairNames[name]}`])),
  });
}

const pairNames: Readonly<Record<string, string>> = {
  DENO_FOR_COMPILE: "deno",
  DENORT_BIN: "denort",
};

/** Libraries of the machine itself, under the names that they have in the base image. */
async function distroless(): Promise<void> {
  const root = `${work}/distroless`;
  for (const { path } of await librariesOf(Deno.execPath())) {
    await Deno.mkdir(root + path.slice(0, path.lastIndexOf("/")), { recursive: true });
    await Deno.copyFile(path, root + path);
  }
  for (const folder of ["etc", "tmp", "proc", "dev"]) {
    await Deno.mkdir(`${root}/${folder}`, { recursive: true });
  }
  await Deno.writeTextFile(
    `${root}/etc/passwd`,
    `nonroot:x:${user}:${user}:nonroot:/home/nonroot:/sbin/nologin\n`,
  );
  await imageOf(root, "gcr.io/distroless/cc-debian12:nonroot", {});
}

interface Inspected {
  readonly Docker: {
    readonly config: {
      readonly User: string;
      readonly Entrypoint: ReadonlyArray<string>;
      readonly Healthcheck: { readonly Test: ReadonlyArray<string> };
    };
  };
}

const seconds = async (what: string, task: () => Promise<unknown>): Promise<void> => {
  const startedAt = performance.now();
  await task();
  console.log(`${what}: ${((performance.now() - startedAt) / 1_000).toFixed(0)} s`);
};

const size = async (path: string): Promise<string> =>
  `${((await Deno.stat(path)).size / 2 ** 20).toFixed(0)} MiB`;

try {
  if (Deno.uid() !== 0) throw new Error("Building an image without a daemon needs root here");
  const missing = ["buildah", "mmdebstrap"];
  await run("apt-get", "-o", "DPkg::Lock::Timeout=300", "-y", "-q", "install", ...missing);
  const pair = await providedDenort();
  await seconds("debian:12 from its packages", () => debian(pair));
  await seconds("distroless from this machine's libraries", distroless);

  const mounted = `${work}/pair`;
  await Deno.mkdir(mounted);
  for (const [name, path] of Object.entries(pair)) {
    await Deno.copyFile(path, `${mounted}/${pairNames[name]}`);
  }
  await seconds("amicis from the Dockerfile", () =>
    buildah(
      ...["bud", "--format", "docker", "--isolation", "chroot", "--pull-never"],
      ...["--volume", `${mounted}:/opt/deno:ro`],
      ...["-f", `${repository}Dockerfile`, "-t", "amicis", repository],
    ));

  const inspected: Inspected = JSON.parse(await buildah("inspect", "--type", "image", "amicis"));
  const { config } = inspected.Docker;
  assert.deepEqual([config.User, config.Entrypoint], ["65532:65532", ["/amicis"]]);
  assert.deepEqual(config.Healthcheck.Test, ["CMD", "/amicis", "--healthcheck"]);

  const container = (await buildah("from", "--pull-never", "amicis")).trim();
  const root = (await buildah("mount", container)).trim();
  console.log(`binary: ${await size(`${root}/amicis`)}`);
  const there = Array.from(Deno.readDirSync(root), ({ name }) => name).toSorted();
  console.log(`in the root: ${there.join(", ")}`);
  const inside = (...args: ReadonlyArray<string>) =>
    buildah(
      "run",
      "--isolation",
      "chroot",
      "--user",
      `${user}:${user}`,
      container,
      "/amicis",
      ...args,
    );
  console.log(`amicis --version: ${(await inside("--version")).trim()}`);
  await inside("--service=routing", "--check");
  console.log("amicis --service=routing --check: 0");
  await buildah("umount", container);
} finally {
  // Layers of an overlay are mounts of root's own.
  await buildah("rm", "--all").catch(() => "");
  await buildah("rmi", "--all", "--force").catch(() => "");
  await Deno.remove(work, { recursive: true });
}

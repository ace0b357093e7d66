/**
 * Programs that only the whole chaos suite uses: packet filters, a clock that can be set, toxiproxy.
 * They are installed when they are missing; a fault whose program cannot be had is left out.
 */
import { cacheDirectory } from "../support/Tools.ts";
import { run, succeeds } from "./Shell.ts";

/** Version of toxiproxy, built from source. */
const TOXIPROXY_VERSION = "v2.5.0";

const toxiproxyPath = () => `${cacheDirectory()}/toxiproxy-${TOXIPROXY_VERSION}/server`;

/** Debian's libraries lie in a directory of the machine's own kind. */
const faketimePath = () => {
  const machine = Deno.build.arch === "aarch64" ? "aarch64" : "x86_64";
  return `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`;
};

/** A file that exists, or undefined. */
const existing = (path: string): string | undefined => {
  try {
    return Deno.statSync(path).isFile ? path : undefined;
  } catch {
    return undefined;
  }
};

/** The library that sets a process's clock. */
export const findFaketime = (): string | undefined => existing(faketimePath());

/** The server of toxiproxy. */
export const findToxiproxy = (): string | undefined => existing(toxiproxyPath());

/** Installs what is missing, as far as that is possible. */
export async function installChaosTools(): Promise<void> {
  const packages = [
    ...(await succeeds("ip", "-V") ? [] : ["iproute2"]),
    ...(await succeeds("iptables", "--version") ? [] : ["iptables"]),
    ...(findFaketime() === undefined ? ["faketime"] : []),
  ];
  if (packages.length > 0 && Deno.uid() === 0) {
    const apt = ["-o", "DPkg::Lock::Timeout=300", "-y", "-q"];
    await succeeds("apt-get", ...apt, "update");
    await succeeds("apt-get", ...apt, "install", "--no-install-recommends", ...packages);
  }
  if (findToxiproxy() === undefined && await succeeds("go", "version")) await buildToxiproxy();
}

const buildToxiproxy = async (): Promise<void> => {
  const directory = toxiproxyPath().replace(/\/server$/, "");
  await Deno.mkdir(directory, { recursive: true });
  const module = `github.com/Shopify/toxiproxy/v2/cmd/server@${TOXIPROXY_VERSION}`;
  const env = ["env", `GOBIN=${directory}`, "GOTOOLCHAIN=auto", "GOFLAGS=-p=1"];
  await run("timeout", "240", ...env, "go", "install", module).catch(() => {});
};

/**
 * The network between the services and what they depend on. Where the right is there the services
 * live in a network namespace of their own, with a resolver and packet filters of their own, so that
 * names and partitions can fail as they do between machines; elsewhere all is on loopback.
 */
import { NameServer } from "./NameServer.ts";
import { run, succeeds } from "./Shell.ts";

/** How packets of a connection are stopped: dropped, or answered with a refusal. */
export type Block = "drop" | "reset" | "unreachable";

export interface Network extends AsyncDisposable {
  /** This machine as the services see it. */
  readonly gateway: string;
  /** The services as this machine sees them. */
  readonly services: string;
  /** The name or address under which the services look for a dependency. */
  readonly nameOf: (name: string) => string;
  /** The command that runs a program where the services live. */
  readonly within: (program: ReadonlyArray<string>) => ReadonlyArray<string>;
  /** Present only in a namespace. */
  readonly namespace?: Namespace;
}

/** What can be done to a namespace's network. */
export interface Namespace {
  readonly names: NameServer;
  /** Stops all packets to the port, of open connections too. */
  readonly block: (port: number, how: Block) => Promise<void>;
  /** Undoes every `block`. */
  readonly unblock: () => Promise<void>;
}

/** All on 127.0.0.1. */
export const loopback: Network = {
  gateway: "127.0.0.1",
  services: "127.0.0.1",
  nameOf: () => "127.0.0.1",
  within: (program) => program,
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

const targets: Readonly<Record<Block, ReadonlyArray<string>>> = {
  drop: ["DROP"],
  reset: ["REJECT", "--reject-with", "tcp-reset"],
  unreachable: ["REJECT", "--reject-with", "icmp-host-unreachable"],
};

/** A namespace, or undefined without the right or the programs to make one. */
export async function makeNamespace(): Promise<Network | undefined> {
  const id = Deno.pid % 16_384;
  const name = `amicis-${id}`;
  const [outside, inside] = [`amo${id}`, `ami${id}`];
  const net = `10.${200 + (id >> 12)}.${(id >> 4) & 255}`;
  const [gateway, services] = [`${net}.${(id & 15) * 16 + 1}`, `${net}.${(id & 15) * 16 + 2}`];
  const within = (program: ReadonlyArray<string>) => ["ip", "netns", "exec", name, ...program];
  const inNamespace = (...command: ReadonlyArray<string>) => {
    const [program = "", ...args] = within(command);
    return run(program, ...args);
  };
  const resolver = `/etc/netns/${name}`;
  const remove = async () => {
    await succeeds("ip", "netns", "delete", name);
    await Deno.remove(resolver, { recursive: true }).catch(() => {});
  };
  try {
    await run("ip", "netns", "add", name);
    await run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name);
    await run("ip", "address", "add", `${gateway}/28`, "dev", outside);
    await run("ip", "link", "set", outside, "up");
    await inNamespace("ip", "address", "add", `${services}/28`, "dev", inside);
    await inNamespace("ip", "link", "set", inside, "up");
    await inNamespace("ip", "link", "set", "lo", "up");
    await inNamespace("iptables", "--list-rules");
    await Deno.mkdir(resolver, { recursive: true });
    await Deno.writeTextFile(
      `${resolver}/resolv.conf`,
      `nameserver ${gateway}\noptions timeout:1 attempts:1\n`,
    );
    const names = await NameServer.start(gateway);
    return {
      gateway,
      services,
      nameOf: (dependency) => `${dependency}.chaos.test`,
      within,
      namespace: {
        names,
        block: async (port, how) => {
          const rule = ["OUTPUT", "-p", "tcp", "--dport", String(port)];
          await inNamespace("iptables", "-A", ...rule, "-j", ...targets[how]);
        },
        unblock: async () => void await inNamespace("iptables", "-F", "OUTPUT"),
      },
      [Symbol.asyncDispose]: async () => {
        await names[Symbol.asyncDispose]();
        await remove();
      },
    };
  } catch {
    await remove();
    return undefined;
  }
}

/** What the way to each of the three can do to connections. */
import type { Dependency } from "../Answers.ts";
import { type Fault, outage, strain } from "../Fault.ts";
import type { ProxyMode } from "../../support/servers/TcpProxy.ts";
import type { Toxic } from "../../support/servers/Toxiproxy.ts";

const dependencies: ReadonlyArray<Dependency> = ["mongodb", "redis", "token endpoint"];

const names: Readonly<Record<Dependency, string>> = {
  mongodb: "MongoDB",
  redis: "Redis",
  "token endpoint": "The token endpoint",
};

/** A mode of the proxy, for open and new connections. */
const through = (mode: ProxyMode): (dependency: Dependency) => Pick<Fault, "inflict" | "lift"> =>
(
  dependency,
) => ({
  inflict: (bed) => bed.proxies[dependency].mode(mode),
  lift: async (bed) => {
    const proxy = bed.proxies[dependency];
    await proxy.mode("pass");
    // What was half said stays unsaid.
    if (mode !== "refuse") await proxy.drop();
  },
});

/** Something that toxiproxy does. */
const poisoned =
  (toxic: Toxic) => (dependency: Dependency): Pick<Fault, "inflict" | "lift" | "needs"> => ({
    needs: ["toxiproxy"],
    inflict: async (bed) => await bed.toxiproxy?.add(dependency.replace(" ", "-"), toxic),
    lift: async (bed) => {
      // Toxiproxy waits until what it holds back is delivered or its connection gone.
      if ((toxic.attributes.latency ?? 0) >= 1_000) await bed.proxies[dependency].drop();
      await bed.toxiproxy?.reset();
    },
  });

const latency = (ms: number): Toxic => ({
  type: "latency",
  attributes: { latency: ms, jitter: 0 },
});

const of = (dependency: Dependency): ReadonlyArray<Fault> => {
  const name = names[dependency];
  const family = "network";
  return [
    outage(dependency, {
      name: `${name} refuses connections`,
      family,
      ...through("refuse")(dependency),
    }),
    outage(dependency, {
      name: `${name} accepts and says nothing`,
      family,
      seconds: 4,
      ...through("silent")(dependency),
    }),
    outage(dependency, {
      name: `${name} is cut off in the middle of each answer`,
      family,
      ...through({ cutAfter: 20 })(dependency),
    }),
    outage(dependency, {
      name: `${name} answers garbage`,
      family,
      ...through("garbage")(dependency),
    }),
    strain(dependency, {
      name: `${name} is 100 ms late`,
      family,
      breakers: {},
      ...poisoned(latency(100))(dependency),
    }),
    outage(dependency, {
      name: `${name} is 1 s late`,
      family,
      seconds: 5,
      ...poisoned(latency(1_000))(dependency),
    }),
    outage(dependency, {
      name: `${name} is 10 s late`,
      family,
      seconds: 6,
      // By our own proxy: toxiproxy would deliver what is late before it lets anything be lifted.
      ...through({ delay: 10_000 })(dependency),
    }),
    strain(dependency, {
      name: `${name} is unevenly late (150 ± 150 ms)`,
      family,
      ...poisoned({ type: "latency", attributes: { latency: 150, jitter: 150 } })(dependency),
    }),
    strain(dependency, {
      name: `${name} resets every connection after 300 ms`,
      family,
      ...poisoned({ type: "reset_peer", attributes: { timeout: 300 } })(dependency),
    }),
    strain(dependency, {
      name: `${name} answers at 4 KB/s in slices`,
      family,
      ...poisoned({ type: "bandwidth", attributes: { rate: 4 } })(dependency),
    }),
  ];
};

export const network: ReadonlyArray<Fault> = dependencies.flatMap(of);

/**
 * The Kubernetes manifests: they build, they are valid for the oldest and the newest version meant,
 * their parts refer to each other rightly, and the program accepts what they give it.
 */
import { strict as assert } from "node:assert";
import { beforeAll, describe, it } from "@std/testing/bdd";
import { Duration, Either, Schema } from "effect";
import { duration, environmentNames, table } from "../../src/Config.ts";
import { freePort, releasePort } from "../support/ports.ts";
import { ServerProcess } from "../support/servers/ServerProcess.ts";
import { deployTools, needsTools, run } from "./support/DeployTools.ts";
import { Built, containerOf, type Labels, type Manifest } from "./support/Manifests.ts";

const tools = await deployTools();
const main = new URL("../../src/main.ts", import.meta.url).pathname;

/** `preStop: sleep` is on by default from the first; the last is the newest with a schema. */
const versions = ["1.30", "1.37"];

/** Settings that hold a secret, by the name of the environment variable. */
const secrets = ["MONGODB_URI", "REDIS_URL", "JWT_SECRET", "TOKEN_CACHE_KEY", "ADMIN_TOKEN"];

/** Values of the right form in place of the Secrets. */
const madeUp: Readonly<Record<string, string>> = {
  MONGODB_URI: "mongodb://mongodb.example",
  REDIS_URL: "redis://redis.example",
  ADMIN_TOKEN: "0123456789abcdef",
  TOKEN_CACHE_KEY: btoa("0123456789abcdef0123456789abcdef"),
};

/** The part of the operator's schema that is used here; anything else is refused. */
const ServiceMonitor = Schema.Struct({
  apiVersion: Schema.Literal("monitoring.coreos.com/v1"),
  kind: Schema.Literal("ServiceMonitor"),
  metadata: Schema.Struct({
    name: Schema.String,
    namespace: Schema.optional(Schema.String),
    labels: Schema.Record({ key: Schema.String, value: Schema.String }),
  }),
  spec: Schema.Struct({
    selector: Schema.Struct({
      matchLabels: Schema.Record({ key: Schema.String, value: Schema.String }),
    }),
    endpoints: Schema.NonEmptyArray(Schema.Struct({
      port: Schema.String,
      path: Schema.String.pipe(Schema.startsWith("/")),
      interval: Schema.String.pipe(Schema.pattern(/^\d+s$/)),
      honorLabels: Schema.Literal(true),
    })),
  }),
});

const validate = (yaml: string, version: string) =>
  Deno.makeTempFile({ suffix: ".yaml" }).then(async (file) => {
    try {
      await Deno.writeTextFile(file, yaml);
      return await run([`${tools.python}/kubernetes-validate`, "-k", version, "--strict", file]);
    } finally {
      await Deno.remove(file);
    }
  });

const isPartOf = (selector: Labels, labels: Labels): boolean =>
  Object.keys(selector).length > 0 &&
  Object.entries(selector).every(([name, value]) => labels[name] === value);

const seconds = (text: string): number =>
  Duration.toSeconds(Either.getOrThrowWith(duration(text), (problem) => new Error(problem)));

for (const overlay of ["overlays/development", "overlays/production"]) {
  describe(`kubernetes/${overlay}`, needsTools(tools.kustomize, tools.python), () => {
    let built: Built;
    let deployments: ReadonlyArray<Manifest>;
    beforeAll(async () => {
      built = await Built.from(tools, overlay);
      deployments = built.of("Deployment");
    });

    for (const version of versions) {
      it(`is valid for Kubernetes ${version}`, async () => {
        const { success, said } = await validate(built.yaml, version);
        assert.ok(success, said);
        const unknown = said.split("\n").filter((line) => line.startsWith("WARN"));
        assert.deepEqual(unknown.filter((line) => !line.includes("ServiceMonitor")), []);
      });
    }

    it("has a ServiceMonitor of the operator's form that finds the Services", () => {
      for (const monitor of built.of("ServiceMonitor")) {
        const { spec } = Schema.decodeUnknownSync(ServiceMonitor, { onExcessProperty: "error" })(
          monitor,
        );
        for (const service of built.of("Service")) {
          assert.ok(isPartOf(spec.selector.matchLabels, service.metadata.labels ?? {}));
          const names = service.spec.ports.map(({ targetPort }) => targetPort);
          assert.ok(names.includes(spec.endpoints[0].port));
        }
      }
    });

    it("has one Deployment a service", () => {
      assert.deepEqual(deployments.map((deployment) => containerOf(deployment).args), [
        ["--service=auth"],
        ["--service=routing"],
      ]);
    });

    it("selects exactly one Deployment with each Service, policy and budget", () => {
      const selecting = [
        ...built.of("Service").map(({ spec }) => spec.selector),
        ...built.of("PodDisruptionBudget").map(({ spec }) => spec.selector.matchLabels ?? {}),
        ...built.of("NetworkPolicy").map(({ spec }) => spec.podSelector.matchLabels),
        ...deployments.map(({ spec }) => spec.selector.matchLabels ?? {}),
        ...deployments.flatMap(({ spec }) =>
          spec.template.spec.topologySpreadConstraints.map((given) =>
            given.labelSelector.matchLabels
          )
        ),
      ];
      assert.ok(selecting.length >= 2 * 5);
      for (const selector of selecting) {
        const found = deployments.filter(({ spec }) =>
          isPartOf(selector, spec.template.metadata.labels)
        );
        assert.equal(found.length, 1, JSON.stringify(selector));
      }
      for (const { spec: { scaleTargetRef } } of built.of("HorizontalPodAutoscaler")) {
        assert.ok(deployments.some(({ metadata }) => metadata.name === scaleTargetRef.name));
      }
    });

    it("names only ports that the container has", () => {
      for (const deployment of deployments) {
        const { ports, startupProbe, livenessProbe, readinessProbe } = containerOf(deployment);
        const names = ports.map(({ name }) => name);
        assert.deepEqual(names, ["http", "management"]);
        for (const { httpGet } of [startupProbe, livenessProbe, readinessProbe]) {
          assert.equal(httpGet.port, "management");
        }
        const named = [
          ...built.of("Service").flatMap(({ spec }) => spec.ports.map((port) => port.targetPort)),
          ...built.of("NetworkPolicy").flatMap(({ spec }) =>
            spec.ingress.flatMap((rule) => rule.ports.map(({ port }) => port))
          ),
        ];
        for (const name of named) assert.ok(names.includes(String(name)), String(name));
      }
    });

    it("asks for liveness and readiness where they belong", () => {
      for (const deployment of deployments) {
        const { startupProbe, livenessProbe, readinessProbe } = containerOf(deployment);
        assert.equal(startupProbe.httpGet.path, "/health/live");
        assert.equal(livenessProbe.httpGet.path, "/health/live");
        assert.equal(readinessProbe.httpGet.path, "/health/ready");
      }
    });

    it("gives the process longer to end than it may take", () => {
      const fallback = table.find(({ name }) => name === "SHUTDOWN_GRACE")?.default ?? "";
      for (const deployment of deployments) {
        const container = containerOf(deployment);
        const grace = seconds(built.settings(container)["SHUTDOWN_GRACE"] ?? fallback);
        const { terminationGracePeriodSeconds } = deployment.spec.template.spec;
        const { seconds: sleep } = container.lifecycle.preStop.sleep;
        assert.ok(terminationGracePeriodSeconds >= sleep + grace + 5);
      }
    });

    it("runs without any right it does not need", () => {
      for (const deployment of deployments) {
        const { spec } = deployment.spec.template;
        assert.deepEqual(spec.securityContext, {
          runAsNonRoot: true,
          runAsUser: 65532,
          runAsGroup: 65532,
          seccompProfile: { type: "RuntimeDefault" },
        });
        assert.deepEqual(containerOf(deployment).securityContext, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
        assert.equal(spec.automountServiceAccountToken, false);
        assert.equal(spec.enableServiceLinks, false);
        assert.ok(
          built.of("ServiceAccount").some(({ metadata }) =>
            metadata.name === spec.serviceAccountName
          ),
        );
      }
    });

    it("sets only what amicis reads, and secrets only from Secrets", () => {
      assert.deepEqual(built.of("Secret"), []);
      for (const deployment of deployments) {
        const container = containerOf(deployment);
        const plain = built.settings(container);
        const names = [...Object.keys(plain), ...container.env.map(({ name }) => name)];
        assert.deepEqual(names.filter((name) => !environmentNames.includes(name)), []);
        assert.deepEqual(Object.keys(plain).filter((name) => secrets.includes(name)), []);
        for (const { name, valueFrom } of container.env) {
          if (valueFrom === undefined) continue;
          assert.ok(secrets.includes(name), name);
          assert.notEqual(valueFrom.secretKeyRef?.optional, true, name);
        }
      }
    });

    it("is a configuration that amicis accepts", async () => {
      for (const deployment of deployments) {
        const container = containerOf(deployment);
        const referred = container.env.flatMap(({ name, valueFrom }) =>
          valueFrom === undefined ? [] : [[name, madeUp[name] ?? ""] as const]
        );
        const env = { ...built.settings(container), ...Object.fromEntries(referred) };
        const command = [Deno.execPath(), "run", "-A", "--no-check", main, "--check"];
        const { success, said } = await run([...command, ...container.args], { env });
        assert.ok(success, said);
      }
    });
  });
}

describe("kubernetes/overlays/production", needsTools(tools.kustomize, tools.python), () => {
  it("gives every instance the stores, and more than one instance", async () => {
    const built = await Built.from(tools, "overlays/production");
    for (const deployment of built.of("Deployment")) {
      const names = containerOf(deployment).env.map(({ name }) => name);
      for (const name of ["MONGODB_URI", "REDIS_URL"]) assert.ok(names.includes(name), name);
    }
    const scalers = built.of("HorizontalPodAutoscaler");
    assert.equal(scalers.length, 2);
    for (const { spec } of scalers) assert.ok(spec.minReplicas >= 2);
  });

  it("has all that belongs to a service, once for each", async () => {
    const built = await Built.from(tools, "overlays/production");
    const kinds = [
      ...["Deployment", "Service", "HorizontalPodAutoscaler", "PodDisruptionBudget"],
      ...["NetworkPolicy", "ServiceAccount"],
    ];
    for (const kind of kinds) {
      const names = built.of(kind).map(({ metadata: { name } }) => name).toSorted();
      assert.deepEqual(names, ["amicis-auth", "amicis-routing"], kind);
    }
    assert.equal(built.of("ServiceMonitor").length, 1);
  });

  it("asks for processor time and memory, bounds memory, and spreads over zones and nodes", async () => {
    const built = await Built.from(tools, "overlays/production");
    for (const deployment of built.of("Deployment")) {
      const { requests, limits } = containerOf(deployment).resources;
      assert.deepEqual(Object.keys(requests).toSorted(), ["cpu", "memory"]);
      // A bound of processor time looks like a slow dependency.
      assert.deepEqual(Object.keys(limits), ["memory"]);
      const spread = deployment.spec.template.spec.topologySpreadConstraints;
      assert.deepEqual(
        spread.map(({ topologyKey, whenUnsatisfiable }) => [
          topologyKey,
          whenUnsatisfiable,
        ]),
        [
          ["topology.kubernetes.io/zone", "ScheduleAnyway"],
          ["kubernetes.io/hostname", "ScheduleAnyway"],
        ],
      );
    }
  });

  it("is refused by the validator with a field that does not exist", async () => {
    const { yaml } = await Built.from(tools, "overlays/production");
    const wrong = yaml.replace("  terminationGracePeriodSeconds:", "  terminationGraceSeconds:");
    assert.notEqual(wrong, yaml);
    assert.equal((await validate(wrong, "1.37")).success, false);
  });
});

describe("kubernetes/overlays/development", needsTools(tools.kustomize, tools.python), () => {
  it("has probes that a running amicis answers on the management port alone", async () => {
    const built = await Built.from(tools, "overlays/development");
    for (const deployment of built.of("Deployment")) {
      const container = containerOf(deployment);
      const [port, management] = [freePort(), freePort()];
      const statusOf = async (on: number, path: string): Promise<number> => {
        const { status, body } = await fetch(`http://127.0.0.1:${on}${path}`);
        await body?.cancel();
        return status;
      };
      const { startupProbe, livenessProbe, readinessProbe } = container;
      const amicis = await ServerProcess.start({
        program: Deno.execPath(),
        args: ["run", "-A", "--no-check", main, ...container.args],
        env: {
          ...built.settings(container),
          HOST: "127.0.0.1",
          PORT: String(port),
          MANAGEMENT_PORT: String(management),
        },
        isReady: async () => await statusOf(management, startupProbe.httpGet.path) === 200,
      });
      try {
        assert.equal(await statusOf(management, livenessProbe.httpGet.path), 200);
        assert.equal(await statusOf(management, readinessProbe.httpGet.path), 200);
        assert.equal(await statusOf(management, "/metrics"), 200);
        assert.equal(await statusOf(port, readinessProbe.httpGet.path), 404);
        assert.equal(await statusOf(port, "/metrics"), 404);
      } finally {
        await amicis.stop();
        releasePort(port);
        releasePort(management);
      }
    }
  });
});

/** What tests look at in Kubernetes manifests, and how to get at it. */
import { type DeployTools, parseYaml, run } from "./DeployTools.ts";

export interface Metadata {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Labels;
}

export type Labels = Readonly<Record<string, string>>;

export interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly secretKeyRef?: { readonly name: string; readonly key: string; optional?: boolean };
  };
}

export interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly args: ReadonlyArray<string>;
  readonly ports: ReadonlyArray<{ readonly name: string; readonly containerPort: number }>;
  readonly env: ReadonlyArray<Variable>;
  readonly envFrom?: ReadonlyArray<{ readonly configMapRef: { readonly name: string } }>;
  readonly startupProbe: Probe;
  readonly livenessProbe: Probe;
  readonly readinessProbe: Probe;
  readonly lifecycle: { readonly preStop: { readonly sleep: { readonly seconds: number } } };
  readonly resources: Readonly<Record<"requests" | "limits", Readonly<Record<string, string>>>>;
  readonly securityContext: Readonly<Record<string, unknown>>;
}

export interface PodSpec {
  readonly containers: ReadonlyArray<Container>;
  readonly terminationGracePeriodSeconds: number;
  readonly enableServiceLinks: boolean;
  readonly automountServiceAccountToken: boolean;
  readonly serviceAccountName: string;
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly topologySpreadConstraints: ReadonlyArray<
    {
      readonly labelSelector: { readonly matchLabels: Labels };
      readonly topologyKey: string;
      readonly whenUnsatisfiable: string;
    }
  >;
}

interface Port {
  readonly port: number | string;
  readonly targetPort?: string;
}

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Metadata;
  readonly data?: Readonly<Record<string, string>>;
  readonly spec: {
    readonly template: { readonly metadata: { readonly labels: Labels }; readonly spec: PodSpec };
    readonly selector: Labels & { readonly matchLabels?: Labels };
    readonly podSelector: { readonly matchLabels: Labels };
    readonly scaleTargetRef: { readonly kind: string; readonly name: string };
    readonly ports: ReadonlyArray<Port>;
    readonly ingress: ReadonlyArray<{ readonly ports: ReadonlyArray<Port> }>;
    readonly minReplicas: number;
  };
}

/** What kustomize makes of a directory below `deploy/kubernetes`. */
export class Built {
  private constructor(readonly yaml: string, readonly manifests: ReadonlyArray<Manifest>) {}

  static async from(tools: DeployTools, directory: string): Promise<Built> {
    const path = new URL(`../../../deploy/kubernetes/${directory}`, import.meta.url).pathname;
    const { success, stdout, said } = await run([...tools.kustomize ?? [], path]);
    if (!success) throw new Error(`Cannot build "${directory}": ${said}`);
    return new Built(stdout, await parseYaml(tools, stdout));
  }

  of(kind: string): ReadonlyArray<Manifest> {
    return this.manifests.filter((manifest) => manifest.kind === kind);
  }

  /** The plain settings of a Deployment's container, from `env` and its ConfigMaps. */
  settings(container: Container): Readonly<Record<string, string>> {
    const maps = (container.envFrom ?? []).map(({ configMapRef: { name } }) => {
      const map = this.of("ConfigMap").find(({ metadata }) => metadata.name === name);
      if (map?.data === undefined) throw new Error(`No ConfigMap "${name}"`);
      return map.data;
    });
    const own = container.env.flatMap(({ name, value }) =>
      value === undefined ? [] : [[name, value] as const]
    );
    return Object.assign({}, ...maps, Object.fromEntries(own));
  }
}

/** The one container of a Deployment. */
export function containerOf(deployment: Manifest): Container {
  const [container, ...others] = deployment.spec.template.spec.containers;
  if (container === undefined || others.length > 0) {
    throw new Error(`Not one container in "${deployment.metadata.name}"`);
  }
  return container;
}

/** Admission webhooks as the API server stores them → what the conditions need. Pure. */
import type { KubeObject } from "../kube/objects.js";
import type { Parts, Selector, Webhook } from "./facts.js";
import { selects } from "./keys.js";

interface Rule {
  readonly apiGroups?: readonly string[];
  readonly operations?: readonly string[];
  readonly resources?: readonly string[];
}

/** admissionregistration.k8s.io/v1; the defaults are those of its types.go. */
export type WebhookConfiguration = KubeObject & {
  readonly webhooks?: readonly {
    readonly name: string;
    readonly failurePolicy?: "Fail" | "Ignore";
    readonly clientConfig: { readonly service?: { readonly namespace: string; readonly name: string } };
    readonly rules?: readonly Rule[];
    readonly namespaceSelector?: Partial<Selector>;
    readonly objectSelector?: Partial<Selector>;
    readonly matchConditions?: readonly unknown[];
  }[];
};

const includes = (list: readonly string[] = [], ...wanted: readonly string[]): boolean =>
  list.some((each) => each === "*" || wanted.includes(each));

const isAboutPods = ({ apiGroups, operations, resources }: Rule): boolean =>
  includes(apiGroups, "") && includes(operations, "CREATE") && includes(resources, "pods", "*/*");

function ruleWords({ apiGroups = [], operations = [], resources = [] }: Rule): string[] {
  return resources.map((resource) => {
    const [group = ""] = apiGroups;
    return `${operations.join("/")} ${group === "" || group === "*" ? "" : `${group}/`}${resource}`;
  });
}

/**
 * Those that call a Service of the cluster.
 *
 * @param parts kube-system's labels and pods, which selectors are compared with. With conditions in CEL, nothing is said
 *   about kube-system: they may exclude it.
 */
export function webhooksOf(
  kind: Webhook["kind"],
  configurations: readonly WebhookConfiguration[],
  { namespaces = [], pods = [] }: Partial<Parts>,
): Webhook[] {
  const name = "kube-system";
  const labels = namespaces.find(({ metadata }) => metadata.name === name)?.metadata.labels ?? {
    "kubernetes.io/metadata.name": name,
  };
  const ofPods = pods.filter(({ metadata }) => metadata.namespace === name);
  return configurations.flatMap(({ metadata, webhooks = [] }) =>
    webhooks.flatMap((webhook) => {
      const { service } = webhook.clientConfig;
      if (service === undefined) return [];
      const { rules = [], namespaceSelector, objectSelector, matchConditions = [] } = webhook;
      return [
        {
          kind,
          configuration: metadata.name,
          name: webhook.name,
          failurePolicy: webhook.failurePolicy ?? "Fail",
          service: { namespace: service.namespace, name: service.name },
          rules: rules.flatMap(ruleWords),
          guardsKubeSystem:
            matchConditions.length === 0 &&
            rules.some(isAboutPods) &&
            selects(namespaceSelector, labels) &&
            ofPods.some((pod) => selects(objectSelector, pod.metadata.labels)),
          endpoints: undefined,
        },
      ];
    }),
  );
}

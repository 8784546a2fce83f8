/** What the API server asks others: extension API servers and admission webhooks. */
import { condition, type Found } from "../condition.js";
import type { ClusterFacts, Webhook } from "../facts.js";
import { serviceKey, workloadOf } from "../keys.js";
import { componentOf } from "../keys.js";
import { names } from "../../common/figures.js";
import { few, kubectl } from "../words.js";

/** The component that serves an API: of its Service's pods. */
function componentBehind(service: string, facts: ClusterFacts): string | undefined {
  const found = facts.services?.find(({ metadata }) => `${metadata.namespace}/${metadata.name}` === service);
  const selector = Object.entries(found?.spec?.selector ?? {});
  if (selector.length === 0) return undefined;
  const pods = (facts.pods ?? []).filter(({ metadata }) =>
    selector.every(([key, value]) => metadata.labels?.[key] === value),
  );
  const workload = pods.map((pod) => workloadOf(pod, facts)).find((each) => each !== undefined);
  return workload === undefined ? undefined : componentOf(workload, facts);
}

export const apiServicesUnavailable = condition({
  looksAt: "APIServices",
  needs: ["apiServices"],
  judge: (facts): Found[] =>
    facts.apiServices.flatMap(({ metadata, spec, status }) => {
      const available = status?.conditions?.find(({ type }) => type === "Available");
      if (spec?.service === undefined || spec.service === null || available?.status !== "False") return [];
      const service = `${spec.service.namespace}/${spec.service.name}`;
      const component = componentBehind(service, facts);
      return [
        {
          finding: {
            code: "api-service-unavailable",
            severity: "error",
            ...(component === undefined ? {} : { component }),
            title: `the API ${metadata.name} is not available`,
            evidence: [
              `APIService ${metadata.name}, Service ${service}: ${available.reason ?? ""} ${available.message ?? ""}`.trim(),
              "while it is not, deleting a namespace does not end, and clients that discover all APIs get errors",
            ],
            cure: `Look at the pods behind the Service: ${kubectl(facts, "-n", spec.service.namespace, "get", "endpointslices", "-l", `kubernetes.io/service-name=${spec.service.name}`)}. If nobody needs the API any more, delete the APIService`,
          },
          about: [serviceKey(service)],
        },
      ];
    }),
});

const ofService = ({ service }: Webhook): string => `${service.namespace}/${service.name}`;

export const webhooksWithoutEndpoint = condition({
  looksAt: "admission webhooks that refuse what they cannot judge",
  needs: ["webhooks"],
  judge: (facts): Found[] => {
    const dead = facts.webhooks.filter(
      ({ failurePolicy, endpoints }) => failurePolicy === "Fail" && endpoints === 0,
    );
    return [...new Set(dead.map(ofService))].map((service) => {
      const mine = dead.filter((each) => ofService(each) === service);
      const [first] = mine as [Webhook];
      const guards = mine.some(({ guardsKubeSystem }) => guardsKubeSystem);
      return {
        finding: {
          code: "webhook-without-endpoint",
          severity: "error",
          title: `nothing answers for the webhook ${names([...new Set(mine.map(({ name }) => name))])}, so what it judges is refused`,
          evidence: [
            ...few(
              mine.map(
                ({ kind, configuration, rules }) =>
                  `${kind} ${configuration}: ${names(rules)}; failurePolicy Fail, and the Service ${service} has no ready endpoint`,
              ),
            ),
            ...(guards
              ? [
                  "it is asked about pods in kube-system: none that is lost there can be replaced, not even one of its own",
                ]
              : []),
          ],
          cure: `Start the pods behind the Service ${service}. If that needs pods which the webhook itself refuses: ${kubectl(facts, "delete", first.kind.toLowerCase(), first.configuration)}, and install it again afterwards`,
        },
        about: [serviceKey(service)],
      };
    });
  },
});

/** Advice: what such a webhook cannot judge, nobody can cure (GKE and OpenShift warn of the same). */
export const webhooksInKubeSystem = condition({
  looksAt: "admission webhooks that guard kube-system",
  needs: ["webhooks"],
  judge: ({ webhooks }): Found[] => {
    const risky = webhooks.filter(
      ({ failurePolicy, guardsKubeSystem, endpoints }) =>
        failurePolicy === "Fail" && guardsKubeSystem && endpoints !== 0,
    );
    if (risky.length === 0) return [];
    return [
      {
        finding: {
          code: "webhook-guards-kube-system",
          severity: "info",
          title: `${risky.length === 1 ? "a webhook decides" : `${risky.length} webhooks decide`} about pods in kube-system, and ${risky.length === 1 ? "refuses" : "refuse"} them when down`,
          evidence: few(
            risky.map(
              (each) => `${each.kind} ${each.configuration}, ${each.name}: Service ${ofService(each)}`,
            ),
          ),
          cure: "Exclude kube-system with a namespaceSelector (kubernetes.io/metadata.name NotIn kube-system), or set failurePolicy Ignore",
        },
        about: ["webhooks in kube-system"],
      },
    ];
  },
});

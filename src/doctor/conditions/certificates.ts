import type { Validity } from "../../kube/certificates.js";
import { condition, type Found } from "../condition.js";
import type { ClusterFacts, KubeletCertificates } from "../facts.js";
import { names } from "../../common/figures.js";
import { age, DAY, few, kubectl, SETTLE_MS, since } from "../words.js";

/** Certificates of a year, as kubeadm makes them, are renewed well before. A choice. */
const MONTH_MS = 30 * DAY;

/** Whether a certificate is near its end: less than a month, and less than a tenth of its life. */
function isNear({ fromMs, toMs }: Validity, nowMs: number): boolean {
  return toMs - nowMs < Math.min(MONTH_MS, (toMs - fromMs) / 10);
}

const CURE: Readonly<Record<string, string>> = {
  "API server's certificate":
    "Renew it (with kubeadm: `kubeadm certs renew all` on each control-plane node, then restart its static pods; k3s and RKE2: restart the service). On a managed cluster, ask the provider",
  "certificate authority":
    "Plan its rotation now: it takes several steps (kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates), and every kubeconfig has to follow",
  "client certificate of this kubeconfig":
    "Get a new kubeconfig (with kubeadm: `kubeadm kubeconfig user`, or `kubeadm certs renew admin.conf`)",
};

export const certificatesNearEnd = condition({
  looksAt: "the certificates of the API server and of this kubeconfig",
  needs: ["certificates"],
  judge: ({ certificates: { serving, authority, client }, nowMs }): Found[] => {
    const all: readonly (readonly [string, Validity | undefined])[] = [
      ["API server's certificate", serving],
      ["certificate authority", authority],
      ["client certificate of this kubeconfig", client],
    ];
    return all.flatMap(([what, validity]) => {
      if (validity === undefined || !isNear(validity, nowMs)) return [];
      const left = validity.toMs - nowMs;
      return [
        {
          finding: {
            code: "certificate-near-end",
            severity: left <= 0 ? "error" : "warning",
            component: "kube-apiserver",
            title: `the ${what} ${left <= 0 ? `has expired ${age(-left)} ago` : `expires in ${age(left)}`}`,
            evidence: [`valid until ${new Date(validity.toMs).toISOString()}`],
            cure: CURE[what] ?? "Renew it",
          },
          about: [what],
        },
      ];
    });
  },
});

/**
 * A kubelet renews its certificate after 70 to 90 % of its life (nextRotationDeadline of client-go,
 * util/certificate/certificate_manager.go): with less than a tenth left, that has failed. The life is visible only where
 * kube-controller-manager's flag is; otherwise two days, a choice: some signers issue certificates for days.
 */
function limitMs({ pods = [] }: ClusterFacts): number {
  const manager = pods.find(({ metadata }) => metadata.labels?.["component"] === "kube-controller-manager");
  if (manager === undefined) return 2 * DAY;
  const args = (manager.spec?.containers ?? []).flatMap(({ command = [], args: more = [] }) => [
    ...command,
    ...more,
  ]);
  const hours = /--cluster-signing-duration[= ](\d+)h/.exec(args.join(" "))?.[1] ?? "8760";
  return Math.min(MONTH_MS, (Number(hours) * 3_600_000) / 11);
}

export const kubeletCertificates = condition({
  looksAt: "the kubelets' certificates",
  needs: ["kubelets"],
  judge: (facts): Found[] => {
    const limit = limitMs(facts);
    const near = facts.kubelets.flatMap((each) => {
      const left = Math.min(each.clientTtl ?? Infinity, each.servingTtl ?? Infinity) * 1000;
      return left < limit ? [{ ...each, left }] : [];
    });
    if (near.length === 0) return [];
    const expired = near.some(({ left }) => left <= 0);
    return [
      {
        finding: {
          code: "kubelet-certificate-near-end",
          severity: expired ? "error" : "warning",
          component: "kubelet",
          title: `a kubelet's certificate ${expired ? "has expired" : "is near its end"} on ${names(near.map(({ node }) => node))}`,
          evidence: few(near.map((each) => line(each))),
          cure: `${kubectl(facts, "get", "csr")} shows requests that wait for approval. Otherwise see \`journalctl -u kubelet\` on the node, and whether its configuration has rotateCertificates; a restart of the kubelet asks again`,
        },
        about: near.map(({ node }) => `certificate of kubelet ${node}`),
      },
    ];
  },
});

function line({ node, clientTtl, servingTtl, renewErrors }: KubeletCertificates): string {
  const left = (what: string, ttl: number | undefined): string[] =>
    ttl === undefined
      ? []
      : [`${what} ${ttl <= 0 ? `expired ${age(-ttl * 1000)} ago` : `has ${age(ttl * 1000)} left`}`];
  const errors = renewErrors === 0 ? [] : [`${renewErrors} failed renewals`];
  return `${node}: ${[...left("client certificate", clientTtl), ...left("serving certificate", servingTtl), ...errors].join(", ")}`;
}

const KUBELET_SIGNERS: Readonly<Record<string, string>> = {
  "kubernetes.io/kubelet-serving": "logs, exec and metrics-server need them",
  "kubernetes.io/kube-apiserver-client-kubelet":
    "a node cannot join, or loses its connection when its certificate ends",
};

export const requestsWaiting = condition({
  looksAt: "certificate requests of kubelets",
  needs: ["signingRequests"],
  judge: (facts): Found[] =>
    Object.entries(KUBELET_SIGNERS).flatMap(([signer, cost]) => {
      const waiting = facts.signingRequests.filter(
        ({ spec, status, metadata }) =>
          spec.signerName === signer &&
          (status?.conditions ?? []).length === 0 &&
          (since(metadata.creationTimestamp, facts) ?? 0) > SETTLE_MS,
      );
      const [first] = waiting;
      if (first === undefined) return [];
      return [
        {
          finding: {
            code: "certificate-request-waiting",
            severity: "warning",
            component: "kubelet",
            title: `${waiting.length} ${waiting.length === 1 ? "certificate request" : "certificate requests"} of kubelets ${waiting.length === 1 ? "waits" : "wait"} for approval`,
            evidence: [
              ...few(
                waiting.map(
                  ({ metadata, spec }) =>
                    `${metadata.name} of ${spec.username ?? "an unknown user"}, for ${age(since(metadata.creationTimestamp, facts) ?? 0)}`,
                ),
              ),
              `${signer}: ${cost}`,
            ],
            cure: `Check that the node is yours, then ${kubectl(facts, "certificate", "approve", first.metadata.name)}`,
          },
          about: [`requests ${signer}`],
        },
      ];
    }),
});

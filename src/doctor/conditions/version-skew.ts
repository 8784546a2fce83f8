import type { Pod } from "../../kube/objects.js";
import { isProxy } from "../../targets/environment.js";
import { condition, type Found } from "../condition.js";
import type { ClusterFacts } from "../facts.js";
import { few } from "../words.js";

/** The minor version in "v1.36.3", "v1.31.2-gke.100" or an image's tag; undefined: none. */
function minorOf(text: string): number | undefined {
  const minor = /^v?1\.(\d+)/.exec(text)?.[1];
  return minor === undefined ? undefined : Number(minor);
}

function imageMinor({ spec }: Pod): number | undefined {
  const [image = ""] = (spec?.containers[0]?.image ?? "").split("@");
  return minorOf(image.slice(image.lastIndexOf(":") + 1));
}

interface Versioned {
  readonly what: string;
  readonly minor: number | undefined;
}

/** kubernetes/website, content/en/releases/version-skew-policy.md: how many minor versions older than the API server each may be. None may be newer. */
const ALLOWED = { kubelet: 3, "kube-proxy": 3, "kube-controller-manager": 1, "kube-scheduler": 1 } as const;
type Checked = keyof typeof ALLOWED;

function instancesOf(name: Checked, { nodes = [], pods = [] }: ClusterFacts): Versioned[] {
  if (name === "kubelet")
    return nodes.map(({ metadata, status }) => ({
      what: metadata.name,
      minor: minorOf(status?.nodeInfo?.kubeletVersion ?? ""),
    }));
  const mine = pods.filter((pod) =>
    name === "kube-proxy" ? isProxy(pod) : pod.metadata.labels?.["component"] === name,
  );
  return mine.map((pod) => ({ what: pod.metadata.name, minor: imageMinor(pod) }));
}

export const versionSkew = condition({
  looksAt: "versions",
  needs: ["nodes", "pods"],
  judge: (facts): Found[] => {
    const server = minorOf(facts.version);
    if (server === undefined) return [];
    return (Object.keys(ALLOWED) as Checked[]).flatMap((name) => {
      const bad = instancesOf(name, facts).filter(
        ({ minor }) => minor !== undefined && (minor > server || server - minor > ALLOWED[name]),
      );
      if (bad.length === 0) return [];
      const newer = bad.some(({ minor = 0 }) => minor > server);
      const allowed = `it may be at most ${ALLOWED[name]} minor ${ALLOWED[name] === 1 ? "version" : "versions"} older, and never newer`;
      return [
        {
          finding: {
            code: "version-skew",
            severity: "warning",
            component: name,
            title: `${name} is ${newer ? "newer" : "too much older"} than the API server`,
            evidence: [
              `the API server is ${facts.version}; ${allowed} (kubernetes.io/releases/version-skew-policy)`,
              ...few(bad.map(({ what, minor }) => `${what}: 1.${minor}`)),
            ],
            cure: newer
              ? "Upgrade the control plane first, then the rest"
              : `Upgrade ${name} before the next upgrade of the control plane`,
          },
          about: [`version of ${name}`],
        },
      ];
    });
  },
});

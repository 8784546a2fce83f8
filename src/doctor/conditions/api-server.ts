import { condition } from "../condition.js";
import { kubectl } from "../words.js";

/** The API server's own list of checks: /readyz?verbose. */
export const apiServerNotReady = condition({
  looksAt: "the API server's own checks (/readyz)",
  needs: ["readiness"],
  judge: (facts) => {
    const { ready, failing } = facts.readiness;
    if (ready) return [];
    const isEtcd = failing.some((each) => each.startsWith("etcd"));
    return [
      {
        finding: {
          code: "api-server-not-ready",
          severity: "error",
          component: isEtcd ? "etcd" : "kube-apiserver",
          title: `the API server says that it is not ready${failing.length === 0 ? "" : `: ${failing.join(", ")}`}`,
          evidence: failing.map((each) => `/readyz: ${each} failed`),
          cure: isEtcd
            ? "Look at etcd: its pods' logs, the disks of its nodes, and whether most of its members are there"
            : `${kubectl(facts, "get", "--raw", "/readyz?verbose")} shows each check; see the API server's log for the one that fails`,
        },
        about: ["api server"],
      },
    ];
  },
});

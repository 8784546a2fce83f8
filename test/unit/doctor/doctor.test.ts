/** What is not looked at, folding, costs, the table, and the text. */
import test from "ava";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../../src/common/package-root.js";
import { CONDITIONS } from "../../../src/doctor/all-conditions.js";
import { judgeAll } from "../../../src/doctor/condition.js";
import { costsIn, withCosts } from "../../../src/doctor/cost.js";
import type { Part } from "../../../src/doctor/facts.js";
import type { Finding } from "../../../src/doctor/finding.js";
import { folded } from "../../../src/doctor/fold.js";
import { inventoryLines, inventoryOf } from "../../../src/doctor/inventory.js";
import { kubeletCertificatesIn } from "../../../src/doctor/read-facts.js";
import { reportLines } from "../../../src/doctor/text.js";
import { type WebhookConfiguration, webhooksOf } from "../../../src/doctor/webhooks.js";
import { age } from "../../../src/doctor/words.js";
import { CRASHING, dnsOn, findingsOf, healthy, pod } from "../../helpers/doctor-facts.js";

const finding = (code: string, severity: Finding["severity"] = "warning"): Finding => ({
  code,
  severity,
  title: code,
  evidence: [],
  cure: "x",
});

test("a condition whose facts are missing is named with the reason, and the others are judged", (t) => {
  const facts = healthy({
    ...({ budgets: undefined, podMetrics: undefined } as object),
    notRead: {
      budgets: 'forbidden: the user cannot list resource "poddisruptionbudgets"',
      podMetrics: "the API server does not serve /apis/metrics.k8s.io/v1beta1/namespaces/kube-system/pods",
    },
  });
  t.deepEqual(judgeAll(CONDITIONS, facts), {
    found: [],
    notLookedAt: [
      {
        what: "the PodDisruptionBudget of kube-dns",
        because: 'forbidden: the user cannot list resource "poddisruptionbudgets"',
      },
      {
        what: "memory near its limit",
        because: "the API server does not serve /apis/metrics.k8s.io/v1beta1/namespaces/kube-system/pods",
      },
    ],
  });
});

test("no condition fails, or finds anything, when any one part is missing", (t) => {
  for (const part of Object.keys(healthy()) as Part[]) {
    const facts = healthy({ [part]: undefined, notRead: { [part]: "forbidden" } });
    if (["nowMs", "version", "place", "environment", "notRead"].includes(part)) continue;
    t.deepEqual(judgeAll(CONDITIONS, facts).found, [], part);
  }
});

test("a finding is folded only if all that it is about is explained, and the worse severity stays", (t) => {
  t.deepEqual(
    folded([
      { finding: finding("advice", "info"), about: ["z"] },
      { finding: finding("cause"), about: ["a"], explains: ["b"] },
      { finding: finding("consequence", "error"), about: ["b"], explains: ["c"] },
      { finding: finding("later"), about: ["c"] },
      { finding: finding("partly"), about: ["b", "d"] },
    ]).map(({ code, severity, evidence }) => [code, severity, ...evidence]),
    [
      ["cause", "error", "therefore: consequence", "therefore: later"],
      ["partly", "warning"],
      ["advice", "info"],
    ],
  );
});

test("the cost is the component's row of the matrix; without one, the command that measures it", (t) => {
  const json = readFileSync(join(packageRoot(), "reports/example/impact-matrix.json"), "utf8");
  const matrix = costsIn(json);
  const findings = [
    { ...finding("a"), component: "kube-dns" },
    { ...finding("b"), component: "no-component" },
    finding("c"),
  ];
  const [dns, other, none] = withCosts(findings, matrix, healthy());
  t.like(dns?.cost, { known: true, severity: "outage" });
  t.is(other?.cost, undefined);
  t.is(none?.cost, undefined);
  const [unknown] = withCosts(findings, costsIn('{"groups": []}'), healthy());
  t.deepEqual(unknown?.cost, { known: false, measure: "`chaos run kube-dns --context kind-test`" });
});

test("a damaged matrix gives no costs, and says why", (t) => {
  t.is(costsIn("{").problem, "it is not JSON, or cut off");
  t.is(costsIn("[]").problem, "it is no impact matrix of this version");
});

test("the table has kubectl's columns", (t) => {
  const facts = healthy({
    pods: [
      dnsOn("worker", 1, { container: CRASHING }),
      pod("a-job", { status: { phase: "Pending", containerStatuses: [], initContainerStatuses: [] } }),
    ],
  });
  t.deepEqual(inventoryLines(inventoryOf(facts)), [
    "NAME        READY   STATUS             RESTARTS      AGE   NODE",
    "a-job       0/1     Pending            0             3d    <none>",
    "coredns-1   0/1     CrashLoopBackOff   7 (60s ago)   3d    worker",
  ]);
});

test("ages as kubectl writes them", (t) => {
  const ages = [0, 90, 150, 330, 4_000, 10_000, 19_800, 90_000, 200_000, 5_000_000, 90_000_000];
  t.deepEqual(
    ages.map((seconds) => age(seconds * 1000)),
    ["0s", "90s", "2m30s", "5m30s", "66m", "166m", "5h30m", "25h", "2d7h", "57d", "2y"],
  );
});

test("the text: table, findings by severity, advice apart, what was not looked at, summary", (t) => {
  const facts = healthy({
    pods: [...(healthy().pods ?? []), pod("node-cache-1", { on: "worker", container: CRASHING })],
    budgets: [],
  });
  const findings = withCosts(findingsOf(facts), { costs: new Map() }, facts);
  const notLookedAt = [{ what: "memory near its limit", because: "not served" }];
  const lines = reportLines({ facts, inventory: inventoryOf(facts), findings, notLookedAt });
  const text = lines.join("\n");
  t.regex(text, /^kube-system of kind-test: Kubernetes v1\.36\.3; kind; 3 nodes; Services: kube-proxy/);
  t.regex(
    text,
    /error: kube-system\/node-cache-1 crashes again and again \[crash-loop\]\n {2}seen: .*\n {2}cure: /,
  );
  t.regex(text, /Advice, no faults:\n {2}kube-dns has no PodDisruptionBudget \[kube-dns-no-budget\]/);
  t.regex(text, /Not looked at:\n {2}memory near its limit: not served/);
  t.is(lines.at(-1), "9 of 10 pods ready; 1 error (1 piece of advice, 1 not looked at)");
});

test("what a kubelet says about its certificates", (t) => {
  const metrics = [
    "# TYPE kubelet_certificate_manager_client_ttl_seconds gauge",
    "kubelet_certificate_manager_client_ttl_seconds 3.1535065e+07",
    "kubelet_certificate_manager_server_ttl_seconds +Inf",
    "kubelet_certificate_manager_client_expiration_renew_errors 2",
  ].join("\n");
  t.deepEqual(kubeletCertificatesIn("worker", metrics), {
    node: "worker",
    clientTtl: 31_535_065,
    renewErrors: 2,
  });
});

test("whether a webhook guards kube-system: rules, selectors, conditions in CEL", (t) => {
  const guards = (more: object): boolean | undefined => {
    const configuration = {
      metadata: { name: "w", uid: "1", resourceVersion: "1" },
      webhooks: [
        {
          name: "pods.example",
          clientConfig: { service: { namespace: "policies", name: "webhook" } },
          rules: [{ apiGroups: [""], operations: ["CREATE"], resources: ["pods"] }],
          ...more,
        },
      ],
    } as unknown as WebhookConfiguration;
    return webhooksOf("ValidatingWebhookConfiguration", [configuration], healthy())[0]?.guardsKubeSystem;
  };
  const name = "kubernetes.io/metadata.name";
  const not = { matchExpressions: [{ key: name, operator: "NotIn", values: ["kube-system"] }] };
  t.true(guards({}));
  t.true(guards({ rules: [{ apiGroups: ["*"], operations: ["*"], resources: ["*"] }] }));
  t.false(guards({ rules: [{ apiGroups: ["apps"], operations: ["CREATE"], resources: ["deployments"] }] }));
  t.false(guards({ namespaceSelector: not }));
  t.false(guards({ namespaceSelector: { matchLabels: { guarded: "yes" } } }));
  t.false(guards({ objectSelector: { matchLabels: { app: "web" } } }));
  t.true(guards({ objectSelector: { matchExpressions: [{ key: "k8s-app", operator: "Exists" }] } }));
  t.false(guards({ matchConditions: [{ name: "x", expression: "true" }] }));
  t.is(guards({ clientConfig: { url: "https://example.com" } }), undefined);
});

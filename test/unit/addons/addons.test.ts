import test from "ava";
import { parse } from "yaml";
import {
  addonManifests,
  fill,
  lacksTokenSecrets,
  PRUNED_KINDS,
} from "../../../src/addons/addon-manifests.js";
import { type Manifest } from "../../../src/own/manifest.js";
import { pathsOf } from "../../../src/kube/api.js";
import { dnsManifest } from "../../../src/addons/dns.js";
import { isPrunable } from "../../../src/addons/foreign.js";
import { problemOf, waitingReason } from "../../../src/addons/ready.js";
import { components } from "../../../src/components/all-components.js";
import type { KubeObject, Pod } from "../../../src/kube/objects.js";
import { ADDON_LABEL, SINK_URL } from "../../../src/own/own-names.js";

const MODE = "addonmanager.kubernetes.io/mode";
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

/** CoreDNS of kubeadm, as the API server returns it. */
function coreDns(): KubeObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: "coredns",
      namespace: "kube-system",
      uid: "u",
      resourceVersion: "608",
      generation: 1,
      creationTimestamp: "2026-11-21T23:35:55Z",
      labels: { "k8s-app": "kube-dns" },
      annotations: { "deployment.kubernetes.io/revision": "1" },
      managedFields: [{ manager: "kubeadm", operation: "Update" }],
    },
    spec: {
      replicas: 2,
      selector: { matchLabels: { "k8s-app": "kube-dns" } },
      template: {
        metadata: { creationTimestamp: null, labels: { "k8s-app": "kube-dns" } },
        spec: { containers: [{ name: "coredns", image: "k8s.gcr.io/coredns:1.7.0" }], securityContext: {} },
      },
    },
    status: { replicas: 2 },
  };
}

const manifests = async (serverVersion = "v1.20.2"): ReturnType<typeof addonManifests> =>
  await addonManifests({ dns: dnsManifest(coreDns()), serverVersion });

interface Workload {
  readonly spec: {
    readonly replicas?: number;
    readonly selector: { readonly matchLabels: Record<string, string> };
    readonly template: {
      readonly metadata: { readonly labels: Record<string, string> };
      readonly spec: {
        readonly containers: readonly {
          readonly name: string;
          readonly image: string;
          readonly imagePullPolicy?: string;
          readonly command?: readonly string[];
          readonly args?: readonly string[];
          readonly env?: readonly { readonly name: string; readonly value?: string }[];
          readonly resources?: object;
        }[];
        readonly tolerations?: readonly object[];
      };
    };
  };
}

const isWorkload = ({ kind }: Manifest): boolean => kind === "Deployment" || kind === "DaemonSet";
const find = (objects: readonly Manifest[], kind: string, name: string): Manifest & Workload => {
  const found = objects.find((each) => each.kind === kind && each.metadata.name === name);
  if (found === undefined) throw new Error(`no ${kind} ${name}`);
  return found as Manifest & Workload;
};

test("the DNS as a manifest for addon-manager: what its owner declared, without replicas, with the label", (t) => {
  const live = coreDns();
  const before = structuredClone(live);
  t.deepEqual(dnsManifest(live), {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: "coredns",
      namespace: "kube-system",
      labels: { "k8s-app": "kube-dns", [MODE]: "Reconcile" },
    },
    spec: {
      selector: { matchLabels: { "k8s-app": "kube-dns" } },
      template: {
        metadata: { labels: { "k8s-app": "kube-dns" } },
        spec: { containers: [{ name: "coredns", image: "k8s.gcr.io/coredns:1.7.0" }], securityContext: {} },
      },
    },
  });
  t.deepEqual(live, before);
});

test("the DNS keeps its annotations, except last-applied-configuration", (t) => {
  const live = coreDns();
  const annotations = { note: "kept", [LAST_APPLIED]: "{}" };
  const manifest = dnsManifest({ ...live, metadata: { ...live.metadata, annotations } });
  t.deepEqual(manifest.metadata.annotations, { note: "kept" });
});

test("each object of the study has addon-manager's label and the add-on label, is in kube-system, and has a known path", async (t) => {
  const { study } = await manifests();
  t.true(study.length > 20);
  for (const object of study) {
    const { labels = {}, namespace } = object.metadata;
    t.is(labels[MODE], "Reconcile", object.metadata.name);
    t.truthy(labels[ADDON_LABEL], object.metadata.name);
    t.notThrows(() => pathsOf(object));
    const clusterWide = ["ClusterRole", "ClusterRoleBinding", "APIService"].includes(object.kind);
    t.is(namespace, clusterWide ? undefined : "kube-system", object.metadata.name);
  }
  const paths = study.map((object) => pathsOf(object).path);
  t.is(new Set(paths).size, paths.length);
});

test("the study's table: kinds and names", async (t) => {
  const { study } = await manifests();
  const names = study.filter(isWorkload).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
  t.deepEqual(names.sort(), [
    "DaemonSet fluentd-gcp-v3.2.0",
    "Deployment event-exporter",
    "Deployment fluentd-gcp-scaler",
    "Deployment heapster",
    "Deployment kube-dns-autoscaler",
    "Deployment l7-default-backend",
    "Deployment metrics-server-v0.3.6",
  ]);
});

test("workloads: label of their component, no replicas, matching pod labels, no second image pull", async (t) => {
  const { study } = await manifests();
  const known = Object.values(components).flatMap(({ find: ways }) =>
    ways.flatMap((way) => (way.how === "workload" ? [way.labels["k8s-app"]] : [])),
  );
  for (const object of study.filter(isWorkload)) {
    const { name, labels = {} } = object.metadata;
    const { spec } = object as Manifest & Workload;
    t.true(known.includes(labels["k8s-app"]), name);
    t.is(labels["k8s-app"], spec.template.metadata.labels["k8s-app"], name);
    t.is(spec.replicas, undefined, name);
    t.like(spec.template.metadata.labels, spec.selector.matchLabels);
    for (const container of spec.template.spec.containers) {
      t.is(container.imagePullPolicy, "IfNotPresent", name);
      t.is(container.command, undefined, `${name}: the image has an entry point`);
    }
  }
});

test("arguments: the DNS's name, the sink, and fluentd without resources of its own", async (t) => {
  const { study } = await manifests();
  const args = (kind: string, name: string): readonly string[] =>
    find(study, kind, name).spec.template.spec.containers[0]?.args ?? [];
  t.deepEqual(args("Deployment", "kube-dns-autoscaler"), [
    "--namespace=kube-system",
    "--configmap=kube-dns-autoscaler",
    "--target=Deployment/coredns",
    '--default-params={"linear":{"coresPerReplica":256,"nodesPerReplica":16,"preventSinglePointFailure":true,"includeUnschedulableNodes":true}}',
    "--logtostderr=true",
    "--v=2",
  ]);
  t.deepEqual(args("DaemonSet", "fluentd-gcp-v3.2.0"), [`--sink=${SINK_URL}`]);
  t.deepEqual(args("Deployment", "event-exporter"), [`--sink=${SINK_URL}`]);
  t.deepEqual(args("Deployment", "heapster"), [`--sink=${SINK_URL}`, "--metric-resolution=5s"]);
  t.deepEqual(args("Deployment", "fluentd-gcp-scaler"), [
    "--ds-name=fluentd-gcp-v3.2.0",
    "--namespace=kube-system",
  ]);
  const fluentd = find(study, "DaemonSet", "fluentd-gcp-v3.2.0").spec.template.spec;
  t.is(fluentd.containers[0]?.name, "fluentd-gcp");
  t.is(fluentd.containers[0]?.resources, undefined);
  t.deepEqual(fluentd.tolerations, [{ operator: "Exists" }]);
});

test("this tool manages the sink and addon-manager, not addon-manager; they run on the control plane", async (t) => {
  const { sink, manager } = await manifests();
  for (const { metadata, kind } of [...sink, ...manager]) {
    t.is(metadata.labels?.["app.kubernetes.io/managed-by"], "kube-system-chaos", `${kind} ${metadata.name}`);
    t.is(metadata.labels?.[MODE], undefined);
  }
  for (const object of [...sink, ...manager].filter(isWorkload)) {
    const text = JSON.stringify(object);
    t.regex(text, /node-role\.kubernetes\.io\/control-plane.*node-role\.kubernetes\.io\/master/);
  }
  t.like(find(sink, "ConfigMap", "chaos-sink"), {
    metadata: { namespace: "kube-system-chaos-sink" },
  });
  t.regex(find(sink, "ConfigMap", "chaos-sink").data?.["sink.mjs"] ?? "", /createSinkServer/);
});

test("addon-manager's files: one per add-on, including the DNS; a change replaces its pod", async (t) => {
  const first = await manifests();
  const files = find(first.manager, "ConfigMap", "kube-addon-manager-files").data ?? {};
  t.deepEqual(Object.keys(files).sort(), [
    "drift.yaml",
    "event-exporter.yaml",
    "fluentd-gcp-scaler.yaml",
    "fluentd-gcp.yaml",
    "heapster.yaml",
    "kube-dns-autoscaler.yaml",
    "kube-dns.yaml",
    "l7-default-backend.yaml",
    "metrics-server.yaml",
  ]);
  t.deepEqual(parse(files["kube-dns.yaml"] ?? ""), dnsManifest(coreDns()));
  t.false(Object.values(files).join("").includes("{{"));
  const other = await addonManifests({
    dns: dnsManifest({ ...coreDns(), metadata: { ...coreDns().metadata, name: "kube-dns" } }),
    serverVersion: "v1.20.2",
  });
  const hash = (from: typeof first): unknown =>
    JSON.stringify(find(from.manager, "Deployment", "kube-addon-manager").spec.template.metadata);
  t.not(hash(first), hash(other));
  t.is(hash(first), hash(await manifests()));
});

test("addon-manager may prune only the kinds of the add-ons", async (t) => {
  const { study, manager } = await manifests();
  const env = find(manager, "Deployment", "kube-addon-manager").spec.template.spec.containers[0]?.env ?? [];
  t.is(env.find(({ name }) => name === "KUBECTL_PRUNE_WHITELIST_OVERRIDE")?.value, PRUNED_KINDS.join(" "));
  const own = new Set(study.map(({ kind }) => kind));
  for (const kind of PRUNED_KINDS) t.true(own.has(kind.split("/").at(-1) ?? ""), kind);
});

test("since Kubernetes 1.24 there is no token Secret to wait for", async (t) => {
  for (const version of ["v1.24.0", "v1.32.2", "v1.34.1+k3s1", "v2.0.0"])
    t.true(lacksTokenSecrets(version), version);
  for (const version of ["v1.20.2", "v1.23.17-gke.1", "v1.9.0"]) t.false(lacksTokenSecrets(version), version);
  const managerOf = async (version: string): Promise<string> =>
    JSON.stringify((await manifests(version)).manager);
  t.regex(await managerOf("v1.32.2"), /KUBECTL_BIN/);
  t.notRegex(await managerOf("v1.20.2"), /KUBECTL_BIN|without-tokens/);
});

test("a placeholder without a value is an error", (t) => {
  t.is(fill("a {{x}} b", { x: "1" }), "a 1 b");
  t.throws(() => fill("{{y}}", {}), { message: /no value for \{\{y\}\}/ });
});

test("what kube-addons.sh would prune", (t) => {
  const prunable = (labels: Record<string, string>, annotations = { [LAST_APPLIED]: "{}" }): boolean =>
    isPrunable({ metadata: { name: "x", uid: "u", resourceVersion: "1", labels, annotations } });
  const service = { "kubernetes.io/cluster-service": "true" };
  t.true(prunable(service));
  t.true(prunable({ ...service, [MODE]: "Reconcile" }));
  t.true(prunable({ [MODE]: "Reconcile" }));
  t.false(prunable({ ...service, [MODE]: "EnsureExists" }));
  t.false(prunable({ [MODE]: "EnsureExists" }));
  t.false(prunable({}));
  t.false(
    prunable(service, {} as { [LAST_APPLIED]: string }),
    "not applied by kubectl, like kubeadm's kube-dns Service",
  );
});

const live = (change: object): KubeObject => ({
  metadata: { name: "x", uid: "u", resourceVersion: "1", generation: 2, labels: { [MODE]: "Reconcile" } },
  ...change,
});
const wanted = (kind: string, name = "x"): Manifest => ({
  apiVersion: "v1",
  kind,
  metadata: { name, labels: { [MODE]: "Reconcile" } },
});

test("why a Deployment is not ready", (t) => {
  const deployment = (spec: object, status: object): string | undefined =>
    problemOf(wanted("Deployment"), live({ spec, status }));
  const all = { observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2 };
  t.is(deployment({ replicas: 2 }, all), undefined);
  t.is(deployment({ replicas: 2 }, { ...all, observedGeneration: 1 }), "not yet seen by its controller");
  t.is(deployment({ replicas: 2 }, { ...all, availableReplicas: 1 }), "1 of 2 pods ready");
  t.is(deployment({ replicas: 2 }, { ...all, replicas: 3 }), "2 of 2 pods ready");
  t.is(deployment({}, {}), "not yet seen by its controller");
  const metadata = { ...live({}).metadata, labels: {} };
  t.is(problemOf(wanted("Deployment"), live({ metadata })), "not yet managed by addon-manager");
  const deletionTimestamp = "2026-01-01T00:00:00Z";
  t.is(problemOf(wanted("Service"), live({ metadata: { ...metadata, deletionTimestamp } })), "being deleted");
});

test("why a DaemonSet or an APIService is not ready", (t) => {
  const daemonSet = (status: object, resources?: object): string | undefined => {
    const spec = { template: { spec: { containers: [{ name: "c", resources }] } } };
    return problemOf(wanted("DaemonSet"), live({ spec, status }));
  };
  const all = {
    observedGeneration: 2,
    desiredNumberScheduled: 3,
    updatedNumberScheduled: 3,
    numberAvailable: 3,
  };
  t.is(daemonSet(all, { requests: { cpu: "1m" } }), undefined);
  t.is(daemonSet(all), "fluentd-gcp-scaler has not set its resources yet");
  t.is(daemonSet({ ...all, updatedNumberScheduled: 1 }), "1 of 3 pods ready");
  t.is(daemonSet({ observedGeneration: 2 }), "0 of 0 pods ready");
  const service = (...conditions: object[]): string | undefined =>
    problemOf(wanted("APIService", "v1beta1.metrics.k8s.io"), live({ status: { conditions } }));
  t.is(service({ type: "Available", status: "True" }), undefined);
  t.is(service({ type: "Available", status: "False", message: "no endpoints" }), "no endpoints");
  t.is(service(), "not available yet");
});

test("why a pod does not start", (t) => {
  const pod = (reason: string): Pod => ({
    metadata: { name: "p", uid: "u", resourceVersion: "1" },
    status: {
      initContainerStatuses: [
        {
          name: "i",
          image: "img:1",
          imageID: "",
          ready: false,
          restartCount: 0,
          state: { waiting: { reason } },
        },
      ],
    },
  });
  t.deepEqual(waitingReason(pod("ImagePullBackOff")), {
    reason: "ImagePullBackOff",
    text: "Pod p: ImagePullBackOff img:1",
  });
  t.is(waitingReason(pod("CrashLoopBackOff"))?.reason, "CrashLoopBackOff");
  t.is(waitingReason(pod("PodInitializing")), undefined);
});

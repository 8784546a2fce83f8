import test from "ava";
import { parse } from "yaml";
import { addonManifests, fill, PRUNED_KINDS } from "../../../src/addons/addon-manifests.js";
import { type Manifest } from "../../../src/own/manifest.js";
import { pathsOf } from "../../../src/kube/api.js";
import { dnsManifest } from "../../../src/addons/dns.js";
import { isPrunable } from "../../../src/addons/foreign.js";
import { problemOf } from "../../../src/addons/ready.js";
import { components } from "../../../src/components/all-components.js";
import type { KubeObject } from "../../../src/kube/objects.js";
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
        spec: {
          containers: [{ name: "coredns", image: "registry.k8s.io/coredns/coredns:v1.14.2" }],
          securityContext: {},
        },
      },
    },
    status: { replicas: 2 },
  };
}

const manifests = async (): ReturnType<typeof addonManifests> =>
  await addonManifests({ dns: dnsManifest(coreDns()) });

const LOG_AGENT = "log-agent-opentelemetry-collector-agent";
const METRICS_AGENT = "metrics-agent-opentelemetry-collector-agent";

interface Container {
  readonly name: string;
  readonly image: string;
  readonly imagePullPolicy?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly resources?: object;
}

interface Workload {
  readonly spec: {
    readonly replicas?: number;
    readonly selector: { readonly matchLabels: Record<string, string> };
    readonly template: {
      readonly metadata: { readonly labels: Record<string, string> };
      readonly spec: {
        readonly containers: readonly Container[];
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
        spec: {
          containers: [{ name: "coredns", image: "registry.k8s.io/coredns/coredns:v1.14.2" }],
          securityContext: {},
        },
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
    "DaemonSet log-agent-opentelemetry-collector-agent",
    "DaemonSet metrics-agent-opentelemetry-collector-agent",
    "Deployment event-exporter",
    "Deployment fluentd-gcp-scaler",
    "Deployment kube-dns-autoscaler",
    "Deployment l7-default-backend",
    "Deployment metrics-server",
  ]);
});

test("workloads: labels of their component, no replicas, matching pod labels, no second image pull", async (t) => {
  const { study } = await manifests();
  const ways = Object.values(components).flatMap(({ find: each }) => each);
  for (const object of study.filter(isWorkload)) {
    const { name, labels = {} } = object.metadata;
    const { spec } = object as Manifest & Workload;
    const known = ways.some(
      (way) =>
        way.how === "workload" &&
        way.kinds.some((kind) => kind === object.kind) &&
        Object.entries(way.labels).every(([key, value]) => labels[key] === value),
    );
    t.true(known, name);
    t.is(spec.replicas, undefined, name);
    t.like(spec.template.metadata.labels, spec.selector.matchLabels);
    for (const container of spec.template.spec.containers)
      t.is(container.imagePullPolicy, "IfNotPresent", name);
  }
});

test("images: the names under which the public ones can be pulled", async (t) => {
  const { study, manager } = await manifests();
  const images = [...study, ...manager]
    .filter(isWorkload)
    .flatMap((object) => (object as Manifest & Workload).spec.template.spec.containers)
    .map(({ image }) => image);
  const collector =
    "ghcr.io/open-telemetry/opentelemetry-collector-releases/opentelemetry-collector-k8s:0.159.0";
  t.deepEqual(images.sort(), [
    collector,
    collector,
    "ghcr.io/resmoio/kubernetes-event-exporter:v1.7",
    "registry.k8s.io/addon-manager/kube-addon-manager:v9.1.8",
    "registry.k8s.io/cpa/cluster-proportional-autoscaler:1.8.4",
    "registry.k8s.io/fluentd-gcp-scaler:0.5.2",
    "registry.k8s.io/metrics-server/metrics-server:v0.8.0",
    "registry.k8s.io/networking/ingress-gce-404-server-with-metrics-amd64:v1.10.11",
  ]);
});

test("arguments: the DNS's name, the scaled DaemonSet, and the log agent without resources of its own", async (t) => {
  const { study } = await manifests();
  const container = (kind: string, name: string): Container | undefined =>
    find(study, kind, name).spec.template.spec.containers[0];
  t.deepEqual(container("Deployment", "kube-dns-autoscaler")?.args, [
    "--namespace=kube-system",
    "--configmap=kube-dns-autoscaler",
    "--target=Deployment/coredns",
    '--default-params={"linear":{"coresPerReplica":256,"nodesPerReplica":16,"preventSinglePointFailure":true,"includeUnschedulableNodes":true}}',
    "--logtostderr=true",
    "--v=2",
  ]);
  t.deepEqual(container("Deployment", "event-exporter")?.args, ["-conf=/data/config.yaml"]);
  t.deepEqual(container("Deployment", "fluentd-gcp-scaler")?.command, [
    "/scaler.sh",
    `--ds-name=${LOG_AGENT}`,
    "--scaling-policy=fluentd-gcp-scaling-policy",
  ]);
  const scaled = container("DaemonSet", LOG_AGENT);
  t.is(scaled?.name, "fluentd-gcp");
  t.is(scaled?.resources, undefined);
  t.truthy(container("DaemonSet", METRICS_AGENT)?.resources);
  for (const name of [LOG_AGENT, METRICS_AGENT])
    t.deepEqual(find(study, "DaemonSet", name).spec.template.spec.tolerations, [{ operator: "Exists" }]);
});

test("what the agents and the event exporter collect goes to the sink, as JSON", async (t) => {
  const { study } = await manifests();
  const data = (name: string): Record<string, string> =>
    study.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === name)?.data ?? {};
  for (const name of [LOG_AGENT, METRICS_AGENT]) {
    const config = parse(data(name)["relay"] ?? "") as { exporters: unknown };
    t.deepEqual(config.exporters, {
      otlp_http: { endpoint: SINK_URL, encoding: "json", compression: "none" },
    });
  }
  const exporter = parse(data("event-exporter-cfg")["config.yaml"] ?? "") as { receivers: unknown };
  t.deepEqual(exporter.receivers, [{ name: "sink", webhook: { endpoint: `${SINK_URL}/events` } }]);
});

test("this tool manages the sink and addon-manager, not addon-manager; they run on the control plane", async (t) => {
  const { sink, manager } = await manifests();
  for (const { metadata, kind } of [...sink, ...manager]) {
    t.is(metadata.labels?.["app.kubernetes.io/managed-by"], "kube-system-chaos", `${kind} ${metadata.name}`);
    t.is(metadata.labels?.[MODE], undefined);
  }
  for (const object of [...sink, ...manager].filter(isWorkload)) {
    const text = JSON.stringify(object);
    t.regex(text, /node-role\.kubernetes\.io\/control-plane/);
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
    "kube-dns-autoscaler.yaml",
    "kube-dns.yaml",
    "l7-default-backend.yaml",
    "log-agent.yaml",
    "metrics-agent.yaml",
    "metrics-server.yaml",
  ]);
  t.deepEqual(parse(files["kube-dns.yaml"] ?? ""), dnsManifest(coreDns()));
  t.false(Object.values(files).join("").includes("{{"));
  const other = await addonManifests({
    dns: dnsManifest({ ...coreDns(), metadata: { ...coreDns().metadata, name: "kube-dns" } }),
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
  const daemonSet = (status: object, resources?: object, own?: object): string | undefined => {
    const spec = { template: { spec: { containers: [{ name: "c", resources }] } } };
    const manifest = {
      ...wanted("DaemonSet"),
      spec: { template: { spec: { containers: [{ name: "c", ...own }] } } },
    };
    return problemOf(manifest, live({ spec, status }));
  };
  const all = {
    observedGeneration: 2,
    desiredNumberScheduled: 3,
    updatedNumberScheduled: 3,
    numberAvailable: 3,
  };
  t.is(daemonSet(all, { requests: { cpu: "1m" } }), undefined);
  t.is(daemonSet(all), "fluentd-gcp-scaler has not set its resources yet");
  t.is(daemonSet(all, undefined, { resources: { requests: { cpu: "1m" } } }), undefined);
  t.is(daemonSet({ ...all, updatedNumberScheduled: 1 }), "1 of 3 pods ready");
  t.is(daemonSet({ observedGeneration: 2 }), "0 of 0 pods ready");
  const service = (...conditions: object[]): string | undefined =>
    problemOf(wanted("APIService", "v1beta1.metrics.k8s.io"), live({ status: { conditions } }));
  t.is(service({ type: "Available", status: "True" }), undefined);
  t.is(service({ type: "Available", status: "False", message: "no endpoints" }), "no endpoints");
  t.is(service(), "not available yet");
});

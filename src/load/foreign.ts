/**
 * Files of other tools, which people give by mistake: told by what they are, in one message.
 */
import { isRecord } from "../common/is-record.js";
import { API_VERSION, experimentSchema } from "../experiment/schema.js";
import { nearest } from "../strict-yaml/near.js";
import { quote } from "../strict-yaml/quote.js";

/** What a file is instead of an experiment, and the key that shows it. */
interface Foreign {
  readonly path: readonly string[];
  readonly message: string;
}

type Mapping = Readonly<Record<string, unknown>>;

const WANTED = `An experiment has apiVersion: ${API_VERSION}, kind: Experiment, metadata.name and target`;

/**
 * Tools by the group of their apiVersion, as in their public examples (litmuschaos/litmus, chaos-mesh/chaos-mesh
 * examples/). Argo Rollouts has a kind Experiment, too.
 */
const GROUPS: readonly (readonly [group: string, tool: string])[] = [
  ["litmuschaos.io", "Litmus"],
  ["chaos-mesh.org", "Chaos Mesh"],
  ["chaosblade.io", "ChaosBlade"],
  ["chaos.datadoghq.com", "Datadog's chaos controller"],
  ["kind.x-k8s.io", "kind"],
  ["argoproj.io", "Argo"],
  ["kustomize.config.k8s.io", "Kustomize"],
];

/** Root keys of Krkn's configuration and scenarios: krkn-chaos/krkn docs/config.md, scenarios/kube/. */
const KRKN_KEYS = [
  "kraken",
  "hog-type",
  "application_outage",
  "network_chaos",
  "node_scenarios",
  "time_scenarios",
];

/** Keys of the values.yaml that `helm create` writes: helm/helm pkg/chartutil/create.go. Two of them are enough. */
const HELM_KEYS = [
  "replicaCount",
  "image",
  "imagePullSecrets",
  "nameOverride",
  "fullnameOverride",
  "serviceAccount",
  "podAnnotations",
  "podSecurityContext",
  "securityContext",
  "service",
  "ingress",
  "resources",
  "autoscaling",
  "nodeSelector",
  "tolerations",
  "affinity",
];

/** Keys of an experiment of the Chaos Toolkit: chaostoolkit/chaostoolkit-lib chaoslib/experiment.py. */
const TOOLKIT_KEYS = ["steady-state-hypothesis", "method", "rollbacks"];

/**
 * What a file is if it is no experiment at all; undefined for an experiment, also for a bad one. Pure.
 *
 * @param value the contents of the file.
 */
export function foreignFile(value: unknown): Foreign | undefined {
  if (Array.isArray(value)) {
    const isKrkn =
      value.length > 0 && value.every((item) => isRecord(item) && typeof item["id"] === "string");
    return isKrkn ? told([], "a scenario of Krkn") : undefined;
  }
  if (!isRecord(value) || "target" in value) return undefined;
  if (typeof value["apiVersion"] === "string") return ofApiObject(value, value["apiVersion"]);
  return ofKeys(value);
}

function ofApiObject(value: Mapping, apiVersion: string): Foreign | undefined {
  const kind = typeof value["kind"] === "string" ? value["kind"] : undefined;
  const isOwn =
    apiVersion.startsWith("kube-system-chaos") || nearest(apiVersion, [API_VERSION]) !== undefined;
  if (isOwn || (kind === "Experiment" && !("spec" in value))) return undefined;
  const path = ["apiVersion"];
  const group = apiVersion.split("/")[0] ?? "";
  const tool = GROUPS.find(([name]) => group === name || group.endsWith(`.${name}`))?.[1];
  if (kind === undefined) {
    if (tool !== undefined) return told(path, `a file of ${tool} (${plain(apiVersion)})`);
    return "version" in value ? told(path, "the Chart.yaml of a Helm chart") : undefined;
  }
  if (tool === "kind") return told(path, `a cluster configuration of kind (${plain(apiVersion)})`);
  if (tool !== undefined) return told(path, `${article(kind)} of ${tool} (${plain(apiVersion)})`);
  if (apiVersion === "v1" && kind === "Config") return told(path, "a kubeconfig");
  return told(path, `a Kubernetes manifest (${plain(kind)}, ${plain(apiVersion)})`, targetOf(value, kind));
}

/** How to attack the workload of a manifest. */
function targetOf({ metadata }: Mapping, kind: string): string {
  if (kind !== "Deployment" && kind !== "DaemonSet") return "";
  const of = (key: string, otherwise: string): string => {
    const name: unknown = isRecord(metadata) ? metadata[key] : undefined;
    return typeof name === "string" && /^[a-z0-9.-]{1,63}$/.test(name) ? name : otherwise;
  };
  return `; for this workload, target: {kind: ${kind}, namespace: ${of("namespace", "NAMESPACE")}, name: ${of("name", "NAME")}}`;
}

function ofKeys(value: Mapping): Foreign | undefined {
  const keys = Object.keys(value);
  const [first] = keys;
  const known = Object.keys(experimentSchema.shape);
  if (first === undefined || keys.some((key) => known.includes(key))) return undefined;
  const toolkit = keys.find((key) => TOOLKIT_KEYS.includes(key));
  if (toolkit !== undefined)
    return told([toolkit], "an experiment of the Chaos Toolkit (its command is called chaos, too)");
  const krkn = keys.find((key) => KRKN_KEYS.includes(key));
  if (krkn !== undefined)
    return told([krkn], krkn === "kraken" ? "a configuration of Krkn" : "a scenario of Krkn");
  const helm = keys.filter((key) => HELM_KEYS.includes(key));
  if (helm.length >= 2) return told([helm[0] ?? ""], "a values file of a Helm chart");
  if ("$schema" in value && "properties" in value) return told(["$schema"], "a JSON Schema");
  if (keys.some((key) => nearest(key, known) !== undefined)) return undefined;
  return told([first], `a file of another kind (its first key is ${plain(first)})`);
}

function told(path: readonly string[], what: string, more = ""): Foreign {
  return { path, message: `this is ${what}, not an experiment. ${WANTED}${more}` };
}

function article(kind: string): string {
  return `${/^[aeiou]/i.test(kind) ? "an" : "a"} ${plain(kind)}`;
}

/** Untrusted text: quoted unless it is a plain word. */
function plain(text: string): string {
  return /^[\w./-]{1,64}$/.test(text) ? text : quote(text);
}

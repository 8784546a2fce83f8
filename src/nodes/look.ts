/**
 * What a node runs, looked up there: the systemd unit of its kubelet and of its container runtime, and the manifests of
 * its static pods. Nothing is assumed about names and paths. Works with sh, systemctl and coreutils, or busybox.
 */
import type { NodeAccess } from "./spec.js";

/** Time limit of one command on a node, ms. */
const ASK_TIMEOUT_MS = 10_000;

interface OnNode {
  readonly access: NodeAccess;
  readonly node: string;
}

/** A process that is a kubelet, a container runtime or a program that contains them, and the unit that runs it. */
export interface NodeProcess {
  /** The kernel's name of the process, such as "kubelet" or "k3s-server". */
  readonly name: string;
  readonly unit: string;
  /** Of a kubelet. */
  readonly args: readonly string[];
}

/**
 * Prints "process=NAME UNIT" for each of them, and "arg=..." for each argument of a kubelet. systemd names the unit: a
 * control group's path depends on the version and on the container that a kind node is. A process in a pod or in a
 * container (a nested kind node) belongs to a scope, not to a service.
 */
const PROCESSES = `
for each in /proc/[0-9]*; do
  { read -r name < "$each/comm"; } 2>/dev/null || continue
  case $name in kubelet | kubelite | k3s | k3s-* | rke2 | k0s | containerd | crio | dockerd) ;; *) continue ;; esac
  unit=$(systemctl status --no-pager --lines=0 "\${each##*/}" 2>/dev/null | sed -n '1s/^[^ ]* \\([^ ]*\\.service\\).*/\\1/p')
  [ -n "$unit" ] || continue
  echo "process=$name $unit"
  [ "$name" != kubelet ] || tr '\\0' '\\n' < "$each/cmdline" | sed 's/^/arg=/'
done
`;

/** @throws Error when the node does not answer. */
export async function processesOn({ access, node }: OnNode): Promise<NodeProcess[]> {
  const output = await access.exec(node, ["sh", "-c", PROCESSES, "look-at-processes"], ASK_TIMEOUT_MS);
  const found: { name: string; unit: string; args: string[] }[] = [];
  for (const line of output.split("\n")) {
    const [, name, unit] = /^process=(\S+) (\S+)$/.exec(line) ?? [];
    if (name !== undefined && unit !== undefined) found.push({ name, unit, args: [] });
    else if (line.startsWith("arg=")) found.at(-1)?.args.push(line.slice("arg=".length));
  }
  return found;
}

const RUNTIMES = ["containerd", "crio", "dockerd"];

/** Programs with several components in one process or below one, and what ends with their unit. */
const SUPERVISORS: readonly {
  readonly name: RegExp;
  readonly what: string;
  readonly has: readonly Role[];
}[] = [
  {
    // docs.k3s.io/architecture: one process; containerd is its child.
    name: /^k3s(-|$)/,
    what: "k3s, with the kubelet, kube-proxy, containerd and, on a server, the control plane",
    has: ["kubelet"],
  },
  {
    // docs.rke2.io/architecture: the kubelet and containerd are child processes.
    name: /^rke2$/,
    what: "RKE2, with the kubelet and containerd",
    has: [],
  },
  {
    // microk8s.io/docs/configuring-services: snap.microk8s.daemon-kubelite.
    name: /^kubelite$/,
    what: "MicroK8s' kubelite, with the kubelet, kube-proxy and, on a control plane, the API server, the scheduler and the controller manager",
    has: ["kubelet"],
  },
  {
    // docs.k0sproject.io/stable/architecture: components are child processes of k0s.
    name: /^k0s$/,
    what: "k0s, with the kubelet, containerd and, on a controller, the control plane",
    has: [],
  },
];

export type Role = "kubelet" | "runtime";

export interface FoundUnit {
  readonly unit: string;
  /** Why the unit cannot be stopped without other components; undefined: it runs only this one. */
  readonly shared?: string;
}

/**
 * The unit that runs the kubelet or the container runtime. Pure.
 *
 * @param runtime `status.nodeInfo.containerRuntimeVersion`: "containerd://2.3.4", "cri-o://1.34.1", "docker://24.0".
 * @param preferred units to choose when several fit (a node may have a second containerd for Docker).
 */
export function unitOf(
  processes: readonly NodeProcess[],
  role: Role,
  options: { readonly runtime?: string; readonly preferred?: readonly string[] } = {},
): FoundUnit | undefined {
  const units = [...new Set(candidatesFor(processes, role, options.runtime).map(({ unit }) => unit))];
  const contained = units.find((unit) => supervisorOf(processes, unit) !== undefined);
  const unit = contained ?? options.preferred?.find((each) => units.includes(each)) ?? units[0];
  if (unit === undefined) return undefined;
  const supervisor = supervisorOf(processes, unit);
  if (supervisor !== undefined) return { unit, shared: `it runs ${supervisor.what}` };
  const beside = processes
    .filter((each) => each.unit === unit && roleOf(each.name) !== role)
    .map(({ name }) => name);
  return beside.length === 0 ? { unit } : { unit, shared: `it also runs ${[...new Set(beside)].join(", ")}` };
}

function candidatesFor(
  processes: readonly NodeProcess[],
  role: Role,
  runtime: string | undefined,
): readonly NodeProcess[] {
  const all = processes.filter(
    ({ name }) =>
      roleOf(name) === role || SUPERVISORS.some((each) => each.name.test(name) && each.has.includes(role)),
  );
  if (role === "kubelet" || runtime === undefined) return all;
  const scheme = runtime.split("://")[0] ?? "";
  const wanted = { "cri-o": "crio", docker: "dockerd" }[scheme] ?? scheme;
  return all.filter(({ name }) => name === wanted);
}

function roleOf(name: string): Role | undefined {
  if (name === "kubelet") return "kubelet";
  return RUNTIMES.includes(name) ? "runtime" : undefined;
}

function supervisorOf(
  processes: readonly NodeProcess[],
  unit: string,
): (typeof SUPERVISORS)[number] | undefined {
  return SUPERVISORS.find(({ name }) => processes.some((each) => each.unit === unit && name.test(each.name)));
}

/** Prints the lines about the folder of static pods, in the order in which the kubelet merges its files. */
const CONFIGURED = `
config=$1 folder=$2
set --
[ -z "$config" ] || set -- "$config"
if [ -n "$folder" ]; then for each in "$folder"/*.conf; do [ ! -f "$each" ] || set -- "$@" "$each"; done; fi
[ $# -eq 0 ] || grep -hs staticPodPath "$@" || true
`;

/**
 * The folder from which the node's kubelet reads static pods: its flag, else its configuration file and drop-in files
 * (the last one counts).
 *
 * @returns undefined: it reads none. @throws Error when the node does not answer.
 */
async function manifestFolder(on: OnNode, kubelet: NodeProcess): Promise<string | undefined> {
  const flag = flagOf(kubelet.args, "pod-manifest-path");
  if (flag !== undefined && flag !== "") return flag;
  const files = [flagOf(kubelet.args, "config") ?? "", flagOf(kubelet.args, "config-dir") ?? ""];
  const output = await on.access.exec(
    on.node,
    ["sh", "-c", CONFIGURED, "look-at-configuration", ...files],
    ASK_TIMEOUT_MS,
  );
  const values = output
    .split("\n")
    .filter((line) => !line.trim().startsWith("#"))
    .flatMap((line) => /(?:^|[\s{,])"?staticPodPath"?\s*:\s*["']?([^"',}\s]*)/.exec(line)?.[1] ?? []);
  return values.at(-1) === "" ? undefined : values.at(-1);
}

/** The value of `--name=value` or `--name value`; the last one counts. */
function flagOf(args: readonly string[], name: string): string | undefined {
  return args
    .flatMap((arg, index) => {
      if (arg === `--${name}`) return args[index + 1] ?? [];
      return arg.startsWith(`--${name}=`) ? arg.slice(name.length + 3) : [];
    })
    .at(-1);
}

/** Prints the program of a unit, and of each further unit what systemd stops it with. */
const UNITS = `
echo "program=$(systemctl show -p ExecStart --value "$1" | sed -n 's/^{ path=\\([^ ;]*\\).*/\\1/p' | tail -n 1)"
unit=$1; shift
for each in "$@"; do
  for needed in $(systemctl show -p Requires -p BindsTo --value "$each"); do
    if [ "$needed" = "$unit" ]; then echo "stops=$each"; fi
  done
done
`;

/** Units of kubelets and container runtimes whose program is a wrapper, or that are not on the node any more. */
const USUAL_UNITS =
  /^(kubelet|containerd|crio|docker|snap\.microk8s\.daemon-(kubelite|containerd))\.service$/;

/** Folders of kubelets that are part of another program, so no process tells its own (src/components/static-pod.ts). */
const USUAL_FOLDERS = ["/etc/kubernetes/manifests", "/var/lib/rancher/rke2/agent/pod-manifests"];

/**
 * Why no run can have attacked these units, or this manifest, of a node; undefined: one can have. For a journal that is
 * not believed.
 *
 * @throws Error when the node does not answer.
 */
export async function whyNotAttacked(
  on: OnNode,
  fault: { readonly unit: string; readonly also: readonly string[] } | { readonly manifest: string },
): Promise<string | undefined> {
  if ("unit" in fault) {
    const argv = ["sh", "-c", UNITS, "look-at-units", fault.unit, ...fault.also];
    const lines = (await on.access.exec(on.node, argv, ASK_TIMEOUT_MS)).split("\n");
    const program =
      lines
        .find((line) => line.startsWith("program="))
        ?.split("/")
        .at(-1) ?? "";
    const name = program.replace(/^program=/, "");
    if (!USUAL_UNITS.test(fault.unit) && roleOf(name) === undefined)
      return `${fault.unit} on ${on.node} runs neither a kubelet nor a container runtime`;
    const other = fault.also.find((each) => !lines.includes(`stops=${each}`));
    return other === undefined ? undefined : `${other} on ${on.node} does not stop with ${fault.unit}`;
  }
  const folder = fault.manifest.replace(/\/[^/]*$/, "");
  if (USUAL_FOLDERS.includes(folder)) return undefined;
  const kubelet = (await processesOn(on)).find(({ name }) => name === "kubelet");
  const own = kubelet === undefined ? undefined : await manifestFolder(on, kubelet);
  if (own !== undefined) {
    const real = await on.access.exec(on.node, ["readlink", "-f", own], ASK_TIMEOUT_MS);
    if ([own.replace(/\/+$/, ""), real.trim()].includes(folder)) return undefined;
  }
  return `${folder} on ${on.node} is not the folder from which its kubelet reads static pods`;
}

/** Prints "file=PATH BASE64" for each file that a kubelet reads in a folder: all but those that begin with a dot. */
const FILES = `
folder=$(readlink -f "$1") || exit 0
for each in "$folder"/*; do
  [ -f "$each" ] || continue
  [ "$(wc -c < "$each")" -le 100000 ] || continue
  echo "file=$(base64 < "$each" | tr -d '\\n') $each"
done
`;

/** Finds the manifest of a static pod on a node. */
export interface FindManifest {
  /** The mirror pod. */
  readonly pod: { readonly name: string; readonly namespace: string };
  /** Folders to look in where no kubelet process tells its own (it is part of another program). */
  readonly folders: readonly string[];
}

/**
 * The file with the manifest of a static pod: the one that defines a pod with the mirror pod's name without the node's
 * (pkg/kubelet/config/common.go, generatePodName).
 *
 * @returns `none`: where it was looked for. @throws Error when the node does not answer.
 */
export async function manifestOn(
  on: OnNode,
  { pod, folders }: FindManifest,
): Promise<{ readonly path: string } | { readonly none: string }> {
  const kubelet = (await processesOn(on)).find(({ name }) => name === "kubelet");
  const own = kubelet === undefined ? undefined : await manifestFolder(on, kubelet);
  if (kubelet !== undefined && own === undefined)
    return { none: `the kubelet of ${on.node} reads no folder of static pods` };
  const looked = own === undefined ? folders : [own];
  for (const folder of looked) {
    const output = await on.access.exec(
      on.node,
      ["sh", "-c", FILES, "look-at-manifests", folder],
      ASK_TIMEOUT_MS,
    );
    for (const line of output.split("\n")) {
      const [, text, path] = /^file=(\S*) (.+)$/.exec(line) ?? [];
      if (text === undefined || path === undefined) continue;
      if (definesPod(Buffer.from(text, "base64").toString("utf8"), pod, on.node)) return { path };
    }
  }
  return { none: `no file in ${looked.join(" or ")} on ${on.node} defines the pod ${pod.name}` };
}

function definesPod(text: string, pod: FindManifest["pod"], node: string): boolean {
  const defined = text.trimStart().startsWith("{") ? podInJson(text) : podInYaml(text);
  if (defined === undefined) return false;
  const { name, namespace = "default" } = defined;
  return namespace === pod.namespace && `${name}-${node.toLowerCase()}` === pod.name;
}

/** The names of a manifest that defines a pod. */
interface DefinedPod {
  readonly name: string;
  readonly namespace?: string | undefined;
}

function podInJson(text: string): DefinedPod | undefined {
  try {
    const { kind, metadata } = JSON.parse(text) as {
      readonly kind?: unknown;
      readonly metadata?: DefinedPod;
    };
    return kind === "Pod" ? metadata : undefined;
  } catch {
    // The kubelet cannot read it either, so it is not the manifest of a running pod.
    return undefined;
  }
}

/**
 * Reads block style, in which every tool writes manifests. The dead-man's switch is one bundle with this file, and no
 * YAML library is in it. A manifest in another style is not found, so it is not attacked.
 */
function podInYaml(text: string): DefinedPod | undefined {
  const lines = text.split("\n").filter((line) => !/^\s*(#|$)/.test(line));
  const start = lines.findIndex((line) => /^metadata:\s*(#.*)?$/.test(line));
  if (start < 0 || !lines.some((line) => /^kind:\s*["']?Pod["']?\s*(#.*)?$/.test(line))) return undefined;
  const after = lines.slice(start + 1);
  const end = after.findIndex((line) => /^\S/.test(line));
  const block = end < 0 ? after : after.slice(0, end);
  const indent = /^\s*/.exec(block[0] ?? "")?.[0] ?? "";
  const valueOf = (key: string): string | undefined =>
    block
      .filter((line) => line.startsWith(`${indent}${key}:`))
      .map((line) => /:\s*["']?([^"'\s#]+)/.exec(line)?.[1])[0];
  const name = valueOf("name");
  return name === undefined ? undefined : { name, namespace: valueOf("namespace") };
}

import { objectName } from "../common/object-name.js";
import { UsageError } from "../common/errors.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import { isControl } from "../experiment/attacks.js";
import type { Need } from "../kube/permission.js";
import type { Loaded } from "../load/choose.js";
import { loadAll } from "../load/load-all.js";
import type { ReferenceOptions } from "../load/read.js";
import { NODE_ACCESS_NAMESPACE, PROBER_NAMESPACE } from "../own/own-names.js";
import type { PullSecret } from "../own/pod-spec.js";
import { needsOf, type PermissionScope } from "../rbac/needs.js";
import { type CommentedObject, rbacText, type ServiceAccountName } from "../rbac/role-manifests.js";
import { formsOfTarget, preparedScope } from "../rbac/scope.js";
import { attackProblem } from "../run/phases/preflight.js";
import { requiredPermissions } from "../safety/dead-man/dead-man-permissions.js";
import { othersOf } from "../safety/dead-man/dead-man-preflight.js";

export interface RbacOptions extends ReferenceOptions {
  /** Files, folders, or names of experiments. */
  readonly references: readonly string[];
  /** "NAMESPACE/NAME"; default: `kube-system-chaos/kube-system-chaos`. */
  readonly serviceAccount?: string;
  /** Reach nodes with privileged pods. Any other way needs no permissions. */
  readonly nodeAccess?: "pod" | undefined;
  /** Several runs in one command. Default: if there are several experiments. */
  readonly several?: boolean;
  /** Also the forms that components have on OpenShift only, in other namespaces than kube-system. */
  readonly openshift?: boolean;
  /** Also what `chaos run --dead-man` needs. */
  readonly deadMan?: boolean;
  /** Secrets with which the run's pods pull their images. */
  readonly pullSecrets?: readonly PullSecret[];
}

const NAME = "kube-system-chaos";

/** What `chaos manifest` prints beside the rights. */
export interface PrintedWith {
  /** The first lines, instead of those of `chaos rbac`. */
  readonly head: readonly string[];
  readonly more: readonly CommentedObject[];
}

/**
 * `chaos rbac`: the minimal permissions for runs of these experiments, as YAML for `kubectl apply -f`. Needs no
 * cluster: if the target may have several forms or names, the permissions cover each of them.
 *
 * @throws UsageError when a file is bad, or an attack fits none of its target's forms.
 */
export async function rbac(options: RbacOptions): Promise<string> {
  return rightsText(await loadAll(options.references, options), options);
}

/** The permissions for these experiments, and more, as YAML. Pure. @throws UsageError as `rbac`. */
export function rightsText(loaded: readonly Loaded[], options: RbacOptions, printed?: PrintedWith): string {
  const account = accountOf(options.serviceAccount);
  const privilegedPods = options.nodeAccess === "pod";
  const several = options.several ?? loaded.length > 1;
  const platform =
    options.openshift === true ? ({ name: "OpenShift", because: "--openshift" } as const) : undefined;
  const scopes = loaded.map(({ file, resolved }) => {
    checkFitting(file, resolved);
    const { pullSecrets = [] } = options;
    const scope = { ...preparedScope(resolved, { privilegedPods, several, platform }), pullSecrets };
    const deadMan = options.deadMan === true ? deadManNeeds(resolved, scope) : [];
    return { scope, needs: [...needsOf(resolved.attack.type, scope), ...deadMan] };
  });
  const namespaces = scopes.flatMap(({ scope: { application, probers, nodePods, functionProbe } }) =>
    [application, probers, nodePods, functionProbe?.canaries].flatMap((each) => each?.name ?? []),
  );
  return rbacText({
    name: nameOf(loaded),
    account,
    needs: scopes.flatMap(({ needs }) => needs),
    namespaces: [...new Set(namespaces)],
    privileged: privilegedPods ? NODE_ACCESS_NAMESPACE : undefined,
    ...(printed ?? { head: headOf(loaded, options, several) }),
  });
}

/** The name of all objects: that of the experiment, or one for all. Pure. */
export function nameOf(loaded: readonly Loaded[]): string {
  const [only, ...others] = loaded;
  return only !== undefined && others.length === 0
    ? `${NAME}-${only.resolved.experiment.metadata.name}`
    : NAME;
}

/** What the dead-man's switch needs in prepared namespaces. A control run has none. */
function deadManNeeds(resolved: ResolvedExperiment, scope: PermissionScope): Need[] {
  if (isControl(resolved.attack)) return [];
  const { targets, companions, application, nodePods, functionProbe } = scope;
  const workloads = [...targets, ...companions].flatMap(({ kind, namespace, names }) =>
    kind === "Deployment" || kind === "DaemonSet" ? [{ kind, namespace, names }] : [],
  );
  const onNodes = targets.find(({ kind }) => kind === "StaticPod" || kind === "SystemdUnit");
  return requiredPermissions({
    workloads: [...workloads, ...othersOf([], functionProbe?.name)],
    namespaces: [application, nodePods, functionProbe?.canaries].flatMap((each) =>
      each === undefined ? [] : [{ name: each.name, stays: each.prepared }],
    ),
    ...(onNodes === undefined ? {} : { nodes: { namespace: onNodes.namespace } }),
    prepared: {},
  });
}

function checkFitting(file: string, resolved: ResolvedExperiment): void {
  if (formsOfTarget(resolved).length > 0) return;
  const { target } = resolved.experiment;
  const [find] = resolved.component?.find ?? [];
  const kind = !("component" in target)
    ? target.kind
    : find?.how === "workload"
      ? (find.kinds[0] ?? "Deployment")
      : find?.how === "static-pod"
        ? "StaticPod"
        : "SystemdUnit";
  const name = "component" in target ? target.component : target.name;
  throw new UsageError(
    `${file}: ${attackProblem({ kind, name }, resolved) ?? `${name} has no form that can be taken down`}`,
  );
}

/** @throws UsageError when the text is not "NAMESPACE/NAME". */
export function accountOf(text = `${PROBER_NAMESPACE}/${NAME}`): ServiceAccountName {
  const match = /^(?<namespace>[a-z0-9][-a-z0-9]*)\/(?<name>[a-z0-9][-a-z0-9.]*)$/.exec(text)?.groups;
  const { namespace, name } = match ?? {};
  if (namespace === undefined || name === undefined)
    throw new UsageError(
      `a ServiceAccount must be NAMESPACE/NAME, for example ${PROBER_NAMESPACE}/${NAME}; found ${JSON.stringify(text)}`,
    );
  return { namespace, name };
}

function headOf(loaded: readonly Loaded[], options: RbacOptions, several: boolean): string[] {
  const flags = [
    ...(options.nodeAccess === "pod" ? ["--node-access pod"] : []),
    ...(several && loaded.length === 1 ? ["--several"] : []),
    ...(options.openshift === true ? ["--openshift"] : []),
    ...(options.deadMan === true ? ["--dead-man"] : []),
    ...(options.serviceAccount === undefined ? [] : [`--service-account ${options.serviceAccount}`]),
  ];
  const files = loaded.map(({ file }) => file);
  return [
    "The minimal permissions for `chaos run` of:",
    ...experimentLines(loaded),
    `Printed by: ${["chaos rbac", ...files, ...flags].join(" ")}`,
    "Workloads have their usual names. If a workload has another name in your cluster, preflight names the missing permission: replace the name in here.",
  ];
}

/** One line for each experiment. Pure. */
export function experimentLines(loaded: readonly Loaded[]): string[] {
  return loaded.map(({ file, resolved }) => `- ${file}: ${wordsOf(resolved)}`);
}

function wordsOf({ experiment: { target }, attack }: ResolvedExperiment): string {
  const name = "component" in target ? target.component : objectName(target);
  return `${attack.type} on ${name}`;
}

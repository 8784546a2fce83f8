import { plural } from "../../common/figures.js";
import { objectName } from "../../common/object-name.js";
import { architecturesOf, imagesOf, missingBuilds, ownPods } from "../../application/own-pods.js";
import { locality, notLocal, thisMachine } from "../../clusters/locality.js";
import { messageOf, RefusedError } from "../../common/errors.js";
import { fitted, type ResolvedExperiment } from "../../components/resolve.js";
import type { PodSettings } from "../../config/pod-settings.js";
import type { RunEventBody } from "../../evidence/events.js";
import { ATTACKS, fits, fittingAttacks, isControl } from "../../experiment/attacks.js";
import { requestsOf } from "../../experiment/own-application.js";
import { missingPermissions } from "../../kube/access-review.js";
import type { Node } from "../../kube/objects.js";
import { describePermission, type Permission } from "../../kube/permission.js";
import { schedulableNodes } from "../../kube/pod-state.js";
import { SUPPORTED_KUBERNETES, supportOf } from "../../kube/server-version.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { leadsThroughApi } from "../../nodes/access.js";
import { leftOutWords, usableNodes } from "../../nodes/left-out.js";
import { type NodeAccess } from "../../nodes/spec.js";
import { CANARY_NAMESPACE } from "../../own/namespaces.js";
import { NODE_ACCESS_NAMESPACE, PROBER_NAMESPACE } from "../../own/own-names.js";
import { pullSecretProblem } from "../../own/pull-secrets.js";
import { type FoundScope, type KnownNamespace, scopeOnCluster } from "../../rbac/found-scope.js";
import { neededPermissions } from "../../rbac/needs.js";
import { deadManCheck, othersOf } from "../../safety/dead-man/dead-man-preflight.js";
import type { UnfinishedRuns } from "../../safety/journal/journal.js";
import { restoreCommand, unfinishedProblem } from "../../safety/journal/unfinished.js";
import { lockProblem } from "../../safety/lock/lease.js";
import { canComeBack } from "../../safety/restore/admission.js";
import { readyCount } from "../../targets/find-workload.js";
import { addsWithEach, ownName, ownProblems, requestWords } from "../measuring/own-application.js";
import { type Platform, platformOf } from "../../targets/platform.js";
import { samplingOf } from "../../probes/sampling.js";
import { type AnyTarget, findTarget, isNodeTarget, type Target } from "../../targets/target.js";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** Nothing was looked at: not a passed check. It is looked at later. */
  readonly assumed?: true;
}

/** Why nodes cannot be reached. `asked`: the way that the command line names. */
export interface NoNodeAccess {
  readonly none: string;
  readonly asked?: string;
}

export interface PreflightInput {
  readonly transport: Transport;
  readonly context: string;
  /** undefined: the default one. */
  readonly kubeconfigPath?: string | undefined;
  /** The server's gitVersion. */
  readonly version: string;
  readonly nodes: readonly Node[];
  readonly resolved: ResolvedExperiment;
  readonly nodeAccess: NodeAccess | NoNodeAccess;
  readonly unfinished: UnfinishedRuns;
  /** A holder of the lock that is accepted: the session that this run belongs to. */
  readonly ownId?: string;
  /** Namespace for the canaries of the function check. */
  readonly canaries: string;
  /** Images and pull secrets of the run's pods. */
  readonly podSettings: PodSettings;
  /** Whether the guestbook stays after the run. */
  readonly keepApp?: boolean;
  /** Whether the run deploys a dead-man's switch. */
  readonly deadMan?: boolean;
  /** Called for a cluster that is not local: whether the user named its context (`--context`) and confirmed. */
  readonly confirm: () => Promise<boolean>;
  /** The command line that names and confirms this context. */
  readonly allowing: (context: string) => string;
  readonly emit: (body: RunEventBody) => void;
}

/** A right that the run needs. */
export interface AskedRight extends Permission {
  readonly why: string;
  readonly granted: boolean;
}

export interface PreflightOutcome {
  readonly checks: readonly Check[];
  /** undefined: they could not be asked for. */
  readonly rights?: readonly AskedRight[];
  /** With an attack that fits the target, if the file names none. */
  readonly resolved: ResolvedExperiment;
  /** undefined when it was not found: the check "target" says what was searched for. */
  readonly target: AnyTarget | undefined;
  /** Workloads that would undo the attack. */
  readonly companions: readonly Target[];
  /** Why others of them are not scaled down first: one sentence each. */
  readonly missing: readonly string[];
  readonly platform: Platform | undefined;
}

type Verdict = Omit<Check, "name">;

/** Findings that later checks use. */
interface Found {
  target?: AnyTarget;
  onCluster?: FoundScope;
  rights?: readonly AskedRight[];
}

interface PreflightCheck {
  readonly title: string;
  /** @returns one verdict per thing that was checked; empty: nothing to report. */
  check(input: PreflightInput, found: Found): readonly Verdict[] | Promise<readonly Verdict[]>;
}

/** The conditions for any change to the cluster, in the order in which they are checked and reported. */
const CHECKS: readonly PreflightCheck[] = [
  {
    title: "api",
    check: ({ version, context }) => [apiCheck(version, context)],
  },
  {
    title: "context",
    check: async ({ nodes, context, confirm, allowing }) => {
      const where = locality(nodes, await thisMachine());
      if (where.local) return [{ ok: true, detail: `a local cluster: ${where.because}` }];
      return (await confirm())
        ? [{ ok: true, detail: `not a local cluster: ${where.because}. It was named and confirmed.` }]
        : [{ ok: false, detail: notLocal(where, allowing(context)) }];
    },
  },
  {
    title: "journal",
    check: ({ unfinished, context, kubeconfigPath }) => {
      const problem = unfinishedProblem(unfinished, { context, kubeconfigPath });
      return [{ ok: problem === undefined, detail: problem ?? "no unfinished run of this cluster" }];
    },
  },
  {
    title: "lock",
    check: async ({ transport, context, kubeconfigPath, ownId }) => {
      const restoreWith = restoreCommand({ context, kubeconfigPath });
      const problem = await lockProblem(transport, {
        restoreWith,
        ...(ownId === undefined ? {} : { ownId }),
      });
      return [{ ok: problem === undefined, detail: problem === undefined ? "free" : `held by ${problem}` }];
    },
  },
  {
    title: "target",
    check: async ({ transport, resolved, nodes, nodeAccess, emit }, found) => {
      const access = accessBefore(nodeAccess);
      const { experiment, component } = resolved;
      const target = await findTarget(transport, experiment.target, component, {
        nodes: usableNodes(nodes),
        all: nodes,
        ...(access === undefined ? {} : { access }),
      });
      if ("problem" in target) return [{ ok: false, detail: target.problem }];
      found.target = target;
      for (const text of remarksOn(target)) emit({ type: "warning", text });
      return [targetVerdict(target)];
    },
  },
  {
    title: "attack",
    check: ({ resolved }, { target }) => {
      const problem = target === undefined ? undefined : attackProblem(target, resolved);
      return problem === undefined ? [] : [{ ok: false, detail: problem }];
    },
  },
  {
    title: "permissions",
    check: async ({ transport, resolved, nodes, nodeAccess, canaries, podSettings }, found) => {
      found.onCluster = await scopeOnCluster(transport, resolved, {
        target: found.target,
        platform: platformOf(nodes),
        privilegedPods: !("none" in nodeAccess) && leadsThroughApi(nodeAccess),
        canaries,
        pullSecrets: ownPods(podSettings, architecturesOf(nodes)).pullSecrets,
      });
      const needed = neededPermissions(resolved.attack.type, found.onCluster.scope);
      const missing = await missingPermissions(transport, needed);
      found.rights = needed.map((need) => ({ ...need, granted: !missing.includes(need) }));
      return [{ ok: missing.length === 0, detail: permissionWords(missing) }];
    },
  },
  {
    title: "return",
    check: async ({ transport, resolved }, { target, onCluster }) => {
      if (target === undefined || isNodeTarget(target) || isControl(resolved.attack)) return [];
      const workloads = [target, ...(onCluster?.companions ?? [])];
      return await Promise.all(
        workloads.map(
          async (each) =>
            await canComeBack(
              transport,
              each,
              each !== target || ATTACKS[resolved.attack.type].changes !== "workload",
            ),
        ),
      );
    },
  },
  {
    title: "dead-man",
    check: async ({ transport, resolved, deadMan }, { target, onCluster }) => {
      if (deadMan !== true || target === undefined || onCluster === undefined) return [];
      if (isControl(resolved.attack)) return [];
      const { application, functionProbe } = onCluster.scope;
      const own = [application, functionProbe?.canaries].flatMap((each) => each ?? []);
      const others = othersOf(onCluster.companions ?? [], resolved.component?.functionProbe);
      const namespaces = own.map(({ name, prepared }) => ({ name, stays: prepared }));
      return [await deadManCheck(transport, { target, others, namespaces })];
    },
  },
  {
    title: "namespace",
    check: (input, { onCluster }) =>
      (onCluster?.namespaces ?? []).flatMap((each) => namespaceCheck(each) ?? keptCheck(each, input) ?? []),
  },
  {
    title: "application",
    check: async ({ transport, resolved, nodes, emit }) => {
      const { existing } = resolved.experiment.application;
      if (existing === undefined) return [];
      const problems = await ownProblems(transport, existing);
      const added = addedWords(resolved.experiment, schedulableNodes(nodes).length);
      if (added !== undefined) emit({ type: "warning", text: added });
      const detail = `${ownName(existing)} exists: ${requestsOf(existing).map(requestWords).join("; ")}`;
      return problems.length === 0
        ? [{ ok: true, detail }]
        : problems.map((problem) => ({ ok: false, detail: problem }));
    },
  },
  {
    title: "nodes",
    check: ({ nodes, emit }) => {
      const leftOut = leftOutWords(nodes);
      if (leftOut !== undefined) emit({ type: "warning", text: `nodes that are left out: ${leftOut}` });
      const names = schedulableNodes(nodes).map((node) => node.metadata.name);
      return [
        names.length > 0
          ? { ok: true, detail: `${names.length} schedulable: ${names.join(", ")}` }
          : {
              ok: false,
              detail:
                "no node is schedulable (all are tainted, cordoned or not ready): the probers cannot run",
            },
      ];
    },
  },
  {
    title: "node access",
    check: ({ nodeAccess, resolved }, { target }) => [nodeAccessCheck(nodeAccess, target, resolved)],
  },
  {
    title: "images",
    check: ({ nodes, podSettings, resolved }) => [
      imagesCheck(podSettings, schedulableNodes(nodes), resolved.experiment.application),
    ],
  },
  {
    title: "pull secrets",
    check: async ({ nodes, podSettings, transport }) => {
      const { pullSecrets } = ownPods(podSettings, architecturesOf(nodes));
      const problems = await Promise.all(
        pullSecrets.map(async (each) => await pullSecretProblem(transport, each)),
      );
      return problems.map((problem, index) => {
        const { namespace, name } = pullSecrets[index] ?? { namespace: "", name: "" };
        return { ok: problem === undefined, detail: problem ?? `${namespace}/${name} will be copied` };
      });
    },
  },
];

/** Runs every check and changes nothing. All of them run, so that all problems are reported together. */
export async function preflight(input: PreflightInput): Promise<PreflightOutcome> {
  const checks: Check[] = [];
  const found: Found = {};
  for (const each of CHECKS) {
    const name = each.title;
    const resolved = resolvedFor(input, found);
    for (const verdict of await unlessForbidden(
      async () => await each.check({ ...input, resolved }, found),
    )) {
      checks.push({ name, ...verdict });
      input.emit({ type: "check", name, ...verdict });
    }
  }
  return {
    checks,
    ...(found.rights === undefined ? {} : { rights: found.rights }),
    resolved: resolvedFor(input, found),
    target: found.target,
    companions: found.onCluster?.companions ?? [],
    missing: found.onCluster?.missing ?? [],
    platform: platformOf(input.nodes),
  };
}

/** A warning if each write may add a record to an existing application; undefined: it does not look so. Pure. */
function addedWords(experiment: ResolvedExperiment["experiment"], workers: number): string | undefined {
  const { existing } = experiment.application;
  const why = existing === undefined ? undefined : addsWithEach(existing);
  if (why === undefined) return undefined;
  const { workers: count, intervalMs } = samplingOf(experiment, workers) ?? {
    workers,
    intervalMs: experiment.probes.interval,
  };
  const { baseline, window } = experiment.phases;
  const writes = Math.ceil(((baseline + window) / intervalMs) * count);
  return (
    `each write may add a record to the application (${why}): about ${writes} before the recovery. ` +
    "Nothing removes them: use a request that overwrites one record if that matters"
  );
}

/** The experiment with an attack that fits the target that was found. */
function resolvedFor({ resolved }: PreflightInput, { target }: Found): ResolvedExperiment {
  return target === undefined ? resolved : fitted(resolved, target.kind);
}

/** For what only the nodes can tell: units, and the files of static pods. */
export const ASSUMED = "assumed, checked once node access is there";

/** "2 of 2 pods ready", "3 nodes". Pure. */
export function runsWords(target: AnyTarget): string {
  if (isNodeTarget(target)) return plural(target.count, "node");
  const ready = readyCount(target.kind, target.object);
  return ready === undefined
    ? `${plural(target.count, "pod")} wanted`
    : `${ready} of ${plural(target.count, "pod")} ready`;
}

/** Whether there is something to take down. Pure. */
export function targetVerdict(target: AnyTarget): Verdict {
  const runs = `${objectName(target)}, ${runsWords(target)}; ${target.ownerChain.join(" → ")}`;
  if (isAssumed(target)) return { ok: true, assumed: true, detail: `${runs} (${ASSUMED})` };
  if (!isDown(target)) return { ok: true, detail: runs };
  const why = "none of its pods is ready, so there is nothing to take down. Wait until they are";
  return { ok: false, detail: `${runs}; ${why}` };
}

function isDown(target: AnyTarget): boolean {
  return !isNodeTarget(target) && readyCount(target.kind, target.object) === 0;
}

/**
 * An older server is refused: the tool uses APIs that it may lack. One that names no release is accepted: it is mostly
 * built from a current branch, and a refusal would leave its user no way out.
 */
function apiCheck(version: string, context: string): Verdict {
  const support = supportOf(version);
  if (support === "too old")
    return {
      ok: false,
      detail: `cannot attack Kubernetes ${version} of context ${context}: only ${SUPPORTED_KUBERNETES} is supported. Upgrade the cluster, or choose another one with --context`,
    };
  const remark =
    support === "unknown"
      ? `; this version names no release, so it is unknown whether it is supported (${SUPPORTED_KUBERNETES})`
      : "";
  return { ok: true, detail: `Kubernetes ${version}, context ${context}${remark}` };
}

/** A forbidden request is a failed check, so that the other problems are still reported. */
async function unlessForbidden(ask: () => Promise<readonly Verdict[]>): Promise<readonly Verdict[]> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 403)) throw error;
    return [{ ok: false, detail: messageOf(error) }];
  }
}

function remarksOn(target: AnyTarget): readonly string[] {
  return isNodeTarget(target) ? (target.remarks ?? []) : [];
}

/** Whether nobody has looked at the target's nodes yet. */
function isAssumed(target: AnyTarget): boolean {
  return isNodeTarget(target) && target.assumed === true;
}

/** The node access before anything is deployed: privileged pods do not exist yet. */
export function accessBefore(access: PreflightInput["nodeAccess"]): NodeAccess | undefined {
  return "none" in access || leadsThroughApi(access) ? undefined : access;
}

/** Why this attack cannot take down the target in the form that was found; undefined: it can. Pure. */
export function attackProblem(
  target: Pick<AnyTarget, "kind" | "name">,
  { attack, component }: Pick<ResolvedExperiment, "attack" | "component">,
): string | undefined {
  if (fits(attack.type, target.kind)) return undefined;
  const fitting = fittingAttacks(target.kind);
  const others = [component?.defaultAttack, ...(component?.otherAttacks ?? [])]
    .flatMap((each) => each?.type ?? [])
    .filter((type) => fitting.includes(type));
  return (
    `${target.name} is a ${target.kind} here, which ${attack.type} cannot take down; ` +
    `attack.type can be ${[...new Set([...others, ...fitting])].join(" or ")}`
  );
}

/**
 * A node component can be taken down and restored only with access to its nodes. If the target is the API server or
 * its store, that access must not lead through the API server.
 */
export function nodeAccessCheck(
  access: PreflightInput["nodeAccess"],
  target: AnyTarget | undefined,
  { attack, component }: Pick<ResolvedExperiment, "attack" | "component">,
): Verdict {
  const needed = target !== undefined && isNodeTarget(target) && !isControl(attack);
  if ("none" in access) {
    if (access.asked !== undefined)
      return {
        ok: false,
        detail: `--node-access ${access.asked} does not work: ${access.none}. Omit it, or name another`,
      };
    return needed
      ? {
          ok: false,
          detail: `${target.name} is taken down on its nodes, and there is no node access (${access.none}). On kind, start the container engine. Elsewhere use --node-access pod, or a command of the local configuration with --allow-commands`,
        }
      : { ok: true, detail: `none (${access.none}): only the API shows whether the target is down` };
  }
  const throughTheApi = leadsThroughApi(access);
  if (needed && throughTheApi && component?.carriesApi === true) {
    return {
      ok: false,
      detail: `${access.how} leads through the API server, which is the target: it could not be restored that way. Use the container engine, or a command of the local configuration with --allow-commands`,
    };
  }
  const later = throughTheApi ? " (deployed before anything else)" : "";
  return { ok: true, detail: `${access.how}${later}: the nodes' container runtimes show what is running` };
}

/** The namespaces whose names are fixed, and what they are for. */
const NEEDED_BY: Readonly<Record<string, string>> = {
  [PROBER_NAMESPACE]: "probers",
  [CANARY_NAMESPACE]: "canaries",
  [NODE_ACCESS_NAMESPACE]: "pods that reach the nodes",
};

/** The verdict on a namespace that the run uses; undefined: nothing to report, the run creates it. Pure. */
function namespaceCheck({ name, state }: KnownNamespace): Verdict | undefined {
  if (state instanceof ApiError) return { ok: false, detail: messageOf(state) };
  switch (state) {
    case "absent":
    case "own":
      return undefined;
    case "prepared":
      return { ok: true, detail: `${name} is prepared: the run uses it as it is and empties it afterwards` };
    case "foreign": {
      const remedy =
        name in NEEDED_BY
          ? `The ${NEEDED_BY[name] ?? ""} need this name. Delete the namespace if it is not in use`
          : "Choose another one with application.guestbook.namespace";
      return {
        ok: false,
        detail: `namespace ${name} already exists and was not created by this tool. ${remedy}`,
      };
    }
  }
}

/** A guestbook that an earlier run kept goes with this run; a session says so itself. Pure. */
function keptCheck(
  { name, state }: KnownNamespace,
  { keepApp, ownId, resolved }: Pick<PreflightInput, "keepApp" | "ownId" | "resolved">,
): Verdict | undefined {
  const isApplication = name === resolved.experiment.application.guestbook?.namespace;
  if (state !== "own" || !isApplication || keepApp !== false || ownId !== undefined) return undefined;
  return { ok: true, detail: keptWords(name) };
}

/** Said before a kept guestbook is used and removed. */
export function keptWords(namespace: string): string {
  return (
    `an earlier run left its guestbook in ${namespace} (--keep-app): this run uses it and removes it at its end. ` +
    "Add --keep-app to keep it"
  );
}

/** All missing permissions together, so that the user can request them in one go. Pure. */
function permissionWords(missing: readonly Permission[]): string {
  return missing.length === 0 ? "all granted" : `missing: ${missing.map(describePermission).join("; ")}`;
}

/**
 * The error of a run for which even the requests before preflight (the nodes, the cluster's uid) are forbidden: it
 * lists every missing permission.
 *
 * @returns the refusal; undefined for any other error.
 */
export async function refusalOfForbidden(
  transport: Transport,
  resolved: ResolvedExperiment,
  error: unknown,
  options: { readonly privilegedPods: boolean; readonly canaries: string },
): Promise<RefusedError | undefined> {
  if (!(error instanceof ApiError && error.status === 403)) return undefined;
  const { scope } = await scopeOnCluster(transport, resolved, { ...options, target: undefined });
  const missing = await missingPermissions(transport, neededPermissions(resolved.attack.type, scope));
  return new RefusedError(
    `permissions: ${permissionWords(missing)}. \`chaos rbac\` prints the minimal Roles. Nothing was changed.`,
    { cause: error },
  );
}

/**
 * Whether every image runs on the nodes, and whether it is already there. Missing ones are pulled; a failed pull fails the
 * deploy phase. Pure.
 */
export function imagesCheck(
  settings: PodSettings,
  workers: readonly Node[],
  application?: { readonly guestbook?: unknown },
): Verdict {
  if (workers.length === 0) return { ok: true, detail: "not checked: no node is schedulable" };
  const architectures = architecturesOf(workers);
  const missing = missingBuilds(settings, architectures, application);
  if (missing.length > 0)
    return {
      ok: false,
      detail: `${missing.join("; ")}. Name other images with --set images.…=, or omit --set guestbook=sample`,
    };
  const pods = ownPods(settings, architectures);
  const absent = imagesOf(pods, application).filter((image) =>
    workers.some((node) => !(node.status?.images ?? []).some((each) => (each.names ?? []).includes(image))),
  );
  return {
    ok: true,
    detail: [
      ...(architectures.length === 0 ? [] : [`for ${architectures.join(", ")}`]),
      ...(pods.guestbook === "sample" ? [] : [`an equivalent of the guestbook: ${pods.because}`]),
      absent.length === 0 ? "all on the nodes already" : `to be pulled: ${absent.join(", ")}`,
    ].join("; "),
  };
}

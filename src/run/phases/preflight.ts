import { objectName } from "../../common/object-name.js";
import { GUESTBOOK_IMAGES } from "../../application/guestbook.js";
import { locality, notLocal } from "../../clusters/locality.js";
import { messageOf, RefusedError } from "../../common/errors.js";
import type { ResolvedExperiment } from "../../components/resolve.js";
import type { RunEventBody } from "../../evidence/events.js";
import { fits, fittingAttacks, isControl } from "../../experiment/attacks.js";
import { missingPermissions } from "../../kube/access-review.js";
import type { Discovery } from "../../kube/api.js";
import type { Node } from "../../kube/objects.js";
import { describePermission, type Permission } from "../../kube/permission.js";
import { schedulableNodes } from "../../kube/pod-state.js";
import { ApiError, type Transport } from "../../kube/transport.js";
import { leadsThroughApi } from "../../nodes/access.js";
import { type NodeAccess } from "../../nodes/spec.js";
import { CANARY_NAMESPACE } from "../../own/namespaces.js";
import { PROBER_IMAGE, PROBER_NAMESPACE } from "../../own/own-names.js";
import { type FoundScope, type KnownNamespace, scopeOnCluster } from "../../rbac/found-scope.js";
import { neededPermissions } from "../../rbac/needs.js";
import { deadManCheck, othersOf } from "../../safety/dead-man/dead-man-preflight.js";
import type { UnfinishedRuns } from "../../safety/journal/journal.js";
import { unfinishedProblem } from "../../safety/journal/unfinished.js";
import { lockHolder } from "../../safety/lock/lease.js";
import { type AnyTarget, findTarget, isNodeTarget, type Target } from "../../targets/target.js";

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
}

export interface PreflightInput {
  readonly transport: Transport;
  readonly server: string;
  readonly context: string;
  readonly discovery: Discovery;
  readonly nodes: readonly Node[];
  readonly resolved: ResolvedExperiment;
  readonly nodeAccess: NodeAccess | { readonly none: string };
  readonly unfinished: UnfinishedRuns;
  /** Who may hold the lock already: the runs that this one is one of. */
  readonly ownId?: string;
  /** Namespace that the function probe's canaries will have. */
  readonly canaries: string;
  /** Whether a dead-man's switch is to be set up. */
  readonly deadMan?: boolean;
  /** Asked where the cluster is not local: whether the user named its context (`--context`) and confirmed. */
  readonly confirm: () => Promise<boolean>;
  readonly emit: (body: RunEventBody) => void;
}

export interface PreflightOutcome {
  readonly checks: readonly Check[];
  /** undefined when it was not found: the check "target" says what was looked for. */
  readonly target: AnyTarget | undefined;
  /** Workloads that would undo the attack. */
  readonly companions: readonly Target[];
}

type Verdict = Omit<Check, "name">;

/** What the checks find on the way, for those after them. */
interface Found {
  target?: AnyTarget;
  onCluster?: FoundScope;
}

interface PreflightCheck {
  readonly title: string;
  /** @returns a verdict for each thing that was looked at; none: there is nothing to say. */
  check(input: PreflightInput, found: Found): readonly Verdict[] | Promise<readonly Verdict[]>;
}

/** What has to hold before anything is touched, in the order in which it is asked and said. */
const CHECKS: readonly PreflightCheck[] = [
  {
    title: "api",
    check: ({ discovery, context }) => [
      { ok: true, detail: `Kubernetes ${discovery.serverVersion}, context ${context}` },
    ],
  },
  {
    title: "context",
    check: async ({ server, nodes, context, confirm }) => {
      const where = locality(server, nodes);
      if (where.local) return [{ ok: true, detail: `a local cluster: ${where.because}` }];
      return (await confirm())
        ? [{ ok: true, detail: `${where.because}: not a local cluster. It was named and confirmed.` }]
        : [{ ok: false, detail: notLocal(where, context) }];
    },
  },
  {
    title: "journal",
    check: ({ unfinished, context }) => {
      const problem = unfinishedProblem(unfinished, context);
      return [{ ok: problem === undefined, detail: problem ?? "no unfinished run of this cluster" }];
    },
  },
  {
    title: "lock",
    check: async ({ transport, ownId }) => {
      const holder = await lockHolder(transport, ownId);
      if (holder === undefined) return [{ ok: true, detail: "free" }];
      return [
        {
          ok: false,
          detail: `held by ${holder}. If that run is gone, \`chaos restore\` undoes what it left and removes its lock`,
        },
      ];
    },
  },
  {
    title: "target",
    check: async ({ transport, resolved, nodes, nodeAccess }, found) => {
      const access = accessBefore(nodeAccess);
      const { experiment, component } = resolved;
      const target = await findTarget(transport, experiment.target, component, {
        nodes,
        ...(access === undefined ? {} : { access }),
      });
      if ("problem" in target) return [{ ok: false, detail: target.problem }];
      found.target = target;
      return [
        {
          ok: true,
          detail: `${objectName(target)}, ${target.count} wanted; ${target.ownerChain.join(" → ")}`,
        },
      ];
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
    check: async ({ transport, resolved, nodeAccess, canaries }, found) => {
      found.onCluster = await scopeOnCluster(transport, resolved, {
        target: found.target,
        privilegedPods: !("none" in nodeAccess) && leadsThroughApi(nodeAccess),
        canaries,
      });
      const needed = neededPermissions(resolved.attack.type, found.onCluster.scope);
      const missing = await missingPermissions(transport, needed);
      return [{ ok: missing.length === 0, detail: permissionWords(missing) }];
    },
  },
  {
    title: "dead-man",
    check: async ({ transport, resolved, deadMan }, { target, onCluster }) => {
      if (deadMan !== true || target === undefined || onCluster === undefined) return [];
      if (isControl(resolved.attack)) return [];
      const { application, functionProbe } = onCluster.scope;
      const own = [application, ...(functionProbe === undefined ? [] : [functionProbe.canaries])];
      const others = othersOf(onCluster.companions ?? [], resolved.component?.functionProbe);
      const namespaces = own.map(({ name, prepared }) => ({ name, stays: prepared }));
      return [await deadManCheck(transport, { target, others, namespaces })];
    },
  },
  {
    title: "namespace",
    check: (_, { onCluster }) => (onCluster?.namespaces ?? []).flatMap((each) => namespaceCheck(each) ?? []),
  },
  {
    title: "nodes",
    check: ({ nodes }) => {
      const names = schedulableNodes(nodes).map((node) => node.metadata.name);
      return [
        names.length > 0
          ? { ok: true, detail: `${names.length} schedulable: ${names.join(", ")}` }
          : {
              ok: false,
              detail:
                "no node takes pods (all are tainted, cordoned or not ready): the probers have nowhere to run",
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
    check: ({ nodes }) => [{ ok: true, detail: describeImages(schedulableNodes(nodes)) }],
  },
];

/** Every check, each with its reason; nothing is changed. All of them run, so that all problems are said at once. */
export async function preflight(input: PreflightInput): Promise<PreflightOutcome> {
  const checks: Check[] = [];
  const found: Found = {};
  for (const each of CHECKS) {
    const name = each.title;
    for (const { ok, detail } of await unlessForbidden(async () => await each.check(input, found))) {
      checks.push({ name, ok, detail });
      input.emit({ type: "check", name, ok, detail });
    }
  }
  return { checks, target: found.target, companions: found.onCluster?.companions ?? [] };
}

/** A question that may not be asked is a failed check: the other problems are still to be said. */
async function unlessForbidden(ask: () => Promise<readonly Verdict[]>): Promise<readonly Verdict[]> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 403)) throw error;
    return [{ ok: false, detail: messageOf(error) }];
  }
}

/** The access that there is before anything is deployed: privileged pods are not. */
function accessBefore(access: PreflightInput["nodeAccess"]): NodeAccess | undefined {
  return "none" in access || leadsThroughApi(access) ? undefined : access;
}

/** Why this attack cannot take the target as it was found; undefined: it can. Pure. */
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
 * A component of nodes cannot be taken down, nor put back, without access to them; and where the API server (or
 * its store) is the victim, that access must not lead through it.
 */
export function nodeAccessCheck(
  access: PreflightInput["nodeAccess"],
  target: AnyTarget | undefined,
  { attack, component }: Pick<ResolvedExperiment, "attack" | "component">,
): Verdict {
  const needed = target !== undefined && isNodeTarget(target) && !isControl(attack);
  if ("none" in access) {
    return needed
      ? {
          ok: false,
          detail: `${target.name} is taken down on its nodes, and there is no access to them (${access.none}). On kind the container engine is used; elsewhere --node-access pod, or a command of the local configuration with --allow-commands`,
        }
      : { ok: true, detail: `none (${access.none}): whether the target is down is known from the API only` };
  }
  const throughTheApi = leadsThroughApi(access);
  if (needed && throughTheApi && component?.carriesApi === true) {
    return {
      ok: false,
      detail: `${access.how} leads through the API server, which is the victim: it could not be put back that way`,
    };
  }
  const later = throughTheApi ? " (deployed with the probers)" : "";
  return { ok: true, detail: `${access.how}${later}: the nodes are asked what really runs` };
}

/** What is to be said of a namespace that the run works in; undefined: nothing, it is made for the run. Pure. */
function namespaceCheck({ name, state }: KnownNamespace): Verdict | undefined {
  if (state instanceof ApiError) return { ok: false, detail: messageOf(state) };
  switch (state) {
    case "absent":
    case "ours":
      return undefined;
    case "prepared":
      return { ok: true, detail: `${name} is prepared: it is used as it is, and emptied after the run` };
    case "foreign": {
      const remedy =
        name === PROBER_NAMESPACE || name === CANARY_NAMESPACE
          ? `the ${name === PROBER_NAMESPACE ? "probers need" : "canaries have"} this name: remove it, if nobody needs it`
          : "choose another with application.guestbook.namespace";
      return { ok: false, detail: `namespace ${name} is there and not ours: ${remedy}` };
    }
  }
}

/** All of them at once, or whoever asks for them would have to ask again and again. Pure. */
function permissionWords(missing: readonly Permission[]): string {
  return missing.length === 0 ? "all there" : `missing: ${missing.map(describePermission).join("; ")}`;
}

/**
 * What a run ends with when the questions that come before preflight (the nodes, the cluster's uid) are forbidden
 * already: every right that is missing, at once.
 *
 * @returns the refusal; undefined when the error is another one.
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
    `permissions: ${permissionWords(missing)}. \`chaos rbac\` prints the least Roles; nothing was touched`,
    { cause: error },
  );
}

/** Whether the images that the run needs are on the nodes already. What is not will be pulled, or the deployment says that it cannot. */
function describeImages(workers: readonly Node[]): string {
  const wanted = [...Object.values(GUESTBOOK_IMAGES), PROBER_IMAGE];
  const absent = wanted.filter((image) =>
    workers.some((node) => !(node.status?.images ?? []).some((each) => (each.names ?? []).includes(image))),
  );
  return absent.length === 0 ? "all on the nodes already" : `to be pulled: ${absent.join(", ")}`;
}

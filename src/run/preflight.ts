import type { RunEventBody } from "../analysis/events.js";
import { NAMESPACES, getOrUndefined, resourcePath } from "../cluster/api.js";
import { locality } from "../cluster/guard.js";
import type { Namespace, Node } from "../cluster/objects.js";
import type { Discovery } from "../cluster/api.js";
import { leadsThroughApi, type NodeAccess } from "../cluster/node-access.js";
import { ApiError, type Transport } from "../cluster/transport.js";
import { isOurs } from "../application/manifest.js";
import { GUESTBOOK_IMAGES } from "../application/guestbook.js";
import { messageOf } from "../errors.js";
import type { ResolvedExperiment } from "../experiment/resolve.js";
import { PROBER_IMAGE, PROBER_NAMESPACE } from "../probes/prober-manifests.js";
import { type AnyTarget, findTarget, isNodeTarget, namespaceOf } from "../target/target.js";
import type { UnfinishedRuns } from "./journal.js";
import { lockHolder } from "./lock.js";
import { describePermission, missingPermissions, neededPermissions } from "./permissions.js";

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
  /** Namespace that the function probe's canaries will have. */
  readonly canaries: string;
  /** Asked where the cluster is not local: whether the user named its context (`--context`) and confirmed. */
  readonly confirm: () => Promise<boolean>;
  readonly emit: (body: RunEventBody) => void;
}

export interface PreflightOutcome {
  readonly checks: readonly Check[];
  /** undefined when it was not found: the check "target" says what was looked for. */
  readonly target: AnyTarget | undefined;
}

/** Every check, each with its reason; nothing is changed. All of them run, so that all problems are said at once. */
export async function preflight(input: PreflightInput): Promise<PreflightOutcome> {
  const { transport, resolved, emit, discovery, nodes } = input;
  const { experiment, component, attack } = resolved;
  const checks: Check[] = [];
  const check = (name: string, ok: boolean, detail: string): void => {
    checks.push({ name, ok, detail });
    emit({ type: "check", name, ok, detail });
  };
  /** A question that may not be asked is a failed check: the other problems are still to be said. */
  const permitted = async <T>(name: string, ask: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 403)) throw error;
      check(name, false, messageOf(error));
      return undefined;
    }
  };
  check("api", true, `Kubernetes ${discovery.serverVersion}, context ${input.context}`);

  const where = locality(input.server, nodes);
  const confirmed = where.local || (await input.confirm());
  check(
    "context",
    confirmed,
    where.local
      ? `a local cluster: ${where.because}`
      : `${where.because}: not a local cluster. ${
          confirmed
            ? "It was named and confirmed."
            : `To run on it, name it: --context ${input.context} --yes`
        }`,
  );

  const unfinished = unfinishedProblem(input.unfinished);
  check("journal", unfinished === undefined, unfinished ?? "no unfinished run of this cluster");

  await permitted("lock", async () => {
    const holder = await lockHolder(transport);
    check(
      "lock",
      holder === undefined,
      holder === undefined
        ? "free"
        : `held by ${holder}. If that run is gone, \`chaos restore\` undoes what it left and removes its lock`,
    );
  });

  const target = await permitted("target", async () => {
    const access = accessBefore(input.nodeAccess);
    const found = await findTarget(transport, experiment.target, component, {
      nodes,
      ...(access === undefined ? {} : { access }),
    });
    if ("problem" in found) {
      check("target", false, found.problem);
      return undefined;
    }
    check(
      "target",
      true,
      `${found.kind} ${found.namespace === "" ? "" : `${found.namespace}/`}${found.name}, ${found.count} wanted; ${found.ownerChain.join(" → ")}`,
    );
    const problem = attackProblem(found, resolved);
    if (problem !== undefined) check("attack", false, problem);
    return found;
  });

  const missing = await missingPermissions(
    transport,
    neededPermissions(attack.type, {
      kind: target?.kind ?? ("kind" in experiment.target ? experiment.target.kind : "Deployment"),
      target: namespaceOf(target),
      application: experiment.application.guestbook.namespace,
      probers: PROBER_NAMESPACE,
      canaries: input.canaries,
      functionProbe: component?.functionProbe,
      privilegedPods: !("none" in input.nodeAccess) && leadsThroughApi(input.nodeAccess),
    }),
  );
  check(
    "permissions",
    missing.length === 0,
    missing.length === 0 ? "all there" : `missing: ${missing.map(describePermission).join("; ")}`,
  );

  for (const name of [experiment.application.guestbook.namespace, PROBER_NAMESPACE]) {
    const problem = await permitted("namespace", async () => await namespaceProblem(transport, name));
    if (problem !== undefined) check("namespace", false, problem);
  }

  const workers = schedulableNodes(nodes);
  check(
    "nodes",
    workers.length > 0,
    workers.length > 0
      ? `${workers.length} schedulable: ${workers.map((node) => node.metadata.name).join(", ")}`
      : "no node takes pods (all are tainted, cordoned or not ready): the probers have nowhere to run",
  );

  const access = nodeAccessCheck(input.nodeAccess, target, resolved);
  check("node access", access.ok, access.detail);
  check("images", true, describeImages(workers));
  return { checks, target };
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
  if (attack.type === "none") return undefined;
  const fitting: Readonly<Record<AnyTarget["kind"], readonly string[]>> = {
    Deployment: ["delete-workload", "delete-pods", "scale-to-zero"],
    DaemonSet: ["delete-workload", "delete-pods"],
    StaticPod: ["static-pod"],
    SystemdUnit: ["systemd-unit"],
  };
  if (fitting[target.kind].includes(attack.type)) return undefined;
  const others = [component?.defaultAttack, ...(component?.otherAttacks ?? [])]
    .flatMap((each) => each?.type ?? [])
    .filter((type) => fitting[target.kind].includes(type));
  return (
    `${target.name} is a ${target.kind} here, which ${attack.type} cannot take down; ` +
    `attack.type can be ${[...new Set([...others, ...fitting[target.kind]])].join(" or ")}`
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
): { readonly ok: boolean; readonly detail: string } {
  const needed = target !== undefined && isNodeTarget(target) && attack.type !== "none";
  if ("none" in access) {
    return needed
      ? {
          ok: false,
          detail: `${target.name} is taken down on its nodes, and there is no access to them (${access.none}). On kind the container engine is used; elsewhere --node-access pod, or a command of the local configuration with --allow-commands`,
        }
      : { ok: true, detail: `none (${access.none}): whether the target is down is known from the API only` };
  }
  const throughTheApi = leadsThroughApi(access);
  if (needed && throughTheApi && (component?.name === "kube-apiserver" || component?.name === "etcd")) {
    return {
      ok: false,
      detail: `${access.how} leads through the API server, which is the victim: it could not be put back that way`,
    };
  }
  const later = throughTheApi ? " (deployed with the probers)" : "";
  return { ok: true, detail: `${access.how}${later}: the nodes are asked what really runs` };
}

/** Which runs may have left damage; undefined: none. */
function unfinishedProblem({ runs, unreadable }: UnfinishedRuns): string | undefined {
  const problems = unreadable.map((error) => error.message);
  if (runs.length > 0) {
    const ids = runs.map((run) => run.open.runId).join(", ");
    problems.unshift(`run ${ids} was not finished: put its damage right first with \`chaos restore --all\``);
  }
  return problems.length === 0 ? undefined : problems.join("; ");
}

/** Why a namespace of that name cannot be ours; undefined: it can. */
async function namespaceProblem(transport: Transport, name: string): Promise<string | undefined> {
  const namespace = await getOrUndefined<Namespace>(transport, resourcePath(NAMESPACES, undefined, name));
  if (namespace === undefined || isOurs(namespace)) return undefined;
  const remedy =
    name === PROBER_NAMESPACE
      ? "the probers need this name: remove it, if nobody needs it"
      : "choose another with application.guestbook.namespace";
  return `namespace ${name} is there and not ours: ${remedy}`;
}

/** Nodes that take pods without a toleration: those that are Ready, not cordoned, without a NoSchedule taint. */
export function schedulableNodes(nodes: readonly Node[]): Node[] {
  return nodes.filter((node) => {
    const tainted = (node.spec?.taints ?? []).some(
      (taint) => taint.effect === "NoSchedule" || taint.effect === "NoExecute",
    );
    const ready = (node.status?.conditions ?? []).some((c) => c.type === "Ready" && c.status === "True");
    return ready && !tainted && node.spec?.unschedulable !== true;
  });
}

/** Whether the images that the run needs are on the nodes already. What is not will be pulled, or the deployment says that it cannot. */
function describeImages(workers: readonly Node[]): string {
  const wanted = [...Object.values(GUESTBOOK_IMAGES), PROBER_IMAGE];
  const absent = wanted.filter((image) =>
    workers.some((node) => !(node.status?.images ?? []).some((each) => (each.names ?? []).includes(image))),
  );
  return absent.length === 0 ? "all on the nodes already" : `to be pulled: ${absent.join(", ")}`;
}

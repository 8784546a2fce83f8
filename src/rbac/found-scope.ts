/** The scope of a run on its cluster: which of its namespaces are prepared, and what its target is. */
import { correctedBy } from "../components/corrected.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import { fits, isControl } from "../experiment/attacks.js";
import { DAEMONSETS, DEPLOYMENTS, type Gvr, list, resourcePath, selectorString } from "../kube/api.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { CANARY_NAMESPACE, namespaceState, type NamespaceState } from "../own/namespaces.js";
import { ADDON_MODE_LABEL, NODE_ACCESS_NAMESPACE, PROBER_NAMESPACE } from "../own/own-names.js";
import type { PullSecret } from "../own/pod-spec.js";
import { findCompanions } from "../targets/find-companions.js";
import type { Platform } from "../targets/platform.js";
import { type AnyTarget, isNodeTarget, namespaceOf, type Target } from "../targets/target.js";
import type { PermissionScope, TargetForm } from "./needs.js";
import { formsOfCompanions, placesOf, preparedScope } from "./scope.js";

/** A namespace's state, or the error that forbids reading it. */
export interface KnownNamespace {
  readonly name: string;
  readonly state: NamespaceState | ApiError;
}

export interface FoundScope {
  readonly scope: PermissionScope;
  /** The application's, the probers' and, where they have their own, the node access's and the canaries' namespace. */
  readonly namespaces: readonly KnownNamespace[];
  /** Workloads that would undo the attack; undefined: reading them is forbidden. */
  readonly companions: readonly Target[] | undefined;
  /** Why other such workloads are not scaled down first: one sentence each. */
  readonly missing: readonly string[];
}

export interface FoundOptions {
  /** undefined: not found, or reading it is forbidden. Then every form that the target may have counts. */
  readonly target: AnyTarget | undefined;
  /** undefined: unknown. Then only forms that every platform may have are looked for. */
  readonly platform?: Platform | undefined;
  readonly privilegedPods: boolean;
  /** Default: none. */
  readonly pullSecrets?: readonly PullSecret[];
  /** The namespace that the run creates for its canaries when none is prepared. */
  readonly canaries: string;
}

/**
 * Finds the scope of a run, as far as the rights to read the cluster go. What is forbidden to read is assumed to be
 * as in the shipped Roles: preflight then reports the missing right to read, and no rights that only follow from it.
 *
 * @throws ApiError (other than 403), ApiUnreachableError.
 */
export async function scopeOnCluster(
  transport: Transport,
  resolved: ResolvedExperiment,
  options: FoundOptions,
): Promise<FoundScope> {
  const { target, platform, privilegedPods } = options;
  const scope = preparedScope(resolved, { privilegedPods, several: false, platform });
  const read = async (name: string): Promise<KnownNamespace> => ({
    name,
    state: await unlessForbidden(
      async () => await namespaceState(transport, name),
      (error) => error,
    ),
  });
  const readIf = async (name: string | undefined): Promise<KnownNamespace | undefined> =>
    name === undefined ? undefined : await read(name);
  const application = await readIf(scope.application?.name);
  const probers = await read(PROBER_NAMESPACE);
  const nodePods = await readIf(privilegedPods ? NODE_ACCESS_NAMESPACE : undefined);
  const canaries = await readIf(scope.functionProbe === undefined ? undefined : CANARY_NAMESPACE);
  const own = ({ name, state }: KnownNamespace): { name: string; prepared: boolean } => ({
    name,
    prepared: state === "prepared" || state instanceof ApiError,
  });
  const functionProbeFound = async (): Promise<Pick<PermissionScope, "functionProbe">> => {
    if (scope.functionProbe === undefined || canaries === undefined) return {};
    return {
      functionProbe: {
        name: scope.functionProbe.name,
        canaries: own(canaries).prepared ? own(canaries) : { name: options.canaries, prepared: false },
        corrected: await correctedNames(transport, scope.functionProbe),
      },
    };
  };
  const found = await unlessForbidden(
    async () => await findCompanions(transport, resolved),
    () => undefined,
  );
  const companions = found?.companions;
  return {
    scope: {
      ...scope,
      ...(target === undefined ? {} : formsFound(resolved, target, platform)),
      companions: companions?.map(formOf) ?? formsOfCompanions(resolved),
      ...(application === undefined ? {} : { application: own(application) }),
      probers: own(probers),
      ...(nodePods === undefined ? {} : { nodePods: own(nodePods) }),
      ...(options.pullSecrets === undefined ? {} : { pullSecrets: options.pullSecrets }),
      ...(await functionProbeFound()),
    },
    namespaces: [
      ...[application, probers, nodePods].flatMap((each) => each ?? []),
      ...(canaries === undefined || canaries.state === "absent" ? [] : [canaries]),
    ],
    companions,
    missing: found?.missing ?? [],
  };
}

/** The form in which the target was found, and the places where it was looked for up to that form. */
function formsFound(
  resolved: ResolvedExperiment,
  target: AnyTarget,
  platform: Platform | undefined,
): Pick<PermissionScope, "targets" | "places" | "addonManager"> {
  const places = placesOf(resolved, platform);
  const at = places.findLastIndex(
    ({ kind, namespace }) => kind === target.kind && namespace === namespaceOf(target),
  );
  const looked = at < 0 ? places : places.slice(0, at + 1);
  const labelled = !isNodeTarget(target) && target.object.metadata.labels?.[ADDON_MODE_LABEL] !== undefined;
  return {
    // A target that the attack cannot take down is refused: no right would help.
    targets: fits(resolved.attack.type, target.kind) ? [formOf(target)] : [],
    places: [...looked, ...formsOfCompanions(resolved)],
    addonManager: labelled && !isControl(resolved.attack),
  };
}

function formOf(target: AnyTarget): TargetForm {
  const names = isNodeTarget(target) ? [] : [target.name];
  return { kind: target.kind, namespace: namespaceOf(target), names };
}

const GVRS: Readonly<Record<string, Gvr>> = {
  "apps/deployments": DEPLOYMENTS,
  "apps/daemonsets": DAEMONSETS,
};

/** The names of existing workloads that a function probe changes on purpose. */
async function correctedNames(
  transport: Transport,
  probe: NonNullable<PermissionScope["functionProbe"]>,
): Promise<readonly string[]> {
  const corrected = correctedBy(probe.name);
  const gvr = corrected === undefined ? undefined : GVRS[corrected.resource];
  if (corrected === undefined || gvr === undefined) return [];
  return await unlessForbidden(
    async () => {
      const labelSelector = selectorString(corrected.labels);
      const { items } = await list(transport, resourcePath(gvr, "kube-system"), { labelSelector });
      return items.map(({ metadata }) => metadata.name);
    },
    () => corrected.knownAs,
  );
}

async function unlessForbidden<T, E>(
  ask: () => Promise<T>,
  otherwise: (error: ApiError) => E,
): Promise<T | E> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return otherwise(error);
    throw error;
  }
}

/** The scope of a run from its experiment alone: without a cluster, in every form that the target may have. */
import { components } from "../components/all-components.js";
import type { ComponentDefinition, Find } from "../components/component.js";
import { correctedBy } from "../components/corrected.js";
import type { ResolvedExperiment } from "../components/resolve.js";
import { fits, isControl, ATTACKS } from "../experiment/attacks.js";
import { servicesOf } from "../experiment/own-application.js";
import type { Application } from "../experiment/schema.js";
import { CANARY_NAMESPACE } from "../own/namespaces.js";
import { NODE_ACCESS_NAMESPACE, PROBER_NAMESPACE } from "../own/own-names.js";
import { formsOn, type Platform } from "../targets/platform.js";
import { isWorkloadForm, namedPlaces } from "../targets/target.js";
import type { PermissionScope, Place, TargetForm } from "./needs.js";

/** Where a target is looked for: by its name, or in each form that its component has on the platform. Pure. */
export function placesOf(
  { experiment, component }: Pick<ResolvedExperiment, "experiment" | "component">,
  platform?: Platform,
): Place[] {
  const { target } = experiment;
  if (!("component" in target)) return [target];
  const forms = component === undefined ? [] : formsOn(component, platform);
  const { name } = target;
  if (name !== undefined)
    return namedPlaces(target, forms.filter(isWorkloadForm)).map((place) => ({ ...place, name }));
  return forms.flatMap((find) => formsOf(find).map(({ kind, namespace }) => ({ kind, namespace })));
}

/** The forms of the target that the attack can take down. Pure. */
export function formsOfTarget(resolved: ResolvedExperiment, platform?: Platform): TargetForm[] {
  const { experiment, component, attack } = resolved;
  const { target } = experiment;
  const forms =
    "component" in target && target.name === undefined
      ? (component === undefined ? [] : formsOn(component, platform)).flatMap(formsOf)
      : placesOf(resolved, platform).map(({ kind, namespace, name = "" }) => ({
          kind,
          namespace,
          names: [name],
        }));
  return forms.filter(({ kind }) => fits(attack.type, kind));
}

function formsOf(find: Find): TargetForm[] {
  switch (find.how) {
    case "workload":
      return find.kinds.map((kind) => ({ kind, namespace: find.namespace, names: find.knownAs }));
    case "static-pod":
      return [{ kind: "StaticPod", namespace: find.namespace, names: [] }];
    case "systemd-unit":
      // A unit has no namespace: kube-system counts as its own.
      return [{ kind: "SystemdUnit", namespace: "kube-system", names: [] }];
  }
}

/** The companions that a run may have to scale down before the target. Pure. */
export function formsOfCompanions({
  attack,
  component,
}: Pick<ResolvedExperiment, "attack" | "component">): TargetForm[] {
  if (ATTACKS[attack.type].changes !== "replicas") return [];
  return (component?.suppressFirst ?? [])
    .map((name): ComponentDefinition => components[name])
    .flatMap((companion) => formsOn(companion, undefined).flatMap(formsOf))
    .filter(({ kind }) => kind === "Deployment");
}

/** The part of the scope that is the same on every cluster. Pure. */
function scopeOfExperiment({
  experiment,
}: Pick<ResolvedExperiment, "experiment">): Pick<PermissionScope, "churn" | "asked"> {
  return {
    churn: experiment.churn !== undefined,
    asked: (experiment.abortWhen ?? []).flatMap(({ http }) =>
      http === undefined
        ? []
        : [{ namespace: http.namespace, service: http.service, port: String(http.port) }],
    ),
  };
}

function applicationScope({
  existing,
  guestbook,
}: Application): Pick<PermissionScope, "application" | "existing"> {
  if (existing === undefined) return { application: { name: guestbook.namespace, prepared: true } };
  return { existing: { namespace: existing.namespace, services: servicesOf(existing) } };
}

export interface ScopeOptions {
  /** Nodes are reached by privileged pods. */
  readonly privilegedPods: boolean;
  readonly several: boolean;
  /** Whose forms count, besides those that every platform may have. */
  readonly platform?: Platform | undefined;
}

/** The scope of a run in prepared namespaces, with every form that the target may have. Pure. */
export function preparedScope(
  resolved: ResolvedExperiment,
  { privilegedPods, several, platform }: ScopeOptions,
): PermissionScope {
  const { experiment, component, attack } = resolved;
  const probe = component?.functionProbe;
  const targets = formsOfTarget(resolved, platform);
  const companions = formsOfCompanions(resolved);
  return {
    several,
    ...scopeOfExperiment(resolved),
    targets,
    places: [
      ...placesOf(resolved, platform),
      ...companions.map(({ kind, namespace }) => ({ kind, namespace })),
    ],
    companions,
    ...applicationScope(experiment.application),
    probers: { name: PROBER_NAMESPACE, prepared: true },
    ...(privilegedPods ? { nodePods: { name: NODE_ACCESS_NAMESPACE, prepared: true } } : {}),
    ...(probe === undefined
      ? {}
      : {
          functionProbe: {
            name: probe,
            canaries: { name: CANARY_NAMESPACE, prepared: true },
            corrected: correctedBy(probe)?.knownAs ?? [],
          },
        }),
    // The target may have addon-manager's label: only the cluster knows.
    addonManager: !isControl(attack) && targets.some(({ names }) => names.length > 0),
  };
}

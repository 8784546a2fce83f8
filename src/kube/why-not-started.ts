/** Why the pods of a workload do not start, from what controllers, scheduler and kubelets report. Pure. */
import type { DaemonSet, Deployment, Event, Pod, ReplicaSet } from "./objects.js";
import { containersOf, type ContainerStatus, type Ended, isReady, isTerminating } from "./pod-state.js";

/** What a workload lacks. `starting`: nothing has failed so far. */
type Cause = "create" | "schedule" | "pull" | "crash" | "set up" | "unready" | "starting";

export interface NotStarted {
  readonly cause: Cause;
  /** "Deployment guestbook/frontend: no pod can be created: …". */
  readonly reason: string;
  /** Waiting does not help. Otherwise it may: a first failed pull, a node that joins, a quota that others free. */
  readonly final: boolean;
  /** An image is being pulled, without an error so far. */
  readonly pulling: boolean;
  /** What the user can do: a sentence without a full stop. */
  readonly advice: string;
}

/** A pod of its own is a workload, too. */
export type Started = (Deployment | DaemonSet | Pod) & { readonly kind?: string };

/** Failed pulls after which the reason is final: kubelets try again after 10, 20 and 40 s. */
const PULLS = 3;
/** A registry that limits the rate, or is down for a moment: it may answer later. */
const DELAYED = /\b(429|50[234])\b|too ?many ?requests/i;
/** Restarts after which a crash is final: kubelets wait 10, 20 and 40 s before the next ones. */
const RESTARTS = 3;

/**
 * Refusals that depend on the pod alone: PodSecurity, admission policies and webhooks, LimitRange, a quota that demands
 * limits. Not a quota that is used up, a missing service account or a webhook that does not answer: those may pass.
 */
const REFUSED = /violates PodSecurity|denied (the )?request|(maximum|minimum) \S+ usage|must specify/;

/** @returns the worst reason; undefined: as many pods as wanted are ready. */
export function whyNotStarted(
  workload: Started,
  replicaSets: readonly ReplicaSet[],
  pods: readonly Pod[],
  events: readonly Event[],
): NotStarted | undefined {
  const { kind = "Pod", metadata } = workload;
  const name = `${kind} ${metadata.namespace ?? ""}/${metadata.name}`;
  const makers =
    kind === "Deployment" ? replicaSets.filter((each) => isOwnedBy(each, [workload])) : [workload];
  const living =
    kind === "Pod" ? [workload as Pod] : pods.filter((pod) => !isTerminating(pod) && isOwnedBy(pod, makers));
  const ready = living.filter((pod) => isReady(pod)).length;
  const wanted = wantedPods(kind, workload);
  if (wanted !== undefined && ready >= wanted) return undefined;
  const problems: Problem[] = living
    .filter((pod) => !isReady(pod))
    .map((pod) => podProblem(pod, eventsOf(events, [pod])));
  if (wanted === undefined || living.length < wanted)
    problems.push(creationProblem([workload, ...makers], events));
  const [worst] = problems.sort((a, b) => rank(b) - rank(a));
  if (worst === undefined) return undefined;
  const { cause, text, final = false, pulling = false, pod } = worst;
  const where = pod === undefined || kind === "Pod" ? name : `${name}, pod ${pod}`;
  return {
    cause,
    reason: `${where}: ${text}`,
    final,
    pulling,
    advice: adviceOn(cause, metadata.namespace ?? "", pod),
  };
}

interface Problem {
  readonly cause: Cause;
  readonly text: string;
  readonly final?: boolean;
  readonly pulling?: boolean;
  readonly pod?: string;
}

function rank({ cause, final }: Problem): number {
  if (final === true) return 2;
  return cause === "starting" ? 0 : 1;
}

/** undefined: its controller has not seen it yet. */
function wantedPods(kind: string, workload: Started): number | undefined {
  if (kind === "Pod") return 1;
  const { spec, status, metadata } = workload as Deployment & DaemonSet;
  if ((status?.observedGeneration ?? 0) < (metadata.generation ?? 0)) return undefined;
  return kind === "Deployment" ? (spec?.replicas ?? 1) : (status?.desiredNumberScheduled ?? 0);
}

function isOwnedBy(object: Pod | ReplicaSet, owners: readonly (Started | ReplicaSet)[]): boolean {
  const uids = owners.map(({ metadata }) => metadata.uid);
  return (object.metadata.ownerReferences ?? []).some(({ uid }) => uids.includes(uid));
}

/** The events about some objects, oldest first. */
function eventsOf(events: readonly Event[], objects: readonly (Started | ReplicaSet)[]): Event[] {
  const uids = objects.map(({ metadata }) => metadata.uid);
  return events
    .filter(({ involvedObject }) => uids.includes(involvedObject.uid ?? ""))
    .sort((a, b) => timeOf(a).localeCompare(timeOf(b)));
}

/** RFC 3339. Sources that use the newer Events API set only `eventTime` and `series`. */
function timeOf({ lastTimestamp, series, eventTime, metadata }: Event): string {
  return lastTimestamp ?? series?.lastObservedTime ?? eventTime ?? metadata.creationTimestamp ?? "";
}

/** No pod exists where one is wanted. A DaemonSet says why only in its events. */
function creationProblem(makers: readonly (Started | ReplicaSet)[], events: readonly Event[]): Problem {
  const failure = makers
    .flatMap(({ status }) => (status as ReplicaSet["status"])?.conditions ?? [])
    .find(({ type, status }) => type === "ReplicaFailure" && status === "True")?.message;
  const event = eventsOf(events, makers).findLast(({ reason }) => reason === "FailedCreate")?.message;
  // The condition is complete; an event is cut off after 1,024 characters.
  const message = failure ?? event?.replace(/^(\(combined from similar events\): )?Error creating: /, "");
  return message === undefined
    ? { cause: "set up", text: "its controller has created no pod yet" }
    : { cause: "create", text: `no pod can be created: ${message}`, final: REFUSED.test(message) };
}

function podProblem(pod: Pod, events: readonly Event[]): Problem {
  return { ...(placementProblem(pod, events) ?? containersProblem(pod, events)), pod: pod.metadata.name };
}

/** The pod failed, or is on no node; undefined: it is on a node. */
function placementProblem({ spec, status = {} }: Pod, events: readonly Event[]): Problem | undefined {
  if (status.phase === "Failed")
    return {
      cause: "crash",
      text: `it failed: ${words(status.reason, status.message) || "no reason given"}`,
    };
  const scheduled = status.conditions?.find(({ type }) => type === "PodScheduled");
  if (scheduled?.status === "False") return schedulingProblem(words(scheduled.message), events);
  return spec?.nodeName === undefined
    ? { cause: "schedule", text: "the scheduler has not seen it yet" }
    : undefined;
}

function containersProblem(pod: Pod, events: readonly Event[]): Problem {
  const { containerStatuses = [], conditions = [] } = pod.status ?? {};
  const container = containersOf(pod).find(({ ready }) => !ready);
  if (container !== undefined) return containerProblem(container, events);
  if (containerStatuses.length === 0)
    return { cause: "set up", text: `the kubelet of ${pod.spec?.nodeName} has not started it yet` };
  const unmet = conditions.find((each) => each.status === "False" && each.message !== undefined);
  return { cause: "unready", text: `not ready: ${words(unmet?.reason, unmet?.message)}` };
}

function schedulingProblem(message: string, events: readonly Event[]): Problem {
  // A node is on its way: an event of the cluster autoscaler (kubernetes/autoscaler cluster-autoscaler/processors/status)
  // or of Karpenter (kubernetes-sigs/karpenter pkg/controllers/provisioning/scheduling/events.go).
  const grows = events.some(({ reason }) => reason === "TriggeredScaleUp" || reason === "Nominated");
  return grows
    ? { cause: "starting", text: `waits for a new node: ${message}` }
    : { cause: "schedule", text: `it cannot be scheduled: ${message}` };
}

const NOT_PULLABLE = ["InvalidImageName", "ErrImageNeverPull"];
const PULL_FAILED = ["ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "SignatureValidationFailed"];
const IN_ORDER = ["ContainerCreating", "PodInitializing"];
/** Events of a pod whose containers are not created yet, which is all that its status says. */
const SETUP_FAILED = ["FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "NetworkNotReady"];

function containerProblem(status: ContainerStatus, events: readonly Event[]): Problem {
  const { image, state = {}, lastState = {} } = status;
  const { reason = "", message = "" } = state.waiting ?? {};
  if (NOT_PULLABLE.includes(reason))
    return { cause: "pull", text: words(reason, image, message), final: true };
  if (PULL_FAILED.includes(reason)) return pullProblem(reason, words(image, message), events);
  const ended = state.terminated ?? lastState.terminated;
  if (ended !== undefined) return crashProblem(status, ended);
  if (reason !== "" && !IN_ORDER.includes(reason)) return { cause: "set up", text: words(reason, message) };
  return state.running === undefined ? setupProblem(events) : runningProblem(status, events);
}

/** An event is more exact than the status, which in older releases only says that the kubelet waits. */
function pullProblem(reason: string, state: string, events: readonly Event[]): Problem {
  const failures = events.filter(({ message = "" }) => message.startsWith("Failed to pull image"));
  const times = failures.reduce((sum, { count, series }) => sum + (series?.count ?? count ?? 1), 0);
  const why = failures.at(-1)?.message ?? state;
  return { cause: "pull", text: `${reason}: ${why}`, final: times >= PULLS && !DELAYED.test(why) };
}

function crashProblem({ name, restartCount }: ContainerStatus, ended: Ended): Problem {
  const last = words(ended.message).split("\n").at(-1) ?? "";
  const times = restartCount === 0 ? "" : `, restarted ${restartCount} times`;
  const how = `container ${name} ended with exit code ${ended.exitCode} (${ended.reason ?? "no reason"}${times})`;
  return {
    cause: "crash",
    text: last === "" ? how : `${how}: ${last}`,
    final: restartCount >= RESTARTS,
  };
}

/** The containers are not created yet: volumes, network, images. */
function setupProblem(events: readonly Event[]): Problem {
  const latest = events.findLast(({ reason = "" }) =>
    [...SETUP_FAILED, "Pulling", "Pulled", "Created"].includes(reason),
  );
  if (latest?.reason === "Pulling") return { cause: "starting", text: words(latest.message), pulling: true };
  return latest !== undefined && SETUP_FAILED.includes(latest.reason ?? "")
    ? { cause: "set up", text: words(latest.reason, latest.message) }
    : { cause: "starting", text: "its containers are being created" };
}

/** It runs, but is not ready. A startup probe may take long on purpose: its failures are normal. */
function runningProblem({ name, started }: ContainerStatus, events: readonly Event[]): Problem {
  const failed = events.findLast(({ reason }) => reason === "Unhealthy")?.message;
  if (failed === undefined) return { cause: "starting", text: `container ${name} runs and is not ready yet` };
  const text = `container ${name} runs and is not ready: ${failed.trim()}`;
  return { cause: started === true ? "unready" : "starting", text };
}

function words(...texts: readonly (string | undefined)[]): string {
  return texts
    .filter((text) => text !== undefined && text !== "")
    .join(" ")
    .trim();
}

function adviceOn(cause: Cause, namespace: string, pod?: string): string {
  switch (cause) {
    case "create":
      return `Allow these pods in namespace ${namespace}, or remove the rule that refuses them`;
    case "schedule":
      return "Make room on a node, or remove what excludes the nodes (taints, cordons, requests)";
    case "pull":
      return "Give the nodes access to the image: load it onto them, or allow them to reach its registry";
    case "crash":
      return `See kubectl -n ${namespace} logs ${pod ?? ""} --previous`;
    case "set up":
    case "unready":
    case "starting":
      return `See kubectl -n ${namespace} ${pod === undefined ? "get events" : `describe pod ${pod}`}`;
  }
}

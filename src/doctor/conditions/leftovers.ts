/** What this tool itself has left behind, and the command that cleans it up. */

import { isOwn } from "../../own/manifest.js";
import { isPrepared } from "../../own/namespaces.js";
import { scalingOf } from "../../own/own-fields.js";
import { LOCK_NAME, NODE_ACCESS_NAMESPACE, PROBER_NAMESPACE, SINK_NAMESPACE } from "../../own/own-names.js";
import { restoreCommand } from "../../safety/journal/unfinished.js";
import { SILENT_MS } from "../../safety/lock/liveness.js";
import { condition, type Found } from "../condition.js";
import type { ClusterFacts } from "../facts.js";
import { componentOf, workloadKey } from "../keys.js";
import { names } from "../../common/figures.js";
import { age, few, kubectl, since } from "../words.js";

const RUNNING = "a run";

/** The lock, and whether its holder still renews it. */
function lockOf(
  facts: ClusterFacts,
): { readonly holder: string; readonly agoMs: number; readonly alive: boolean } | undefined {
  const lease = facts.leases?.find(({ metadata }) => metadata.name === LOCK_NAME);
  if (lease === undefined || !isOwn(lease)) return undefined;
  const agoMs = since(lease.spec?.renewTime, facts) ?? Infinity;
  return { holder: lease.spec?.holderIdentity ?? "an unknown holder", agoMs, alive: agoMs < SILENT_MS };
}

/** First of all conditions: what a run takes down is no fault of the cluster. */
export const runInProgress = condition({
  looksAt: "whether a run is in progress",
  needs: ["leases"],
  judge: (facts) => {
    const lock = lockOf(facts);
    if (lock?.alive !== true) return [];
    return [
      {
        finding: {
          code: "run-in-progress",
          severity: "info",
          title: `a run is in progress: ${lock.holder}`,
          evidence: [`its lock was renewed ${age(lock.agoMs)} ago; what is found now may be its doing`],
          cure: "Look again when it has ended",
        },
        about: [RUNNING],
      },
    ];
  },
});

export const leftovers = condition({
  looksAt: "leftovers of this tool",
  needs: ["leases", "namespaces", "deployments", "unfinished", "deadMan"],
  judge: (facts): Found[] => {
    const lock = lockOf(facts);
    if (lock?.alive === true) return [];
    const restore = restoreCommand(facts.place);
    const { runs, unreadable } = facts.unfinished;
    const unfinished = [
      ...runs.map(
        ({ open, folder }) => `run ${open.runId} of ${open.host} is unfinished; its journal is in ${folder}`,
      ),
      ...unreadable.map(({ message }) => message),
      ...(lock === undefined ? [] : [`the lock of ${lock.holder}, last renewed ${age(lock.agoMs)} ago`]),
      ...facts.deployments.flatMap((object) => {
        const scaling = scalingOf(object.metadata.managedFields);
        return scaling === undefined
          ? []
          : [
              `${workloadKey({ kind: "Deployment", object })}: run ${scaling.runId} has scaled it down from ${scaling.replicas}`,
            ];
      }),
      ...facts.deadMan.map((each) => `${each} of a dead-man's switch`),
    ];
    const own = facts.namespaces.filter(
      (namespace) =>
        isOwn(namespace) &&
        !isPrepared(namespace) &&
        namespace.metadata.name !== SINK_NAMESPACE &&
        namespace.metadata.deletionTimestamp === undefined,
    );
    const ofRuns = own.filter(
      ({ metadata: { name } }) =>
        [PROBER_NAMESPACE, NODE_ACCESS_NAMESPACE].includes(name) ||
        name.startsWith(`${PROBER_NAMESPACE}-can`),
    );
    const kept = own.filter((each) => !ofRuns.includes(each)).map(({ metadata }) => metadata.name);
    const spaces = ofRuns.map(({ metadata }) => `namespace ${metadata.name}`);
    return [
      ...(unfinished.length + spaces.length === 0
        ? []
        : [
            {
              finding: {
                code: "leftovers",
                severity: "warning" as const,
                title: "a run of this tool has left something behind",
                evidence: few([...unfinished, ...spaces]),
                cure:
                  unfinished.length === 0
                    ? `${kubectl(facts, "delete", "namespace", ...ofRuns.map(({ metadata }) => metadata.name))}: no journal says that anything else is left`
                    : `\`${restore}\`, after its process has ended`,
              },
              about: ["leftovers"],
              explains: facts.deployments.flatMap((object) => {
                const workload = { kind: "Deployment", object } as const;
                if (scalingOf(object.metadata.managedFields) === undefined) return [];
                return [workloadKey(workload), componentOf(workload, facts) ?? ""];
              }),
            },
          ]),
      ...(kept.length === 0
        ? []
        : [
            {
              finding: {
                code: "application-kept",
                severity: "info" as const,
                title: `an application of an earlier run is still there: ${names(kept)}`,
                evidence: kept.map((name) => `namespace ${name} has this tool's label (--keep-app keeps it)`),
                cure: `Runs use it again; if you do not need it: ${kubectl(facts, "delete", "namespace", ...kept)}`,
              },
              about: ["application kept"],
            },
          ]),
    ];
  },
});

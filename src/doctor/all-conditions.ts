import type { Condition } from "./condition.js";
import { apiServerNotReady } from "./conditions/api-server.js";
import { certificatesNearEnd, kubeletCertificates, requestsWaiting } from "./conditions/certificates.js";
import {
  apiServicesUnavailable,
  webhooksInKubeSystem,
  webhooksWithoutEndpoint,
} from "./conditions/extensions.js";
import { kubeDnsFew, kubeDnsNoBudget, kubeDnsOnePlace } from "./conditions/kube-dns.js";
import { kubeProxyMissing } from "./conditions/kube-proxy.js";
import { controllerManagerIdle, noLeader, schedulerIdle } from "./conditions/leaders.js";
import { leftovers, runInProgress } from "./conditions/leftovers.js";
import { memoryNearLimit } from "./conditions/memory.js";
import { nodesNotReady, nodesUnderPressure } from "./conditions/nodes.js";
import { crashLoops, podsNotEnding, podsNotReady, restarts, workloadsNotReady } from "./conditions/pods.js";
import { versionSkew } from "./conditions/version-skew.js";

/** All conditions, causes before consequences: see fold.ts. */
export const CONDITIONS: readonly Condition[] = [
  runInProgress,
  leftovers,
  nodesNotReady,
  nodesUnderPressure,
  apiServerNotReady,
  noLeader,
  schedulerIdle,
  controllerManagerIdle,
  kubeProxyMissing,
  crashLoops,
  workloadsNotReady,
  podsNotReady,
  restarts,
  podsNotEnding,
  kubeDnsFew,
  kubeDnsOnePlace,
  kubeDnsNoBudget,
  apiServicesUnavailable,
  webhooksWithoutEndpoint,
  webhooksInKubeSystem,
  certificatesNearEnd,
  kubeletCertificates,
  requestsWaiting,
  versionSkew,
  memoryNearLimit,
];

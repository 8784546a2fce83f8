import type { FunctionCheckName } from "../../components/functions.js";
import { apiStores } from "./api-stores.js";
import { dnsIsScaled } from "./dns-is-scaled.js";
import { eventsArrive } from "./events-arrive.js";
import { fluentdIsScaled } from "./fluentd-is-scaled.js";
import type { FunctionCheck } from "./function-check.js";
import { logsArrive } from "./logs-arrive.js";
import { metricPointsArrive } from "./metric-points-arrive.js";
import { metricsAreServed } from "./metrics-are-served.js";
import { nodeRunsPods } from "./node-runs-pods.js";
import { podsAreScheduled } from "./pods-are-scheduled.js";
import { replicasAreMade } from "./replicas-are-made.js";
import { servicesFollow } from "./services-follow.js";
import { unknownPathIsAnswered } from "./unknown-path-is-answered.js";

/** Every function check. */
export const functionProbes: Readonly<Record<FunctionCheckName, FunctionCheck>> = {
  "node-runs-pods": nodeRunsPods,
  "services-follow": servicesFollow,
  "dns-is-scaled": dnsIsScaled,
  "logs-arrive": logsArrive,
  "fluentd-is-scaled": fluentdIsScaled,
  "events-arrive": eventsArrive,
  "metrics-are-served": metricsAreServed,
  "metric-points-arrive": metricPointsArrive,
  "unknown-path-is-answered": unknownPathIsAnswered,
  "pods-are-scheduled": podsAreScheduled,
  "replicas-are-made": replicasAreMade,
  "api-stores": apiStores,
};

/** Probes of a component's own function (DESIGN section 5): one a component, each on a deadline. */
export const FUNCTION_PROBES = [
  "node-runs-pods",
  "services-follow",
  "dns-is-scaled",
  "logs-arrive",
  "fluentd-is-scaled",
  "events-arrive",
  "metrics-are-served",
  "metric-points-arrive",
  "unknown-path-is-answered",
  "pods-are-scheduled",
  "replicas-are-made",
  "api-stores",
] as const;
export type FunctionProbeName = (typeof FUNCTION_PROBES)[number];

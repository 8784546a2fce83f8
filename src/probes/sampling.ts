/**
 * From how many workers a run samples, and how often: a rate that the application and the API server can bear, whatever the
 * number of nodes. Pure.
 */
import type { Sampling } from "../evidence/facts.js";
import type { Experiment } from "../experiment/schema.js";
import type { Node } from "../kube/objects.js";

/** Workers that are sampled at most. More of them show the same: each layer is the same on all nodes of a kind. */
const MOST_WORKERS = 12;

/**
 * Requests per second to one front-end pod, at most. One takes about 5 ms of CPU (PHP, and a new connection to Redis), so
 * this is a quarter of a core; the pod requests 100m.
 */
const MOST_PER_FRONT_END = 50;

/** Samples per second from all workers, at most: a DNS server sees a quarter of them, a database a sixth. */
const MOST_IN_ALL = 400;

/** The interval does not grow beyond this, ms: it is the resolution of every outage. */
const LONGEST_INTERVAL_MS = 1_000;

/** The shorter one of baseline and window has at least this many samples of each series, twice what a verdict needs. */
const FEWEST_SAMPLES = 20;

/** The probes of a worker at every interval; the look-ups through the search path have their own interval. */
const PROBES_OF_WORKER = 12;
/**
 * Those that ask a front end (write, read, and through its Service on a new and on a reused connection), and those that
 * ask the control arm.
 */
const TO_FRONT_END = 4;
const TO_CONTROL = 2;

/**
 * All workers at the asked interval if the application bears that. Otherwise fewer workers; then the interval grows, up to
 * what the measurement needs; then fewer workers still.
 *
 * @param workers how many nodes can have a prober.
 * @returns undefined: all workers, as often as the experiment asks.
 */
export function samplingOf(
  experiment: Pick<Experiment, "probes" | "phases" | "application">,
  workers: number,
): Sampling | undefined {
  const { probes, phases, application } = experiment;
  const askedMs = probes.interval;
  // How many pods an existing application has, and what they bear, is not known: it counts as one front end.
  const { frontendReplicas, controlReplicas } = application.guestbook ?? {
    frontendReplicas: 1,
    controlReplicas: Infinity,
  };
  // The probe from outside asks a front end of the guestbook, too.
  const outside = application.guestbook === undefined ? 0 : 1;
  const neededMs = (count: number): number => {
    const perFrontEnd = (count * TO_FRONT_END + outside) / frontendReplicas;
    const busiest = Math.max(perFrontEnd, (count * TO_CONTROL) / controlReplicas);
    const seconds = Math.max(busiest / MOST_PER_FRONT_END, (count * PROBES_OF_WORKER) / MOST_IN_ALL);
    return Math.ceil(seconds * 100) * 10;
  };
  const shortest = Math.min(phases.baseline, phases.window);
  const longestMs = Math.max(askedMs, Math.min(LONGEST_INTERVAL_MS, Math.floor(shortest / FEWEST_SAMPLES)));
  let count = Math.min(workers, MOST_WORKERS);
  while (count > 1 && neededMs(count) > longestMs) count -= 1;
  const intervalMs = Math.min(longestMs, Math.max(askedMs, neededMs(count)));
  if (count === workers && intervalMs === askedMs) return undefined;
  return { workers: count, of: workers, intervalMs, askedMs };
}

/**
 * The workers that are sampled, by name: first those that matter most, then an equal share of each zone and architecture.
 * The same nodes always give the same workers.
 *
 * @param nodes those that have a prober.
 * @param first names, the most important first: attacked nodes, the nodes of the application.
 */
export function sampledWorkers(nodes: readonly Node[], count: number, first: readonly string[]): string[] {
  const names = new Set(nodes.map((node) => node.metadata.name));
  const chosen = new Set([...new Set(first)].filter((name) => names.has(name)).slice(0, count));
  const groups = new Map<string, string[]>();
  for (const node of nodes) {
    if (chosen.has(node.metadata.name)) continue;
    const { labels = {} } = node.metadata;
    const key = `${labels["topology.kubernetes.io/zone"] ?? ""} ${labels["kubernetes.io/arch"] ?? ""}`;
    groups.set(key, [...(groups.get(key) ?? []), node.metadata.name]);
  }
  const ordered = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => spread(group.sort()));
  for (let round = 0; chosen.size < Math.min(count, names.size); round += 1)
    for (const group of ordered) {
      const name = group[round];
      if (name !== undefined && chosen.size < count) chosen.add(name);
    }
  return [...chosen].sort();
}

/**
 * The names in an order whose every beginning is spread over the whole list: names of one node pool are neighbours. (The
 * ends first, then the middle of the largest gap.)
 */
function spread(names: readonly string[]): string[] {
  const gaps: [number, number][] = [[0, names.length - 1]];
  const order = [0, names.length - 1];
  for (const [from, to] of gaps) {
    if (to - from < 2) continue;
    const middle = Math.floor((from + to) / 2);
    order.push(middle);
    gaps.push([from, middle], [middle, to]);
  }
  return [...new Set(order)].flatMap((index) => names[index] ?? []);
}

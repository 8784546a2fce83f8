/** What probers see of the cluster without an attack: which layer fails or is slow, and from which nodes. Pure. */
import { counts, duration, names, percent, plural } from "../../common/figures.js";
import type { ProbeName } from "../../experiment/names.js";
import {
  explainedText,
  judgedShares,
  lossesUnder,
  sharesOf,
  type JudgedShare,
} from "../../analysis/losses.js";
import { slowBeyondNoise, slowSamples } from "../../analysis/noise.js";
import type { ProbeResult } from "../../analysis/result.js";

/** The layers, in the order in which they are shown. */
export const LAYERS = {
  "dns-internal": { what: "names inside the cluster", sample: "look-up", slowFromMs: 250 },
  "dns-search": { what: "names through the search path", sample: "look-up", slowFromMs: 250 },
  "dns-same-socket": { what: "names on a socket that stays open", sample: "look-up", slowFromMs: 250 },
  // What it takes depends on servers outside.
  "dns-external": { what: "names outside the cluster", sample: "look-up", slowFromMs: 1_000 },
  "tcp-pod": { what: "a pod by its address", sample: "connection", slowFromMs: 250 },
  "tcp-service": { what: "a Service", sample: "connection", slowFromMs: 250 },
  "http-service": { what: "HTTP through a Service", sample: "request", slowFromMs: 500 },
} as const satisfies Partial<Record<ProbeName, { what: string; sample: string; slowFromMs: number }>>;

export type LayerName = keyof typeof LAYERS;

export type NodeState = "good" | "failing" | "slow" | "unknown";

/** One layer from one node. */
interface FromNode {
  readonly node: string;
  readonly state: NodeState;
  /** The figures: "12 of 40 look-ups failed (30.0 %: 12 timeout); noise explains at most 2 (…)". */
  readonly figures: string;
}

export interface LayerState {
  readonly layer: LayerName;
  /** By name. */
  readonly nodes: readonly FromNode[];
  /** A loss that no node shows alone, but all nodes together do: its figures. */
  readonly together?: string;
}

const isLayer = (probe: ProbeName): probe is LayerName => probe in LAYERS;

/** Fewer than this share of the ticks is too little to say anything: the prober was too late. */
const LEAST_MEASURED = 0.5;

/**
 * Judges one span without an attack. Its rule is that of a run's baseline: a failure or slowness counts only if noise does
 * not explain it, with the same rate of false alarms for everything that is measured together.
 *
 * @param results with the span as phase `baseline`.
 */
export function layerStates(results: readonly ProbeResult[]): LayerState[] {
  const known = results.filter(({ probe }) => isLayer(probe));
  const layers = Object.keys(LAYERS) as readonly LayerName[];
  const shares = layers.flatMap((layer) => sharesOf(known, [layer], "baseline"));
  const comparisons = shares.length + known.length;
  const losses = lossesUnder(judgedShares(shares, comparisons), 1);
  return layers.flatMap((layer) => {
    const ofLayer = known.filter(({ probe }) => probe === layer);
    if (ofLayer.length === 0) return [];
    const ofThis = losses.filter(({ probes: [probe] }) => probe === layer);
    const nodes = ofLayer
      .map((result) => {
        const loss = ofThis.find(({ source }) => source === result.source);
        return fromNode(layer, result, loss, comparisons);
      })
      .sort((a, b) => a.node.localeCompare(b.node));
    const all = ofThis.find(({ source }) => source === null);
    const alone = nodes.some(({ state }) => state === "failing");
    return [
      { layer, nodes, ...(all === undefined || alone ? {} : { together: lossFigures(layer, all, {}) }) },
    ];
  });
}

function fromNode(
  layer: LayerName,
  { source: node, phases: { baseline } }: ProbeResult,
  loss: JudgedShare | undefined,
  comparisons: number,
): FromNode {
  const { samples, missed, good, timed = good, p50Ms, p95Ms, failures } = baseline;
  const { sample, slowFromMs } = LAYERS[layer];
  if (loss !== undefined) return { node, state: "failing", figures: lossFigures(layer, loss, failures) };
  if (samples === 0 || samples < LEAST_MEASURED * (samples + missed))
    return { node, state: "unknown", figures: `only ${plural(samples, sample)}, ${missed} missed` };
  const slow = slowSamples({ samples: timed, p50Ms, p95Ms }, 0, { slowFactor: 1, slowFrom: slowFromMs });
  const figures = `${good} of ${plural(samples, sample)} good, p50 ${duration(p50Ms)}, p95 ${duration(p95Ms)}`;
  return slowBeyondNoise(slow, timed, comparisons)
    ? { node, state: "slow", figures: `${figures} (slow: over ${duration(slowFromMs)})` }
    : { node, state: "good", figures };
}

function lossFigures(
  layer: LayerName,
  { phase: { failed, samples }, explained }: JudgedShare,
  failures: Readonly<Partial<Record<string, number>>>,
): string {
  const kinds = Object.keys(failures).length === 0 ? "" : `: ${counts(failures)}`;
  const what = plural(samples, LAYERS[layer].sample);
  return `${failed} of ${what} failed (${percent(failed / samples)}${kinds}); ${explainedText(explained)}`;
}

/** The names of the nodes in one of these states. */
export const nodesIn = ({ nodes }: LayerState, ...states: readonly NodeState[]): string[] =>
  nodes.filter(({ state }) => states.includes(state)).map(({ node }) => node);

/** "from all 3 nodes", "from 1 of 3 nodes (kind-worker)". */
export function fromWords(some: readonly string[], of: number): string {
  if (some.length === of) return of === 1 ? `from ${some[0]}` : `from all ${of} nodes`;
  return `from ${some.length} of ${of} nodes (${names(some)})`;
}

/** "names inside the cluster: good from 3 of 4 nodes (failing: kind-worker2)". */
export function layerLine(state: LayerState): string {
  const { layer, nodes: all, together } = state;
  const good = nodesIn(state, "good").length;
  const rest = (["failing", "slow", "unknown"] as const).flatMap((each) => {
    const nodes = nodesIn(state, each);
    return nodes.length === 0 ? [] : [`${each === "unknown" ? "not measured" : each}: ${nodes.join(", ")}`];
  });
  const lost = together === undefined ? [] : [`but all together: ${together}`];
  const details = [...rest, ...lost];
  const end = details.length === 0 ? "" : ` (${details.join("; ")})`;
  return `${LAYERS[layer].what}: good from ${good} of ${plural(all.length, "node")}${end}`;
}

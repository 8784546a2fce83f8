/** What the probers saw before, while and after the pods were replaced. Pure. */
import { countsIn } from "../analysis/losses.js";
import type { Counts } from "../analysis/noise.js";
import { seconds } from "../common/figures.js";
import type { ProbeName } from "../experiment/names.js";
import { LAYERS, layerLine, type LayerName, type LayerState, nodesIn } from "../run/probing/layers.js";
import type { Measured, ServicesSeen } from "../run/probing/probing.js";

/** What the probers saw in one look. */
export interface Seen {
  readonly layers: readonly LayerState[];
  readonly services: ServicesSeen;
}

export interface Comparison {
  /** "names inside the cluster from kind-worker: failing → good". */
  readonly better: readonly string[];
  readonly worse: readonly string[];
  /** What failed or was slow before and still is. */
  readonly still: readonly string[];
  /** What was judged before and cannot be judged after: nothing says that it works. */
  readonly unknown: readonly string[];
  /** Whether something failed or was slow before. */
  readonly wasBad: boolean;
}

const RANKS: Readonly<Record<string, number>> = { good: 0, slow: 1, failing: 2 };

/** The state of what decides, by name. Names outside depend on servers outside: they are shown, and decide nothing. */
function statesOf({ layers, services }: Seen): Map<string, string> {
  const deciding = layers.filter(({ layer }) => layer !== "dns-external");
  const states = deciding.flatMap(({ layer, nodes, together }) => [
    ...nodes.map(({ node, state }): [string, string] => [`${LAYERS[layer].what} from ${node}`, state]),
    [`${LAYERS[layer].what} from all nodes together`, together === undefined ? "good" : "failing"] as [
      string,
      string,
    ],
  ]);
  const follows = services.problem === undefined && services.follows?.present !== false;
  return new Map([...states, ["a new Service, and one whose pod is replaced", follows ? "good" : "failing"]]);
}

/** What was judged only after is left out. */
export function compared(before: Seen, after: Seen): Comparison {
  const [then, now] = [statesOf(before), statesOf(after)];
  const judged = [...then].flatMap(([what, was]) => {
    const from = RANKS[was];
    return from === undefined ? [] : [{ what, was, from, is: now.get(what) ?? "unknown" }];
  });
  const changes = judged.flatMap((each) => {
    const to = RANKS[each.is];
    return to === undefined ? [] : [{ ...each, to }];
  });
  const words = ({ what, was, is }: (typeof changes)[number]): string => `${what}: ${was} → ${is}`;
  return {
    better: changes.filter(({ from, to }) => to < from).map(words),
    worse: changes.filter(({ from, to }) => to > from).map(words),
    still: changes.filter(({ from, to }) => from > 0 && to === from).map(({ what, is }) => `${what}: ${is}`),
    unknown: judged
      .filter(({ is }) => RANKS[is] === undefined)
      .map(({ what, was }) => `${what}: ${was} → not measured`),
    wasBad: judged.some(({ from }) => from > 0),
  };
}

/** "names inside the cluster: good from 3 of 4 nodes before, 4 of 4 after", and what fails. */
export function stateLines({ layers: before }: Seen, { layers: after }: Seen): string[] {
  return before.map((state) => {
    const next = after.find(({ layer }) => layer === state.layer);
    const good = (each: LayerState): string => `${nodesIn(each, "good").length} of ${each.nodes.length}`;
    if (next === undefined) return `${layerLine(state)} before; not measured after`;
    const bad = nodesIn(next, "failing", "slow");
    const end = bad.length === 0 ? "" : ` (not: ${bad.join(", ")})`;
    return `${LAYERS[state.layer].what}: good from ${good(state)} nodes before, ${good(next)} after${end}`;
  });
}

/** Failed and all samples by probe. */
export type Losses = Readonly<Partial<Record<ProbeName, Counts>>>;

export function lossesIn({ results }: Pick<Measured, "results">): Losses {
  const probes = [...new Set(results.map(({ probe }) => probe))];
  return Object.fromEntries(
    probes.map((probe) => [
      probe,
      countsIn(
        results.filter((result) => result.probe === probe),
        "baseline",
      ),
    ]),
  );
}

/** "failed while the pods were replaced (38.2 s): names inside the cluster 2 of 480, …". */
export function lossLine(losses: Losses, tookMs: number): string {
  const layers = Object.keys(LAYERS) as readonly LayerName[];
  const parts = layers.flatMap((layer) => {
    const { failed = 0, samples = 0 } = losses[layer] ?? {};
    return samples === 0 ? [] : [`${LAYERS[layer].what} ${failed} of ${samples}`];
  });
  return `failed while the pods were replaced (${seconds(tookMs)}): ${parts.join(", ")}`;
}

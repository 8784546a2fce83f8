/** The report's sections on the recovery and the setup. */
import { objectName } from "../common/object-name.js";
import { flappingEveryMs, leastTimesDown } from "../analysis/times-down.js";
import { FALSE_ALARMS_PER_RUN, FEWEST_FAILURES, NOISE_RATE } from "../analysis/noise.js";
import type { RunResult } from "../analysis/result.js";
import { FUNCTION_LOST_BELOW } from "../analysis/severity.js";
import { DASH, duration, plural, threshold } from "../common/figures.js";
import { PARTS, partOf } from "./environments.js";
import { cell, list, table } from "./markdown-text.js";
import { samplingText } from "./words.js";

/** A table of nodes or probers has at most this many rows: on a large cluster most are alike. */
const MOST_ROWS = 15;

const few = (items: readonly unknown[]): boolean => items.length <= MOST_ROWS;

/** How an object was restored, in words. */
const HOW: Readonly<Record<string, string>> = {
  found: "found restored",
  started: "its unit started",
  returned: "its manifest moved back",
};

/** The parts of the recovery, and who restored which object. */
export function recovery(result: RunResult): string {
  const { recovery: parts } = result;
  if (parts === null) return "There was no release, so there is no recovery to measure.";
  const by = parts.restoredBy === null ? "" : ` (${parts.restoredBy})`;
  const times = table(
    ["From the release until", "Time"],
    [
      [`the first object was restored${by}`, duration(parts.restorerMs)],
      ["the target was ready", duration(parts.readyMs)],
      ["every worker that had failed had an answer to a write again", duration(parts.firstGoodMs)],
      ["every probe was healthy", duration(parts.healthyMs)],
    ],
    ["Time"],
  );
  if (result.restored.length === 0) return times;
  const release = result.releaseMs ?? 0;
  const restored = table(
    ["Restored", "How", "By", "After the release"],
    result.restored.map(({ object, how, by: who, tMs }) => [
      objectName(object),
      HOW[how] ?? how,
      who,
      duration(tMs - release),
    ]),
    ["After the release"],
  );
  return `${times}\n\n${restored}`;
}

/** Who restores the target: its owners, the outermost last. */
export function owners({ facts }: RunResult): string {
  if (facts.target === undefined) return "The target was not found.";
  const { object, ownerChain, services, images, nodes } = facts.target;
  return list([
    `Target: ${objectName(object)}.`,
    ...(nodes === undefined ? [] : [`Attacked on: ${nodes.length === 0 ? DASH : nodes.join(", ")}.`]),
    `Owners: ${ownerChain.length === 0 ? DASH : ownerChain.join(" → ")}.`,
    `Services: ${services.length === 0 ? "none" : services.map(objectName).join(", ")}.`,
    `Images: ${images.length === 0 ? DASH : images.map((image) => `\`${image}\``).join(", ")}.`,
  ]);
}

export function checks(result: RunResult): string {
  if (result.checks.length === 0) return "No check was recorded.";
  return table(
    ["Check", "Passed", "Detail"],
    result.checks.map(({ name, ok, detail, assumed }) => [
      name,
      assumed === true ? "assumed" : ok ? "yes" : "**no**",
      detail,
    ]),
  );
}

export function clocks(result: RunResult): string {
  if (result.clocks.length === 0) return "No prober clock was measured.";
  const rows = [...result.clocks]
    .sort((a, b) => (few(result.clocks) ? 0 : b.uncertaintyMs - a.uncertaintyMs))
    .slice(0, MOST_ROWS)
    .map(({ source, uncertaintyMs }) => [source, duration(uncertaintyMs)]);
  if (!few(result.clocks))
    rows.push([`${result.clocks.length - MOST_ROWS} others`, `at most ${rows.at(-1)?.[1] ?? DASH}`]);
  return [
    "The probers have their own clocks. Times between the runner's events and their samples are accurate to within:",
    "",
    table(["Prober", "±"], rows, ["±"]),
  ].join("\n");
}

type NodeFacts = RunResult["facts"]["cluster"]["nodes"][number];

const kindOf = ({ role, kubelet, runtime, os, kernel }: NodeFacts): string[] => [
  role,
  kubelet,
  runtime,
  os,
  kernel,
];

/** One row for all nodes that are alike: how many, and what they are. */
function kindsOf(nodes: readonly NodeFacts[]): string[][] {
  const kinds = new Map<string, { count: number; kind: string[] }>();
  for (const node of nodes) {
    const kind = kindOf(node);
    const key = JSON.stringify(kind);
    kinds.set(key, { kind, count: (kinds.get(key)?.count ?? 0) + 1 });
  }
  return [...kinds.values()].map(({ count, kind }) => [plural(count, "node"), ...kind]);
}

export function cluster({ facts }: RunResult): string {
  const { provider, context, uid, version, nodes } = facts.cluster;
  return [
    list([
      `Kubernetes ${version}, ${provider}, context \`${context}\`, identity (uid of kube-system) ${uid}.`,
      ...(facts.sampling === undefined
        ? []
        : [
            `Sampled: ${samplingText(facts.sampling)}, so that the application bears the requests: ${facts.sources.join(", ")}.`,
          ]),
      `kube-system chaos ${facts.toolVersion}; run \`${facts.runId}\`, started ${facts.startedAt}; experiment \`${facts.experiment.file}\`.`,
      ...applicationLines(facts),
      ...(facts.guestbook?.differences ?? []).map((each) => `Differs from the public sample: ${cell(each)}.`),
    ]),
    "",
    table(
      ["Node", "Role", "kubelet", "Runtime", "System", "Kernel"],
      few(nodes) ? nodes.map((node) => [node.name, ...kindOf(node)]) : kindsOf(nodes),
    ),
  ].join("\n");
}

/** What the result depends on besides the component; empty: a run of an older version. */
export function environment({ facts: { environment: found } }: RunResult): string {
  if (found === undefined) return "";
  const shown = table(
    ["Environment", "Here"],
    PARTS.map(([key, words]) => [words.en, partOf(found, key) ?? "unknown"]),
  );
  const unread = found.notRead.map((each) => `Not read: ${cell(each)}.`);
  return [shown, ...(unread.length === 0 ? [] : [list(unread)])].join("\n\n");
}

export function substituteImages({ facts }: RunResult): string {
  if (facts.standIns.length === 0) return "None: every image is what its name says.";
  return table(
    ["Image", "What it is", "Is the target"],
    facts.standIns.map(({ image, description, victim }) => [image, description, victim ? "**yes**" : "no"]),
  );
}

export function thresholds({ facts }: RunResult): string {
  const { thresholds: limits, probes, phases } = facts.experiment;
  const everyMs = flappingEveryMs(facts);
  const down =
    everyMs === null
      ? [
          "down: share without a serving instance, from the first moment down, at least",
          threshold(limits.suppression),
        ]
      : [
          "flapping: times down in the window, at least",
          String(Math.ceil(leastTimesDown(phases.window, everyMs))),
        ];
  return table(
    ["Threshold", "Value"],
    [
      [
        "unhealthy: availability at the baseline, beyond noise, under",
        threshold(limits.baselineAvailability),
      ],
      ["outage: write availability in the window under", threshold(limits.outageBelow)],
      [
        "degraded: write or read availability in the window, beyond noise, under",
        threshold(limits.degradedBelow),
      ],
      ["degraded: p95, beyond noise, over this multiple of the baseline's", String(limits.slowFactor)],
      ["… and a p95 of at least", duration(limits.slowFrom)],
      ["noise: the baseline's share of failed samples, at least", threshold(NOISE_RATE)],
      [
        `beyond noise: ${FEWEST_FAILURES} or more failures, and so many by chance at most once in`,
        `${plural(Math.round(1 / FALSE_ALARMS_PER_RUN), "run")}`,
      ],
      [
        "function lost: present in this share of the window's samples or checks, under",
        threshold(FUNCTION_LOST_BELOW),
      ],
      down,
      ["K: good samples in a row that end an outage", String(probes.goodInARow)],
      ["a sample every", duration(probes.interval)],
      ["timeout of a sample", duration(probes.timeout)],
      ["baseline", duration(phases.baseline)],
      [everyMs === null ? "window, once the target was down" : "window", duration(phases.window)],
      ["recovery, at most", duration(phases.recovery)],
    ],
    ["Value"],
  );
}

const CONTROL_ARM = "**Control arm**";

const GLOSSARY: readonly string[] = [
  "**Kill**: what the attack does to one object: deletes it, scales it to 0, moves its manifest away, stops its unit.",
  "**Time to down**: first kill → first moment without a serving instance of the target.",
  "**Time to impact**: first kill → first failed sample of an outage or an intermittent failure. A failure that noise explains does not count.",
  "**Outage**: every sample fails (*unreachable*): from the first failed one to the first answer, when K good ones in a row follow. A tick that the prober could not run on time is *missed* and not counted.",
  "**Intermittent**: some samples fail and some do not: from the first failed one to the first answer of what had failed (a front end is good again after its own K good samples in a row). A stray failure, which noise explains, is counted in the availability only.",
  "**Seen by a client**: the worst of *unreachable*, *intermittent*, *slow* and *unaffected* in the window, over all workers. One front end, one worker or one node is named if it has all failures that noise does not explain, and all else had enough samples to show that it was fine.",
  "**Availability**: good samples of all samples that started in the phase; in the window: once the target was down. Rounded down.",
  "**Time to recover**: release → the end of the last outage or intermittent failure.",
  "**Suppression**: share of the time from the first moment down to the release in which the target had no serving instance: no endpoint ready or serving while terminating, no ready pod, no container that may serve; for a target on nodes: none of the attacked nodes ran it when last asked.",
  "**Own function**: what the component is for, checked repeatedly with a deadline. A check counts for the window if it began after the target was down and before the release.",
  "**Severity**: *outage*, *degraded*, *function lost* (the application is fine, the component's own function is lost), *none*, *inconclusive*; from measurements only.",
  "**Study**: *confirmed* (seen there and here), *newly verified* (assumed there, measured here), *differs*, *inconclusive*.",
  `${CONTROL_ARM}: app-write-env and app-read-env, a front end that finds its database without DNS.`,
  "**p95**: 95 of 100 good samples were no slower. Failed samples are not included.",
];

/** What the words mean; an existing application has no control arm. */
export function glossary({ facts }: RunResult): readonly string[] {
  return GLOSSARY.filter((line) => facts.application?.kind !== "existing" || !line.startsWith(CONTROL_ARM));
}

/** What was measured instead of the guestbook. */
function applicationLines({ application }: RunResult["facts"]): string[] {
  if (application?.kind !== "existing") return [];
  const { name, write, read } = application;
  const requests = [
    ...(write === undefined ? [] : [`writes are ${cell(write)}`]),
    ...(read === undefined ? [] : [`reads are ${cell(read)}`]),
  ];
  return [
    `Application: ${cell(name)}, which existed before the run${requests.map((each) => `; ${each}`).join("")}.`,
  ];
}

/** The warnings; empty: none. */
export function warnings(result: RunResult): string {
  return result.warnings.length === 0 ? "" : list(result.warnings.map((text) => cell(text)));
}

/**
 * Values that are valid alone but cannot work together. The valid part of a section with problems is checked, too, so that
 * one run reports all problems. A rule that needs a bad value is skipped.
 */
import { isRecord } from "../common/is-record.js";
import { components } from "../components/all-components.js";
import { KINDS_OF } from "../components/component.js";
import { FUNCTION_CHECKS } from "../components/functions.js";
import { fittingAttacks, isControl } from "../experiment/attacks.js";
import {
  experimentSchema,
  MAX_ABORT_CONDITIONS,
  formatDurationMs as text,
  type Experiment,
} from "../experiment/schema.js";
import type { Finding } from "../strict-yaml/explain.js";

/** Sections that the rules use. */
const SECTIONS = [
  "probes",
  "phases",
  "thresholds",
  "application",
  "attack",
  "churn",
  "target",
  "expectation",
  "abortWhen",
] as const satisfies readonly (keyof Experiment)[];

/** Maximum number of samples of one layer in progress: beyond it the prober would measure its own load. */
const MAX_IN_FLIGHT = 40;

type Sections = Partial<Pick<Experiment, (typeof SECTIONS)[number]>>;

/** Numbers are list indexes. */
type Path = readonly (string | number)[];

interface Rule {
  /** All values that the rule uses. The finding is at the first one that the file contains. */
  readonly about: readonly Path[];
  /** The problem, starting with the key that must change, or undefined. */
  readonly check: (experiment: Required<Sections>) => string | undefined;
}

const INTERVAL = ["probes", "interval"];
const TIMEOUT = ["probes", "timeout"];
const SEARCH = ["probes", "searchInterval"];
const GOOD = ["probes", "goodInARow"];
const WINDOW = ["phases", "window"];
const GRACE = ["attack", "gracePeriod"];
const DELAY = ["attack", "delay"];
const EVERY = ["attack", "every"];
const ATTACK_TYPE = ["attack", "type"];
const CHURN = ["churn", "after"];
const COMPONENT = ["target", "component"];
const EXISTING = ["application", "existing"];
/** The namespaces of src/own/own-names.ts begin so. */
const OWN = "kube-system-chaos";
const NAMESPACE = ["application", "guestbook", "namespace"];

const phaseRules = (["baseline", "window"] as const).flatMap((phase): Rule[] => {
  const path = ["phases", phase];
  return [
    {
      about: [TIMEOUT, path],
      check: ({ probes, phases }) =>
        probes.timeout > phases[phase]
          ? `probes.timeout (${text(probes.timeout)}) must not be longer than phases.${phase} (${text(phases[phase])})`
          : undefined,
    },
    {
      about: [SEARCH, path],
      check: ({ probes, phases }) =>
        probes.searchInterval > phases[phase]
          ? `probes.searchInterval (${text(probes.searchInterval)}) must not be longer than phases.${phase} (${text(phases[phase])}), or the phase may have no look-up`
          : undefined,
    },
  ];
});

const enoughSamples = (["baseline", "window", "recovery"] as const).map((phase): Rule => ({
  about: [INTERVAL, GOOD, ["phases", phase]],
  check: ({ probes, phases }) => {
    const needed = probes.interval * probes.goodInARow;
    if (needed <= phases[phase]) return undefined;
    return `phases.${phase} (${text(phases[phase])}) is too short for probes.goodInARow samples (${probes.goodInARow}), one every ${text(probes.interval)}`;
  },
}));

/** Why the attack does not fit the component, whichever way it is found. */
function attackProblem(target: Experiment["target"], attack: Experiment["attack"]): string | undefined {
  if (attack === undefined || isControl(attack)) return undefined;
  const kinds =
    "component" in target
      ? components[target.component].find.flatMap(({ how }) => KINDS_OF[how])
      : [target.kind];
  const allowed = new Set(kinds.flatMap(fittingAttacks).sort());
  if (allowed.has(attack.type)) return undefined;
  const what = "component" in target ? target.component : `a ${target.kind}`;
  return `attack.type ${attack.type} does not fit ${what}; fitting attacks: ${[...allowed].join(", ")}`;
}

/** Why the window is too long for the component, or too short for one function check. */
function windowProblem(
  target: Experiment["target"],
  attack: Experiment["attack"],
  windowMs: number,
): string | undefined {
  if (!("component" in target)) return undefined;
  const { name, longestWindowMs, functionProbe } = components[target.component];
  if (!isControl(attack) && longestWindowMs !== undefined && windowMs > longestWindowMs) {
    return `phases.window (${text(windowMs)}) must be at most ${text(longestWindowMs)} for ${name}: after a longer window the control plane recovers minutes late`;
  }
  const probe = functionProbe === undefined ? undefined : FUNCTION_CHECKS[functionProbe];
  if (probe === undefined || probe.disturbs || isControl(attack)) return undefined;
  const neededMs = probe.deadlineMs + GOING_DOWN_MS;
  if (windowMs >= neededMs) return undefined;
  return `phases.window (${text(windowMs)}) must be at least ${text(neededMs)}, or no function check of ${name} ends in it`;
}

/** How long after the target is down the first function check begins, ms, on top of the deadline of one check. */
const GOING_DOWN_MS = 3_000;

/** Rules of one abort condition, by its index. */
function abortRules(index: number): Rule[] {
  const condition = ["abortWhen", index];
  return [
    {
      about: [[...condition, "failsFor"], WINDOW],
      check: ({ abortWhen, phases }) => {
        const failsFor = abortWhen?.[index]?.failsFor;
        return failsFor !== undefined && failsFor >= phases.window
          ? `abortWhen.${index}.failsFor (${text(failsFor)}) must be shorter than phases.window (${text(phases.window)}), or the condition is never met`
          : undefined;
      },
    },
    {
      about: [[...condition, "http"], COMPONENT, ATTACK_TYPE],
      check: ({ abortWhen, target, attack }) =>
        abortWhen?.[index]?.http !== undefined &&
        !isControl(attack) &&
        "component" in target &&
        components[target.component].carriesApi === true
          ? `abortWhen.${index}.http does not work while ${target.component} is down: its request goes through the API server. Use probe`
          : undefined,
    },
    {
      about: [
        [...condition, "probe"],
        ["probes", "outside"],
      ],
      check: ({ abortWhen, probes }) =>
        abortWhen?.[index]?.probe === "outside" && !probes.outside
          ? `abortWhen.${index}.probe outside is not measured: probes.outside is false`
          : undefined,
    },
    {
      about: [[...condition, "probe"], EXISTING],
      check: ({ abortWhen, application: { existing } }) => {
        const probe = abortWhen?.[index]?.probe;
        if (existing === undefined || probe === undefined || probe === "app-write") return undefined;
        const hint = "name an application's Service with http, or use app-write";
        if (probe === "app-read" && existing.read !== undefined) return undefined;
        return `abortWhen.${index}.probe ${probe} is not measured for this application: ${hint}`;
      },
    },
  ];
}

const RULES: readonly Rule[] = [
  ...phaseRules,
  ...enoughSamples,
  ...Array.from({ length: MAX_ABORT_CONDITIONS }, (_, index) => abortRules(index)).flat(),
  {
    about: [TIMEOUT, INTERVAL],
    check: ({ probes }) =>
      probes.timeout > MAX_IN_FLIGHT * probes.interval
        ? `probes.timeout (${text(probes.timeout)}) must be at most ${MAX_IN_FLIGHT} times probes.interval (${text(probes.interval)}), or too many samples are in progress at once`
        : undefined,
  },
  {
    about: [GRACE, WINDOW],
    check: ({ attack, phases }) =>
      attack !== undefined && "gracePeriod" in attack && attack.gracePeriod >= phases.window
        ? `attack.gracePeriod (${text(attack.gracePeriod)}) must be shorter than phases.window (${text(phases.window)}), or the target is still terminating when the window ends`
        : undefined,
  },
  {
    about: [DELAY, WINDOW],
    check: ({ attack, phases }) =>
      attack !== undefined && "delay" in attack && attack.delay >= phases.window
        ? `attack.delay (${text(attack.delay)}) must be shorter than phases.window (${text(phases.window)}), or no new pod is ever deleted`
        : undefined,
  },
  {
    about: [EVERY, WINDOW],
    check: ({ attack, phases }) =>
      attack !== undefined &&
      "every" in attack &&
      attack.every !== undefined &&
      attack.every > phases.window / 2
        ? `attack.every (${text(attack.every)}) must be at most half of phases.window (${text(phases.window)}), or the target does not flap`
        : undefined,
  },
  {
    about: [CHURN, WINDOW],
    check: ({ churn, phases }) =>
      churn !== undefined && churn.after >= phases.window
        ? `churn.after (${text(churn.after)}) must be shorter than phases.window (${text(phases.window)}), or nothing is replaced in the window`
        : undefined,
  },
  {
    about: [["churn"], EXISTING],
    check: ({ churn, application }) =>
      churn !== undefined && application.existing !== undefined
        ? "churn is only possible with the guestbook: a run changes nothing in an existing application"
        : undefined,
  },
  {
    about: [COMPONENT, ATTACK_TYPE],
    check: ({ target, attack }) => attackProblem(target, attack),
  },
  {
    about: [WINDOW, COMPONENT],
    check: ({ target, attack, phases }) => windowProblem(target, attack, phases.window),
  },
  {
    about: [
      ["thresholds", "outageBelow"],
      ["thresholds", "degradedBelow"],
    ],
    check: ({ thresholds: { outageBelow, degradedBelow } }) =>
      outageBelow > degradedBelow
        ? `thresholds.outageBelow (${outageBelow}) must not be above thresholds.degradedBelow (${degradedBelow})`
        : undefined,
  },
  {
    about: [
      ["thresholds", "outageBelow"],
      ["thresholds", "baselineAvailability"],
    ],
    check: ({ thresholds: { outageBelow, baselineAvailability } }) =>
      outageBelow > baselineAvailability
        ? `thresholds.outageBelow (${outageBelow}) must not be above thresholds.baselineAvailability (${baselineAvailability}), or a healthy baseline is an outage`
        : undefined,
  },
  {
    about: [
      ["expectation", "impact"],
      ["attack", "type"],
    ],
    check: ({ attack, expectation }) =>
      isControl(attack) && expectation !== undefined && expectation.impact !== "none"
        ? `the attack none changes nothing: its impact cannot be ${expectation.impact}`
        : undefined,
  },
  {
    about: [NAMESPACE],
    check: ({ application }) => {
      const { namespace } = application.guestbook ?? { namespace: "" };
      return namespace === "default" || namespace.startsWith("kube-")
        ? `must not be a system namespace (default, kube-…): the run removes it`
        : undefined;
    },
  },
  {
    about: [[...EXISTING, "namespace"]],
    check: ({ application: { existing } }) =>
      existing?.namespace.startsWith(OWN) === true
        ? `must not be a namespace of this tool (${OWN}…): the end of a run removes or empties it`
        : undefined,
  },
  {
    about: [NAMESPACE, ["target", "namespace"]],
    check: ({ application, target }) => {
      const { namespace } = application.guestbook ?? { namespace: "" };
      return "namespace" in target && target.namespace === namespace && !namespace.startsWith("kube-")
        ? `application.guestbook.namespace must not be the target's namespace (${namespace}): the run removes it`
        : undefined;
    },
  },
];

/**
 * Findings of the rules across keys.
 *
 * @param input the value in the file.
 * @param bad paths that have a finding already.
 * @param isWritten whether the file contains a path (otherwise its value is a default).
 */
export function crossCheck(
  input: unknown,
  bad: readonly (readonly PropertyKey[])[],
  isWritten: (path: Path) => boolean,
): Finding[] {
  const sections = readSections(input, bad);
  return RULES.flatMap((rule): Finding[] => {
    const names = new Set(rule.about.map(([section]) => section as keyof Sections));
    const readable = [...names].every((name) => name in sections);
    if (!readable || rule.about.some((path) => bad.some((other) => startsWith(path, other)))) return [];
    const message = rule.check(sections as Required<Sections>);
    if (message === undefined) return [];
    // The defaults fit each other, so a broken rule has a key in the file.
    const path = rule.about.find(isWritten) ?? rule.about[0] ?? [];
    return [{ path, part: "key", message: withoutSubject(message, path) }];
  });
}

/** Removes the key and its value from the start of a message that is shown at that key. */
function withoutSubject(message: string, path: Path): string {
  const subject = `${path.join(".")} `;
  return message.startsWith(subject) ? message.slice(subject.length).replace(/^\([^)]*\) /, "") : message;
}

/** The parsed sections, without the bad keys. */
function readSections(input: unknown, bad: readonly (readonly PropertyKey[])[]): Sections {
  const sections: Record<string, unknown> = {};
  const source = isRecord(input) ? input : {};
  for (const name of SECTIONS) {
    const paths = bad.filter(([first]) => first === name).map((path) => path.slice(1));
    const parsed = experimentSchema.shape[name].safeParse(without(source[name], paths));
    if (parsed.success) sections[name] = parsed.data;
  }
  return sections;
}

/** A copy without the values at some paths. */
function without(value: unknown, paths: readonly (readonly PropertyKey[])[]): unknown {
  if (paths.some((path) => path.length === 0)) return undefined;
  if (paths.length === 0 || !isRecord(value)) return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => [
    key,
    without(
      inner,
      paths.filter(([first]) => String(first) === key).map((path) => path.slice(1)),
    ),
  ]);
  return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined));
}

function startsWith(path: readonly PropertyKey[], prefix: readonly PropertyKey[]): boolean {
  return prefix.every((segment, index) => path[index] === segment);
}

/**
 * The matrix of all reports in Prometheus' text format, for node_exporter's textfile collector: it reads `*.prom`, wants
 * the file replaced atomically, and no timestamps (prometheus/node_exporter, README.md). Names follow the rules that
 * `promtool check metrics` applies (prometheus/client_golang, prometheus/testutil/promlint/validations).
 */
import { SEVERITIES } from "../experiment/names.js";
import { type Matrix, shownRuns } from "../report/matrix.js";
import type { MatrixRow } from "../report/row.js";
import { VERDICT_WORDS } from "../report/words.js";
import type { FileReporter } from "./reporter.js";

type Labels = Readonly<Record<string, string>>;

interface Metric {
  /** After "kube_system_chaos_". */
  readonly name: string;
  readonly help: string;
  /** null: not measured, so there is no series. */
  readonly value: (row: MatrixRow) => number | null;
}

const seconds = (ms: number | null): number | null => (ms === null ? null : ms / 1000);

const METRICS: readonly Metric[] = [
  {
    name: "run_start_timestamp_seconds",
    help: "Start of the newest run of the experiment, Unix time.",
    value: ({ startedAt }) => Date.parse(startedAt) / 1000,
  },
  {
    name: "app_write_availability_ratio",
    help: "Share of the application's writes that succeeded while the component was down, at the worst worker.",
    value: ({ writeAvailability }) => writeAvailability,
  },
  {
    name: "time_to_impact_seconds",
    help: "First kill to the first failed write that noise does not explain.",
    value: ({ timeToImpactMs }) => seconds(timeToImpactMs),
  },
  {
    name: "longest_outage_seconds",
    help: "Longest time in which every write of a worker failed.",
    value: ({ longestOutageMs }) => seconds(longestOutageMs),
  },
  {
    name: "intermittent_seconds",
    help: "Longest time in which some writes of a worker failed and some did not.",
    value: ({ intermittentMs }) => seconds(intermittentMs),
  },
  {
    name: "recovery_seconds",
    help: "Release to every probe healthy.",
    value: ({ recoveryMs }) => seconds(recoveryMs),
  },
  {
    name: "function_recovery_seconds",
    help: "Release to the component's own function present again.",
    value: ({ functionBackMs }) => seconds(functionBackMs),
  },
  {
    name: "time_to_down_seconds",
    help: "First kill to the first moment at which nothing of the component served.",
    value: ({ timeToDownMs }) => seconds(timeToDownMs),
  },
  {
    name: "suppression_ratio",
    help: "Share of the time from then to the release in which nothing of the component served.",
    value: ({ suppression }) => suppression,
  },
];

/** One of several states is 1, the others are 0: an alert can compare each. */
interface StateSet {
  readonly name: string;
  readonly help: string;
  readonly states: readonly string[];
  readonly value: (row: MatrixRow) => string;
}

const STATES: readonly StateSet[] = [
  {
    name: "severity",
    help: "1 for the measured severity of the impact on the application, 0 for the others.",
    states: SEVERITIES,
    value: ({ severity }) => severity,
  },
  {
    name: "verdict",
    help: "1 for the verdict of the run, 0 for the others.",
    states: Object.keys(VERDICT_WORDS),
    value: ({ verdict }) => verdict,
  },
];

/** Text of HELP: only these two are escaped. */
const help = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
const label = (text: string): string => help(text).replaceAll('"', '\\"');

function sample(name: string, labels: Labels, value: number): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${label(text)}"`);
  return `${name}{${pairs.join(",")}} ${value}`;
}

function family(name: string, text: string, samples: readonly string[]): string[] {
  return samples.length === 0 ? [] : [`# HELP ${name} ${help(text)}`, `# TYPE ${name} gauge`, ...samples];
}

const full = (name: string): string => `kube_system_chaos_${name}`;

/** Pure: the same matrix gives the same text. */
export function prometheusText(matrix: Matrix): string {
  const rows = shownRuns(matrix).map(({ group, run }) => ({
    run,
    labels: { component: group.component ?? group.name, experiment: run.row.experiment },
  }));
  const info = rows.map(({ run: { row, toolVersion }, labels }) => {
    const { name, runId, cluster } = row;
    const more = { name, run: runId, kubernetes: cluster.version, tool_version: toolVersion };
    return sample(full("run_info"), { ...labels, ...more, function_state: row.functionState }, 1);
  });
  const lines = [
    ...family(full("run_info"), "The newest run of the experiment; always 1.", info),
    ...STATES.flatMap(({ name, help: text, states, value }) => {
      const samples = rows.flatMap(({ run, labels }) =>
        states.map((state) =>
          sample(full(name), { ...labels, [name]: state }, Number(value(run.row) === state)),
        ),
      );
      return family(full(name), text, samples);
    }),
    ...METRICS.flatMap(({ name, help: text, value }) => {
      const samples = rows.flatMap(({ run, labels }) => {
        const measured = value(run.row);
        return measured === null ? [] : [sample(full(name), labels, measured)];
      });
      return family(full(name), text, samples);
    }),
  ];
  return lines.map((line) => `${line}\n`).join("");
}

export const prometheus: FileReporter = {
  file: "kube-system-chaos.prom",
  text: async ({ reports }) => prometheusText((await reports()).matrix),
};

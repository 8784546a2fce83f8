/**
 * The floors: what each room (a folder of `src/`, or `cli.ts`) may import. `npm run lint:floors` checks it, including
 * imports of types. ARCHITECTURE.md explains the rooms. Add a new room here.
 */

/**
 * Top to bottom. A room imports from itself and from lower floors: never from a higher floor, and never from another
 * room of its own floor. So a change can break only what is above it, and each room of a floor can be read, tested and
 * replaced without the others.
 *
 * @type {readonly (readonly string[])[]}
 */
export const FLOORS = [
  // The only room that reads argv, prints and exits: nothing else may depend on that.
  ["cli"],
  // What a program imports from the package; the command line uses it, too.
  ["api"],
  // One file per command; each combines rooms for one purpose.
  ["commands"],
  // doctor: what is wrong with a cluster. heal: replaces pods. Both measure with a run's probers.
  ["doctor", "heal"],
  // A run uses everything below. Nothing below may need a run: a restore works when none exists.
  ["run"],
  // Installing add-ons is a change like any other, under the same lock and with the same undo: above safety.
  ["addons"],
  // attacks: what a run does. safety: what undoes it, also from a pod or after a crash; so it must not import the
  // attacks, it reads what they recorded. rbac: rights follow from the experiment and from what was found.
  // reporters: results in the forms that CI systems read; they use the formats of report.
  ["rbac", "attacks", "safety", "reporters"],
  // report: formats of a finished result. targets: finds and watches the target.
  ["report", "targets"],
  // analysis: samples and events → result, pure, so that a verdict can be computed again from the files of a run.
  // ui: shows events while they happen. nodes, probes, application: each uses the cluster in its own way. lab: creates
  // a cluster.
  ["analysis", "ui", "nodes", "probes", "application", "lab"],
  // evidence: the files of a run. They are the contract between run, which writes them, and analysis, which reads them,
  // so they are below both. load: from YAML to an experiment, without a cluster. own: objects with this tool's label.
  // clusters: where a cluster comes from, and whether it is local.
  ["evidence", "load", "own", "clusters"],
  // components: facts and words, no API calls. config: the local configuration. kube: the API client, which knows
  // Kubernetes and no experiments.
  ["components", "config", "kube"],
  // What every room uses: the names of an experiment, strict YAML, clocks and errors.
  ["experiment", "strict-yaml", "common"],
];

/**
 * The npm packages that each room may import. So a package can be replaced in one place, and programs that must start
 * fast or run in a pod stay small.
 *
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const PACKAGES = {
  // The command line is defined in one place; its start loads nothing else.
  // yaml: the comments in the files of `chaos init`.
  commands: ["commander", "yaml"],
  cli: ["commander"],
  // Only here: other rooms use the narrow client of src/kube/api.ts, which tests can serve from memory.
  // yaml: kubeconfigs, which kubectl does not read strictly. socks: proxies.
  kube: ["@kubernetes/client-node", "yaml", "socks"],
  // The probe from outside uses an ordinary HTTP client, as a user would.
  probes: ["axios"],
  // They start programs on the runner's machine: docker, kind.
  nodes: ["execa"],
  clusters: ["execa"],
  lab: ["execa", "zod"],
  // YAML is read strictly, and only here.
  "strict-yaml": ["yaml", "zod"],
  // They write YAML.
  addons: ["yaml"],
  rbac: ["yaml"],
  // Schemas of data from outside the program.
  experiment: ["zod"],
  config: ["zod"],
  doctor: ["zod"],
  // preact: the pages, whose templates escape by default.
  report: ["zod", "preact", "preact-render-to-string"],
  // The width of a text on a terminal.
  ui: ["string-width"],
};

/**
 * What some files must not import, not even through other files. The floors alone would allow it.
 *
 * @type {readonly { readonly name: string; readonly from: string; readonly packages: readonly string[]; readonly rooms: readonly string[]; readonly why: string }[]}
 */
export const UNREACHABLE = [
  {
    name: "no-cluster-behind-results",
    from: "^src/(analysis|report)/",
    packages: ["@kubernetes/client-node", "execa", "axios"],
    rooms: ["kube", "nodes", "probes", "clusters", "lab"],
    why: "A verdict can be computed again from the files of a run alone, without a cluster.",
  },
  {
    name: "no-runner-in-pods",
    from: "^src/(safety/dead-man|probes/agent|nodes/agent|addons/sink)/",
    packages: ["execa", "axios", "commander"],
    rooms: ["cli", "commands", "run", "lab"],
    why: "These programs run in pods that have only Node, and must fit into a ConfigMap.",
  },
];

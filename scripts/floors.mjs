/**
 * The floors of the house: which room (a folder of `src/`, or `cli.ts`) may import what. `npm run lint:floors` checks
 * it, with the imports of types, and ARCHITECTURE.md explains the rooms. A new room gets its line here.
 */

/**
 * Top to bottom. A room imports from itself and from lower floors: never upwards, and never from a neighbour on its own
 * floor. So a change can only break what is above it, and rooms of one floor can be read, tested and replaced alone.
 *
 * @type {readonly (readonly string[])[]}
 */
export const FLOORS = [
  // The only one who reads argv, prints and exits: nothing else may depend on that.
  ["cli"],
  // One file per command, each joining whole rooms for one purpose.
  ["commands"],
  // A run uses everything below. Nothing below may need a run: a restore works when none exists.
  ["run"],
  // Installing add-ons is a change like any other, under the same lock and with the same undo: above safety.
  ["addons"],
  // attacks: what a run does. safety: what undoes it, also from a pod or after a crash: so it must not know the
  // attacks, it reads what they recorded. rbac: rights are a function of the experiment and of what was found.
  ["rbac", "attacks", "safety"],
  // report: formats of a finished result. targets: finds and watches what is attacked.
  ["report", "targets"],
  // analysis: samples and events → result, pure, so that a verdict can be computed again from the files of a run.
  // ui: shows events while they happen. nodes, probes, application, lab: each reaches into the cluster, or makes one,
  // in its own way.
  ["analysis", "ui", "nodes", "probes", "application", "lab"],
  // evidence: the files of a run. They are the contract between who writes them (run) and who reads them (analysis),
  // so they lie under both. load: from YAML to an experiment, without a cluster. own: objects that carry our label.
  // clusters: where a cluster comes from, and whether it is local.
  ["evidence", "load", "own", "clusters"],
  // components: facts and words, no calls. config: the user's own file. kube: the API client, which knows Kubernetes
  // and nothing of chaos.
  ["components", "config", "kube"],
  // What everything else is made of: the words of an experiment, strict YAML, clocks and errors.
  ["experiment", "strict-yaml", "common"],
];

/**
 * The npm packages of each room. All others are forbidden: a package that is used in one place can be replaced in one
 * place, and what starts quickly or runs in a pod stays small.
 *
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const PACKAGES = {
  // The command line is defined in one place; its start loads nothing else.
  commands: ["commander"],
  cli: ["commander"],
  // Only here: the rest sees the narrow client of src/kube/api.ts, which a test can serve from memory.
  kube: ["@kubernetes/client-node"],
  // The probe from outside is a client like the user's, not one of its own.
  probes: ["axios"],
  // Programs of the runner's machine: docker, kind.
  nodes: ["execa"],
  clusters: ["execa"],
  lab: ["execa", "zod"],
  // All reading of YAML is strict, and in one place.
  "strict-yaml": ["yaml", "zod"],
  // These write YAML.
  addons: ["yaml"],
  rbac: ["yaml"],
  // Shapes of what comes from outside the program.
  experiment: ["zod"],
  config: ["zod"],
  report: ["zod"],
  // How wide a text is on a terminal.
  ui: ["string-width"],
};

/**
 * What must not be reached from some files, however long the way: the floors alone allow it.
 *
 * @type {readonly { readonly name: string; readonly from: string; readonly packages: readonly string[]; readonly rooms: readonly string[]; readonly why: string }[]}
 */
export const UNREACHABLE = [
  {
    name: "no-cluster-behind-results",
    from: "^src/(analysis|report)/",
    packages: ["@kubernetes/client-node", "execa", "axios"],
    rooms: ["kube", "nodes", "probes", "clusters", "lab"],
    why: "A verdict is computed again from the files of a run alone, on a machine without any cluster.",
  },
  {
    name: "no-runner-in-pods",
    from: "^src/(safety/dead-man|probes/agent|nodes/agent|addons/sink)/",
    packages: ["execa", "axios", "commander"],
    rooms: ["cli", "commands", "run", "lab"],
    why: "These programs run in pods with nothing but Node, and must fit a ConfigMap.",
  },
];

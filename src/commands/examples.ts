/** Examples in the help of each command: a command line, and what it does. */
export const EXAMPLES: Readonly<Record<string, readonly (readonly [line: string, words: string])[]>> = {
  run: [
    ["chaos run kube-dns", "the study's experiment, on the current context if it is local"],
    ["chaos run experiments/kube-dns.yaml --dry-run", "what it would do; changes nothing"],
    ["chaos run experiments --cluster kind", "every row of the matrix, on a kind cluster that it creates"],
    ["chaos run kube-dns --context staging", "a cluster that is not local, after a question"],
  ],
  validate: [["chaos validate experiments", "every file of a folder"]],
  init: [
    ["chaos init", "an experiment file for each component that runs in the cluster"],
    ["chaos init --app shop/web", "the block for an application of your own, proved with ten samples"],
  ],
  doctor: [
    ["chaos doctor", "kube-system and what is wrong with it; changes nothing"],
    ["chaos doctor --probe", "also looks names up and reaches Services from every node"],
  ],
  heal: [["chaos heal kube-dns", "replaces its pods one at a time"]],
  restore: [
    ["chaos restore", "lists unfinished runs"],
    ["chaos restore --all --dry-run", "shows what would change"],
    ["chaos restore --all", "restores every unfinished run"],
  ],
  report: [["chaos report reports/20261129t120739z-kube-proxy-2871", "computes the report again"]],
  matrix: [
    ["chaos matrix", "the table of all runs below reports/"],
    ["chaos matrix --lang ja", "prints it in Japanese"],
  ],
  rbac: [["chaos rbac kube-dns kube-proxy --several | kubectl apply -f -", "grants what these runs need"]],
  manifest: [
    [
      "chaos manifest kube-dns --image registry.example/chaos:0.1.0 | kubectl apply -f -",
      "runs it once, as a Job",
    ],
  ],
  schema: [["chaos schema > experiment.schema.json", "for an editor that completes keys"]],
  completion: [["source <(chaos completion bash)", "completes commands, flags and names"]],
  "cluster up": [["chaos cluster up --addons", "a cluster with the study's add-ons"]],
  "cluster down": [["chaos cluster down", "removes what `up` created"]],
  "cluster status": [["chaos cluster status", "what runs, and which images are substitutes"]],
};

/** The help's section of a command; empty: it has no examples. */
export function exampleSection(command: string): string {
  const examples = EXAMPLES[command] ?? [];
  if (examples.length === 0) return "";
  return `\nExamples:\n${examples.map(([line, words]) => `  # ${words}\n  ${line}`).join("\n")}\n`;
}

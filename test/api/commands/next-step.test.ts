/** Every error of the command line says what to do: a table of wrong command lines, and the step that each names. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { chaos, emptyMachine } from "../../helpers/cli.js";

const KUBECONFIG = `apiVersion: v1
kind: Config
current-context: gone
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
contexts: [{name: a, context: {cluster: c}}, {name: b, context: {cluster: missing}}]
`;

const TABLE: readonly (readonly [args: string, code: number, step: RegExp])[] = [
  ["run", 3, /--help lists commands/],
  ["rum kube-dns", 3, /Did you mean run\?/],
  ["run kube-dnz", 3, /did you mean "?kube-dns/i],
  ["validate empty", 3, /Name another one, or write some with `chaos init empty`/],
  ["run kube-dns --only etcd", 3, /Given experiments: kube-dns/],
  ["run kube-dns --skip kube-dns", 3, /name others, or omit one of them/],
  ["run kube-dns --node-access command", 3, /Add it there, or name another way/],
  ["run kube-dns --config nowhere.yaml", 3, /Name another file with --config/],
  ["run kube-dns --image x", 3, /add --cluster kind/],
  ["run kube-dns --cluster kind --context x", 3, /omit --context and --kubeconfig/],
  [
    "run kube-dns --cluster current",
    3,
    /Choose one with `kubectl config use-context`, or name one with --context/,
  ],
  ["init --kubeconfig nowhere", 3, /there is no such file\. Name another one with --kubeconfig/],
  [
    "init",
    4,
    /name one with --context or --kubeconfig, or create one with `chaos cluster up --cluster kind`/,
  ],
  ["init --kubeconfig config", 3, /It has: "a", "b". Name one of them with --context/],
  ["init --kubeconfig config --context b", 3, /Correct it, or choose another context with --context/],
  ["init --kubeconfig config --context a", 4, /Start that cluster, choose another cluster with --context/],
  ["report nowhere", 3, /Name a folder that `chaos run` has written/],
  ["matrix nowhere", 3, /Name a folder of reports/],
  ["restore --all run-1", 3, /name a run, or --all/],
  ["restore run-1", 3, /./],
  ["rbac kube-dns --service-account x", 3, /must be NAMESPACE\/NAME, for example /],
  ["completion tcsh", 3, /Allowed choices are bash, zsh, fish/],
];

for (const [args, code, step] of TABLE)
  test(`chaos ${args}: says ${String(step)}`, async (t) => {
    const machine = await emptyMachine(t);
    await mkdir(join(machine.cwd, "empty"));
    await writeFile(join(machine.cwd, "config"), KUBECONFIG);
    const ended = await chaos(args.split(" "), machine);
    t.is(ended.code, code, ended.stderr);
    t.regex(ended.stderr.replace(/\s+/g, " "), step);
    t.notRegex(ended.stderr, /^\s+at /m);
  });

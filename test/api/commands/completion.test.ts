/** Shell completion, in the real shells where they are installed: what TAB offers, and that it never prints an error. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import test from "ava";
import { complete } from "../../../src/commands/complete-command.js";
import { completionScript } from "../../../src/commands/completion-scripts.js";
import { createProgram, type Handlers } from "../../../src/commands/program.js";
import { Journal, journalRoot } from "../../../src/safety/journal/journal.js";
import { CLI } from "../../helpers/cli.js";

const root = mkdtempSync(join(tmpdir(), "chaos-complete-"));
const env = {
  HOME: root,
  PATH: `${join(root, "bin")}${delimiter}${process.env["PATH"] ?? ""}`,
  TERM: "dumb",
};
mkdirSync(join(root, "bin"));
mkdirSync(join(root, "experiments"));
mkdirSync(join(root, "reports/20261130t001058z-kube-dns-cada"), { recursive: true });
mkdirSync(join(root, ".kube"));
writeFileSync(join(root, "experiments/kube-own.yaml"), "");
writeFileSync(join(root, "game day.yaml"), "");
writeFileSync(
  join(root, ".kube/config"),
  "apiVersion: v1\ncontexts:\n- context:\n    cluster: c\n    user: u\n  name: kind-lab\n- name: prod\n  context:\n    cluster: d\ncurrent-context: prod\nusers:\n- name: not-a-context\n",
);
writeFileSync(join(root, "bin/chaos"), `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`);
chmodSync(join(root, "bin/chaos"), 0o755);
test.after.always(() => rmSync(root, { recursive: true, force: true }));

const handlers = new Proxy({}, { get: () => async () => await Promise.resolve() }) as Handlers;

async function offered(...words: readonly string[]): Promise<string[]> {
  const lines = await complete(createProgram(handlers), words, { cwd: root, env });
  return lines.map((line) => line.split("\t")[0] ?? "");
}

const TABLE: readonly (readonly [words: readonly string[], offered: readonly string[]])[] = [
  [["valid"], ["validate"]],
  [["watch"], []],
  [["cluster", "d"], ["down"]],
  [["run", "--node-a"], ["--node-access"]],
  [["run", "--node-access", "p"], ["pod"]],
  [["run", "--node-access=p"], ["--node-access=pod"]],
  [["run", "--node-access", "=", "p"], ["pod"]],
  [
    ["run", "--node-access", "="],
    ["engine", "pod", "command"],
  ],
  [
    ["run", "kube-o"],
    ["kube-own", ":files"],
  ],
  [
    ["run", "kube-dns", "--yes", "kube-o"],
    ["kube-own", ":files"],
  ],
  [["run", "--only", "etcd,kube-o"], ["etcd,kube-own"]],
  [
    ["run", "--context", ""],
    ["kind-lab", "prod"],
  ],
  [["run", "--", "--node"], [":files"]],
  [
    ["completion", ""],
    ["bash", "zsh", "fish"],
  ],
  [["completion", "bash", ""], []],
  [
    ["report", ""],
    ["reports/20261130t001058z-kube-dns-cada", ":folders"],
  ],
  [
    ["matrix", "reports", "rep"],
    ["reports/20261130t001058z-kube-dns-cada", ":folders"],
  ],
  [["--json", "ru"], ["run"]],
  [["no-such-command", ""], []],
];

for (const [words, expected] of TABLE)
  test(`chaos ${words.map((word) => JSON.stringify(word)).join(" ")}`, async (t) => {
    t.deepEqual(await offered(...words), expected);
  });

test("every command and flag that is not hidden is offered, with its description", async (t) => {
  const program = createProgram(handlers);
  const lines = await complete(program, [""], { cwd: root, env });
  for (const command of ["run", "validate", "restore", "report", "init", "completion"])
    t.true(
      lines.some((line) => line.startsWith(`${command}\t`)),
      command,
    );
  t.false(
    lines.some(
      (line) => /^(watchdog|complete)\b/.test(line.split("\t")[0] ?? "") && !line.startsWith("completion"),
    ),
  );
  t.true((await offered("run", "--")).length > 15);
});

test("the ids of unfinished runs, for restore and --forget; without a folder of journals none", async (t) => {
  const state = mkdtempSync(join(tmpdir(), "chaos-journals-"));
  t.teardown(() => rmSync(state, { recursive: true, force: true }));
  const where = { cwd: root, env: { ...env, XDG_STATE_HOME: state } };
  t.deepEqual(await complete(createProgram(handlers), ["restore", ""], where), []);
  const opening = {
    type: "open",
    runId: "20261130t001058z-kube-dns-cada",
    experiment: "kube-dns",
    clusterUid: "uid",
    server: "https://x",
    context: "c",
    toolVersion: "0.1.0",
    startedAt: new Date(0).toISOString(),
    pid: process.pid,
    host: "here",
  };
  const journal = await Journal.create(journalRoot(where.env), opening as never);
  const lines = await complete(createProgram(handlers), ["restore", "2026"], where);
  t.deepEqual(lines, [`${opening.runId}\tsince ${opening.startedAt}`]);
  t.is((await complete(createProgram(handlers), ["restore", "--forget", ""], where)).length, 1);
  await journal.finish();
  t.deepEqual(await complete(createProgram(handlers), ["restore", ""], where), []);
});

test("an error gives no candidates: it would be printed into the user's command line", async (t) => {
  const relative = { cwd: root, env: { ...env, XDG_STATE_HOME: "relative" } };
  t.deepEqual(await complete(createProgram(handlers), ["restore", ""], relative), []);
});

/** Runs a script of the shell in the folder; null: the shell is not installed. */
function inShell(shell: "bash" | "zsh" | "fish", script: string): string | null {
  const args = { bash: ["--norc", "--noprofile", "-c"], zsh: ["-f", "-c"], fish: ["--no-config", "-c"] }[
    shell
  ];
  const ended = spawnSync(shell, [...args, script], { cwd: root, env, encoding: "utf8" });
  if (ended.error !== undefined) return null;
  if (ended.status !== 0 || ended.stderr !== "") throw new Error(`${ended.status ?? ""} ${ended.stderr}`);
  return ended.stdout;
}

function lacks(shell: string): boolean {
  return spawnSync(shell, ["-c", "true"]).error !== undefined;
}

const bash = lacks("bash") ? test.skip : test;
const zsh = lacks("zsh") ? test.skip : test;
const fish = lacks("fish") ? test.skip : test;

bash("bash: candidates, values after =, and paths", (t) => {
  const tab = (words: string, at: number): string =>
    `COMP_WORDS=(${words}); COMP_CWORD=${at}; _chaos_complete; printf '[%s]' "\${COMPREPLY[@]}"; echo`;
  const out = inShell(
    "bash",
    [
      "source <(chaos completion bash)",
      tab("chaos run kube-o", 2),
      tab("chaos run --cluster = l", 4),
      tab("chaos validate game", 2),
      tab("chaos report rep", 2),
      tab("/no/such/chaos run ''", 2),
    ].join("\n"),
  );
  t.deepEqual(out?.trimEnd().split("\n"), [
    "[kube-own]",
    "[lab]",
    "[game day.yaml]",
    "[reports/20261130t001058z-kube-dns-cada][reports]",
    "[]",
  ]);
  t.regex(
    inShell("bash", "source <(chaos completion bash); complete -p chaos") ?? "",
    /-F _chaos_complete chaos/,
  );
});

zsh("zsh: candidates with descriptions, and paths", (t) => {
  const out = inShell(
    "zsh",
    [
      "compdef() { print compdef $@ }; _describe() { print -l -- ${(P)3} }; _files() { print _files $@ }",
      "source <(chaos completion zsh)",
      "words=(chaos run kube-o); CURRENT=3; _chaos",
      "words=(chaos run --cluster=l); CURRENT=3; _chaos",
      "words=(chaos report ''); CURRENT=3; _chaos",
      "words=(chaos vali); CURRENT=2; _chaos",
    ].join("\n"),
  );
  t.deepEqual(out?.trimEnd().split("\n"), [
    "compdef _chaos chaos",
    "kube-own:kube-own",
    "_files",
    "--cluster=lab:--cluster=lab",
    "reports/20261130t001058z-kube-dns-cada:reports/20261130t001058z-kube-dns-cada",
    "_files -/",
    "validate:check experiment files; needs no cluster",
  ]);
});

fish("fish: candidates with descriptions, and paths", (t) => {
  const of = (line: string): string[] =>
    (inShell("fish", `source (chaos completion fish | psub); complete -C '${line}'`) ?? "")
      .trimEnd()
      .split("\n");
  t.deepEqual(of("chaos run kube-o"), ["kube-own"]);
  t.deepEqual(of("chaos run --cluster=l"), ["--cluster=lab"]);
  t.deepEqual(of("chaos vali"), ["validate\tcheck experiment files; needs no cluster"]);
  t.true(of("chaos validate game").some((line) => line.startsWith("game day.yaml")));
});

test("the program itself prints the script and the candidates, and nothing on stderr", (t) => {
  const run = (...args: readonly string[]): string =>
    execFileSync(process.execPath, [CLI, ...args], { cwd: root, env, encoding: "utf8" });
  t.is(run("completion", "fish"), completionScript("fish"));
  t.is(run("complete", "--", "run", "--cluster", "k"), "kind\n");
});

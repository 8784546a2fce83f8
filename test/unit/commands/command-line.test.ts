import test from "ava";
import { execFileSync } from "node:child_process";
import { commandLineWith, type Started } from "../../../src/commands/command-line.js";
import { quoted } from "../../../src/common/shell-word.js";

const started = (change: Partial<Started> = {}): Started => ({
  argv: ["/usr/bin/node", "/usr/local/bin/chaos", "run", "kube-dns"],
  execArgv: [],
  env: { PATH: "/usr/local/bin:/usr/bin" },
  ...change,
});

for (const word of [
  "kube-dns",
  "prod cluster",
  "it's",
  '"quoted"',
  "$HOME",
  "`id`",
  "a\\b",
  "~/x",
  "*",
  "",
  "a;b",
  "!x",
  "#x",
  "a\nb",
  "系統",
])
  test(`a POSIX shell reads ${JSON.stringify(word)} as one word`, (t) => {
    const printed = execFileSync("sh", ["-c", `for each in ${quoted(word)}; do printf '<%s>' "$each"; done`]);
    t.is(printed.toString("utf8"), `<${word}>`);
  });

test("a plain word stays as it is", (t) => {
  t.is(quoted("gke_proj_europe-west1_prod"), "gke_proj_europe-west1_prod");
  t.is(quoted("arn:aws:eks:eu-central-1:1:cluster/x"), "arn:aws:eks:eu-central-1:1:cluster/x");
});

test("the whole command line, with the flags at its end", (t) => {
  const argv = ["/usr/bin/node", "/usr/local/bin/chaos", "run", "my file.yaml", "--kubeconfig", "/k/a b"];
  t.is(
    commandLineWith(started({ argv }), ["--context", "it's prod", "--yes"]),
    "chaos run 'my file.yaml' --kubeconfig '/k/a b' --context 'it'\\''s prod' --yes",
  );
});

test("the flags go before --", (t) => {
  const argv = ["node", "/usr/local/bin/chaos", "run", "--", "-x"];
  t.is(commandLineWith(started({ argv }), ["--yes"]), "chaos run --yes -- -x");
});

test("KUBECONFIG is kept: without it the context could be another cluster's", (t) => {
  const env = { PATH: "/usr/local/bin", KUBECONFIG: "/a b:/c" };
  t.is(commandLineWith(started({ env }), ["--yes"]), "KUBECONFIG='/a b:/c' chaos run kube-dns --yes");
});

test("how the program is found: PATH, npx, its path, or Node and the script", (t) => {
  const flags = ["--yes"];
  t.is(commandLineWith(started(), flags), "chaos run kube-dns --yes");
  t.is(
    commandLineWith(started({ env: { PATH: "/usr/local/bin", npm_command: "exec" } }), flags),
    "npx chaos run kube-dns --yes",
  );
  t.is(commandLineWith(started({ env: {} }), flags), "/usr/local/bin/chaos run kube-dns --yes");
  const argv = ["/usr/bin/node", "/x/dist/cli.js", "run", "kube-dns"];
  t.is(
    commandLineWith(started({ argv, execArgv: ["--enable-source-maps"] }), flags),
    "/usr/bin/node --enable-source-maps /x/dist/cli.js run kube-dns --yes",
  );
});

/** Runs that must not pass: refused, inconclusive, or a dry run. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import test from "ava";
import { chaosRun, onlyReport, said, setUp, writeExperiment } from "./support/run-cli.js";

test.serial("a target that does not exist is refused by name; nothing is changed", async (t) => {
  const { cluster, space } = await setUp(t);
  const file = await writeExperiment(space, {
    name: "absent",
    target: "{ kind: Deployment, name: kube-dms }",
    attack: "{ type: delete-workload }",
    window: "10s",
  });
  const { exitCode, stdout, stderr } = await chaosRun(cluster, space, file);
  t.is(exitCode, 4);
  t.regex(`${stdout}${stderr}`, /Deployment kube-system\/kube-dms does not exist/);
  t.deepEqual(await readdir(join(space.folder, "reports")).catch(() => []), []);
});

test.serial("an attack that does not keep the target down is inconclusive", async (t) => {
  const { cluster, space } = await setUp(t);
  // The attack's delay leaves new pods alone for most of the window: the component is back within seconds.
  const file = await writeExperiment(space, {
    name: "toothless",
    attack: "{ type: delete-pods, delay: 20s }",
    window: "25s",
    impact: "outage",
  });
  const ended = await chaosRun(cluster, space, file);
  const { exitCode } = ended;
  const { result } = await onlyReport(space);
  t.is(exitCode, 2, said(ended));
  t.is(result.verdict, "inconclusive");
  t.deepEqual(
    result.reasons.map(({ code }) => code),
    ["target-not-down"],
  );
});

test.serial("a dry run prints the plan and changes nothing", async (t) => {
  const { cluster, space } = await setUp(t);
  const file = await writeExperiment(space, {
    name: "dry",
    attack: "{ type: delete-workload }",
    window: "10s",
  });
  const { exitCode } = await chaosRun(cluster, space, file, ["--dry-run"]);
  t.is(exitCode, 0);
});

/** A run that is ended from outside puts everything back first. */
import test from "ava";
import { getOrUndefined, NAMESPACES, resourcePath } from "../../src/cluster/api.js";
import { chaos, chaosRun, onlyReport, windowStarted, setUp, writeExperiment } from "./support/run-cli.js";
import { snapshot } from "./support/snapshot.js";

test.serial("Ctrl-C in the middle of the window restores, reports, and ends with 130", async (t) => {
  const { cluster, space, before } = await setUp(t);
  const file = await writeExperiment(space, {
    name: "interrupted",
    attack: "{ type: delete-workload }",
    window: "60s",
    impact: "outage",
  });
  const child = chaosRun(cluster, space, file);
  await windowStarted(child);
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  child.kill("SIGINT");
  // A second one, right after, must not cost the restore.
  await new Promise((resolve) => setTimeout(resolve, 300));
  child.kill("SIGINT");
  const { exitCode, stderr } = await child;
  const { result } = await onlyReport(space);
  t.is(exitCode, 130, stderr);
  t.is(result.verdict, "interrupted");
  t.true((result.suppression?.kills ?? 0) > 0);
  t.true((result.recovery?.readyMs ?? null) !== null);
  t.deepEqual(await snapshot(cluster), before);
  for (const name of ["guestbook", "kube-system-chaos"]) {
    t.is(
      await getOrUndefined(cluster.connection.transport, resourcePath(NAMESPACES, undefined, name)),
      undefined,
      name,
    );
  }
});

test.serial("SIGKILL in the window: the next run refuses, restore finishes", async (t) => {
  const { cluster, space, before } = await setUp(t);
  const file = await writeExperiment(space, {
    name: "killed",
    attack: "{ type: delete-workload }",
    window: "60s",
    impact: "outage",
  });
  const child = chaosRun(cluster, space, file);
  await windowStarted(child);
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  child.kill("SIGKILL");
  await child;
  t.notDeepEqual(await snapshot(cluster), before, "the killed run left damage");

  const refused = await chaosRun(cluster, space, file);
  t.is(refused.exitCode, 4);
  t.regex(`${refused.stdout}${refused.stderr}`, /chaos restore --all/);
  const restored = await chaos(cluster, space, ["restore", "--all"]);
  t.is(restored.exitCode, 0, restored.stderr);
  t.deepEqual(await snapshot(cluster), before);
});

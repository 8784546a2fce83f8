/** The dead-man's switch on a real cluster: it restores what a killed run left, without any other restorer. */
import test from "ava";
import { getOrUndefined, NAMESPACES, resourcePath } from "../../src/kube/api.js";
import type { Namespace } from "../../src/kube/objects.js";
import { LOCK_PATH } from "../../src/safety/lock/lease.js";
import type { TestCluster } from "./support/cluster.js";
import { chaosRun, setUp, windowStarted, writeExperiment } from "./support/run-cli.js";
import { snapshot } from "./support/snapshot.js";

/** A minute until the switch acts; then it restores kube-dns and deletes two namespaces, one after the other. */
const LIMIT_MS = 4 * 60_000;

/** Waits until the switch has deleted its own namespace. @returns how long that took, ms. */
async function untilGone({ connection }: TestCluster): Promise<number> {
  const startedAt = performance.now();
  const path = resourcePath(NAMESPACES, undefined, "kube-system-chaos");
  for (;;) {
    const tookMs = performance.now() - startedAt;
    if ((await getOrUndefined<Namespace>(connection.transport, path)) === undefined) return tookMs;
    if (tookMs > LIMIT_MS)
      throw new Error(
        `timed out after ${LIMIT_MS / 1000} s waiting for the namespace kube-system-chaos to be deleted`,
      );
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

/** What is left of the switch's Roles. The garbage collector deletes them a moment after their owner. */
async function rolesLeft(cluster: TestCluster): Promise<string[]> {
  const end = performance.now() + 60_000;
  for (;;) {
    const left = Object.keys(await snapshot(cluster)).filter((name) => name.includes("chaos-dead-man"));
    if (left.length === 0 || performance.now() > end) return left;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

test.serial(
  "SIGKILL in the window, no watchdog: the switch restores everything and then removes itself",
  async (t) => {
    const { cluster, space, before } = await setUp(t);
    const file = await writeExperiment(space, {
      name: "dead-man",
      attack: "{ type: delete-workload }",
      window: "60s",
      impact: "outage",
    });
    const child = chaosRun(cluster, space, file, ["--dead-man", "--no-watchdog"]);
    await windowStarted(child);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    child.kill("SIGKILL");
    await child;
    t.notDeepEqual(await snapshot(cluster), before, "the killed run left damage");

    const tookMs = await untilGone(cluster);
    t.log(`restored ${Math.round(tookMs / 1000)} s after the kill`);
    t.true(tookMs > 45_000, "it waits before it treats the runner as dead");
    t.deepEqual(await rolesLeft(cluster), []);
    t.is(await getOrUndefined(cluster.connection.transport, LOCK_PATH), undefined);
  },
);

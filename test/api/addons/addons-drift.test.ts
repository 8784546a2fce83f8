import test from "ava";
import { addonManagerProof, proveAddonManager } from "../../../src/addons/drift.js";
import { installAddons } from "../../../src/addons/install.js";
import { ChaosError } from "../../../src/common/errors.js";
import type { ConfigMap } from "../../../src/kube/objects.js";
import { CONFIGMAPS, world } from "../../helpers/addons-world.js";
import { DEPLOYMENTS, PODS } from "../../helpers/target-fixtures.js";

const POD = `${PODS}/kube-addon-manager-1`;
const DRIFT = `${CONFIGMAPS}/kube-system-chaos-drift`;

test("absent: no addon-manager, or a foreign one", async (t) => {
  const at = await world(t);
  t.like(await addonManagerProof(at.transport), { state: "absent" });
  at.server.put(DEPLOYMENTS, { metadata: { name: "kube-addon-manager" }, spec: {} });
  t.like(await addonManagerProof(at.transport), { state: "absent" });
  await t.throwsAsync(proveAddonManager(at.transport, at.clock), {
    instanceOf: ChaosError,
    message: /this tool has not installed an addon-manager.*chaos cluster up --addons/,
  });
});

test("the proof counts only for the pod and container that reverted the change", async (t) => {
  const at = await world(t);
  await installAddons(at.options);
  const proven = await addonManagerProof(at.transport);
  t.is(proven.state, "proven");
  t.is(proven.podUid, at.server.object(POD)?.metadata.uid);
  at.server.update(POD, { status: { containerStatuses: [{ name: "kube-addon-manager", restartCount: 1 }] } });
  t.like(await addonManagerProof(at.transport), { state: "unproven" }, "its container has restarted");
  const { podUid, repairedAfterMs } = await proveAddonManager(at.transport, at.clock);
  t.true(podUid === proven.podUid);
  t.true(repairedAfterMs > 0 && repairedAfterMs <= 60_500);
  t.like(await addonManagerProof(at.transport), { state: "proven" });
  at.server.remove(POD);
  t.like(await addonManagerProof(at.transport), { state: "not-running" });
  await at.clock.sleep(500);
  t.like(await addonManagerProof(at.transport), { state: "unproven" }, "another pod");
});

test("not ready or terminating: not running", async (t) => {
  const at = await world(t);
  await installAddons(at.options);
  at.server.update(POD, { status: { conditions: [{ type: "Ready", status: "False" }] } });
  t.like(await addonManagerProof(at.transport), { state: "not-running" });
  at.server.update(POD, { status: { conditions: [{ type: "Ready", status: "True" }] } });
  at.server.update(POD, { metadata: { deletionTimestamp: "2026-01-01T00:00:00Z" } });
  t.like(await addonManagerProof(at.transport), { state: "not-running" });
  await t.throwsAsync(proveAddonManager(at.transport, at.clock), {
    message: /addon-manager .* has no ready pod/,
  });
});

test("no revert within the limit: the error names the change, the note names what it waits for", async (t) => {
  const at = await world(t);
  await installAddons(at.options);
  at.managerWorks = false;
  const notes: string[] = [];
  const startedAt = at.clock.now();
  const note = (text: string): void => void notes.push(text);
  await t.throwsAsync(proveAddonManager(at.transport, at.clock, { limitMs: 5_000, note }), {
    message: /did not revert .*kube-system-chaos-drift within 5 s.*logs deployment/,
  });
  t.is(at.clock.now() - startedAt, 5_000);
  t.regex(notes.join(), /addon-manager should revert it within a minute/);
});

test("a restart during the proof: nothing is proven", async (t) => {
  const at = await world(t);
  await installAddons(at.options);
  const before = await addonManagerProof(at.transport);
  at.meanwhile = () =>
    void at.server.update(POD, {
      status: { containerStatuses: [{ name: "kube-addon-manager", restartCount: 3 }] },
    });
  await t.throwsAsync(proveAddonManager(at.transport, at.clock), { message: /restarted during its proof/ });
  t.is(before.state, "proven");
  t.like(await addonManagerProof(at.transport), { state: "unproven" });
});

test("no drift ConfigMap: recreating it proves addon-manager too", async (t) => {
  const at = await world(t);
  await installAddons(at.options);
  at.server.remove(DRIFT);
  await proveAddonManager(at.transport, at.clock);
  t.like(at.server.object(DRIFT), { data: { state: "reconciled" } });
});

test("interrupted: exit code 130, and the change is undone", async (t) => {
  const at = await world(t);
  await installAddons(at.options);
  at.managerWorks = false;
  const controller = new AbortController();
  at.meanwhile = () => controller.abort();
  const error = await t.throwsAsync(
    proveAddonManager(at.transport, at.clock, { signal: controller.signal }),
    { instanceOf: ChaosError },
  );
  t.is(error.exitCode, 130);
  t.like(at.server.object(DRIFT), { data: { state: "reconciled" } });
});

test("the undo of the change is recorded before the change, with the ConfigMap as it should be", async (t) => {
  const at = await world(t);
  await installAddons(at.options);
  const seen: unknown[] = [];
  await proveAddonManager(at.transport, at.clock, {
    beforeChange: async (path, before) => {
      await Promise.resolve();
      seen.push(path, before.data?.["state"], (at.server.object(DRIFT) as ConfigMap | undefined)?.data);
    },
  });
  t.deepEqual(seen, [DRIFT, "reconciled", { state: "reconciled" }]);
  await t.throwsAsync(
    proveAddonManager(at.transport, at.clock, {
      beforeChange: async () => await Promise.reject(new Error("no space left")),
    }),
    { message: "no space left" },
  );
  t.deepEqual(
    (at.server.object(DRIFT) as ConfigMap | undefined)?.data,
    { state: "reconciled" },
    "not recorded: not changed",
  );
});

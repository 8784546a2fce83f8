/** kind-config.yaml, as far as kind's own checks do not cover it. */
import test from "ava";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { packageRoot } from "../../../src/common/package-root.js";

interface KindConfig {
  readonly name: string;
  readonly nodes: readonly {
    readonly role: string;
    readonly extraMounts?: readonly { readonly hostPath: string }[];
  }[];
  readonly kubeadmConfigPatches: readonly string[];
}

async function config(): Promise<KindConfig> {
  return parse(await readFile(join(packageRoot(), "kind-config.yaml"), "utf8")) as KindConfig;
}

test("the patch fits every version of kubeadm's configuration", async (t) => {
  const { kubeadmConfigPatches } = await config();
  t.is(kubeadmConfigPatches.length, 1);
  const patch = parse(kubeadmConfigPatches[0] ?? "") as Record<string, unknown>;
  // kind turns a map of extraArgs into v1beta4's list only if the patch names no version.
  t.deepEqual(Object.keys(patch), ["kind", "apiServer"]);
  t.is(patch["kind"], "ClusterConfiguration");
  const { extraArgs } = patch["apiServer"] as { extraArgs: Record<string, unknown> };
  t.deepEqual(Object.keys(extraArgs), [
    "audit-policy-file",
    "audit-log-path",
    "audit-log-maxsize",
    "audit-log-maxbackup",
  ]);
  t.true(Object.values(extraArgs).every((value) => typeof value === "string"));
});

test("what the nodes mount is in the package", async (t) => {
  const { nodes, name } = await config();
  t.is(name, "kube-system-chaos");
  t.deepEqual(
    nodes.map(({ role }) => role),
    ["control-plane", "worker", "worker"],
  );
  const paths = nodes.flatMap(({ extraMounts = [] }) => extraMounts.map(({ hostPath }) => hostPath));
  t.deepEqual(paths, ["src/clusters/audit-policy.yaml"]);
  t.true(paths.every((path) => existsSync(join(packageRoot(), path))));
});

/** Which servers a run accepts, by the version that they name. */
import test from "ava";
import { ExitCode, RefusedError } from "../../../src/common/errors.js";
import { supportOf } from "../../../src/kube/server-version.js";
import { fakeRun } from "../../helpers/fake-run.js";
import { serve, writes } from "../../helpers/target-fixtures.js";

test("the version of a server: its suffix and its patch do not count", (t) => {
  for (const version of ["v1.30.0", "v1.31.2-gke.100", "v1.30.4+k3s1", "v1.30.0-rc.1", "1.36.3", "v2.0.0"])
    t.is(supportOf(version), "supported", version);
  for (const version of ["v1.29.15", "v1.29.99-gke.1", "v1.3.0", "v1.20.2"])
    t.is(supportOf(version), "too old", version);
  for (const version of ["", "v0.0.0-master+$Format:%H$", "main", "v1", "1.x"])
    t.is(supportOf(version), "unknown", version);
});

for (const dryRun of [false, true]) {
  test(`${dryRun ? "a dry run" : "a run"} on Kubernetes 1.29 is refused, and nothing is changed`, async (t) => {
    const { server } = await serve(t, { version: "v1.29.15" });
    const { error, reports, unfinished } = await fakeRun(t, server, dryRun);
    t.true(error instanceof RefusedError);
    t.is((error as RefusedError).exitCode, ExitCode.preflightRefused);
    t.is(
      (error as RefusedError).message,
      "preflight refused; nothing was changed:\n" +
        "  api: cannot attack Kubernetes v1.29.15 of context fake: only Kubernetes 1.30 and newer is supported. " +
        "Upgrade the cluster, or choose another one with --context",
    );
    t.deepEqual([reports, unfinished, writes(server)], [[], [], []]);
  });
}

test("a dry run accepts 1.30 and newer without a remark", async (t) => {
  for (const version of ["v1.30.0", "v1.31.2-gke.100", "v1.30.4+k3s1", undefined]) {
    const { server } = await serve(t, version === undefined ? {} : { version });
    const { outcome, error, printed } = await fakeRun(t, server, true);
    t.is(error, undefined);
    t.is(outcome?.exitCode, ExitCode.asExpected);
    t.true(printed.includes(`api: Kubernetes ${version ?? "v1.36.3"}, context fake\n`), printed);
  }
});

test("a version that names no release is accepted, and the check says so", async (t) => {
  for (const [version, shown] of [
    ["v0.0.0-master+abc", "v0.0.0-master+abc"],
    ["", "(unknown version)"],
  ] as const) {
    const { server } = await serve(t, { version });
    const { outcome, error, printed } = await fakeRun(t, server, true);
    t.is(error, undefined);
    t.is(outcome?.exitCode, ExitCode.asExpected);
    const remark = "this version names no release, so it is unknown whether it is supported";
    const line = `api: Kubernetes ${shown}, context fake; ${remark} (Kubernetes 1.30 and newer)\n`;
    t.true(printed.includes(line), printed);
  }
});

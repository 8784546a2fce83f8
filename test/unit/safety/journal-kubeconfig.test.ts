import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import test from "ava";
import { connect } from "../../../src/kube/connect.js";
import { readJournal } from "../../../src/safety/journal/journal.js";
import { openJournal } from "../../../src/safety/journal/open.js";
import { connectionOf } from "../../../src/safety/restore/connection.js";

/** A kubeconfig whose context and cluster have this name. */
const config = (name: string): string =>
  JSON.stringify({
    "current-context": name,
    clusters: [{ name, cluster: { server: `https://${name}.example` } }],
    contexts: [{ name, context: { cluster: name } }],
  });

test("a restore in another shell connects to the run's cluster: one file, several files, ~/.kube/config", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "journal-kubeconfig-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const [a, b, other] = ["a", "b", "other"].map((name) => {
    writeFileSync(join(folder, name), config(name));
    return join(folder, name);
  }) as [string, string, string];
  const cases: [{ kubeconfigPath?: string; env: Record<string, string> }, object][] = [
    [{ kubeconfigPath: a, env: { KUBECONFIG: b } }, { kubeconfigPath: a }],
    [{ env: { KUBECONFIG: a } }, { kubeconfigPath: a }],
    [
      { env: { KUBECONFIG: [a, join(folder, "none"), b].join(delimiter) } },
      { kubeconfigList: [a, join(folder, "none"), b].join(delimiter) },
    ],
  ];
  for (const [index, [options, stored]] of cases.entries()) {
    const connection = await connect({ ...options, userAgent: "t" });
    t.is(connection.server, "https://a.example");
    const env = { ...options.env, XDG_STATE_HOME: join(folder, "state") };
    const about = {
      runId: `run-${index}`,
      experiment: "x",
      clusterUid: "u",
      toolVersion: "1",
      startedAt: new Date(0),
    };
    const journal = await openJournal(connection, { env }, about);
    const state = await readJournal(journal.folder);
    await journal.finish();
    if (state === undefined) return t.fail("no journal");
    t.deepEqual(connectionOf(state, {}), { context: "a", ...stored });
    const later = await connect({ ...connectionOf(state, {}), userAgent: "t", env: { KUBECONFIG: other } });
    t.is(later.server, "https://a.example");
    t.deepEqual(connectionOf(state, { kubeconfigPath: other, context: "other" }), {
      ...stored,
      kubeconfigPath: other,
      context: "other",
    });
  }
});

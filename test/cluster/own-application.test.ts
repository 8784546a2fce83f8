/** The documented example of an application that exists: init writes its experiment, a run measures it and leaves it alone. */
import test, { type ExecutionContext } from "ava";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Writable } from "node:stream";
import { parseAllDocuments } from "yaml";
import { initApp } from "../../src/commands/init-app.js";
import { pollUntil, systemClock } from "../../src/common/clock.js";
import { packageRoot } from "../../src/common/package-root.js";
import { create, DEPLOYMENTS, list, NAMESPACES, pathsOf, remove, resourcePath } from "../../src/kube/api.js";
import type { Deployment } from "../../src/kube/objects.js";
import { parseExperiment } from "../../src/load/parse.js";
import type { Manifest } from "../../src/own/manifest.js";
import { gone } from "../../src/own/namespaces.js";
import { createView } from "../../src/ui/view.js";
import type { TestCluster } from "./support/cluster.js";
import { changesSince, snapshot } from "./support/snapshot.js";
import { chaosRun, onlyReport, said, setUp, type Workspace } from "./support/run-cli.js";

const EXAMPLE = join(packageRoot(), "experiments/own-application");
const NAMESPACE = "shop";

/** `kubectl apply` of the example. The end of the test deletes it. */
async function deployExample(t: ExecutionContext, { connection }: TestCluster): Promise<void> {
  const { transport } = connection;
  const path = resourcePath(NAMESPACES, undefined, NAMESPACE);
  t.teardown(async () => {
    await remove(transport, path);
    await gone(transport, systemClock(), NAMESPACE);
  });
  const text = await readFile(join(EXAMPLE, "manifests/shop.yaml"), "utf8");
  for (const document of parseAllDocuments(text)) {
    const manifest = document.toJS() as Manifest;
    await create(transport, pathsOf(manifest).collection, manifest);
  }
  const poll = { everyMs: 500, limitMs: 60_000 };
  const ready = await pollUntil(systemClock(), poll, async () => {
    const { items } = await list<Deployment>(transport, resourcePath(DEPLOYMENTS, NAMESPACE));
    return (
      items.every(({ spec, status }) => status?.availableReplicas === (spec?.replicas ?? 1)) || undefined
    );
  });
  t.true(ready, "the example became ready");
}

async function init(
  cluster: TestCluster,
  space: Workspace,
): Promise<{ readonly exitCode: number; readonly output: string }> {
  const written: string[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      written.push(chunk.toString());
      done();
    },
  });
  const { kubeconfigPath, context } = cluster.handle;
  const view = createView({ mode: "plain", stream, out: stream, env: {} });
  const exitCode = await initApp({
    app: `${NAMESPACE}/api`,
    folder: space.folder,
    select: { context, ...(kubeconfigPath === undefined ? {} : { kubeconfigPath }) },
    view,
    interrupted: new AbortController().signal,
    env: { ...process.env, ...space.env },
    toolVersion: "0.0.0",
    yes: true,
    allowing: (name) => name,
  });
  view.close();
  return { exitCode, output: written.join("") };
}

test.serial(
  "init proves the request it writes; a run finds the outage and changes nothing in the namespace",
  async (t) => {
    const { cluster, space } = await setUp(t);
    await deployExample(t, cluster);
    const before = await snapshot(cluster);

    const { exitCode, output } = await init(cluster, space);
    t.is(exitCode, 0, output);
    t.regex(output, /✓ write: GET api:http\/healthz through dns: 10 of 10 samples good/);
    const written = await readFile(join(space.folder, "api-kube-dns.yaml"), "utf8");
    t.true("experiment" in parseExperiment(written, "api-kube-dns.yaml"));
    t.deepEqual(await changesSince(cluster, before), [], "init changed nothing");

    const run = await chaosRun(cluster, space, join(EXAMPLE, "kube-dns.yaml"));
    const { folder, result } = await onlyReport(space);
    t.is(run.exitCode, 0, `${result.verdictBecause}\n${said(run)}`);
    t.is(result.severity, "outage");
    t.deepEqual(result.reasons, []);
    t.like(result.facts.application, {
      kind: "existing",
      name: "shop/api",
      write: "PUT api:http/items/probe through dns",
      read: "GET api:http/items/probe through pods",
    });
    const worst = (probe: string): number =>
      Math.min(
        ...result.probes
          .filter((each) => each.probe === probe)
          .map(({ phases }) => phases.window.availability ?? NaN),
      );
    t.true(worst("app-write") < 0.5, `writes: ${worst("app-write")}`);
    t.true(worst("app-read") < 0.5, "the application itself cannot find its database");
    t.true(worst("tcp-service") > 0.9, `the Service's address still works: ${worst("tcp-service")}`);
    t.deepEqual(await changesSince(cluster, before), [], "the run changed nothing");
    const report = await readFile(join(folder, "report.md"), "utf8");
    t.notRegex(report, /guestbook|Redis/i);
  },
);

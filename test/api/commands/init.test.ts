/** `chaos init` on the inventories: which files it writes, what it leaves out and why, and that it changes nothing else. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import type { ExecutionContext } from "ava";
import test from "ava";
import { init, type InitOptions } from "../../../src/commands/init-command.js";
import { validate } from "../../../src/commands/validate-command.js";
import { schemaText } from "../../../src/commands/schema-command.js";
import { ExitCode, RefusedError } from "../../../src/common/errors.js";
import { createView } from "../../../src/ui/view.js";
import { width } from "../../../src/ui/width.js";
import type { FakeApiServer } from "../../helpers/fake-api-server.js";
import { inventory, putInventory } from "../../helpers/inventories.js";
import { kubeconfigOf } from "../../helpers/kubeconfig.js";
import { serve, writes } from "../../helpers/target-fixtures.js";

interface Place {
  readonly server: FakeApiServer;
  readonly root: string;
  readonly folder: string;
  readonly run: (change?: Partial<InitOptions>) => Promise<{ code: ExitCode; out: string }>;
}

async function place(t: ExecutionContext, name?: string): Promise<Place> {
  const { server } = await serve(t);
  if (name !== undefined) putInventory(server, inventory(name));
  const root = await mkdtemp(join(tmpdir(), "chaos-init-"));
  t.teardown(async () => await rm(root, { recursive: true, force: true }));
  const kubeconfigPath = await kubeconfigOf(root, server.url);
  const folder = join(root, "game-day");
  return {
    server,
    root,
    folder,
    run: async (change = {}) => {
      let out = "";
      const sink = new PassThrough().on("data", (chunk: Buffer) => (out += chunk.toString("utf8")));
      const view = createView({ stream: new PassThrough().resume(), out: sink, mode: "plain" });
      const code = await init({
        folder,
        select: { context: "fake", kubeconfigPath },
        force: false,
        nodeAccess: undefined,
        allowCommands: false,
        configFile: undefined,
        view,
        interrupted: new AbortController().signal,
        env: { XDG_STATE_HOME: join(root, "state"), XDG_CONFIG_HOME: join(root, "config") },
        now: () => new Date("2026-11-30T01:02:03Z"),
        ...change,
      });
      view.close();
      return { code, out };
    },
  };
}

test("GKE: a valid file for each component that can be attacked; the others are named with the reason", async (t) => {
  const { server, folder, run } = await place(t, "gke");
  const { code, out } = await run();
  t.is(code, ExitCode.asExpected);
  t.deepEqual(writes(server), [], "it only reads, also a cluster that is not local");
  const files = (await readdir(folder)).sort();
  t.true(files.includes("kube-dns.yaml") && files.includes("fluentd.yaml"), files.join());
  t.false(files.includes("etcd.yaml") || files.includes("kubelet.yaml") || files.includes("kube-proxy.yaml"));
  t.deepEqual(await validate([folder]).then(({ ok }) => ok), true);
  t.is(await readFile(join(folder, "experiment.schema.json"), "utf8"), schemaText());
  const text = await readFile(join(folder, "fluentd.yaml"), "utf8");
  t.is(text.split("\n")[0], "# yaml-language-server: $schema=./experiment.schema.json");
  const flat = text.replace(/\n# /g, " ");
  t.regex(
    flat,
    /Found on 2026-11-30 in context fake \(Kubernetes \S+, GKE\): DaemonSet kube-system\/fluentbit-gke, 3 of 3 pods ready\./,
  );
  t.regex(flat, /Who restores it: Pod → DaemonSet fluentbit-gke/);
  t.regex(flat, /Attack: delete-workload \(also possible here: delete-pods\)\./);
  t.regex(
    flat,
    /The study \(GKE 1\.11\.7\) says: no effect on the service; logs are not forwarded \(verified there\)\./,
  );
  const said = out.replace(/\s+/g, " ");
  t.regex(said, /wrote \d+ files into .*game-day fluentd\.yaml|wrote \d+ files into .*game-day/);
  t.regex(said, /etcd GKE runs the control plane itself/);
  t.regex(said, /kubelet kubelet is taken down on its nodes, and there is no node access/);
  t.regex(said, /fluentd-scaler does not run here \(looked for a Deployment/);
  t.regex(
    said,
    /next: chaos validate \S+game-day chaos run \S+kube-dns\.yaml --dry-run --kubeconfig \S+ --context fake/,
  );
  t.deepEqual(
    out.split("\n").filter((line) => width(line) > 100 && !/chaos |wrote|=/.test(line)),
    [],
  );
});

test("with privileged pods, units and static pods are assumed", async (t) => {
  const { folder, run } = await place(t, "kops");
  const { out } = await run({ nodeAccess: "pod" });
  t.true((await readdir(folder)).includes("kube-scheduler.yaml"));
  t.regex(
    out.replace(/\s+/g, " "),
    /kubelet\.yaml unit kubelet\.service, \d+ nodes? \(assumed: no node was looked at\)/,
  );
  t.regex(out.replace(/\s+/g, " "), /etcd .* leads through the API server, which is the target/);
});

test("a file that exists is kept, with --force replaced; other files stay, and nothing else is left", async (t) => {
  const { folder, run } = await place(t, "aks");
  await mkdir(folder);
  await writeFile(join(folder, "kube-dns.yaml"), "mine");
  await writeFile(join(folder, "notes.txt"), "notes");
  const first = await run();
  t.is(await readFile(join(folder, "kube-dns.yaml"), "utf8"), "mine");
  t.regex(first.out, /^kept, because they exist \(--force replaces them\):\n {2}kube-dns\.yaml /m);
  t.notRegex((await run()).out, /kept.*\n.*metrics-server/, "the same text is not a file that was kept");
  const forced = await run({ force: true });
  t.notRegex(forced.out, /^kept/m);
  t.regex(await readFile(join(folder, "kube-dns.yaml"), "utf8"), /^# yaml-language-server/);
  t.is(await readFile(join(folder, "notes.txt"), "utf8"), "notes");
  t.deepEqual(
    (await readdir(folder)).filter((file) => !/\.yaml$|^notes\.txt$|^experiment\.schema\.json$/.test(file)),
    [],
  );
});

test("an API server that does not answer, or a cluster with nothing to attack: nothing is written", async (t) => {
  const gone = await place(t);
  await gone.server.close();
  const error = await t.throwsAsync(gone.run(), { instanceOf: RefusedError });
  t.regex(error.message, /does not answer: .*\. Start that cluster, choose another cluster with --context/);
  t.false((await readdir(gone.root)).includes("game-day"));
  const empty = await place(t);
  empty.server.put("/api/v1/nodes", { metadata: { name: "a" } });
  const nothing = await t.throwsAsync(empty.run(), { instanceOf: RefusedError });
  t.regex(nothing.message, /nothing was written:\n {2}kubelet: [^]*Name another cluster with --context/);
  t.false((await readdir(empty.root)).includes("game-day"));
});

test("nodes that may not be listed: refused, with the next step; a forbidden list leaves its component out", async (t) => {
  const { server, root, folder, run } = await place(t, "aks");
  server.fault({ kind: "status", status: 403, path: "/daemonsets", times: Infinity });
  const { out } = await run();
  t.regex(out.replace(/\s+/g, " "), /left out: .*kube-proxy .*HTTP 403/);
  t.true((await readdir(folder)).includes("kube-dns.yaml"));
  server.fault({ kind: "status", status: 403, path: "/api/v1/nodes", times: Infinity });
  const error = await t.throwsAsync(run({ folder: join(root, "other") }), { instanceOf: RefusedError });
  t.regex(error.message, /^cannot look at the cluster of context fake: .*Nothing was written\. `chaos rbac/);
});

test("a folder that cannot be written: what to do, and exit code 3", async (t) => {
  const { root, run } = await place(t, "aks");
  await writeFile(join(root, "file"), "");
  const error = await t.throwsAsync(run({ folder: join(root, "file") }));
  t.like(error, { exitCode: ExitCode.usage });
  t.regex(
    String(error),
    /cannot write into .*\/file: .*not a folder.* Nothing was written\. Name another folder/,
  );
});

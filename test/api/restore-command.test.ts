import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import test from "ava";
import type { ExecutionContext } from "ava";
import { restore, type RestoreOptions } from "../../src/commands/restore.js";
import { ExitCode, UsageError } from "../../src/errors.js";
import { Journal, journalRoot, readJournal, UnreadableJournalError } from "../../src/run/journal.js";
import { createView } from "../../src/ui/view.js";
import type { FakeApiServer } from "./fake-api-server.js";
import { DEPLOYMENTS, deployment, putKubeDns, serve, writes } from "./target-fixtures.js";

const PATH = `${DEPLOYMENTS}/kube-dns`;

interface Bench {
  readonly server: FakeApiServer;
  /** A run that took the Deployment away and ended there. @returns its journal's folder. */
  crashed(runId: string): Promise<string>;
  restore(change: Partial<RestoreOptions>): Promise<{ code?: ExitCode; error?: unknown; said: string }>;
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const { server } = await serve(t);
  putKubeDns(server);
  const clusterUid = server.put("/api/v1/namespaces", { metadata: { name: "kube-system" } }).metadata.uid;
  const folder = await mkdtemp(join(tmpdir(), "chaos-restore-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  const kubeconfigPath = join(folder, "kubeconfig");
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "fake", cluster: { server: server.url } }],
    users: [{ name: "fake", user: {} }],
    contexts: [{ name: "fake", context: { cluster: "fake", user: "fake" } }],
    "current-context": "fake",
  };
  await writeFile(kubeconfigPath, JSON.stringify(kubeconfig));
  const env = { XDG_STATE_HOME: join(folder, "state") };
  return {
    server,
    crashed: async (runId) => {
      const object = server.object(PATH) ?? server.put(DEPLOYMENTS, deployment());
      const journal = await Journal.create(journalRoot(env), {
        type: "open",
        runId,
        experiment: "kube-dns",
        clusterUid,
        server: server.url,
        context: "fake",
        kubeconfigPath,
        toolVersion: "0.0.0",
        startedAt: "2026-08-01T12:00:00.000Z",
        host: `not ${hostname()}`,
        pid: 1,
      });
      await journal.intent({
        action: "restore-workload",
        path: PATH,
        collection: DEPLOYMENTS,
        object: { ...object, apiVersion: "apps/v1", kind: "Deployment" },
      });
      await journal.close();
      return journal.folder;
    },
    restore: async (change) => {
      const stream = new PassThrough();
      const view = createView({ stream, out: stream, mode: "plain" });
      const outcome = await restore({ all: false, dryRun: false, view, env, ...change }).then(
        (code) => ({ code }),
        (error: unknown) => ({ error }),
      );
      view.close();
      stream.end();
      return { ...outcome, said: await text(stream) };
    },
  };
}

/** One bit of the opening record is another one. */
async function damage(folder: string): Promise<void> {
  const file = join(folder, "journal");
  const content = await readFile(file, "utf8");
  await writeFile(file, content.replace('"experiment":"kube-dns"', '"experiment":"kube-dnr"'));
}

test("restore: a run is finished from its journal, once", async (t) => {
  const b = await bench(t);
  const folder = await b.crashed("run-1");
  b.server.remove(PATH);
  const listed = await b.restore({});
  t.is(listed.code, ExitCode.asExpected);
  t.regex(listed.said, /run-1 \(kube-dns, context fake/);
  t.deepEqual(writes(b.server), []);
  const { code, said } = await b.restore({ runId: "run-1" });
  t.is(code, ExitCode.asExpected);
  t.regex(said, /Deployment kube-dns: created/);
  t.not(b.server.object(PATH), undefined);
  t.true((await readJournal(folder))?.closed);
  t.true((await b.restore({ runId: "run-1" })).error instanceof UsageError);
  const again = await b.restore({ all: true });
  t.is(again.code, ExitCode.asExpected);
  t.regex(again.said, /nothing to restore/);
});

test("restore: what was never gone is said to be untouched, by nobody", async (t) => {
  const b = await bench(t);
  await b.crashed("run-1");
  const { code, said } = await b.restore({ all: true });
  t.is(code, ExitCode.asExpected);
  t.regex(said, /Deployment kube-dns: untouched$/m);
  t.deepEqual(writes(b.server), []);
});

test("restore: an unreadable journal is said, with what to do; the others are restored all the same", async (t) => {
  const b = await bench(t);
  const damaged = await b.crashed("run-1");
  const folder = await b.crashed("run-2");
  await damage(damaged);
  b.server.remove(PATH);
  const remedy = new RegExp(`${damaged} cannot be read.*by hand, then remove ${damaged}`);

  const listed = await b.restore({});
  t.is(listed.code, ExitCode.asExpected);
  t.regex(listed.said, remedy);
  t.regex(listed.said, /run-2 \(kube-dns/);

  const dry = await b.restore({ all: true, dryRun: true });
  t.is(dry.code, ExitCode.asExpected);
  t.regex(dry.said, remedy);
  t.deepEqual(writes(b.server), []);

  const named = await b.restore({ runId: "run-1" });
  t.true(named.error instanceof UnreadableJournalError);
  t.is((named.error as UnreadableJournalError).exitCode, ExitCode.preflightRefused);

  const all = await b.restore({ all: true });
  t.is(all.code, ExitCode.notRestored, "not everything");
  t.regex(all.said, remedy);
  t.not(b.server.object(PATH), undefined);
  t.true((await readJournal(folder))?.closed);

  const alone = await b.restore({ all: true });
  t.is(alone.code, ExitCode.notRestored);
  t.regex(alone.said, remedy);
  t.notRegex(alone.said, /nothing to restore/);
});

test("restore: a run that can be read does not care for another's journal", async (t) => {
  const b = await bench(t);
  await damage(await b.crashed("run-1"));
  await b.crashed("run-2");
  b.server.remove(PATH);
  const { code, said } = await b.restore({ runId: "run-2" });
  t.is(code, ExitCode.asExpected);
  t.notRegex(said, /cannot be read/);
});

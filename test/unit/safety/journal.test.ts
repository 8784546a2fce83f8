import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import fc from "fast-check";
import { ChaosError, ExitCode } from "../../../src/common/errors.js";
import {
  isNodeUndo,
  Journal,
  type JournalOpen,
  journalLine,
  type JournalRecord,
  journalRoot,
  parseJournal,
  readJournal,
  type Undo,
  unfinishedRuns,
  UnreadableJournalError,
} from "../../../src/safety/journal/journal.js";

const opening = (runId: string, change: Partial<JournalOpen> = {}): JournalOpen => ({
  type: "open",
  runId,
  experiment: "kube-dns",
  clusterUid: "cluster-1",
  server: "https://127.0.0.1:6443",
  context: "kind-試験",
  toolVersion: "0.1.0",
  startedAt: "2026-08-01T12:00:00.000Z",
  host: "laptop",
  pid: 42,
  ...change,
});

const NAMESPACE: Undo = {
  action: "remove",
  path: "/api/v1/namespaces/guestbook",
  object: { kind: "Namespace", name: "guestbook" },
  labels: { "app.kubernetes.io/managed-by": "kube-system-chaos" },
};

/** A workload with a realistic annotation: several scripts, an emoji, quotes, line ends. */
const WORKLOAD: Undo = {
  action: "restore-workload",
  path: "/apis/apps/v1/namespaces/kube-system/deployments/kube-dns",
  collection: "/apis/apps/v1/namespaces/kube-system/deployments",
  object: {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: {
      name: "kube-dns",
      uid: "u1",
      resourceVersion: "1",
      annotations: { note: 'サービス障害 "発生"\nÄÖ\u2028 🔥 \\' },
    },
    spec: { replicas: 2 },
  },
};

/** A fault on a node, and the access to it. */
const UNIT: Undo = {
  action: "start-unit",
  object: { kind: "SystemdUnit", name: "kubelet on ノード" },
  node: "ノード",
  unit: "kubelet.service",
  also: ["docker.service"],
  invocation: "21aa3bc3c7824b5f90ee1a2452d094dd",
  timer: "kube-system-chaos-b4ade644-kubelet",
  access: { type: "engine", command: "/usr/bin/docker", env: { DOCKER_HOST: "unix:///x y" } },
  machineId: "3eeeca228e3740019cd5cd1210b64328",
};
const MANIFEST: Undo = {
  action: "return-manifest",
  object: { kind: "StaticPod", name: "etcd on a" },
  node: "a",
  manifest: "/etc/kubernetes/manifests/etcd.yaml",
  heldAt: "/etc/kubernetes/kube-system-chaos/run-1/etcd.yaml",
  timer: "kube-system-chaos-b4ade644-etcd",
  access: { type: "command", argv: ["ssh", "{node}", "sudo {command}"] },
  machineId: "3eeeca228e3740019cd5cd1210b64328",
};

const RECORDS: JournalRecord[] = [
  opening("run-1"),
  { type: "intent", seq: 1, undo: NAMESPACE },
  { type: "copied" },
  { type: "intent", seq: 2, undo: WORKLOAD },
  { type: "acted", seq: 1 },
  { type: "acted", seq: 2 },
  { type: "restored", seq: 2, how: "found", by: "kubectl-client-side-apply" },
  { type: "intent", seq: 3, undo: { ...WORKLOAD, path: "/apis/apps/v1/x/連打" } },
  { type: "intent", seq: 4, undo: UNIT },
  { type: "intent", seq: 5, undo: MANIFEST },
  { type: "restored", seq: 5, how: "returned", by: "runner" },
  { type: "restored", seq: 1, how: "removed", by: "runner" },
  { type: "restored", seq: 3, how: "created", by: "runner" },
  { type: "closed" },
];
const TEXT = RECORDS.map((record) => `${journalLine(record)}\n`).join("");
const BYTES = Buffer.from(TEXT);

/** The expected state after these records, computed independently. */
function meaning(records: readonly JournalRecord[]): unknown {
  const open = records.find((record) => record.type === "open");
  if (open === undefined) return undefined;
  const numbersOf = (type: "acted" | "restored"): number[] =>
    records.flatMap((record) => (record.type === type ? [record.seq] : []));
  const [acted, undone] = [numbersOf("acted"), numbersOf("restored")];
  const intents = records.flatMap((record) =>
    record.type === "intent"
      ? [{ seq: record.seq, undo: record.undo, ...(acted.includes(record.seq) ? { acted: true } : {}) }]
      : [],
  );
  return {
    open,
    intents,
    pending: intents.filter(({ seq }) => !undone.includes(seq)),
    copied: records.some((record) => record.type === "copied"),
    adopted: records.some((record) => record.type === "adopted"),
    closed: records.some((record) => record.type === "closed"),
  };
}

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "chaos-journal-"));
  t.teardown(async () => await rm(path, { recursive: true, force: true }));
  return path;
}

test("written entries read back, in order, without the undone ones", async (t) => {
  const root = await folder(t);
  const journal = await Journal.create(root, opening("run-1"));
  t.is(await journal.intent(NAMESPACE), 1);
  t.is(await journal.intent(WORKLOAD), 2);
  t.is(await journal.intent({ ...NAMESPACE, path: "/third" }), 3);
  await journal.acted(3);
  await journal.restored(2, "created", "runner");
  t.deepEqual(await readJournal(journal.folder), {
    folder: join(root, "cluster-1", "run-1"),
    open: opening("run-1"),
    intents: [
      { seq: 1, undo: NAMESPACE },
      { seq: 2, undo: WORKLOAD },
      { seq: 3, undo: { ...NAMESPACE, path: "/third" }, acted: true },
    ],
    pending: [
      { seq: 1, undo: NAMESPACE },
      { seq: 3, undo: { ...NAMESPACE, path: "/third" }, acted: true },
    ],
    copied: false,
    adopted: false,
    closed: false,
  });
  await journal.finish();
  t.true((await readJournal(journal.folder))?.closed);
});

test("entries on nodes are distinguished from entries in the API", (t) => {
  t.deepEqual([NAMESPACE, WORKLOAD, UNIT, MANIFEST].map(isNodeUndo), [false, false, true, true]);
  t.deepEqual(JSON.parse(JSON.stringify([UNIT, MANIFEST])), [UNIT, MANIFEST]);
});

test("records that are written concurrently keep their order and their lines", async (t) => {
  const journal = await Journal.create(await folder(t), opening("run-1"));
  const seqs = await Promise.all(Array.from({ length: 20 }, async () => await journal.intent(WORKLOAD)));
  await journal.close();
  t.deepEqual(
    seqs,
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
  const state = await readJournal(journal.folder);
  t.deepEqual(
    state?.pending.map(({ seq }) => seq),
    seqs,
  );
  t.is(state?.damage, undefined);
});

test("cut at every byte: every complete line counts, nothing is invented, a cut line is reported", (t) => {
  let lineEnd = -1;
  let whole = 0;
  for (let length = 0; length <= BYTES.length; length += 1) {
    if (length > 0 && BYTES[length - 1] === 0x0a) {
      whole += 1;
      lineEnd = length;
    }
    const state = parseJournal("f", BYTES.subarray(0, length).toString("utf8"));
    if (whole === 0) {
      t.is(state, undefined);
      continue;
    }
    const torn = length > lineEnd;
    const { damage, ...rest } = state ?? {};
    t.deepEqual(rest, { folder: "f", ...(meaning(RECORDS.slice(0, whole)) as object) }, `cut at ${length}`);
    t.is(damage, torn ? `cannot read line ${whole + 1}` : undefined);
  }
});

const undoOf = (text: string): Undo =>
  ({ ...WORKLOAD, object: { metadata: { name: text, annotations: { [text]: text } } } }) as unknown as Undo;

test("property: any journal, cut anywhere, keeps its complete lines", (t) => {
  const records = fc.array(
    fc.oneof(
      fc.record({
        type: fc.constant("intent" as const),
        seq: fc.integer({ min: 1, max: 9 }),
        undo: fc.string({ unit: "binary" }).map(undoOf),
      }),
      fc.record({
        type: fc.constant("restored" as const),
        seq: fc.integer({ min: 1, max: 9 }),
        how: fc.constant("found"),
        by: fc.string({ unit: "grapheme" }),
      }),
    ),
    { maxLength: 8 },
  );
  fc.assert(
    fc.property(records, fc.double({ min: 0, max: 1, noNaN: true }), (some, share) => {
      const all: JournalRecord[] = [opening("r"), ...some];
      const bytes = Buffer.from(all.map((record) => `${journalLine(record)}\n`).join(""));
      const cut = bytes.subarray(0, Math.floor(bytes.length * share));
      const whole = all.slice(0, cut.filter((byte) => byte === 0x0a).length);
      const state = parseJournal("f", cut.toString("utf8"));
      // The last record of a number counts: an intent after its undo is a new one.
      const pending = new Map<number, Undo>();
      for (const record of whole) {
        if (record.type === "intent") pending.set(record.seq, record.undo);
        if (record.type === "restored") pending.delete(record.seq);
      }
      t.deepEqual(new Map(state?.pending.map(({ seq, undo }) => [seq, undo]) ?? []), pending);
      t.is(state !== undefined, whole.length > 0);
    }),
  );
  t.pass();
});

test("a flipped bit anywhere is detected, and hides no other line", (t) => {
  let line = 0;
  for (let at = 0; at < BYTES.length; at += 1) {
    if (BYTES[at] === 0x0a) {
      line += 1;
      continue;
    }
    if (at % 3 !== 0) continue;
    const bytes = Buffer.from(BYTES);
    bytes[at] = (bytes[at] ?? 0) ^ 0x01;
    if (line === 0) {
      t.throws(() => parseJournal("f", bytes.toString("utf8")), { instanceOf: UnreadableJournalError });
      continue;
    }
    const state = parseJournal("f", bytes.toString("utf8"));
    const { damage, ...rest } = state ?? {};
    t.regex(damage ?? "", new RegExp(`line ${line + 1}\\b`), `byte ${at}`);
    t.deepEqual(rest, { folder: "f", ...(meaning(RECORDS.filter((_, index) => index !== line)) as object) });
  }
});

test("a lost line feed damages the two lines that it separated, and no other", (t) => {
  const first = TEXT.indexOf("\n", TEXT.indexOf("\n") + 1);
  const state = parseJournal("f", TEXT.slice(0, first) + TEXT.slice(first + 1));
  t.is(state?.damage, "cannot read line 2");
  t.deepEqual(
    state?.pending.map(({ seq }) => seq),
    [4],
  );
  t.true(state?.closed);
});

test("no journal: an empty text, or an opening record cut by a power failure", (t) => {
  t.is(parseJournal("f", ""), undefined);
  t.is(parseJournal("f", "hello"), undefined);
  t.is(parseJournal("f", "\0".repeat(512)), undefined);
  t.is(parseJournal("f", journalLine(opening("r"))), undefined, "complete except for its line feed");
});

for (const [what, text] of [
  ["another file's text", "\n\nhello\n"],
  ["only a line feed", "\n"],
  ["a damaged opening, and nothing after it", TEXT.slice(1, TEXT.indexOf("\n") + 1)],
  ["a damaged opening, then complete lines", TEXT.slice(1)],
  ["no opening, then complete lines", TEXT.slice(TEXT.indexOf("\n") + 1)],
  ["an opening that lost its line feed", TEXT.replace("\n", "")],
  ["a damaged opening, then a cut line", TEXT.slice(1, TEXT.indexOf("\n") + 20)],
] as const) {
  test(`unreadable, because it may hide damage: ${what}`, (t) => {
    const error = t.throws(() => parseJournal("/runs/c/r", text), { instanceOf: UnreadableJournalError });
    t.is(error?.exitCode, ExitCode.preflightRefused);
    t.is(error?.folder, "/runs/c/r");
    t.regex(
      error?.message ?? "",
      /\/runs\/c\/r cannot be read.*opening.*by hand, then close it with `chaos restore --forget r`$/,
    );
  });
}

test("a journal that is not a file is unreadable, too, and the error says why", async (t) => {
  const path = await folder(t);
  await mkdir(join(path, "journal"));
  await t.throwsAsync(readJournal(path), {
    instanceOf: UnreadableJournalError,
    message: /cannot be read: it is a folder\. The changes/,
  });
});

test("reopened after a line cut at any byte: old and new records are read", async (t) => {
  const root = await folder(t);
  const lines = RECORDS.slice(0, 3).map((record) => Buffer.from(`${journalLine(record)}\n`));
  const before = Buffer.concat(lines.slice(0, 2));
  const torn = lines[2] ?? Buffer.alloc(0);
  const journal = await Journal.create(root, opening("run-1"));
  await journal.close();
  const file = join(journal.folder, "journal");
  for (let length = 0; length < torn.length; length += 1) {
    await writeFile(file, Buffer.concat([before, torn.subarray(0, length)]));
    const state = await readJournal(journal.folder);
    if (state === undefined) return t.fail();
    t.is(state.damage === undefined, length === 0);
    const again = await Journal.reopen(state);
    t.is(await again.intent(WORKLOAD), 2);
    await again.restored(1, "removed", "runner");
    await again.close();
    const read = await readJournal(journal.folder);
    t.is(read?.damage, undefined);
    t.deepEqual(read?.pending, [{ seq: 2, undo: WORKLOAD }], `torn after ${length}`);
  }
});

test("reopened with damage in the middle: the records after it stay", async (t) => {
  const journal = await Journal.create(await folder(t), opening("run-1"));
  await journal.intent(NAMESPACE);
  await journal.intent(WORKLOAD);
  await journal.close();
  const file = join(journal.folder, "journal");
  const text = await readFile(file, "utf8");
  await writeFile(file, text.replace("guestbook", "guestb00k"));
  const state = await readJournal(journal.folder);
  if (state === undefined) return t.fail();
  t.deepEqual(state.pending, [{ seq: 2, undo: WORKLOAD }]);
  const again = await Journal.reopen(state);
  t.is(await again.intent(NAMESPACE), 3);
  await again.close();
  const read = await readJournal(journal.folder);
  t.deepEqual(
    read?.pending.map(({ seq }) => seq),
    [2, 3],
  );
  t.is(read?.damage, "cannot read line 2");
});

test("only the user can read the journal: folders 0700, file 0600", async (t) => {
  const root = join(await folder(t), "state", "runs");
  const journal = await Journal.create(root, opening("run-1"));
  await journal.close();
  const mode = async (path: string): Promise<string> => ((await stat(path)).mode & 0o777).toString(8);
  t.is(await mode(root), "700");
  t.is(await mode(dirname(journal.folder)), "700");
  t.is(await mode(journal.folder), "700");
  t.is(await mode(join(journal.folder, "journal")), "600");
});

test("a second journal for the same run is refused, and the first one stays unchanged", async (t) => {
  const root = await folder(t);
  const journal = await Journal.create(root, opening("run-1"));
  await journal.intent(NAMESPACE);
  await journal.close();
  const error = await t.throwsAsync(Journal.create(root, opening("run-1")), { instanceOf: ChaosError });
  t.is(error?.exitCode, ExitCode.failed);
  t.is((await readJournal(journal.folder))?.pending.length, 1);
});

test("a journal that cannot be written: the run is refused, and the error says where and what to do", async (t) => {
  const root = await folder(t);
  await writeFile(join(root, "file"), "");
  const error = await t.throwsAsync(Journal.create(join(root, "file", "runs"), opening("run-1")), {
    instanceOf: ChaosError,
  });
  t.is(error?.exitCode, ExitCode.failed);
  t.regex(error?.message ?? "", /cannot write the journal in .*run-1: .*Nothing was changed.*XDG_STATE_HOME/);
});

test("a folder without write permission: the run is refused, too", async (t) => {
  if (process.getuid?.() === 0) return t.pass("root may write anywhere");
  const root = await folder(t);
  await chmod(root, 0o500);
  await t.throwsAsync(Journal.create(root, opening("run-1")), { instanceOf: ChaosError });
});

test("unfinished runs: oldest first, of one cluster or of all, without finished ones", async (t) => {
  const root = await folder(t);
  const make = async (runId: string, change: Partial<JournalOpen>, finished = false): Promise<void> => {
    const journal = await Journal.create(root, opening(runId, change));
    await (finished ? journal.finish() : journal.close());
  };
  await make("c", { startedAt: "2026-08-03T00:00:00.000Z" });
  await make("a", { startedAt: "2026-08-02T00:00:00.000Z" });
  await make("done", { startedAt: "2026-08-01T00:00:00.000Z" }, true);
  await make("b", { startedAt: "2026-08-01T12:00:00.000Z", clusterUid: "cluster-2" });
  // These are not runs: an empty folder, a cut opening record, a stray file.
  await mkdir(join(root, "cluster-1", "empty"));
  await mkdir(join(root, "cluster-1", "torn"));
  await writeFile(join(root, "cluster-1", "torn", "journal"), journalLine(opening("torn")).slice(0, 40));
  await writeFile(join(root, "stray"), "");
  const ids = async (uid?: string): Promise<string[]> => {
    const { runs, unreadable } = await unfinishedRuns(root, uid);
    t.deepEqual(unreadable, []);
    return runs.map(({ open }) => open.runId);
  };
  t.deepEqual(await ids(), ["b", "a", "c"]);
  t.deepEqual(await ids("cluster-1"), ["a", "c"]);
  t.deepEqual(await ids("cluster-3"), []);
  t.deepEqual(await unfinishedRuns(join(root, "nothing")), { runs: [], unreadable: [] });
});

test("unfinished runs: an unreadable one hides no other, and is listed for its own cluster only", async (t) => {
  const root = await folder(t);
  for (const [runId, clusterUid] of [
    ["a", "cluster-1"],
    ["b", "cluster-1"],
    ["c", "cluster-2"],
  ] as const) {
    const journal = await Journal.create(root, opening(runId, { clusterUid }));
    await journal.intent(WORKLOAD);
    await journal.close();
  }
  const damaged = join(root, "cluster-1", "a");
  const text = await readFile(join(damaged, "journal"), "utf8");
  await writeFile(join(damaged, "journal"), text.replace("laptop", "lapt0p"));
  const found = async (uid?: string): Promise<[string[], string[]]> => {
    const { runs, unreadable } = await unfinishedRuns(root, uid);
    return [runs.map(({ open }) => open.runId), unreadable.map((error) => error.folder)];
  };
  t.deepEqual(await found("cluster-1"), [["b"], [damaged]]);
  t.deepEqual(await found("cluster-2"), [["c"], []]);
  const [ids, folders] = await found();
  t.deepEqual(ids.sort(), ["b", "c"]);
  t.deepEqual(folders, [damaged]);
});

test("the folder of the journals", (t) => {
  t.is(journalRoot({ XDG_STATE_HOME: "/s", HOME: "/h" }), "/s/kube-system-chaos/runs");
  t.is(journalRoot({ HOME: "/h" }), "/h/.local/state/kube-system-chaos/runs");
});

test("a line that is valid but no record hides only itself", (t) => {
  const intent: JournalRecord = { type: "intent", seq: 1, undo: NAMESPACE };
  for (const odd of [null, 7, "text", [], { type: "intent", seq: 2 }, { type: "intent", seq: 2, undo: {} }]) {
    const lines = [opening("run-1"), odd as unknown as JournalRecord, intent]
      .map((record) => `${journalLine(record)}\n`)
      .join("");
    const state = parseJournal("/journal", lines);
    t.deepEqual(state?.pending, [{ seq: 1, undo: NAMESPACE }], JSON.stringify(odd));
    t.regex(state?.damage ?? "", /line 2/);
  }
});

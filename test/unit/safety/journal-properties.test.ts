/** Properties of every journal, wherever a crash cuts it and whichever byte the disk damages. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import fc from "fast-check";
import {
  Journal,
  type JournalOpen,
  journalLine,
  type JournalRecord,
  parseJournal,
  type PendingUndo,
  readJournal,
  type Undo,
  UnreadableJournalError,
} from "../../../src/safety/journal/journal.js";

const OPEN: JournalOpen = {
  type: "open",
  runId: "r",
  experiment: "e",
  clusterUid: "c",
  server: "s",
  context: "連打",
  toolVersion: "0",
  startedAt: "2026-08-01T12:00:00.000Z",
  host: "h",
  pid: 1,
};

const undoOf = (name: string): Undo => ({
  action: "remove",
  path: `/api/v1/namespaces/${name}`,
  object: { kind: "Namespace", name },
  labels: {},
});

/** What is still to be undone after these records, computed independently: the last record of a number counts. */
function pendingAfter(records: readonly JournalRecord[]): PendingUndo[] {
  const pending = new Map<number, PendingUndo>();
  for (const record of records) {
    if (record.type === "intent") {
      pending.delete(record.seq);
      pending.set(record.seq, { seq: record.seq, undo: record.undo });
    }
    if (record.type === "restored") pending.delete(record.seq);
    const found = record.type === "acted" ? pending.get(record.seq) : undefined;
    if (found !== undefined) pending.set(found.seq, { ...found, acted: true });
  }
  return [...pending.values()];
}

/** Sorted by number: the order of writing does not matter here. */
function sorted(pending: readonly PendingUndo[] | undefined): PendingUndo[] {
  return [...(pending ?? [])].sort((a, b) => a.seq - b.seq);
}

interface Written {
  readonly bytes: Buffer;
  readonly records: readonly JournalRecord[];
  /** Where each record ends, with its line feed. */
  readonly ends: readonly number[];
}

function written(records: readonly JournalRecord[]): Written {
  const lines = records.map((record) => Buffer.from(`${journalLine(record)}\n`));
  let end = 0;
  return { bytes: Buffer.concat(lines), records, ends: lines.map((line) => (end += line.length)) };
}

const parse = (bytes: Buffer): ReturnType<typeof parseJournal> => parseJournal("f", bytes.toString("utf8"));

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "chaos-journal-"));
  t.teardown(async () => await rm(path, { recursive: true, force: true }));
  return path;
}

/** What a run and its restores do with a journal. */
interface Step {
  readonly do: "intent" | "reopen" | "acted" | "restored";
  /** Which of the pending entries. */
  readonly of: number;
}
const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom("intent", "intent", "intent", "reopen", "acted", "acted", "restored", "restored"),
  of: fc.nat({ max: 99 }),
});

/** Takes the steps with a journal on disk. @returns the acknowledged records, in order. */
async function take(root: string, steps: readonly Step[]): Promise<Written & { folder: string }> {
  let journal = await Journal.create(root, OPEN);
  const records: JournalRecord[] = [OPEN];
  for (const [index, each] of steps.entries()) {
    const pending = pendingAfter(records);
    if (each.do === "intent") {
      const undo = undoOf(`n${index}`);
      records.push({ type: "intent", seq: await journal.intent(undo), undo });
      continue;
    }
    if (each.do === "reopen") {
      await journal.close();
      const state = await readJournal(journal.folder);
      if (state === undefined) throw new Error("the journal is gone");
      journal = await Journal.reopen(state);
      continue;
    }
    const seq = pending[each.of % Math.max(1, pending.length)]?.seq;
    if (seq === undefined) continue;
    if (each.do === "acted") {
      await journal.acted(seq);
      records.push({ type: "acted", seq });
    } else {
      await journal.restored(seq, "found", "x");
      records.push({ type: "restored", seq, how: "found", by: "x" });
    }
  }
  await journal.close();
  return { ...written(records), folder: journal.folder };
}

test("property: acknowledged records are on disk, in order; a cut at any byte loses no complete record", async (t) => {
  const root = await folder(t);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const journal = await take(join(root, String((run += 1))), steps);
      t.deepEqual(await readFile(join(journal.folder, "journal")), journal.bytes);
      let whole = 0;
      for (let length = 0; length <= journal.bytes.length; length += 1) {
        while ((journal.ends[whole] ?? Infinity) <= length) whole += 1;
        const state = parse(journal.bytes.subarray(0, length));
        if (state === undefined) {
          t.is(whole, 0);
          continue;
        }
        // Comparing strings is faster than one deep comparison per cut.
        const found = JSON.stringify(sorted(state.pending));
        const expected = JSON.stringify(sorted(pendingAfter(journal.records.slice(0, whole))));
        if (found !== expected) t.is(found, expected, `cut at ${length}`);
        const torn = length > (journal.ends[whole - 1] ?? 0);
        if ((state.damage !== undefined) !== torn) t.fail(`cut at ${length}: ${state.damage ?? "no damage"}`);
      }
    }),
    { seed: 1, numRuns: 40 },
  );
});

/** One record of each kind; the second intent is undone. */
const SAMPLE = written([
  OPEN,
  { type: "intent", seq: 1, undo: undoOf("a") },
  { type: "acted", seq: 1 },
  { type: "intent", seq: 2, undo: undoOf("落") },
  { type: "acted", seq: 2 },
  { type: "restored", seq: 2, how: "removed", by: "runner" },
]);

/** Writes the bytes, reopens the journal and continues it. */
async function continueFrom(t: ExecutionContext, path: string, bytes: Buffer, what: string): Promise<void> {
  await writeFile(join(path, "journal"), bytes);
  const before = await readJournal(path);
  if (before === undefined) return t.fail(`${what}: no journal`);
  const journal = await Journal.reopen(before);
  const undos = ["x", "y", "z"].map(undoOf);
  const seqs: number[] = [];
  for (const undo of undos) seqs.push(await journal.intent(undo));
  const [x = 0, y = 0, z = 0] = seqs;
  await journal.acted(x);
  await journal.restored(y, "removed", "runner");
  await journal.close();
  const after = await readJournal(path);
  const expected = [
    ...before.pending,
    { seq: x, undo: undoOf("x"), acted: true as const },
    { seq: z, undo: undoOf("z") },
  ];
  t.deepEqual(sorted(after?.pending), sorted(expected), what);
}

test("cut at every byte after the opening record, reopened and continued: old and new records are kept", async (t) => {
  const journal = await Journal.create(await folder(t), OPEN);
  await journal.close();
  const opened = SAMPLE.ends[0] ?? 0;
  for (let length = opened; length <= SAMPLE.bytes.length; length += 1) {
    await continueFrom(t, journal.folder, SAMPLE.bytes.subarray(0, length), `cut at ${length}`);
  }
});

test("any flipped bit hides only its own line, or with a damaged line feed also the next line", (t) => {
  const { bytes, records, ends } = SAMPLE;
  for (let at = 0; at < bytes.length; at += 1) {
    const line = ends.findIndex((end) => at < end);
    const isEnd = bytes[at] === 0x0a;
    const hidden = isEnd ? [line, line + 1] : [line];
    const expected = JSON.stringify(
      sorted(pendingAfter(records.filter((_, index) => !hidden.includes(index)))),
    );
    for (let bit = 0; bit < 8; bit += 1) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (bytes[at] ?? 0) ^ (1 << bit);
      const what = `bit ${bit} of byte ${at}`;
      if (line === 0) {
        t.throws(() => parse(damaged), { instanceOf: UnreadableJournalError }, what);
        continue;
      }
      const state = parse(damaged);
      if (state?.damage === undefined) t.fail(`${what} is not seen`);
      if (JSON.stringify(sorted(state?.pending)) !== expected) t.fail(`${what} hides another line`);
    }
  }
  t.pass();
});

test("each line is damaged in turn and the journal continued: no later intent is lost", async (t) => {
  const journal = await Journal.create(await folder(t), OPEN);
  await journal.close();
  for (const [line, end] of SAMPLE.ends.entries()) {
    if (line === 0) continue;
    const bytes = Buffer.from(SAMPLE.bytes);
    bytes[end - 3] = (bytes[end - 3] ?? 0) ^ 1;
    // This includes the line of intent 2, whose "restored" line stays valid: it must not mark the next intent as undone.
    await continueFrom(t, journal.folder, bytes, `line ${line + 1}`);
  }
});

test("a reused number does not refer to its first use", (t) => {
  const first: JournalRecord[] = [
    OPEN,
    { type: "intent", seq: 1, undo: undoOf("a") },
    { type: "acted", seq: 1 },
    { type: "restored", seq: 1, how: "removed", by: "runner" },
    { type: "intent", seq: 1, undo: undoOf("b") },
  ];
  t.deepEqual(parse(written(first).bytes)?.pending, [{ seq: 1, undo: undoOf("b") }]);
});

test("an unknown kind of record does not close the journal", (t) => {
  const records = [
    OPEN,
    { type: "intent", seq: 1, undo: undoOf("a") },
    { type: "of a newer version" },
  ] as unknown as JournalRecord[];
  const state = parse(written(records).bytes);
  t.is(state?.closed, false);
  t.deepEqual(state?.pending, [{ seq: 1, undo: undoOf("a") }]);
});

import { access, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import type { RunEvent } from "../../src/analysis/events.js";
import type { SampleLine } from "../../src/probes/sample.js";
import { Recorder } from "../../src/run/recorder.js";

async function folder(t: ExecutionContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "chaos-recorder-"));
  t.teardown(async () => await rm(path, { recursive: true, force: true }));
  return path;
}

const sample = (t: number): SampleLine => ({ probe: "app-write", t, d: 1.5, ok: true });
const lines = async (path: string): Promise<unknown[]> =>
  (await readFile(path, "utf8"))
    .split("\n")
    .filter((text) => text !== "")
    .map((text) => JSON.parse(text) as unknown);

test("events: in order, with the time, in memory, in the file and to listeners", async (t) => {
  const path = join(await folder(t), "new", "run");
  let now = 0.12345;
  const recorder = await Recorder.create(path, () => now);
  const heard: RunEvent[] = [];
  recorder.onEvent((event) => heard.push(event));
  recorder.emit({ type: "phase", phase: "window", state: "start" });
  now = 1234.5678;
  // Handed over bare, as the attack does it.
  const { emit } = recorder;
  emit({ type: "warning", text: "ä\n\u2028 🔥" });
  const expected: RunEvent[] = [
    { type: "phase", phase: "window", state: "start", tMs: 0.123 },
    { type: "warning", text: "ä\n\u2028 🔥", tMs: 1234.568 },
  ];
  t.deepEqual(recorder.events, expected);
  t.deepEqual(heard, expected);
  await recorder.close();
  t.deepEqual(await lines(join(path, "events.ndjson")), expected);
  t.is(recorder.failure, undefined);
});

test("an event of earlier carries its own time, and its place is where it was told", async (t) => {
  const recorder = await Recorder.create(await folder(t), () => 500);
  recorder.emit({ type: "warning", text: "now" });
  recorder.emit({ type: "warning", text: "before" }, 123.45678);
  recorder.emit({ type: "warning", text: "at the very start" }, 0);
  t.deepEqual(
    recorder.events.map(({ tMs }) => tMs),
    [500, 123.457, 0],
  );
  await recorder.close();
  t.deepEqual(await lines(join(recorder.folder, "events.ndjson")), recorder.events);
});

test("samples: a file for each source, in the order in which they were added", async (t) => {
  const recorder = await Recorder.create(await folder(t), () => 0);
  recorder.addSamples("worker-1", [sample(1), sample(2)]);
  recorder.addSamples("worker-2", [sample(9)]);
  recorder.addSamples("worker-1", []);
  for (let index = 3; index < 50; index += 1) recorder.addSamples("worker-1", [sample(index)]);
  await recorder.close();
  const expected = Array.from({ length: 49 }, (_, index) => sample(index + 1));
  t.deepEqual(await lines(join(recorder.folder, "samples", "worker-1.ndjson")), expected);
  t.deepEqual(await lines(join(recorder.folder, "samples", "worker-2.ndjson")), [sample(9)]);
  t.deepEqual(recorder.samples, [
    { source: "worker-1", lines: expected },
    { source: "worker-2", lines: [sample(9)] },
  ]);
});

test("a run without events has their file all the same", async (t) => {
  const recorder = await Recorder.create(await folder(t), () => 0);
  await recorder.close();
  t.deepEqual(await lines(join(recorder.folder, "events.ndjson")), []);
  await recorder.close();
});

test("samples that can not be written: kept in memory, said at the end, no end of the run", async (t) => {
  const recorder = await Recorder.create(await folder(t), () => 0);
  await rm(join(recorder.folder, "samples"), { recursive: true });
  recorder.addSamples("worker-1", [sample(1)]);
  recorder.addSamples("worker-1", [sample(2)]);
  recorder.emit({ type: "healthy" });
  await recorder.close();
  t.regex(recorder.failure?.message ?? "", /ENOENT/);
  t.is(recorder.samples[0]?.lines.length, 2);
  t.is((await lines(join(recorder.folder, "events.ndjson"))).length, 1);
});

test("a full disk: the run goes on, and it is said at the end", async (t) => {
  const path = await folder(t);
  try {
    await access("/dev/full");
  } catch {
    return t.pass("no /dev/full on this system");
  }
  await symlink("/dev/full", join(path, "events.ndjson"));
  const recorder = await Recorder.create(path, () => 0);
  for (let index = 0; index < 3; index += 1) recorder.emit({ type: "healthy" });
  await recorder.close();
  t.regex(recorder.failure?.message ?? "", /ENOSPC/);
  t.is(recorder.events.length, 3);
});

test("a folder that can not be made is an error at once", async (t) => {
  const path = await folder(t);
  await writeFile(join(path, "file"), "");
  await t.throwsAsync(
    Recorder.create(join(path, "file", "run"), () => 0),
    { code: "ENOTDIR" },
  );
});

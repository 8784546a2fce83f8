import type { ExecutionContext } from "ava";
import test from "ava";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExitCode } from "../../../src/common/errors.js";
import type { RunEvent } from "../../../src/evidence/events.js";
import { Recorder } from "../../../src/evidence/recorder.js";
import type { SampleLine } from "../../../src/evidence/sample.js";
import { buildReport, exitCodeOfReport, finishReport } from "../../../src/report/files.js";
import { resultJson } from "../../../src/report/result-json.js";
import { kubeDnsOutage } from "../../helpers/synthetic-run.js";

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
  // Passed without its object, as the attack does it.
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

test("an earlier event has its own time and stays in the order of recording", async (t) => {
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

test("samples: a file for each source, in the order of addition", async (t) => {
  const recorder = await Recorder.create(await folder(t), () => 0);
  recorder.addSamples("worker-1", [sample(1), sample(2)]);
  recorder.addSamples("worker-2", [sample(9)]);
  recorder.addSamples("worker-1", []);
  for (let index = 3; index < 50; index += 1) recorder.addSamples("worker-1", [sample(index)]);
  await recorder.close();
  const expected = Array.from({ length: 49 }, (_, index) => sample(index + 1));
  t.deepEqual(await lines(join(recorder.folder, "samples", "worker-1.ndjson")), expected);
  t.deepEqual(await lines(join(recorder.folder, "samples", "worker-2.ndjson")), [sample(9)]);
  t.deepEqual(
    recorder.samples.map(({ source, lines }) => ({ source, lines: [...lines] })),
    [
      { source: "worker-1", lines: expected },
      { source: "worker-2", lines: [sample(9)] },
    ],
  );
});

test("a run without events has an events file, too", async (t) => {
  const recorder = await Recorder.create(await folder(t), () => 0);
  await recorder.close();
  t.deepEqual(await lines(join(recorder.folder, "events.ndjson")), []);
  await recorder.close();
});

test("samples that cannot be written stay in memory and are reported at the end, without ending the run", async (t) => {
  const recorder = await Recorder.create(await folder(t), () => 0);
  await rm(join(recorder.folder, "samples"), { recursive: true });
  recorder.addSamples("worker-1", [sample(1)]);
  recorder.addSamples("worker-1", [sample(2)]);
  recorder.emit({ type: "healthy" });
  await recorder.close();
  t.regex(recorder.failure?.message ?? "", /ENOENT/);
  t.is([...(recorder.samples[0]?.lines ?? [])].length, 2);
  t.is((await lines(join(recorder.folder, "events.ndjson"))).length, 1);
});

/** Every write to /dev/full fails with ENOSPC (Linux only). */
const onLinux = process.platform === "linux" ? test : test.skip;

onLinux("a full disk: the run continues and reports each file at the end", async (t) => {
  const path = await folder(t);
  await mkdir(join(path, "samples"));
  await symlink("/dev/full", join(path, "events.ndjson"));
  await symlink("/dev/full", join(path, "samples", "worker-1.ndjson"));
  const recorder = await Recorder.create(path, () => 0);
  for (let index = 0; index < 3; index += 1) recorder.emit({ type: "healthy" });
  recorder.addSamples("worker-1", [sample(1)]);
  recorder.addSamples("worker-2", [sample(2)]);
  await recorder.close();
  t.deepEqual(
    recorder.failures.map(({ file }) => file),
    ["events.ndjson", join("samples", "worker-1.ndjson")],
  );
  for (const { error } of recorder.failures) t.regex(error.message, /ENOSPC/);
  t.regex(recorder.failure?.message ?? "", /ENOSPC/);
  t.is(recorder.events.length, 3);
  t.is(recorder.samples.length, 2);
  t.deepEqual(await lines(join(path, "samples", "worker-2.ndjson")), [sample(2)]);
});

test("after a full disk, everything is written at the end, in order, once", async (t) => {
  const recorder = await Recorder.create(await folder(t), () => 0);
  const [events, samples] = [join(recorder.folder, "events.ndjson"), join(recorder.folder, "samples")];
  recorder.emit({ type: "warning", text: "1" });
  recorder.addSamples("worker-1", [sample(1)]);
  await until(async () => (await lines(events)).length === 1);
  // A folder in the place of both files makes each append fail.
  await rm(events);
  await mkdir(events);
  await rm(samples, { recursive: true });
  recorder.emit({ type: "warning", text: "2" });
  recorder.addSamples("worker-1", [sample(2)]);
  await until(async () => await Promise.resolve(recorder.failures.length === 2));
  await rm(events, { recursive: true });
  await mkdir(samples);
  recorder.emit({ type: "warning", text: "3" });
  recorder.addSamples("worker-1", [sample(3)]);
  await recorder.close();
  t.deepEqual(recorder.failures, []);
  t.deepEqual(await lines(events), recorder.events);
  t.is(recorder.events.length, 3);
  t.deepEqual(await lines(join(samples, "worker-1.ndjson")), [sample(1), sample(2), sample(3)]);
});

test("a file in one piece that cannot be written is a failure until a write succeeds", async (t) => {
  const recorder = await Recorder.create(await folder(t), () => 0);
  await mkdir(join(recorder.folder, "run.json"));
  await recorder.write("run.json", "{}");
  t.deepEqual(
    recorder.failures.map(({ file }) => file),
    ["run.json"],
  );
  t.regex(recorder.failure?.message ?? "", /EISDIR/);
  await rm(join(recorder.folder, "run.json"), { recursive: true });
  await recorder.write("run.json", "{}");
  t.deepEqual(recorder.failures, []);
  t.is(await readFile(join(recorder.folder, "run.json"), "utf8"), "{}");
  await recorder.close();
});

/** Polls until the condition holds: the files are written in the background. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 10_000;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error("timed out waiting for the condition");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The recorder of a finished run. */
async function recorded(t: ExecutionContext, prepare?: (path: string) => Promise<void>): Promise<Recorder> {
  const path = await folder(t);
  await mkdir(join(path, "samples"));
  await prepare?.(path);
  const recorder = await Recorder.create(path, () => 0);
  const run = kubeDnsOutage();
  for (const { tMs, ...body } of run.events) recorder.emit(body, tMs);
  for (const { source, lines: of } of run.samples) recorder.addSamples(source, of);
  return recorder;
}

const FILES = [
  "events.ndjson",
  "report.html",
  "report.md",
  "result.json",
  "run.json",
  "samples",
  "timeline.svg",
];

test("a report writes every file and returns the verdict's exit code", async (t) => {
  const recorder = await recorded(t);
  const finished = await finishReport(recorder, kubeDnsOutage().facts);
  t.deepEqual(finished.problems, []);
  t.deepEqual((await readdir(recorder.folder)).sort(), FILES);
  t.is(await readFile(join(recorder.folder, "result.json"), "utf8"), resultJson(finished.result));
  t.true((await readdir(join(recorder.folder, "samples"))).every((name) => name.endsWith(".ndjson.gz")));
  t.is(finished.result.verdict, "as expected");
  t.is(exitCodeOfReport(finished, true), ExitCode.asExpected);
  t.is(exitCodeOfReport(finished, false), ExitCode.notRestored);
});

const FAULTS: readonly (readonly [string, (path: string) => Promise<void>, RegExp])[] = [
  [
    "the events",
    async (path) => await symlink("/dev/full", join(path, "events.ndjson")),
    /events\.ndjson could not be written: ENOSPC/,
  ],
  [
    "a source's samples",
    async (path) => await symlink("/dev/full", join(path, "samples", "kind-worker.ndjson")),
    /samples.kind-worker\.ndjson could not be written: ENOSPC/,
  ],
  [
    "the facts",
    async (path) => await symlink("/dev/full", join(path, "run.json")),
    /run\.json could not be written: ENOSPC/,
  ],
  [
    "the result",
    async (path) => void (await mkdir(join(path, "result.json"))),
    /result\.json could not be written: .*(EISDIR|ENOTEMPTY|ENOTDIR)/,
  ],
  [
    "the compressed samples",
    async (path) => await symlink("/dev/full", join(path, "samples", "kind-worker.ndjson.gz")),
    /compressed samples could not be written: ENOSPC/,
  ],
];

for (const [what, prepare, expected] of FAULTS) {
  onLinux(
    `a full disk takes ${what}: the verdict is there all the same, the file is named, exit 2`,
    async (t) => {
      const recorder = await recorded(t, prepare);
      const finished = await finishReport(recorder, kubeDnsOutage().facts);
      t.is(
        finished.problems.filter((problem) => expected.test(problem)).length,
        1,
        finished.problems.join("\n"),
      );
      t.is(finished.result.verdict, "as expected");
      t.is(finished.result.severity, "outage");
      t.is(exitCodeOfReport(finished, true), ExitCode.inconclusive);
      t.is(exitCodeOfReport(finished, false), ExitCode.notRestored);
      t.is(
        exitCodeOfReport({ ...finished, result: { ...finished.result, verdict: "interrupted" } }, true),
        ExitCode.interrupted,
      );
      // No partial file has the name of a complete one.
      t.deepEqual(
        (await readdir(recorder.folder)).filter((name) => name.endsWith(".part")),
        [],
      );
    },
  );
}

onLinux("samples that could not be packed stay whole, and the report is made of them", async (t) => {
  const recorder = await recorded(t, async (path) => {
    await symlink("/dev/full", join(path, "samples", "kind-worker.ndjson.gz"));
  });
  await finishReport(recorder, kubeDnsOutage().facts);
  const names = await readdir(join(recorder.folder, "samples"));
  t.true(names.includes("kind-worker.ndjson"));
  t.false(names.includes("kind-worker.ndjson.gz"));
  t.is((await buildReport(recorder.folder)).severity, "outage");
});

test("a folder that cannot be created is an immediate error", async (t) => {
  const path = await folder(t);
  await writeFile(join(path, "file"), "");
  await t.throwsAsync(
    Recorder.create(join(path, "file", "run"), () => 0),
    { code: "ENOTDIR" },
  );
});

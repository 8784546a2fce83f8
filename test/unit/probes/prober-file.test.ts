import test from "ava";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { SampleFile } from "../../../src/probes/agent/sample-file.js";
import type { SampleLine } from "../../../src/evidence/sample.js";

const MIB = 1024 * 1024;

function inNewFolder(t: { teardown(run: () => void): void }): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "prober-file-"));
  t.teardown(() => fs.rmSync(folder, { recursive: true }));
  return path.join(folder, "samples.ndjson");
}

function line(n: number): SampleLine {
  return { probe: "outside", t: n, d: 1, ok: false, kind: "other", message: "é".repeat(n % 200) };
}

test("lines stay in order, and only written lines are read", async (t) => {
  const samples = new SampleFile(inNewFolder(t));
  t.teardown(() => samples.close());
  samples.append(line(1));
  t.is((await samples.read(0))?.length, 0);
  await samples.flush();
  samples.append(line(2));
  await samples.flush();
  t.is((await samples.read(0))?.toString(), `${JSON.stringify(line(1))}\n${JSON.stringify(line(2))}\n`);
});

test("a reader that follows the offsets gets every line once and complete", async (t) => {
  const samples = new SampleFile(inNewFolder(t));
  t.teardown(() => samples.close());
  const count = 20_000;
  for (let n = 0; n < count; n += 1) samples.append(line(n));
  await samples.flush();
  const texts: string[] = [];
  let offset = 0;
  let chunks = 0;
  for (;;) {
    const bytes = await samples.read(offset);
    if (bytes === undefined || bytes.length === 0) break;
    t.true(bytes.length <= MIB);
    t.is(bytes.at(-1), 10, "ends with a whole line");
    texts.push(...bytes.toString().trimEnd().split("\n"));
    offset += bytes.length;
    chunks += 1;
  }
  t.true(chunks > 3);
  t.deepEqual(
    texts.map((text) => (JSON.parse(text) as { t: number }).t),
    Array.from({ length: count }, (_, n) => n),
  );
  t.is((await samples.read(offset))?.length, 0, "the end is no error: there will be more");
  t.is(await samples.read(offset + 1), undefined, "beyond it is one");
});

test("a partial line of a killed agent is dropped, and all earlier lines are kept", async (t) => {
  const file = inNewFolder(t);
  fs.writeFileSync(file, '{"a":1}\n{"b":2}\n{"c":');
  const samples = new SampleFile(file);
  t.teardown(() => samples.close());
  samples.append(line(1));
  await samples.flush();
  t.is((await samples.read(0))?.toString(), `{"a":1}\n{"b":2}\n${JSON.stringify(line(1))}\n`);
});

// Serial, because it replaces fs.write for the whole process.
test.serial("lines that cannot be written wait and are written later, in order", async (t) => {
  const samples = new SampleFile(inNewFolder(t));
  t.teardown(() => samples.close());
  const write = fs.write;
  const complain = console.error;
  t.teardown(() => Object.assign(fs, { write }));
  t.teardown(() => (console.error = complain));
  console.error = () => undefined;
  // A full disk: half of the bytes are written, then none.
  let calls = 0;
  Object.assign(fs, {
    write: (...call: [number, Buffer, number, number, number, (error: Error | null) => void]): void => {
      const [fd, bytes, from, length, at, done] = call;
      calls += 1;
      if (calls === 1) write(fd, bytes, from, Math.floor(length / 2), at, done);
      else done(new Error("ENOSPC"));
    },
  });
  samples.append(line(1));
  await samples.flush();
  t.is((await samples.read(0))?.length, 0);
  Object.assign(fs, { write });
  samples.append(line(2));
  await samples.flush();
  t.is((await samples.read(0))?.toString(), `${JSON.stringify(line(1))}\n${JSON.stringify(line(2))}\n`);
  t.is(samples.lost, 0);
});

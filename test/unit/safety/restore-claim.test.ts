import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import type { ExecutionContext } from "ava";
import { ChaosError, ExitCode } from "../../../src/common/errors.js";
import type { FileClaim } from "../../../src/common/file-claim.js";
import { identify, ownIdentity } from "../../../src/common/process-identity.js";
import { claimRestore } from "../../../src/safety/restore/claim.js";
import { ownProcess } from "../../helpers/sleeper.js";
import { SleepingClock } from "../../helpers/dead-man-world.js";

interface Bench {
  readonly folder: string;
  readonly clock: SleepingClock;
  readonly notes: string[];
  claim(pid?: number): Promise<FileClaim>;
  /** The holder, from the claim file. */
  holder(): Promise<unknown>;
}

async function bench(t: ExecutionContext): Promise<Bench> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-claim-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  const clock = new SleepingClock();
  const notes: string[] = [];
  const note = (text: string): void => void notes.push(text);
  return {
    folder,
    clock,
    notes,
    claim: async (pid) =>
      await claimRestore(folder, {
        clock,
        note,
        ...(pid === undefined ? {} : { self: (await identify(pid)) ?? { pid } }),
      }),
    holder: async () => JSON.parse(await readFile(join(folder, "restoring"), "utf8")) as unknown,
  };
}

test("free: claimed immediately, names its process, and leaves nothing after the release", async (t) => {
  const b = await bench(t);
  const claim = await b.claim();
  t.deepEqual(await readdir(b.folder), ["restoring"]);
  t.deepEqual(await b.holder(), await ownIdentity());
  t.is((await stat(join(b.folder, "restoring"))).mode & 0o777, 0o600);
  await claim.release();
  t.deepEqual(await readdir(b.folder), []);
  t.is(b.clock.now(), 0);
  await claim.release();
});

test("two at the same time: the second waits, names the first, and continues after the first releases", async (t) => {
  const b = await bench(t);
  const { pid } = await ownProcess(t);
  const first = await b.claim(pid);
  let waited = 0;
  b.clock.onTime = async () => {
    waited += 1;
    t.like(await b.holder(), { pid });
    if (waited === 3) await first.release();
  };
  const second = await b.claim();
  t.is(waited, 3);
  t.regex(b.notes[0] ?? "", new RegExp(`^process ${pid} is already restoring this run: wait for it$`));
  t.deepEqual(await b.holder(), await ownIdentity());
  await second.release();
});

test("the holder dies: its claim is taken over soon", async (t) => {
  const b = await bench(t);
  const { pid, end } = await ownProcess(t);
  await b.claim(pid);
  b.clock.onTime = async (nowMs) => {
    if (nowMs === 500) await end();
  };
  const claim = await b.claim();
  t.true(b.clock.now() <= 1_500, `${b.clock.now()} ms`);
  t.deepEqual(await b.holder(), await ownIdentity());
  await claim.release();
});

for (const [what, content] of [
  ["of a process that is long gone", "4194304\n"],
  ["that says nothing", ""],
  ["that names nobody", "hello\n"],
] as const) {
  test(`a stale claim ${what} is taken over`, async (t) => {
    const b = await bench(t);
    await writeFile(join(b.folder, "restoring"), content);
    const claim = await b.claim();
    t.deepEqual(await b.holder(), await ownIdentity());
    await claim.release();
  });
}

test("not released within 16 minutes: exit 5, and the holder's claim stays", async (t) => {
  const b = await bench(t);
  const { pid } = await ownProcess(t);
  await b.claim(pid);
  const error = await t.throwsAsync(b.claim(), { instanceOf: ChaosError });
  t.is(error?.exitCode, ExitCode.notRestored);
  t.regex(
    error?.message ?? "",
    /timed out after 16 min waiting for process \d+, which is still restoring the run in /,
  );
  t.true(b.clock.now() >= 16 * 60_000 && b.clock.now() < 17 * 60_000);
  t.deepEqual(await readdir(b.folder), ["restoring"]);
  t.like(await b.holder(), { pid });
});

test("a folder that does not exist: no endless wait; exit 5, which folder, and what to do", async (t) => {
  const { folder } = await bench(t);
  const missing = join(folder, "gone");
  const error = await t.throwsAsync(
    claimRestore(missing, { clock: new SleepingClock(), note: () => undefined }),
    {
      instanceOf: ChaosError,
    },
  );
  t.is((error.cause as NodeJS.ErrnoException).code, "ENOENT");
  t.is(error.exitCode, ExitCode.notRestored);
  t.true(error.message.includes(missing) && error.message.includes("chaos restore"), error.message);
});

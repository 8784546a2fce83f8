import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { claimFile } from "../../../src/common/file-claim.js";
import { identify, isAlive, ownIdentity, readIdentity } from "../../../src/common/process-identity.js";
import { sleeper } from "../../helpers/sleeper.js";

async function place(t: ExecutionContext): Promise<{ folder: string; file: string }> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-file-claim-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  return { folder, file: join(folder, "claim") };
}

const free = async (): Promise<void> => await Promise.reject(new Error("nobody holds it"));

test("a free claim is taken, names its owner and is readable only by its user; its release leaves nothing", async (t) => {
  const { folder, file } = await place(t);
  const claim = await claimFile(file, { onHeld: free });
  t.deepEqual(await readdir(folder), ["claim"]);
  t.deepEqual(JSON.parse(await readFile(file, "utf8")), await ownIdentity());
  t.is((await stat(file)).mode & 0o777, 0o600);
  await claim.release();
  await claim.release();
  t.deepEqual(await readdir(folder), []);
});

test("a held claim is tried again after each call of onHeld until it is free", async (t) => {
  const { file } = await place(t);
  const { pid, end } = await sleeper(t, "dist/cli.js");
  await claimFile(file, { onHeld: free, self: (await identify(pid)) ?? { pid } });
  const told: number[] = [];
  await claimFile(file, {
    onHeld: async (holder) => {
      told.push(holder.pid);
      if (told.length === 3) await end();
    },
  });
  t.deepEqual(told, [pid, pid, pid]);
  t.deepEqual(await readIdentity(file), await ownIdentity());
});

test("an error of onHeld ends the tries; only the holder's claim remains", async (t) => {
  const { folder, file } = await place(t);
  const { pid } = await sleeper(t, "dist/cli.js");
  const self = (await identify(pid)) ?? { pid };
  await claimFile(file, { onHeld: free, self });
  await t.throwsAsync(claimFile(file, { onHeld: async () => await Promise.reject(new Error("busy")) }), {
    message: "busy",
  });
  t.deepEqual(await readdir(folder), ["claim"]);
  t.deepEqual(await readIdentity(file), self);
});

test("a claim of this process is held, too", async (t) => {
  const { file } = await place(t);
  const own = await ownIdentity();
  if (!(await isAlive(own))) return t.pass("without /proc this process is not known by its number");
  await claimFile(file, { onHeld: free });
  return await t.throwsAsync(
    claimFile(file, { onHeld: async ({ pid }) => await Promise.reject(new Error(`${pid}`)) }),
    {
      message: `${process.pid}`,
    },
  );
});

for (const [what, content] of [
  ["another process with this one's number", { pid: process.pid, startTicks: "1", bootId: "b" }],
  ["this process's number alone", process.pid],
  ["another start of the machine", { pid: 1, startTicks: "1", bootId: "b" }],
] as const) {
  test(`a claim left by ${what} is taken over`, async (t) => {
    const { file } = await place(t);
    await writeFile(file, JSON.stringify(content));
    await claimFile(file, { onHeld: free });
    t.deepEqual(await readIdentity(file), await ownIdentity());
  });
}

test("two claim a dead process's file at once: one at a time has it", async (t) => {
  const { folder, file } = await place(t);
  await writeFile(file, JSON.stringify({ pid: 2 ** 22 + 1 }));
  let holders = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 2 }, async () => {
      const claim = await claimFile(file, {
        onHeld: async () => await new Promise((done) => setImmediate(done)),
      });
      most = Math.max(most, ++holders);
      await new Promise((done) => setImmediate(done));
      holders -= 1;
      await claim.release();
    }),
  );
  t.is(most, 1);
  t.deepEqual(await readdir(folder), []);
});

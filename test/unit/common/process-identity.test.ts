import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "ava";
import {
  identify,
  isAlive,
  livenessOf,
  ownIdentity,
  type ProcessIdentity,
  readIdentity,
  startTicksOf,
  type Viewpoint,
} from "../../../src/common/process-identity.js";
import { sleeper } from "../../helpers/sleeper.js";

const HAS_PROC = existsSync("/proc/self/stat");
const onLinux = HAS_PROC ? test : test.skip;

/** Recorded by an older version, or without /proc. */
const numberAlone = (pid: number): ProcessIdentity => ({ pid });

test("a process is identified by its start, not only by its pid", async (t) => {
  t.is(startTicksOf("7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20"), "4711");
  const self = await identify(process.pid);
  t.is(await isAlive(self), HAS_PROC);
  t.false(await isAlive(self === undefined ? undefined : { ...self, startTicks: "1" }));
  t.false(await isAlive(undefined));
});

onLinux("one that runs is alive, whatever its command line says, until it ends", async (t) => {
  const { pid, end } = await sleeper(t, "something-else");
  const recorded = await identify(pid);
  t.like(recorded, { pid });
  t.true(await isAlive(recorded));
  await end();
  t.false(await isAlive(recorded));
  t.is(await identify(pid), undefined);
});

onLinux("its number was given to another process, of this tool even: gone", async (t) => {
  const { pid } = await sleeper(t, "dist/cli.js");
  const now = await identify(pid);
  t.false(await isAlive({ pid, bootId: now?.bootId ?? "", startTicks: "1" }));
});

onLinux("before the machine started again: gone, also with the same number and ticks", async (t) => {
  const { pid } = await sleeper(t, "dist/cli.js");
  const now = await identify(pid);
  t.false(await isAlive({ pid, startTicks: now?.startTicks ?? "", bootId: "another" }));
});

onLinux(
  "the number of this process in a record of another one (in a container: always 1): gone",
  async (t) => {
    const own = await ownIdentity();
    t.like(own, { pid: process.pid });
    t.true(await isAlive(own));
    t.false(await isAlive({ ...own, startTicks: "1" }));
  },
);

test("with only a pid, a process is alive unless its command line or its absence proves otherwise", async (t) => {
  const ours = await sleeper(t, "/usr/lib/node_modules/kube-system-chaos/dist/cli.js");
  t.true(await isAlive(numberAlone(ours.pid)));
  await ours.end();
  t.false(await isAlive(numberAlone(ours.pid)));
  const { pid } = await sleeper(t, "something-else");
  t.is(await isAlive(numberAlone(pid)), !HAS_PROC);
  t.false(await isAlive(numberAlone(process.pid)), "this process wrote no such record");
});

const HERE = { bootId: "boot-1", pidNamespace: "pid:[1]", machine: "m", host: "laptop" };
const RECORDED: ProcessIdentity = { ...HERE, pid: 7, startTicks: "42" };

/** A place where exactly the process 7 of RECORDED runs. */
const place = (change: Partial<Viewpoint> = {}): Viewpoint => ({
  ...HERE,
  identify: (pid) =>
    Promise.resolve(pid === 7 ? { pid, startTicks: "42", bootId: change.bootId ?? HERE.bootId } : undefined),
  namespaces: () => Promise.resolve(undefined),
  ...change,
});

const sees = (...namespaces: string[]): Pick<Viewpoint, "namespaces"> => ({
  namespaces: () => Promise.resolve(new Set(namespaces)),
});

for (const [what, change, here, expected] of [
  ["runs", {}, {}, "alive"],
  ["another process has its pid", { startTicks: "41" }, {}, "ended"],
  ["no process has its pid", { pid: 8 }, {}, "ended"],
  ["the machine was rebooted: the same pid and ticks", {}, { bootId: "boot-2" }, "ended"],
  [
    "rebooted; the record is of an older version",
    { machine: undefined, host: undefined },
    { bootId: "2" },
    "ended",
  ],
  ["the folder was copied from another machine", {}, { bootId: "boot-2", machine: "n" }, "unknown"],
  [
    "copied from another machine with the same machine id",
    {},
    { bootId: "boot-2", host: "clone" },
    "unknown",
  ],
  ["another container with the same pid and ticks", {}, { pidNamespace: "pid:[2]" }, "unknown"],
  [
    "a container that exists, seen from the machine",
    {},
    { pidNamespace: "pid:[2]", ...sees("pid:[1]") },
    "unknown",
  ],
  [
    "a container that is gone, seen from the machine",
    {},
    { pidNamespace: "pid:[2]", ...sees("pid:[3]") },
    "ended",
  ],
  ["the machine's name has changed", {}, { host: "other" }, "alive"],
  [
    "only a pid, of another machine",
    { startTicks: undefined, bootId: undefined, host: "far" },
    {},
    "unknown",
  ],
] as const) {
  test(`liveness of a process: ${what}`, async (t) => {
    const recorded = { ...RECORDED, ...change } as ProcessIdentity;
    t.is(await livenessOf(recorded, place(here as Partial<Viewpoint>)), expected);
  });
}

onLinux("this process sees itself alive, with its place", async (t) => {
  const own = await ownIdentity();
  t.regex(own.pidNamespace ?? "", /^pid:\[\d+\]$/);
  t.not(own.host, undefined);
  t.is(await livenessOf(own), "alive");
});

for (const [what, content, identity] of [
  ["as it is written", '{"pid":7,"startTicks":"1","bootId":"b"}', { pid: 7, startTicks: "1", bootId: "b" }],
  ["on a machine without /proc", '{"pid":7}', { pid: 7 }],
  ["of an older version", "4194304\n", { pid: 4_194_304 }],
  ["empty", "", undefined],
  ["torn", '{"pid":7,', undefined],
  ["of nobody", "hello\n", undefined],
  ["of null", "null", undefined],
  ["of a process group", "-1", undefined],
] as const) {
  test(`a file that describes a process: ${what}`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "chaos-identity-"));
    t.teardown(async () => await rm(folder, { recursive: true, force: true }));
    const file = join(folder, "process");
    await writeFile(file, content);
    t.deepEqual(await readIdentity(file), identity);
    t.is(await readIdentity(join(folder, "none")), undefined);
  });
}

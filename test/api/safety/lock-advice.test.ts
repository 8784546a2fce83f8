/** Every state that a lock's holder can be in: what is printed about it works as printed. */
import test from "ava";
import type { ExecutionContext } from "ava";
import { hostname } from "node:os";
import { ExitCode } from "../../../src/common/errors.js";
import { copyPath } from "../../../src/safety/journal/cluster-copy.js";
import { journalRoot } from "../../../src/safety/journal/journal.js";
import {
  clusterUidOf,
  otherUnfinishedRuns,
  restoreCommand,
  unfinishedProblem,
} from "../../../src/safety/journal/unfinished.js";
import { LOCK_PATH, lockProblem } from "../../../src/safety/lock/lease.js";
import { LEASES, OWN, TARGET } from "../../helpers/dead-man-world.js";
import {
  cluster,
  type Cluster,
  crashed,
  lease,
  type Machine,
  machine,
  putBack,
} from "../../helpers/restore-bench.js";

interface Bench {
  readonly c: Cluster;
  /** The machine of the run that is gone, and one that has no journal. */
  readonly theirs: Machine;
  readonly empty: Machine;
}

/** What a new run on this machine would print; undefined: it may start. */
async function printed(
  { transport }: Cluster,
  { env, kubeconfigPath }: Machine,
): Promise<string | undefined> {
  const place = { context: "fake", kubeconfigPath };
  const clusterUid = await clusterUidOf(transport);
  const unfinished = await otherUnfinishedRuns(transport, { root: journalRoot(env), clusterUid });
  const restoreWith = restoreCommand(place);
  return unfinishedProblem(unfinished, place) ?? (await lockProblem(transport, { restoreWith }));
}

/** Runs the command in the text, as it is. */
async function asPrinted(t: ExecutionContext, m: Machine, text: string): ReturnType<Machine["restore"]> {
  const [, command = ""] = /`([^`]+)`/.exec(text) ?? [];
  const [chaos, restore, all, ...flags] = command.split(" ");
  t.deepEqual([chaos, restore, all], ["chaos", "restore", "--all"], text);
  const flag = (name: string): string | undefined => flags[flags.indexOf(name) + 1];
  const named = flags.length > 0;
  return await m.restore({
    all: true,
    ...(named ? { context: flag("--context") ?? "", kubeconfigPath: flag("--kubeconfig") ?? "" } : {}),
  });
}

const RUN = "run-1";

const STATES: readonly (readonly [what: string, make: (bench: Bench) => Promise<Machine>])[] = [
  [
    "its process ended on this machine; journal here, copy in the cluster",
    async ({ c, theirs }) => {
      await crashed(c, theirs, { runId: RUN, host: hostname(), pid: 4_190_000, undos: [putBack(c)] });
      return theirs;
    },
  ],
  [
    "its process ended on this machine; journal here, the copy's namespace was deleted",
    async ({ c, theirs }) => {
      await crashed(c, theirs, { runId: RUN, host: hostname(), pid: 4_190_000, undos: [putBack(c)] });
      c.server.remove(copyPath(RUN));
      c.server.remove(OWN);
      return theirs;
    },
  ],
  [
    "its process ended on this machine; the journal is gone, copy in the cluster",
    async ({ c, theirs, empty }) => {
      await crashed(c, theirs, { runId: RUN, host: hostname(), pid: 4_190_000, undos: [putBack(c)] });
      return empty;
    },
  ],
  [
    "on another machine, whose process has ended; copy in the cluster",
    async ({ c, theirs, empty }) => {
      await crashed(c, theirs, { runId: RUN, undos: [putBack(c)] });
      return empty;
    },
  ],
  [
    "neither journal nor copy anywhere",
    async ({ c, empty }) => {
      lease(c.server, RUN, "2026-08-01T12:00:00.000000Z");
      return await Promise.resolve(empty);
    },
  ],
];

async function bench(t: ExecutionContext): Promise<Bench> {
  const c = await cluster(t);
  return { c, theirs: await machine(t, c.server), empty: await machine(t, c.server) };
}

for (const [what, make] of STATES)
  test(`${what}: the printed command frees the cluster`, async (t) => {
    const b = await bench(t);
    const m = await make(b);
    const text = (await printed(b.c, m)) ?? "";
    const { code, error, said } = await asPrinted(t, m, text);
    t.is(error, undefined);
    t.is(code, ExitCode.asExpected, said);
    t.is(b.c.server.object(LOCK_PATH), undefined, said);
    t.is(await printed(b.c, m), undefined);
    t.not(b.c.server.object(TARGET), undefined);
  });

test("on another machine and alive: the printed command refuses and says how to end that run", async (t) => {
  const b = await bench(t);
  lease(b.c.server, RUN, "2026-08-01T12:00:00.000000Z");
  const text = (await printed(b.c, b.empty)) ?? "";
  t.regex(text, /After that run's process has exited/);
  b.empty.clock.onTime = (nowMs) => lease(b.c.server, RUN, `2026-08-01T12:00:${10 + (nowMs % 50)}.000000Z`);
  const { code, said } = await asPrinted(t, b.empty, text);
  t.is(code, ExitCode.preflightRefused, said);
  t.regex(said, /still renews it\. End that run on its machine with Ctrl-C or SIGTERM/);
  t.not(b.c.server.object(LOCK_PATH), undefined);
});

test("someone else's Lease of that name: the printed kubectl command names it", async (t) => {
  const b = await bench(t);
  b.c.server.put(LEASES, { metadata: { name: "kube-system-chaos" }, spec: { holderIdentity: "x" } });
  t.regex((await printed(b.c, b.empty)) ?? "", /`kubectl -n kube-system delete lease kube-system-chaos`$/);
  const { code, said } = await b.empty.restore({
    all: true,
    context: "fake",
    kubeconfigPath: b.empty.kubeconfigPath,
  });
  t.is(code, ExitCode.preflightRefused);
  t.regex(said, /`kubectl -n kube-system delete lease kube-system-chaos`/);
});

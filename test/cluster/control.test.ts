/** Runs that take nothing down: the control run, its raw files, and a network fault that the runner does not know of. */
import test from "ava";
import { cp, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { ProbeName } from "../../src/experiment/names.js";
import { list, PODS, resourcePath } from "../../src/kube/api.js";
import type { Pod } from "../../src/kube/objects.js";
import { buildReport } from "../../src/report/files.js";
import type { TestCluster } from "./support/cluster.js";
import { chaosRun, onlyReport, said, setUp, windowStarted, writeExperiment } from "./support/run-cli.js";

test.serial("the control run finds no fault, and its result can be computed again", async (t) => {
  const { cluster, space } = await setUp(t);
  const file = await writeExperiment(space, {
    name: "control",
    attack: "{ type: none }",
    window: "10s",
    impact: "none",
  });
  const ended = await chaosRun(cluster, space, file);
  const { exitCode } = ended;
  const { folder, result } = await onlyReport(space);
  t.is(exitCode, 0, `${said(ended)}\n${result.verdictBecause}`);
  t.is(result.verdict, "control");
  t.is(result.severity, "none");
  t.is(result.suppression, null);

  // From the raw files alone, in another folder.
  const copy = join(space.folder, "copy");
  await cp(folder, copy, {
    recursive: true,
    filter: (path) => !/result\.json|report\.md|timeline\.svg/.test(path),
  });
  await buildReport(copy);
  for (const name of ["result.json", "report.md", "timeline.svg"]) {
    t.is(await readFile(join(copy, name), "utf8"), await readFile(join(folder, name), "utf8"), name);
  }
});

/** The node of the Redis leader's pod, and a process in the pod's network namespace. */
async function redisPlace(cluster: TestCluster): Promise<{ node: string; pid: string }> {
  const { items } = await list<Pod>(cluster.connection.transport, resourcePath(PODS, "guestbook"), {
    labelSelector: "app=redis,role=leader",
  });
  const pod = items[0];
  const node = pod?.spec?.nodeName ?? "";
  const uid = pod?.metadata.uid ?? "";
  const pid = await cluster.access.exec(
    node,
    [
      "sh",
      "-c",
      'id=$(ctr -n k8s.io containers list -q "labels.\\"io.cri-containerd.kind\\"==container,labels.\\"io.kubernetes.pod.uid\\"==$1"); ctr -n k8s.io tasks list | awk -v id="$id" \'$1 == id { print $2 }\'',
      "redis",
      uid,
    ],
    10_000,
  );
  return { node, pid: pid.trim() };
}

test.serial(
  "the report shows when packets were dropped in the kernel, which the runner does not know",
  async (t) => {
    const { cluster, space } = await setUp(t);
    const file = await writeExperiment(space, { name: "loss", attack: "{ type: none }", window: "30s" });
    const child = chaosRun(cluster, space, file);
    await windowStarted(child);
    const { node, pid } = await redisPlace(cluster);
    const rule = async (action: "-I" | "-D"): Promise<void> => {
      await cluster.access.exec(
        node,
        [
          "nsenter",
          "-t",
          pid,
          "-n",
          "iptables",
          "-w",
          action,
          "INPUT",
          "-p",
          "tcp",
          "--dport",
          "6379",
          "-j",
          "DROP",
        ],
        10_000,
      );
    };
    const pause = async (ms: number): Promise<void> =>
      await new Promise((resolve) => setTimeout(resolve, ms));
    // Two losses at random times, of random length. Each start and end is known to within the command's duration.
    const losses: { from: [number, number]; to: [number, number] }[] = [];
    for (const startsAt of [2_000 + Math.random() * 3_000, 3_000 + Math.random() * 3_000]) {
      await pause(startsAt);
      const fromEarliest = Date.now();
      await rule("-I");
      const fromLatest = Date.now();
      await pause(2_500 + Math.random() * 2_000);
      const toEarliest = Date.now();
      await rule("-D");
      losses.push({ from: [fromEarliest, fromLatest], to: [toEarliest, Date.now()] });
    }
    const ended = await child;
    const { result } = await onlyReport(space);
    t.not(result.severity, "none", said(ended));
    const zero = Date.parse(result.facts.startedAt);
    const interval = result.facts.experiment.probes.interval;
    // These probes connect with a timeout under a second, so they see what the kernel did: the outage ends with the
    // first SYN that passes.
    for (const probe of ["tcp-pod", "tcp-service"] satisfies ProbeName[]) {
      for (const { source, outages } of result.probes.filter((each) => each.probe === probe)) {
        for (const loss of losses) {
          // A loss is seen at the next tick; on a busy machine that tick may be one interval late.
          const slack = 2 * interval;
          const found = outages.some(({ fromMs, toMs }) => {
            const from = zero + fromMs;
            const to = zero + (toMs ?? Infinity);
            return (
              from >= loss.from[0] - slack &&
              from <= loss.from[1] + slack &&
              to >= loss.to[0] - slack &&
              to <= loss.to[1] + slack
            );
          });
          t.true(found, `${probe} from ${source}: ${JSON.stringify({ loss, zero, outages })}`);
        }
      }
    }
    for (const { source, outages } of result.probes.filter((each) => each.probe === "app-write")) {
      t.true(outages.length >= losses.length, `app-write from ${source} shows the losses`);
    }
    // DNS was not affected: its probe shows no outage.
    for (const { source, outages } of result.probes.filter((each) => each.probe === "dns-internal")) {
      t.deepEqual(outages, [], `dns-internal from ${source}`);
    }
  },
);

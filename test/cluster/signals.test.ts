/** A run that is ended by a signal restores everything first. */
import test from "ava";
import { getOrUndefined, NAMESPACES, resourcePath } from "../../src/kube/api.js";
import { pollUntil, systemClock } from "../../src/common/clock.js";
import { livenessOf } from "../../src/common/process-identity.js";
import {
  chaosRun,
  chaosRunInTerminal,
  journalsOf,
  onlyReport,
  said,
  setUp,
  windowStarted,
  writeExperiment,
} from "./support/run-cli.js";

test.serial("Ctrl-C in the middle of the window restores, reports, and ends with 130", async (t) => {
  const { cluster, space } = await setUp(t);
  const file = await writeExperiment(space, {
    name: "interrupted",
    attack: "{ type: delete-workload }",
    window: "60s",
    impact: "outage",
  });
  const child = chaosRun(cluster, space, file);
  await windowStarted(child);
  await new Promise((resolve) => setTimeout(resolve, 6_000));
  child.kill("SIGINT");
  // A second SIGINT right after must not skip the restore.
  await new Promise((resolve) => setTimeout(resolve, 300));
  child.kill("SIGINT");
  const ended = await child;
  const { exitCode } = ended;
  const { result } = await onlyReport(space);
  t.is(exitCode, 130, said(ended));
  t.is(result.verdict, "interrupted");
  t.true((result.suppression?.kills ?? 0) > 0);
  t.true((result.recovery?.readyMs ?? null) !== null);
  for (const name of ["guestbook", "kube-system-chaos"]) {
    t.is(
      await getOrUndefined(cluster.connection.transport, resourcePath(NAMESPACES, undefined, name)),
      undefined,
      name,
    );
  }
});

test.serial(
  "the terminal is closed in the window: the run restores and writes its report without a terminal",
  async (t) => {
    const { cluster, space } = await setUp(t);
    const file = await writeExperiment(space, {
      name: "hung-up",
      attack: "{ type: delete-workload }",
      window: "60s",
      impact: "outage",
    });
    const terminal = chaosRunInTerminal(cluster, space, file);
    await windowStarted(terminal);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    terminal.kill("SIGKILL");
    await terminal;
    const [started] = await journalsOf(space);
    if (started === undefined) throw new Error("the run has no journal");
    // The run writes its report after it has closed its journal, so only its end shows that both are written.
    const ended = await pollUntil(systemClock(), { everyMs: 500, limitMs: 180_000 }, async () =>
      (await livenessOf(started.open)) === "ended" ? true : undefined,
    );
    t.true(ended, "the run ended");
    t.deepEqual(
      (await journalsOf(space)).map(({ closed }) => closed),
      [true],
    );
    const { result } = await onlyReport(space);
    t.is(result.verdict, "interrupted");
  },
);

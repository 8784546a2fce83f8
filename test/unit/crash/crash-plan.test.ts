import test from "ava";
import { API_SERVER, ATTACKS, COLUMNS, experimentText } from "../../crash/attacks.js";
import { KINDS, kindPoints } from "../../crash/kinds.js";
import { readOptions } from "../../crash/options.js";
import { markIn, phaseHit, PHASES, triggerOf } from "../../crash/phases.js";
import { inOrder, missingPhases, neededHits, planPoints, pointAt } from "../../crash/plan.js";
import type { Outcome } from "../../crash/point.js";
import { changes } from "../../cluster/support/snapshot.js";
import { failureLines, pointLine, table } from "../../crash/words.js";
import { parseExperiment } from "../../../src/load/parse.js";

test("a seed and a number always give the same point, however many are planned", (t) => {
  const many = planPoints(7, 100);
  t.deepEqual(planPoints(7, 15), many.slice(0, 15));
  t.deepEqual(pointAt(7, 42), many[41]);
  t.notDeepEqual(planPoints(8, 100), many);
  t.notDeepEqual(
    planPoints(7, 10, "SIGINT").map(({ phase }) => phase),
    many.slice(0, 10).map(({ phase }) => phase),
  );
});

test("a hundred points have ten in each phase, every attack, and every way to restore", (t) => {
  for (const seed of [1, 2, 3]) {
    const points = planPoints(seed, 100);
    for (const phase of PHASES) t.is(points.filter((each) => each.phase === phase).length, 10, phase);
    for (const each of [...ATTACKS, API_SERVER])
      t.true(
        points.some(({ attack }) => attack === each),
        each.name,
      );
    t.is(points.filter(({ attack }) => attack === API_SERVER).length, 5);
    for (const by of ["restore", "restore twice", "watchdog"])
      t.true(points.filter(({ restorer }) => restorer.by === by).length >= 10, by);
    t.true(points.filter(({ mode }) => mode === "full").length >= 10);
  }
});

test("the ten of the short form have every phase and every column", (t) => {
  const { seed } = readOptions(["--short"]);
  const points = planPoints(seed, 10);
  for (const phase of PHASES)
    t.true(
      points.some((point) => point.phase === phase),
      phase,
    );
  for (const column of COLUMNS)
    t.true(
      points.some(({ attack }) => attack.column === column),
      column,
    );
});

test("the points of another kind: at least 25, each kind and attack once, one in the short form", (t) => {
  const points = kindPoints(false);
  t.true(points.length >= 25, `${points.length} points`);
  for (const kind of KINDS)
    t.true(
      points.some((point) => point.kind === kind),
      kind,
    );
  t.is(new Set(points.map(({ kind, attack }) => `${kind} ${attack.name}`)).size, points.length);
  t.deepEqual(kindPoints(true), points.slice(0, 1));
  for (const { attack } of points)
    t.true("experiment" in parseExperiment(experimentText(attack), `${attack.name}.yaml`), attack.name);
  const [point] = points;
  const failed = outcome({ ...(point === undefined ? {} : { point }), problems: ["lock: nobody → run-1"] });
  t.regex(pointLine(failed), /restart after kill/);
  t.regex(failureLines(failed).join("\n"), /-- --kinds --point 1$/m);
});

test("a phase that was missed is drawn again nearer to its start, all else being as it was", (t) => {
  const point = pointAt(1, 12, { phase: "record" });
  const nearer = pointAt(1, 12, { phase: "record", nearer: 0.1 });
  t.true(nearer.delayMs <= point.delayMs * 0.1);
  t.deepEqual({ ...nearer, delayMs: 0 }, { ...point, delayMs: 0 });
});

test("the last mark before the signal tells the phase", (t) => {
  const hit = (phase: string, state: "start" | "end"): string => phaseHit({ phase, state });
  t.is(phaseHit(undefined), "start");
  t.is(hit("preflight", "start"), "preflight");
  t.is(hit("preflight", "end"), "lock");
  t.is(hit("lock", "end"), "deploy");
  t.is(hit("deploy", "end"), "deploy");
  t.is(hit("function", "start"), "window");
  t.is(hit("release", "end"), "release");
  t.is(hit("teardown", "start"), "teardown");
  t.is(hit("teardown", "end"), "report");
  t.throws(() => hit("lunch", "start"));
  t.deepEqual(triggerOf("report"), { phase: "teardown", state: "end" });
});

test("marks are read from whole lines of events only", (t) => {
  const line = '{"type":"event","tMs":1,"event":{"type":"phase","phase":"lock","state":"start","tMs":2}}';
  t.deepEqual(markIn(line), { phase: "lock", state: "start" });
  t.is(markIn(line.slice(0, -4)), undefined);
  t.is(markIn('{"type":"phase","tMs":1,"phase":"lock","state":"start"}'), undefined);
  t.is(markIn('{"type":"event","tMs":1,"event":{"type":"kill","phase":1}}'), undefined);
});

test("phases that were hit too rarely are missing, each so often", (t) => {
  t.is(neededHits(100), 5);
  t.is(neededHits(15), 1);
  t.is(neededHits(4), 0);
  const hits = PHASES.filter((phase) => phase !== "lock");
  t.deepEqual(missingPhases([...hits, "over", "start"], 1), ["lock"]);
  t.deepEqual(
    missingPhases(["lock"], 2).filter((phase) => phase === "lock"),
    ["lock"],
  );
});

test("points that bring their own guestbook come first", (t) => {
  const modes = inOrder(planPoints(1, 40)).map(({ mode }) => mode);
  t.is(modes.lastIndexOf("full") + 1, modes.indexOf("keep"));
});

test("every attack is a valid experiment", (t) => {
  for (const attack of [...ATTACKS, API_SERVER])
    t.true("experiment" in parseExperiment(experimentText(attack), `${attack.name}.yaml`), attack.name);
});

test("a difference names its place, the value before and the value after", (t) => {
  const before = { a: { spec: { replicas: 2 } }, b: "x", gone: 1 };
  t.deepEqual(changes(before, before), []);
  t.deepEqual(changes(before, { a: { spec: { replicas: 0 } }, b: "y", more: 1 }), [
    "a .spec .replicas: 2 → 0",
    'b: "x" → "y"',
    "gone: is gone",
    "more: was not there",
  ]);
  t.deepEqual(changes({ node: { files: ["x", "y"] } }, { node: { files: ["y", "z"] } }), [
    'node .files: ["x"] → ["z"]',
  ]);
});

test("arguments: lists of points, and what is wrong with them", (t) => {
  t.like(readOptions([]), { seed: 1, points: 100, short: false, signal: "SIGKILL", only: [] });
  t.is(readOptions(["--short", "--seed", "4"]).seed, 4);
  t.deepEqual(readOptions(["--point", "3-5,9"]).only, [3, 4, 5, 9]);
  t.is(readOptions(["--point", "3", "--phase", "lock"]).phase, "lock");
  for (const bad of [["--points", "0"], ["--signal", "SIGFOO"], ["--phase", "lock"], ["--more"]])
    t.throws(() => readOptions(bad), undefined, bad.join(" "));
});

function outcome(change: Partial<Outcome>): Outcome {
  return {
    point: pointAt(1, 1),
    hit: "window",
    restoredBy: "restore",
    restoreMs: 1200,
    restMs: 0,
    restless: [],
    tookMs: 9000,
    problems: [],
    folder: "/tmp/somewhere",
    ...change,
  };
}

test("the table counts the phase that was hit, not the planned one; misses and failures are not successes", (t) => {
  const lines = table([
    outcome({}),
    outcome({ problems: ["replicas"] }),
    outcome({ hit: "over" }),
    outcome({ hit: "lock", restoredBy: "restore twice (killed after 3 ms)" }),
  ]);
  t.is(lines.at(-1), "2 of 3 as before");
  t.regex(lines.find((line) => line.startsWith("window")) ?? "", / 2$/);
  t.true(lines.includes("signals that came too late: 1"));
  t.true(lines.includes("restored by: restore 2, restore twice 1"));
});

test("a failure says what differs, where its files are, and how to repeat it", (t) => {
  const failed = outcome({ problems: ["lock: nobody → run-1"] });
  t.true(pointLine(failed).endsWith("FAILED"));
  const text = failureLines(failed).join("\n");
  t.regex(text, /nobody → run-1/);
  t.regex(text, /somewhere/);
  t.regex(text, /--seed 1 --point 1 --phase \w+/);
});

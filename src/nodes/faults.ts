/**
 * What is done on a node, as small POSIX shell scripts: each safe to repeat, none of them needs the API server. A fault
 * is made only behind a timer of systemd on that node, which undoes it when nobody else has.
 */
import { shortHash } from "../common/hash.js";
import { ChaosError, ExitCode } from "../common/errors.js";
import type { AttackRow } from "../experiment/attacks.js";
import type { NodeAccess } from "./spec.js";

/** Where manifests are held: beside the kubelet's folder, so on its file system and out of its sight. */
export const HELD_ROOT = "/etc/kubernetes/kube-system-chaos";

/** How long a question to a node may take, ms. */
const ASK_TIMEOUT_MS = 15_000;

/** How long a unit may take to stop or to start, ms. */
const UNIT_TIMEOUT_MS = 60_000;

/** The timer on the node that undoes one fault of a run, without ".timer". */
export function timerName(runId: string, what: string): string {
  const short = shortHash(runId, 8);
  const name = (what.split("/").at(-1) ?? what).replace(/\.[a-z]+$/, "").replace(/[^A-Za-z0-9_-]/g, "-");
  return `kube-system-chaos-${short}-${name}`;
}

/** Where a run holds a manifest that it has moved away. */
export function heldPath(runId: string, manifest: string): string {
  return `${HELD_ROOT}/${runId}/${manifest.split("/").at(-1) ?? "manifest"}`;
}

/**
 * Sets the timer, unless it is set, and proves that it waits. $timer, $seconds: set before; the arguments: what it runs.
 * systemd expands "$" in a timer's command: none of the commands has one.
 */
const ARM = `
arm() {
  if systemctl is-active --quiet "$timer.timer"; then return 0; fi
  systemctl stop "$timer.timer" 2>/dev/null || true
  systemctl reset-failed "$timer.service" 2>/dev/null || true
  systemd-run --quiet --collect --unit="$timer" --description="kube-system chaos: undo" \\
    --on-active="$seconds" --timer-property=AccuracySec=1s "$@"
  systemctl is-active --quiet "$timer.timer" || { echo "the timer $timer was not set" >&2; exit 1; }
}
`;

/** Units that systemd stops with this one, and does not start with it again. */
const DEPENDENTS = `
dependents() {
  for each in $(systemctl show -p RequiredBy -p BoundBy --value "$1"); do
    if systemctl is-active --quiet "$each"; then echo "$each"; fi
  done
}
`;

const STOP_UNIT = `
unit=$1
${DEPENDENTS}
case $(systemctl is-active "$unit" || true) in
  # Somebody may have taken the timer away meanwhile.
  inactive | failed) arm systemctl start "$unit"; echo down; exit 0 ;;
esac
arm systemctl start "$unit" $(dependents "$unit")
systemctl stop "$unit"
state=$(systemctl is-active "$unit" || true)
case $state in inactive | failed) echo acted ;; *) echo "$unit is $state after it was stopped" >&2; exit 1 ;; esac
`;

/** One that re-appeared is dropped when it is the one that is held, and kept beside it when it is not. */
const HOLD_MANIFEST = `
manifest=$1 held=$2
if [ ! -e "$manifest" ]; then
  [ -e "$held" ] || { echo "there is no $manifest" >&2; exit 1; }
  arm mv -n "$held" "$manifest"; echo down; exit 0
fi
arm mv -n "$held" "$manifest"
folder=$(dirname "$held")
umask 077
mkdir -p "$folder"
if [ "$(stat -c %d "$folder")" != "$(stat -c %d "$(dirname "$manifest")")" ]; then
  echo "$folder is on another file system than $manifest" >&2; exit 1
fi
if [ ! -e "$held" ]; then mv "$manifest" "$held"
elif cmp -s "$manifest" "$held"; then rm "$manifest"
else mv "$manifest" "$held.again.$(date +%s)"
fi
[ ! -e "$manifest" ] || { echo "$manifest is still there" >&2; exit 1; }
echo acted
`;

/** A timer that waits counts anew from now; systemd does it in one step. One that has acted is not brought back. */
const REARM = `
set -eu
if systemctl is-active --quiet "$1.timer"; then systemctl restart "$1.timer"; fi
`;

/** Only on the very node that was harmed: another may have its name by now. */
const SAME_MACHINE = `
if [ "$(cat /etc/machine-id)" != "$1" ]; then echo other-machine; exit 0; fi
shift
`;

const DISARM = `
disarm() {
  systemctl stop "$timer.timer" 2>/dev/null || true
  systemctl reset-failed "$timer.timer" "$timer.service" 2>/dev/null || true
}
`;

type OnUnit = NonNullable<AttackRow["onUnit"]>;

const STOPPED: OnUnit = { state: 'systemctl is-active "$1"', undo: 'systemctl start "$@"' };

const undoUnit = ({ state, undo }: OnUnit): string => `
set -eu
${SAME_MACHINE}${DISARM}
state() {
${state}
}
timer=$1; shift
echo "timer=$(systemctl is-active "$timer.timer" || true)"
echo "before=$(state "$1" || true)"
echo "invocation=$(systemctl show -p InvocationID --value "$1")"
${undo}
now=$(state "$1" || true)
[ "$now" = active ] || { echo "$1 is $now after it was started" >&2; exit 1; }
disarm
`;

const RETURN_MANIFEST = `
set -eu
${SAME_MACHINE}${DISARM}
timer=$1 manifest=$2 held=$3
folder=$(dirname "$held")
echo "timer=$(systemctl is-active "$timer.timer" || true)"
[ ! -d "$folder" ] || echo "began=yes"
[ ! -e "$held" ] || echo "held=yes"
if [ -e "$manifest" ]; then
  echo "before=there"
  if [ -e "$held" ] && cmp -s "$held" "$manifest"; then rm "$held"; fi
  [ ! -e "$held" ] || echo "kept=yes"
elif [ -e "$held" ]; then mv "$held" "$manifest"
else echo "neither $manifest nor $held is there" >&2; exit 1
fi
disarm
# What is left in it is not ours to remove: another manifest than ours was there in between.
rmdir "$folder" 2>/dev/null && rmdir "$(dirname "$folder")" 2>/dev/null || true
`;

const INSPECT_UNIT = `
set -eu
${DEPENDENTS}
echo "machine=$(cat /etc/machine-id)"
echo "state=$(systemctl is-active "$1" || true)"
echo "invocation=$(systemctl show -p InvocationID --value "$1")"
dependents "$1" | sed 's/^/also=/'
`;

const INSPECT_MANIFEST = `
set -eu
echo "machine=$(cat /etc/machine-id)"
[ ! -f "$1" ] || echo "state=there"
`;

/** Lines "key=value" of a script's output; a key may come more than once. */
type Facts = ReadonlyMap<string, readonly string[]>;

function factsOf(output: string): Facts {
  const facts = new Map<string, string[]>();
  for (const line of output.split("\n")) {
    const at = line.indexOf("=");
    const key = at < 0 ? line : line.slice(0, at);
    if (key !== "") facts.set(key, [...(facts.get(key) ?? []), line.slice(at + 1)]);
  }
  return facts;
}

interface OnNode {
  readonly access: NodeAccess;
  readonly node: string;
}

async function run(
  { access, node }: OnNode,
  script: string,
  args: readonly string[],
  timeoutMs: number,
): Promise<string> {
  return await access.exec(node, ["sh", "-c", script, "kube-system-chaos", ...args], timeoutMs);
}

/** The delay of a timer, whole seconds. */
const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)));

/** The timer that undoes a fault when nobody else has. */
interface Timed {
  /** Without ".timer". */
  readonly timer: string;
  /** It undoes the fault so long after it was set, or told that the runner is there, ms. */
  readonly healAfterMs: number;
}

/**
 * Makes a fault on a node behind its timer. The script sets the timer with `arm COMMAND...`, the command that undoes
 * the fault, before it does anything; it prints "acted" when it has done something, and "$1" and so on are `args`.
 *
 * @returns whether there was something to do.
 */
export async function actBehindTimer(
  on: OnNode,
  { timer, healAfterMs }: Timed,
  script: string,
  args: readonly string[],
  timeoutMs: number = ASK_TIMEOUT_MS,
): Promise<boolean> {
  const whole = `
set -eu
timer=$1 seconds=$2
shift 2
${ARM}${script}`;
  return (await run(on, whole, [timer, seconds(healAfterMs), ...args], timeoutMs)).trim() === "acted";
}

/**
 * Stops a unit if it is not stopped, behind its timer.
 *
 * @returns whether there was something to stop.
 */
export async function stopUnit(on: OnNode, fault: Timed & { readonly unit: string }): Promise<boolean> {
  return await actBehindTimer(on, fault, STOP_UNIT, [fault.unit], UNIT_TIMEOUT_MS);
}

/**
 * Moves a manifest away if it is there, behind its timer.
 *
 * @returns whether there was something to move.
 */
export async function holdManifest(
  on: OnNode,
  fault: Timed & { readonly manifest: string; readonly heldAt: string },
): Promise<boolean> {
  return await actBehindTimer(on, fault, HOLD_MANIFEST, [fault.manifest, fault.heldAt]);
}

/** Has the timer on a node, if it waits, count anew: the runner is there. */
export async function rearm(on: OnNode, timer: string): Promise<void> {
  await run(on, REARM, [timer], ASK_TIMEOUT_MS);
}

/** What a unit or a manifest was before the run, as far as its undo needs it. */
export interface Inspected {
  readonly machineId: string;
  /** Of a unit: as systemd says ("active"). Of a manifest: "there", or "". */
  readonly state: string;
  /** Of a unit: names this very start of it. */
  readonly invocation: string;
  /** Of a unit: what systemd stops with it. */
  readonly also: readonly string[];
}

/** @throws Error when the node says no machine id: without one, another machine could be taken for it. */
export async function inspect(
  on: OnNode,
  what: { readonly unit: string } | { readonly manifest: string },
): Promise<Inspected> {
  const output =
    "unit" in what
      ? await run(on, INSPECT_UNIT, [what.unit], ASK_TIMEOUT_MS)
      : await run(on, INSPECT_MANIFEST, [what.manifest], ASK_TIMEOUT_MS);
  const facts = factsOf(output);
  const machineId = facts.get("machine")?.[0] ?? "";
  if (!/^[0-9a-f]{32}$/.test(machineId)) throw new Error(`${on.node} has no machine id in /etc/machine-id`);
  return {
    machineId,
    state: facts.get("state")?.[0] ?? "",
    invocation: facts.get("invocation")?.[0] ?? "",
    also: facts.get("also") ?? [],
  };
}

/** What was found when a fault was undone. */
export interface Put {
  readonly how: "put-back" | "found" | "untouched";
  /** Who had put it back, where it was found so. */
  readonly by: string;
}

/**
 * Undoes a fault of a unit, after which it is active; then takes the timer away. Safe to repeat.
 *
 * @param own how the fault is seen and undone, safe to repeat. Default: the unit is stopped, and is started.
 */
export async function startUnit(
  on: OnNode,
  fault: {
    readonly unit: string;
    readonly also: readonly string[];
    readonly invocation: string;
    readonly timer: string;
    readonly machineId: string;
  },
  own: OnUnit = STOPPED,
): Promise<Put> {
  const args = [fault.machineId, fault.timer, fault.unit, ...fault.also];
  const facts = sameMachine(on, factsOf(await run(on, undoUnit(own), args, UNIT_TIMEOUT_MS)));
  if (facts.get("before")?.[0] !== "active") return { how: "put-back", by: "runner" };
  const same = facts.get("invocation")?.[0] === fault.invocation;
  return same ? { how: "untouched", by: "runner" } : { how: "found", by: restorer(facts) };
}

/** Moves a manifest back if it is away; then takes the timer away. Safe to repeat. */
export async function returnManifest(
  on: OnNode,
  fault: {
    readonly manifest: string;
    readonly heldAt: string;
    readonly timer: string;
    readonly machineId: string;
  },
): Promise<Put> {
  const args = [fault.machineId, fault.timer, fault.manifest, fault.heldAt];
  const facts = sameMachine(on, factsOf(await run(on, RETURN_MANIFEST, args, ASK_TIMEOUT_MS)));
  if (!facts.has("before")) return { how: "put-back", by: "runner" };
  // Begun, and not held any more: the timer has returned it, if it waits no longer.
  const moved = facts.has("held") || (facts.has("began") && !timerWaits(facts));
  if (!moved) return { how: "untouched", by: "runner" };
  const kept = facts.has("kept")
    ? ` (with another content: the one from before is kept in ${fault.heldAt})`
    : "";
  return { how: "found", by: `${restorer(facts)}${kept}` };
}

function sameMachine(on: OnNode, facts: Facts): Facts {
  if (facts.has("other-machine")) {
    throw new ChaosError(
      `${on.node} is another machine than the one that was harmed (its /etc/machine-id differs): nothing was done to it`,
      { exitCode: ExitCode.notRestored },
    );
  }
  return facts;
}

function timerWaits(facts: Facts): boolean {
  return facts.get("timer")?.[0] === "active";
}

function restorer(facts: Facts): string {
  return timerWaits(facts) ? "somebody on the node" : "the timer on the node";
}

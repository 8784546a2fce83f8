/**
 * Faults on nodes and their undo, as small POSIX shell scripts. Each is safe to repeat and needs no API server. Before
 * each fault, a systemd timer is set on that node; it undoes the fault if nothing else does.
 */
import { shortHash } from "../common/hash.js";
import { ChaosError, ExitCode } from "../common/errors.js";
import type { AttackRow } from "../experiment/attacks.js";
import type { NodeAccess } from "./spec.js";

/**
 * Where moved manifests are kept: beside the kubelet's manifest folder, so that it is mostly on the same file system.
 * "/etc/kubernetes/kube-system-chaos" for "/etc/kubernetes/manifests/etcd.yaml".
 */
export function heldRoot(manifest: string): string {
  return `${manifest.replace(/\/[^/]*\/[^/]*$/, "")}/kube-system-chaos`;
}

/** Time limit of a script without a unit to stop or start, ms. */
const ASK_TIMEOUT_MS = 15_000;

/** How long a unit may take to stop or to start, ms. */
const UNIT_TIMEOUT_MS = 60_000;

/** The timer on the node that undoes one fault of a run, without ".timer". */
export function timerName(runId: string, what: string): string {
  const short = shortHash(runId, 8);
  const name = (what.split("/").at(-1) ?? what).replace(/\.[a-z]+$/, "").replace(/[^A-Za-z0-9_-]/g, "-");
  return `kube-system-chaos-${short}-${name}`;
}

/** Where a run keeps a manifest that it has moved away. */
export function heldPath(runId: string, manifest: string): string {
  return `${heldRoot(manifest)}/${runId}/${manifest.split("/").at(-1) ?? "manifest"}`;
}

/**
 * Sets the timer unless it is set, and checks that it is active. Reads $timer and $seconds; the arguments are the
 * timer's command. systemd expands "$" in a timer's command: none of the commands contains one.
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

/** Units that systemd stops together with this one, but does not start again with it. */
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
  # Someone may have removed the timer meanwhile.
  inactive | failed) arm systemctl start "$unit"; echo down; exit 0 ;;
esac
arm systemctl start "$unit" $(dependents "$unit")
systemctl stop "$unit"
state=$(systemctl is-active "$unit" || true)
case $state in inactive | failed) echo acted ;; *) echo "$unit is $state after systemctl stop" >&2; exit 1 ;; esac
`;

/** A manifest that reappeared is removed when it equals the kept one; otherwise it is kept under another name. */
const HOLD_MANIFEST = `
manifest=$1 held=$2
if [ ! -e "$manifest" ]; then
  [ -e "$held" ] || { echo "$manifest does not exist" >&2; exit 1; }
  arm mv -n "$held" "$manifest"; echo down; exit 0
fi
arm mv -n "$held" "$manifest"
folder=$(dirname "$held")
umask 077
mkdir -p "$folder"
if [ "$(stat -c %d "$folder")" != "$(stat -c %d "$(dirname "$manifest")")" ]; then
  echo "$folder is not on the file system of $manifest" >&2; exit 1
fi
if [ ! -e "$held" ]; then mv "$manifest" "$held"
elif cmp -s "$manifest" "$held"; then rm "$manifest"
else mv "$manifest" "$held.again.$(date +%s)"
fi
[ ! -e "$manifest" ] || { echo "$manifest still exists" >&2; exit 1; }
echo acted
`;

/** Restarts the countdown of an active timer; systemd does it atomically. A timer that has fired is not set again. */
const REARM = `
set -eu
if systemctl is-active --quiet "$1.timer"; then systemctl restart "$1.timer"; fi
`;

/**
 * What identifies a machine. /etc/machine-id is not enough: a kind node gets a new one at every start of its container,
 * but keeps /kind/product_uuid (kubernetes-sigs/kind, images/base/files/usr/local/bin/entrypoint: fix_machine_id,
 * fix_product_uuid). In any other container the DMI's UUID is the host's. Some firmware has only zeros or Fs.
 * A start of the machine or of its container is identified by the kernel's boot and the start of its first process.
 */
const MACHINE = `
hardware() {
  uuid=
  if [ -s /kind/product_uuid ]; then read -r uuid < /kind/product_uuid || true
  elif [ -r /sys/class/dmi/id/product_uuid ] && ! systemd-detect-virt --container --quiet 2>/dev/null; then
    read -r uuid < /sys/class/dmi/id/product_uuid || true
  fi
  case $uuid in *[!0-9a-fA-F-]*) uuid= ;; esac
  case $uuid in *[!0-]*) ;; *) uuid= ;; esac
  case $uuid in *[!fF-]*) ;; *) uuid= ;; esac
}
started() {
  start=
  if [ -r /proc/sys/kernel/random/boot_id ] && [ -r /proc/1/stat ]; then
    read -r boot < /proc/sys/kernel/random/boot_id
    read -r stat < /proc/1/stat
    set -- \${stat##*) }
    start="$boot/\${20}"
  fi
}
hardware
started
`;

const IDENTITY = `${MACHINE}
echo "machine=$(cat /etc/machine-id)"
echo "hardware=$uuid"
echo "started=$start"
`;

/**
 * Acts only on the attacked machine: another machine may have the node's name by now. $1: its hardware's UUID, $2: its
 * machine id, $3: its start, "-" where one was not recorded, $4: "accept" to act on any machine.
 */
const SAME_MACHINE = `
${MACHINE}
other=no
if [ "$1" != - ] && [ -n "$uuid" ]; then [ "$1" = "$uuid" ] || other=yes
else [ "$2" = "$(cat /etc/machine-id)" ] || other=yes; fi
if [ $other = yes ] && [ "$4" != accept ]; then echo other-machine; exit 0; fi
if [ $other = yes ]; then echo replaced=yes
elif [ "$3" != - ] && [ "$3" != "$start" ]; then echo restarted=yes; fi
shift 4
`;

const DISARM = `
disarm() {
  systemctl stop "$timer.timer" 2>/dev/null || true
  systemctl reset-failed "$timer.timer" "$timer.service" 2>/dev/null || true
}
`;

type OnUnit = NonNullable<AttackRow["onUnit"]>;

const STOPPED: OnUnit = { state: 'systemctl is-active "$1"', undo: 'systemctl start "$@"' };

/** On a machine that replaced the attacked one, a unit that does not exist is gone with the attacked one. */
const undoUnit = ({ state, undo }: OnUnit): string => `
set -eu
${SAME_MACHINE}${DISARM}
state() {
${state}
}
timer=$1; shift
if [ $other = yes ] && [ "$(systemctl show -p LoadState --value "$1")" = not-found ]; then echo gone=yes; exit 0; fi
echo "timer=$(systemctl is-active "$timer.timer" || true)"
echo "before=$(state "$1" || true)"
echo "invocation=$(systemctl show -p InvocationID --value "$1")"
${undo}
now=$(state "$1" || true)
[ "$now" = active ] || { echo "$1 is $now after the undo" >&2; exit 1; }
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
elif [ $other = yes ]; then echo "gone=yes"
else echo "neither $manifest nor $held exists" >&2; exit 1
fi
disarm
# Remaining files are foreign manifests that appeared during the run: keep them.
rmdir "$folder" 2>/dev/null && rmdir "$(dirname "$folder")" 2>/dev/null || true
`;

const INSPECT_UNIT = `
set -eu
${DEPENDENTS}
${IDENTITY}echo "state=$(systemctl is-active "$1" || true)"
echo "invocation=$(systemctl show -p InvocationID --value "$1")"
dependents "$1" | sed 's/^/also=/'
`;

const INSPECT_MANIFEST = `
set -eu
${IDENTITY}[ ! -f "$1" ] || echo "state=there"
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

/** The timer that undoes a fault if nothing else does. */
interface Timed {
  /** Without ".timer". */
  readonly timer: string;
  /** The timer fires this long after it was set or re-armed, ms. */
  readonly healAfterMs: number;
}

/**
 * Causes a fault on a node after setting its timer. The script calls `arm COMMAND...` (the command that undoes the
 * fault) before anything else, and prints "acted" when it has changed something. "$1" and so on are `args`.
 *
 * @returns whether the script changed anything.
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
 * Stops a unit unless it is stopped, after setting its timer.
 *
 * @returns whether the unit was running.
 */
export async function stopUnit(on: OnNode, fault: Timed & { readonly unit: string }): Promise<boolean> {
  return await actBehindTimer(on, fault, STOP_UNIT, [fault.unit], UNIT_TIMEOUT_MS);
}

/**
 * Moves a manifest away if it exists, after setting its timer.
 *
 * @returns whether the manifest existed.
 */
export async function holdManifest(
  on: OnNode,
  fault: Timed & { readonly manifest: string; readonly heldAt: string },
): Promise<boolean> {
  return await actBehindTimer(on, fault, HOLD_MANIFEST, [fault.manifest, fault.heldAt]);
}

/** Restarts the countdown of an active timer on a node: the runner is alive. */
export async function rearm(on: OnNode, timer: string): Promise<void> {
  await run(on, REARM, [timer], ASK_TIMEOUT_MS);
}

/** The machine that was attacked. */
export interface Machine {
  /** /etc/machine-id. */
  readonly machineId: string;
  /** UUID of its hardware, or of its container if it is a kind node. Missing: it has none, or an older version recorded it. */
  readonly hardware?: string;
  /** Differs after a restart of the machine or of its container. Missing: an older version recorded it. */
  readonly started?: string;
}

/** The state of a unit or a manifest before the run, as far as the undo needs it. */
export interface Inspected {
  readonly machine: Machine;
  /** Of a unit: systemd's word ("active"). Of a manifest: "there", or "". */
  readonly state: string;
  /** Of a unit: systemd's id of its current start. */
  readonly invocation: string;
  /** Of a unit: the units that systemd stops with it. */
  readonly also: readonly string[];
}

/** @throws Error when the node has no machine id: without one, a replaced machine would not be detected. */
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
  const [hardware, started] = [facts.get("hardware")?.[0], facts.get("started")?.[0]];
  return {
    machine: { machineId, ...(hardware ? { hardware } : {}), ...(started ? { started } : {}) },
    state: facts.get("state")?.[0] ?? "",
    invocation: facts.get("invocation")?.[0] ?? "",
    also: facts.get("also") ?? [],
  };
}

/** Whether an undo may act on another machine with the node's name, because the user accepts it. */
interface Accepting {
  readonly accept?: boolean;
}

/** Whether this is the recorded machine. As in SAME_MACHINE. Pure. */
export function isSameMachine(recorded: Machine, now: Machine): boolean {
  return recorded.hardware !== undefined && now.hardware !== undefined
    ? recorded.hardware === now.hardware
    : recorded.machineId === now.machineId;
}

/** The first arguments of an undo. */
function identity({ hardware = "-", machineId, started = "-", accept }: Machine & Accepting): string[] {
  return [hardware, machineId, started, accept === true ? "accept" : "-"];
}

/** The result of an undo on a node. `gone`: the accepted machine has nothing of the attacked one. */
export interface Put {
  readonly how: "put-back" | "found" | "untouched" | "gone";
  /** Who undid the fault. */
  readonly by: string;
}

/**
 * Undoes a fault of a unit, so that it is active; then removes the timer. Safe to repeat.
 *
 * @param own how to detect and undo the fault, safe to repeat. Default: the fault is a stopped unit; start it.
 */
export async function startUnit(
  on: OnNode,
  fault: Machine &
    Accepting & {
      readonly unit: string;
      readonly also: readonly string[];
      readonly invocation: string;
      readonly timer: string;
    },
  own: OnUnit = STOPPED,
): Promise<Put> {
  const args = [...identity(fault), fault.timer, fault.unit, ...fault.also];
  const facts = sameMachine(on, factsOf(await run(on, undoUnit(own), args, UNIT_TIMEOUT_MS)));
  if (facts.has("gone")) return GONE;
  if (facts.get("before")?.[0] !== "active") return { how: "put-back", by: "runner" };
  const same = facts.get("invocation")?.[0] === fault.invocation;
  if (same) return { how: "untouched", by: "runner" };
  if (facts.has("replaced")) return { how: "found", by: "the machine that replaced the node's" };
  // Timers do not survive a restart, but systemd starts the unit at the next one.
  return { how: "found", by: facts.has("restarted") ? "systemd when the node restarted" : restorer(facts) };
}

/** Moves a manifest back if it was moved away; then removes the timer. Safe to repeat. */
export async function returnManifest(
  on: OnNode,
  fault: Machine & Accepting & { readonly manifest: string; readonly heldAt: string; readonly timer: string },
): Promise<Put> {
  const args = [...identity(fault), fault.timer, fault.manifest, fault.heldAt];
  const facts = sameMachine(on, factsOf(await run(on, RETURN_MANIFEST, args, ASK_TIMEOUT_MS)));
  if (facts.has("gone")) return GONE;
  if (!facts.has("before")) return { how: "put-back", by: "runner" };
  // The run had started to move it and the kept file is gone: if the timer is no longer active, it has fired.
  const moved = facts.has("held") || (facts.has("began") && !timerIsActive(facts));
  if (!moved) return { how: "untouched", by: "runner" };
  const kept = facts.has("kept") ? ` (with different content: the original is kept in ${fault.heldAt})` : "";
  return { how: "found", by: `${restorer(facts)}${kept}` };
}

const GONE: Put = { how: "gone", by: "another machine with the name of the node" };

function sameMachine(on: OnNode, facts: Facts): Facts {
  if (facts.has("other-machine")) {
    throw new ChaosError(
      `${on.node} is another machine than the attacked one (its UUID or its /etc/machine-id differs). Nothing was changed. ` +
        `If it replaces that machine, add \`--accept-node ${on.node}\`: what it lacks is then undone there`,
      { exitCode: ExitCode.notRestored },
    );
  }
  return facts;
}

function timerIsActive(facts: Facts): boolean {
  return facts.get("timer")?.[0] === "active";
}

function restorer(facts: Facts): string {
  return timerIsActive(facts) ? "someone else on the node" : "the timer on the node";
}

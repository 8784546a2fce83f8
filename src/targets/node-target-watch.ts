import { messageOf } from "../common/errors.js";
import { sleep } from "../common/clock.js";
import type { RunEventBody } from "../evidence/events.js";
import { type AttackName, ATTACKS } from "../experiment/attacks.js";
import { isReady, isTerminating } from "../kube/pod-state.js";
import type { Transport } from "../kube/transport.js";
import { runningContainers } from "../nodes/runtime.js";
import type { NodeAccess } from "../nodes/spec.js";
import { mirrorPods } from "./find-node-target.js";
import type { TargetMonitor } from "./monitor.js";
import { type NodeTarget, unitOn } from "./node-target.js";

const EVERY_MS = 1_000;

/** An unchanged state is recorded again after this time, ms: evidence that the node was asked. */
const RECORD_EVERY_MS = 5_000;

/** Timeouts of one request to a node and to the API server, ms. */
const NODE_TIMEOUT_MS = 5_000;
const API_TIMEOUT_MS = 2_000;

/** The ActiveStates in which a unit has processes. "deactivating": they are about to end. */
const RUNS: readonly string[] = ["active", "reloading", "deactivating"];

const API_SERVER = "kube-apiserver";

export interface NodeTargetWatchOptions {
  readonly transport: Transport;
  readonly target: NodeTarget;
  /** The nodes on which the target is taken down. Only these are asked. */
  readonly attacked: readonly string[];
  /** The attack of the run. Default: one that stops its target. */
  readonly attack?: AttackName;
  /** undefined (only in a control run): the nodes are not asked, and the API's state counts. */
  readonly access: NodeAccess | undefined;
  readonly emit: (body: RunEventBody) => void;
  readonly signal: AbortSignal;
  /** How often each node is asked, ms. Default 1000. */
  readonly everyMs?: number;
}

/**
 * Monitors a unit or static pods on the attacked nodes during the whole run. A node offers no watch, so each node is
 * polled, in a way that works without the API.
 */
export class NodeTargetWatch implements TargetMonitor {
  readonly attacked: readonly string[];
  readonly #options: NodeTargetWatchOptions;
  /** Nodes on which the target was up at the last poll. */
  readonly #up = new Set<string>();
  /** Nodes whose mirror pods are ready according to the API. Empty when the API did not answer. */
  #mirrored: ReadonlySet<string> = new Set();
  readonly #recorded = new Map<string, { text: string; atMs: number }>();

  constructor(options: NodeTargetWatchOptions) {
    this.#options = options;
    this.attacked = options.attacked;
  }

  get endpointsReady(): undefined {
    return undefined;
  }

  /**
   * Whether on every attacked node the unit is active, or a container of the static pod runs and its mirror pod is
   * Ready. When the API server does not answer, nothing counts as ready: correct where the API server itself is the
   * target.
   */
  isTargetReady(): boolean {
    const { target, access } = this.#options;
    return this.attacked.every(
      (node) =>
        (access === undefined || this.#up.has(node)) &&
        (target.kind === "SystemdUnit" || this.#mirrored.has(node)),
    );
  }

  start(): { readonly synced: Promise<void>; readonly done: Promise<void> } {
    const { access, target } = this.#options;
    const loops = [
      ...(access === undefined
        ? []
        : this.attacked.map((node) => this.#repeat(async () => await this.#askNode(access, node)))),
      ...(target.kind === "StaticPod" ? [this.#repeat(async () => await this.#askApi())] : []),
    ];
    const all = async (promises: readonly Promise<void>[]): Promise<void> => {
      await Promise.all(promises);
    };
    const done = all(loops.map((loop) => loop.done));
    const synced = Promise.race([all(loops.map((loop) => loop.first)), done]);
    // `done` reports the error to its caller. `synced` may reject before anyone waits for it.
    synced.catch(() => undefined);
    return { synced, done };
  }

  /** Polls immediately and then at a fixed rate, until the signal. A slow answer only skips the polls it has missed. */
  #repeat(ask: () => Promise<void>): { first: Promise<void>; done: Promise<void> } {
    const { signal, everyMs = EVERY_MS } = this.#options;
    const first = ask();
    const loop = async (): Promise<void> => {
      let askedAt = performance.now();
      await first;
      while (!signal.aborted) {
        const waitMs = Math.max(0, askedAt + everyMs - performance.now());
        await sleep(waitMs, signal);
        if (signal.aborted) return;
        askedAt = performance.now();
        await ask();
      }
    };
    return { first, done: loop() };
  }

  async #askNode(access: NodeAccess, node: string): Promise<void> {
    const { target } = this.#options;
    if (target.name === API_SERVER) await this.#askServer(node);
    else if (target.kind === "StaticPod") await this.#askRuntime(access, node);
    else await this.#askSystemd(access, node, unitOn(target, node));
  }

  async #askSystemd(access: NodeAccess, node: string, unit: string): Promise<void> {
    try {
      const { attack } = this.#options;
      const own = attack === undefined ? undefined : ATTACKS[attack].onUnit;
      const argv =
        own === undefined
          ? ["systemctl", "show", "-p", "ActiveState", "--value", unit]
          : ["sh", "-c", own.state, "kube-system-chaos", unit];
      const state = (await access.exec(node, argv, NODE_TIMEOUT_MS)).trim();
      this.#setUp(node, state === "active");
      this.#record(node, { type: "unit", node, unit, active: RUNS.includes(state) });
    } catch (error) {
      this.#setUp(node, false);
      this.#record(node, { type: "unit", node, unit, active: false, error: firstLine(error) });
    }
  }

  /**
   * The API server is judged by its answers. After SIGTERM it refuses requests immediately, but its process keeps
   * running for the pod's grace period (30 s), and the runtime reports it as running.
   */
  async #askServer(node: string): Promise<void> {
    const { transport } = this.#options;
    const unit = "kube-apiserver, by its answer to GET /version";
    let active = true;
    try {
      await transport.json({ method: "GET", path: "/version", timeoutMs: API_TIMEOUT_MS, retry: false });
    } catch {
      // Refused, reset, timed out or an error response: it does not serve.
      active = false;
    }
    this.#setUp(node, active);
    this.#record(node, { type: "unit", node, unit, active });
  }

  async #askRuntime(access: NodeAccess, node: string): Promise<void> {
    try {
      const running = await runningContainers(access, node, this.#options.target, NODE_TIMEOUT_MS);
      this.#setUp(node, running.length > 0);
      this.#record(node, { type: "runtime", node, running });
    } catch (error) {
      this.#setUp(node, false);
      this.#record(node, { type: "runtime", node, running: [], error: firstLine(error) });
    }
  }

  #setUp(node: string, up: boolean): void {
    if (up) this.#up.add(node);
    else this.#up.delete(node);
  }

  async #askApi(): Promise<void> {
    const { transport, target } = this.#options;
    try {
      const pods = await mirrorPods(transport, target, API_TIMEOUT_MS);
      const ready = pods.filter((pod) => isReady(pod) && !isTerminating(pod));
      this.#mirrored = new Set(ready.map((pod) => pod.spec?.nodeName ?? ""));
    } catch {
      // The probes measure the API server's outage. Here it only means that no mirror pod is known to be ready.
      this.#mirrored = new Set();
    }
  }

  /** Records a state if it has changed, or if the last record is old. */
  #record(node: string, body: RunEventBody): void {
    if (this.#options.signal.aborted) return;
    const text = JSON.stringify(body);
    const last = this.#recorded.get(node);
    const now = performance.now();
    if (last?.text === text && now - last.atMs < RECORD_EVERY_MS) return;
    this.#recorded.set(node, { text, atMs: now });
    this.#options.emit(body);
  }
}

function firstLine(error: unknown): string {
  return messageOf(error).split("\n")[0] ?? "";
}

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
import type { NodeTarget } from "./node-target.js";

const EVERY_MS = 1_000;

/** What does not change is told again after this, ms: evidence that it was asked. */
const TELL_EVERY_MS = 5_000;

/** How long one question to a node, or to the API server, may take, ms. */
const NODE_TIMEOUT_MS = 5_000;
const API_TIMEOUT_MS = 2_000;

/** States of a unit in which it has processes (systemd's ActiveState); "deactivating": they are about to end. */
const RUNS: readonly string[] = ["active", "reloading", "deactivating"];

const API_SERVER = "kube-apiserver";

export interface NodeTargetWatchOptions {
  readonly transport: Transport;
  readonly target: NodeTarget;
  /** The nodes on which it is taken down: only they are asked. */
  readonly attacked: readonly string[];
  /** The attack that is to come. Default: one that stops its target. */
  readonly attack?: AttackName;
  /** undefined (a control run only): nothing is asked of the nodes, and what the API says is believed. */
  readonly access: NodeAccess | undefined;
  readonly emit: (body: RunEventBody) => void;
  readonly signal: AbortSignal;
  /** How often each node is asked, ms. Default 1000. */
  readonly everyMs?: number;
}

/**
 * Looks at a unit or at static pods on the attacked nodes for the whole run: there is no watch of a node, so each is
 * asked over and over, by a way that works without the API.
 */
export class NodeTargetWatch implements TargetMonitor {
  readonly attacked: readonly string[];
  readonly #options: NodeTargetWatchOptions;
  /** Nodes on which it was seen up at the last question. */
  readonly #up = new Set<string>();
  /** Nodes whose mirror pods the API calls ready; empty when it did not answer. */
  #mirrored: ReadonlySet<string> = new Set();
  readonly #told = new Map<string, { text: string; atMs: number }>();

  constructor(options: NodeTargetWatchOptions) {
    this.#options = options;
    this.attacked = options.attacked;
  }

  get endpointsReady(): undefined {
    return undefined;
  }

  /**
   * The unit active, or a container of the static pod running and its mirror pod Ready, on every attacked node. An API
   * server that does not answer says nothing is ready: where it is itself the target, that is the truth of it.
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
    // Whoever follows `done` learns of an error; it may come before anybody waits for `synced`.
    synced.catch(() => undefined);
    return { synced, done };
  }

  /** Asks at once and then at a fixed rate, until the signal; a slow answer only skips what it has missed. */
  #repeat(ask: () => Promise<void>): { first: Promise<void>; done: Promise<void> } {
    const { signal, everyMs = EVERY_MS } = this.#options;
    const first = ask();
    const loop = async (): Promise<void> => {
      let askedAt = performance.now();
      await first;
      while (!signal.aborted) {
        const waitMs = Math.max(0, askedAt + everyMs - performance.now());
        // Rejects only when the signal ends it: the loop's condition sees that.
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
    const { unit } = target;
    if (target.name === API_SERVER) await this.#askServer(node);
    else if (target.kind === "StaticPod") await this.#askRuntime(access, node);
    else if (unit !== undefined) await this.#askSystemd(access, node, unit);
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
      this.#tell(node, { type: "unit", node, unit, active: RUNS.includes(state) });
    } catch (error) {
      this.#setUp(node, false);
      this.#tell(node, { type: "unit", node, unit, active: false, error: firstLine(error) });
    }
  }

  /**
   * The API server is judged by its answers: asked to end it refuses at once, and its process lives on for the grace
   * of its pod (30 s), which the runtime would call running.
   */
  async #askServer(node: string): Promise<void> {
    const { transport } = this.#options;
    const unit = "kube-apiserver, by its answer to GET /version";
    let active = true;
    try {
      await transport.json({ method: "GET", path: "/version", timeoutMs: API_TIMEOUT_MS, retry: false });
    } catch {
      // Refused, reset, silent or an error of its own: it does not serve.
      active = false;
    }
    this.#setUp(node, active);
    this.#tell(node, { type: "unit", node, unit, active });
  }

  async #askRuntime(access: NodeAccess, node: string): Promise<void> {
    try {
      const running = await runningContainers(access, node, this.#options.target, NODE_TIMEOUT_MS);
      this.#setUp(node, running.length > 0);
      this.#tell(node, { type: "runtime", node, running });
    } catch (error) {
      this.#setUp(node, false);
      this.#tell(node, { type: "runtime", node, running: [], error: firstLine(error) });
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
      // Its own outage is measured by the probes; here it only means that nothing is known to be ready.
      this.#mirrored = new Set();
    }
  }

  /** Writes an answer down, if it is another one than before or that one was long ago. */
  #tell(node: string, body: RunEventBody): void {
    if (this.#options.signal.aborted) return;
    const text = JSON.stringify(body);
    const told = this.#told.get(node);
    const now = performance.now();
    if (told?.text === text && now - told.atMs < TELL_EVERY_MS) return;
    this.#told.set(node, { text, atMs: now });
    this.#options.emit(body);
  }
}

function firstLine(error: unknown): string {
  return messageOf(error).split("\n")[0] ?? "";
}

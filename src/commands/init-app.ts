/** `chaos init --app NAMESPACE/SERVICE`: writes an experiment for the user's own application, and proves its probes. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { architecturesOf, imagesOf, ownPods, podSource } from "../application/own-pods.js";
import { type Clock, pollUntil, systemClock } from "../common/clock.js";
import { ChaosError, ExitCode, RefusedError, UsageError } from "../common/errors.js";
import { plural } from "../common/figures.js";
import { newRunId } from "../common/run-id.js";
import { systemReason } from "../common/system-reason.js";
import { loadLocalConfig } from "../config/local-config.js";
import { podSettingsOf } from "../config/pod-settings.js";
import type { SampleLine } from "../evidence/sample.js";
import type { Experiment } from "../experiment/schema.js";
import { getOrUndefined, list, NODES, PODS, resourcePath, selectorString, SERVICES } from "../kube/api.js";
import { withConnection } from "../kube/connect.js";
import type { Node, Pod, Service } from "../kube/objects.js";
import { chooseWay, routedTransport, type RoutedTransport } from "../kube/pod-route.js";
import { isReady, schedulableNodes } from "../kube/pod-state.js";
import { ApiError, type Transport } from "../kube/transport.js";
import { parseExperiment } from "../load/parse.js";
import { ensure } from "../own/ensure.js";
import type { Manifest } from "../own/manifest.js";
import { PROBER_NAMESPACE } from "../own/own-names.js";
import { podsOf } from "../own/pods.js";
import { copyPullSecrets } from "../own/pull-secrets.js";
import { StartWatch } from "../own/start.js";
import { PROBER_LABELS, PROBER_PORT, proberManifests } from "../probes/prober-manifests.js";
import { ownProblems, requestWords } from "../run/measuring/own-application.js";
import { addressesOf, fetchSamples, findProbers, proberPlan, sendPlan } from "../run/measuring/probers.js";
import { withSession } from "../run/session.js";
import type { Watchdog } from "../safety/watchdog.js";
import type { RunView } from "../ui/base.js";
import { confirmation } from "./confirmation.js";
import { type AppFound, experimentText, portOf } from "./init-app-text.js";
import { selectCluster, type SelectOptions } from "./select-cluster.js";

export interface InitAppOptions {
  /** "NAMESPACE/SERVICE", or "NAMESPACE/SERVICE:PORT" with the port's number or name. */
  readonly app: string;
  /** Gets the experiment file. */
  readonly folder: string;
  readonly select: Omit<SelectOptions, "progress" | "signal" | "ask" | "dryRun">;
  readonly view: RunView;
  /** Aborted by the first signal. */
  readonly interrupted: AbortSignal;
  /** Replaces a file that exists. Default: refuse. */
  readonly force?: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The local configuration file; undefined: the default one, if it exists. */
  readonly configFile?: string | undefined;
  readonly toolVersion: string;
  /** Prove the probes on a cluster that is not local without asking. */
  readonly yes: boolean;
  readonly ask?: (question: string) => Promise<boolean>;
  /** The command line that names and confirms a context. */
  readonly allowing: (context: string) => string;
  /** Aborted when the user ends the removal of the prober, too. */
  readonly abandoned?: AbortSignal;
  /** Called with the id that `chaos restore` takes. */
  readonly onJournal?: (id: string) => void;
  /** Removes the prober when this process is killed. */
  readonly watchdog?: Watchdog;
}

/** Samples of each probe. */
const SAMPLES = 10;

/** How long the prober may take to start, ms, including an image pull. */
const START_LIMIT_MS = 5 * 60_000;

/** How long the lock lasts without being renewed, ms. */
const LOCK_MS = 10 * 60_000;

/** "shop/api:http" → its parts. @throws UsageError */
export function parseApp(app: string): {
  readonly namespace: string;
  readonly service: string;
  readonly port: number | string | undefined;
} {
  const { namespace, service, port } =
    /^(?<namespace>[a-z0-9-]{1,63})\/(?<service>[a-z0-9-]{1,63})(?::(?<port>[a-z0-9-]{1,63}))?$/.exec(app)
      ?.groups ?? {};
  if (namespace === undefined || service === undefined)
    throw new UsageError(
      `--app ${app}: must be NAMESPACE/SERVICE or NAMESPACE/SERVICE:PORT, such as shop/api or shop/api:http`,
    );
  return {
    namespace,
    service,
    port: port !== undefined && /^\d+$/.test(port) ? Number(port) : port,
  };
}

/**
 * Looks at the Service and its pods, writes an experiment that takes kube-dns down under it, deploys one prober, takes
 * ten samples of each probe and removes the prober.
 *
 * @returns asExpected: the samples are good; differs: some are not.
 * @throws UsageError, RefusedError before anything was changed; ChaosError when the prober does not start.
 */
export async function initApp(options: InitAppOptions): Promise<ExitCode> {
  const { view, interrupted, select, env, folder, toolVersion } = options;
  const asked = parseApp(options.app);
  const pods = podSettingsOf(await loadLocalConfig(options.configFile, env));
  const handle = await selectCluster({ ...select, dryRun: true, progress: view, signal: interrupted });
  const { kubeconfigPath, context } = handle;
  const userAgent = `kube-system-chaos/${toolVersion} (init)`;
  return await withConnection(
    { kubeconfigPath, context, userAgent, signal: interrupted },
    async (connection) => {
      const transport = routedTransport(connection.transport);
      const found = await view.step(`look at ${options.app}`, async () => await look(transport, asked));
      const text = experimentText(found);
      const file = join(folder, `${found.service}-kube-dns.yaml`);
      const experiment = parsed(text, file);
      const { existing } = experiment.application;
      const problems = existing === undefined ? [] : await ownProblems(transport, existing);
      if (problems.length > 0) throw new RefusedError(`${problems.join(". ")}. Nothing was written`);
      const confirm = confirmation(options, (named) => `Deploy a prober to context ${named}?`);
      const purpose = { name: "init", removing: "remove the prober" };
      const proof = await withSession(
        { ...options, confirm, handle, namespaces: [], durationMs: LOCK_MS, purpose },
        options.onJournal,
        async () => {
          // After the confirmation: a refusal leaves no file behind.
          await write(file, text, options.force === true);
          return await prove(
            { transport, clock: systemClock(), signal: interrupted, view },
            experiment,
            pods,
          );
        },
      );
      if (interrupted.aborted) return ExitCode.interrupted;
      const bad = proof.filter(({ good }) => good < SAMPLES);
      view.result([`wrote ${file}`, ...proof.map(proofLine), ...advice(file, bad)], { file, proof });
      return bad.length === 0 ? ExitCode.asExpected : ExitCode.differs;
    },
  );
}

async function look(transport: Transport, asked: ReturnType<typeof parseApp>): Promise<AppFound> {
  const { namespace, service: name } = asked;
  const service = await getOrUndefined<Service>(transport, resourcePath(SERVICES, namespace, name));
  if (service?.spec === undefined)
    throw new RefusedError(
      `Service ${namespace}/${name} does not exist. Correct the name. Nothing was written`,
    );
  const port = portOf(service, asked.port);
  if ("problem" in port) throw new RefusedError(`${port.problem}. Nothing was written`);
  return { namespace, service: name, port: port.port, pods: await podsBehind(transport, namespace, service) };
}

/** The pods that the Service selects; none if reading them is forbidden: only their readiness probes are of use. */
async function podsBehind(transport: Transport, namespace: string, { spec }: Service): Promise<Pod[]> {
  const { selector } = spec ?? {};
  if (selector === undefined) return [];
  try {
    const labelSelector = selectorString(selector);
    return (await list<Pod>(transport, resourcePath(PODS, namespace), { labelSelector })).items;
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return [];
    throw error;
  }
}

/** The text as a run would read it. @throws ChaosError: a mistake of this tool. */
function parsed(text: string, file: string): Experiment {
  const result = parseExperiment(text, file);
  if ("experiment" in result) return result.experiment;
  throw new ChaosError(
    `the experiment for this application would not be valid: ${result.problems.map(({ message }) => message).join("; ")}`,
  );
}

async function write(file: string, text: string, force: boolean): Promise<void> {
  try {
    await mkdir(join(file, ".."), { recursive: true });
    await writeFile(file, text, { flag: force ? "w" : "wx" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST")
      throw new UsageError(`${file} exists already. Delete it, or add --force. Nothing was changed`);
    throw new UsageError(`cannot write ${file}: ${systemReason(error)}. Nothing was changed`, {
      cause: error,
    });
  }
}

interface Around {
  readonly transport: RoutedTransport;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly view: RunView;
}

interface Proof {
  readonly probe: "app-write" | "app-read";
  readonly request: string;
  readonly good: number;
  readonly samples: number;
  /** Of the first failed sample: its kind and what came, such as status and first bytes of the body. */
  readonly failure?: string;
}

/** The session's journal has the prober's namespace, and with it all that is deployed here. */
async function prove(
  around: Around,
  experiment: Experiment,
  podSettings: Parameters<typeof ownPods>[0],
): Promise<Proof[]> {
  const { transport, view, signal } = around;
  const { items: nodes } = await list<Node>(transport, resourcePath(NODES));
  const pods = ownPods(podSettings, architecturesOf(nodes));
  const [node] = schedulableNodes(nodes);
  if (node === undefined) throw new ChaosError("cannot take samples: no node is schedulable");
  await view.step("start one prober", async (note) => {
    const manifests = (await proberManifests(podSource(pods))).map((each) => on(node, each));
    await copyPullSecrets(transport, PROBER_NAMESPACE, pods.pullSecrets);
    for (const manifest of manifests) await ensure(transport, manifest);
    await started(around, manifests, note, imagesOf(pods, {}));
  });
  if (signal.aborted) return [];
  return await view.step(`take ${SAMPLES} samples`, async () => await sample(around, experiment));
}

/** The DaemonSet on one node only. Pure. */
function on(node: Node, manifest: Manifest): Manifest {
  if (manifest.kind !== "DaemonSet") return manifest;
  const spec = manifest.spec as { template: { spec: { nodeSelector?: object } } };
  const nodeSelector = {
    ...spec.template.spec.nodeSelector,
    "kubernetes.io/hostname": node.metadata.labels?.["kubernetes.io/hostname"] ?? node.metadata.name,
  };
  const template = { ...spec.template, spec: { ...spec.template.spec, nodeSelector } };
  return { ...manifest, spec: { ...spec, template } };
}

async function started(
  { transport, clock, signal }: Around,
  manifests: readonly Manifest[],
  note: (text: string) => void,
  images: readonly string[],
): Promise<void> {
  const watch = new StartWatch({ transport, clock, failed: "cannot start the prober" }, manifests);
  const poll = { everyMs: 300, limitMs: START_LIMIT_MS, signal };
  const pod = await pollUntil(clock, poll, async () => {
    const [ready] = (await podsOf(transport, PROBER_NAMESPACE, PROBER_LABELS)).filter((each) =>
      isReady(each),
    );
    if (ready !== undefined) return ready;
    await watch.look();
    note(watch.words);
    return undefined;
  });
  if (signal.aborted) return;
  if (pod === undefined)
    throw new ChaosError(
      `timed out after ${START_LIMIT_MS / 1000} s waiting for the prober (${images.join(", ")}): ${watch.reasons.join("; ")}`,
    );
  const place = { namespace: PROBER_NAMESPACE, pod: pod.metadata.name, port: PROBER_PORT };
  await chooseWay(transport, [place], { clock, signal });
}

async function sample({ transport, clock, signal }: Around, experiment: Experiment): Promise<Proof[]> {
  const { existing } = experiment.application;
  const [prober] = await findProbers(transport);
  if (existing === undefined || prober === undefined) throw new ChaosError("no prober pod is running");
  const addresses = await addressesOf(transport, experiment.application);
  const plan = proberPlan(newRunId(new Date(), "init"), experiment, addresses);
  const { "app-write": write, "app-read": read } = plan.probes;
  const probes = { ...(write && { "app-write": write }), ...(read && { "app-read": read }) };
  await sendPlan(transport, prober, { ...plan, probes });
  const lines: SampleLine[] = [];
  let offset = 0;
  const wanted = Object.keys(probes) as Proof["probe"][];
  // As long as every sample may take, and the prober's start.
  const limitMs = SAMPLES * experiment.probes.interval + experiment.probes.timeout + 10_000;
  await pollUntil(clock, { everyMs: 300, limitMs, signal }, async () => {
    const chunk = await fetchSamples(transport, prober, offset);
    offset = chunk.nextOffset;
    lines.push(...chunk.lines);
    return wanted.every((probe) => samplesOf(lines, probe).length >= SAMPLES) ? true : undefined;
  });
  return wanted.map((probe) => {
    const taken = samplesOf(lines, probe).slice(0, SAMPLES);
    const failed = taken.find(({ ok }) => !ok);
    const request = requestWords((probe === "app-write" ? existing.write : existing.read) ?? existing.write);
    const good = taken.filter(({ ok }) => ok).length;
    const failure =
      failed === undefined || failed.ok
        ? undefined
        : [failed.kind, failed.message].filter(Boolean).join(": ");
    return { probe, request, good, samples: taken.length, ...(failure === undefined ? {} : { failure }) };
  });
}

type Taken = Extract<SampleLine, { readonly ok: boolean }>;

function samplesOf(lines: readonly SampleLine[], probe: string): Taken[] {
  return lines.filter((line): line is Taken => "ok" in line && line.probe === probe);
}

function proofLine({ probe, request, good, samples, failure }: Proof): string {
  const name = probe === "app-write" ? "write" : "read";
  const many = `${good} of ${plural(samples, "sample")} good`;
  return `  ${good === SAMPLES ? "✓" : "✗"} ${name}: ${request}: ${many}${failure === undefined ? "" : `; the answer was ${failure}`}`;
}

function advice(file: string, bad: readonly Proof[]): string[] {
  if (bad.length === 0)
    return [
      "The experiment measures the request of the readiness probe. Replace write by one that writes to your database",
      `Next: edit ${file}, then \`chaos run ${file} --dry-run\``,
    ];
  return [
    `Next: correct ${bad.map(({ probe }) => (probe === "app-write" ? "write" : "read")).join(" and ")} in ${file}: what is asked, or what a good answer is`,
  ];
}

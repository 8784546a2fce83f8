/** `chaos manifest`: the objects, their rights, and what it refuses. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { manifest, type ManifestOptions } from "../../../src/commands/manifest-command.js";
import { rbac } from "../../../src/commands/rbac-command.js";
import { UsageError } from "../../../src/common/errors.js";
import { packageRoot } from "../../../src/common/package-root.js";
import { COMPONENTS } from "../../../src/experiment/names.js";
import { describePermission } from "../../../src/kube/permission.js";
import { deadManRights } from "../../../src/safety/dead-man/rights.js";
import { allows, type Manifest, manifestsOf } from "../../helpers/rbac-fixtures.js";

const cwd = packageRoot();
const IMAGE = "registry.example.com/chaos:1";

const printed = async (reference: string, options: Partial<ManifestOptions> = {}): Promise<string> =>
  await manifest({ references: [reference], cwd, image: IMAGE, set: [], deadMan: true, ...options });

interface PodTemplate {
  readonly spec: {
    readonly [field: string]: unknown;
    readonly containers: readonly { readonly args: readonly string[]; readonly [field: string]: unknown }[];
    readonly volumes: readonly Readonly<Record<string, unknown>>[];
  };
}

interface JobSpec {
  readonly [field: string]: unknown;
  readonly activeDeadlineSeconds: number;
  readonly template: PodTemplate;
}

function jobOf(text: string): { job: JobSpec; cron: Record<string, unknown> | undefined; name: string } {
  const all = manifestsOf(text) as (Manifest & { spec: JobSpec & { jobTemplate?: { spec: JobSpec } } })[];
  const found = all.find(({ kind }) => kind === "Job" || kind === "CronJob");
  if (found === undefined) throw new Error("no Job");
  const { spec, metadata } = found;
  const cron = spec.jobTemplate;
  return { job: cron?.spec ?? spec, cron: cron === undefined ? undefined : spec, name: metadata.name };
}

const roles = (text: string): Manifest[] => manifestsOf(text).filter(({ kind }) => /Role/.test(kind));

test("a CronJob never runs two at once, never repeats one, and has an end that follows from the phases", async (t) => {
  const { job, cron, name } = jobOf(
    await printed("kube-dns", { schedule: "0 3 * * 1", timeZone: "Europe/Berlin" }),
  );
  t.is(name, "kube-system-chaos-kube-dns");
  t.like(cron, { schedule: "0 3 * * 1", timeZone: "Europe/Berlin", concurrencyPolicy: "Forbid" });
  t.true((cron?.["startingDeadlineSeconds"] as number) > 0);
  t.is(job["backoffLimit"], 0);
  t.is(job.template.spec["restartPolicy"], "Never");
  t.is(job["ttlSecondsAfterFinished"], undefined, "the CronJob's history keeps them");
  const two = jobOf(await printed("experiments/variants", { schedule: "@daily", nodeAccess: "pod" })).job;
  t.true(two.activeDeadlineSeconds > 2 * job.activeDeadlineSeconds, "more experiments take longer");
  t.is(jobOf(await printed("kube-dns")).cron, undefined);
});

test("the pod passes PodSecurity restricted, names its cluster, and has time to restore when it is asked to end", async (t) => {
  const { spec } = jobOf(await printed("kube-dns")).job.template;
  t.like(spec["securityContext"], { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } });
  const [container] = spec.containers;
  t.like(container?.["securityContext"], {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
  t.regex(container?.args.join(" ") ?? "", /--context inClusterContext --yes .*--dead-man/);
  t.is(spec["terminationGracePeriodSeconds"], 180 + 180);
  t.deepEqual(
    (spec["tolerations"] as { key: string; effect: string }[]).map(({ key }) => key),
    ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"],
  );
});

test("nothing but the namespaces has the tool's label: a run's end would remove it", async (t) => {
  for (const { kind, metadata } of manifestsOf(await printed("kube-dns")))
    if (kind !== "Namespace") t.is(metadata.labels?.["app.kubernetes.io/managed-by"], undefined, kind);
});

test("the rights are those of `chaos rbac`, and no more", async (t) => {
  const references = ["kube-dns"];
  t.deepEqual(roles(await printed("kube-dns")), roles(await rbac({ references, cwd, deadMan: true })));
  const without = await printed("kube-dns", { deadMan: false });
  t.deepEqual(roles(without), roles(await rbac({ references, cwd })));
  t.notRegex(without, /clusterroles|--dead-man/);
});

test("the runner may grant the switch everything that it needs", async (t) => {
  const text = await printed("kube-dns");
  const rights = deadManRights({
    workloads: [{ kind: "Deployment", namespace: "kube-system", names: ["coredns"] }],
    namespaces: [{ name: "guestbook", stays: true }],
    prepared: { role: "chaos-dead-man-run-1" },
  });
  t.deepEqual(rights.filter((right) => !allows(manifestsOf(text), right)).map(describePermission), []);
});

for (const component of COMPONENTS) {
  test(`${component}: printed, or refused with the reason`, async (t) => {
    const withPods = { nodeAccess: "pod" } as const;
    const carriesApi = component === "kube-apiserver" || component === "etcd";
    if (carriesApi) {
      await t.throwsAsync(printed(component, withPods), {
        instanceOf: UsageError,
        message: /from inside the cluster/,
      });
      return;
    }
    t.regex(
      jobOf(await printed(component, withPods)).job.template.spec.containers[0]?.args.join(" ") ?? "",
      /--node-access pod/,
    );
    const onNodes = /^(kubelet|container-runtime|kube-scheduler|kube-controller-manager)$/.test(component);
    if (onNodes) await t.throwsAsync(printed(component), { message: /Add --node-access pod/ });
    else await t.notThrowsAsync(printed(component));
  });
}

test("another account: the Job is in its namespace, which must exist", async (t) => {
  const text = await printed("kube-dns", { serviceAccount: "team/runner" });
  const job = manifestsOf(text).find(({ kind }) => kind === "Job");
  t.is(job?.metadata.namespace, "team");
  t.is(jobOf(text).job.template.spec["serviceAccountName"], "runner");
  t.regex(text, /Namespace team must exist/);
});

test("reports go to the claim; images and pull secrets to the run, and those of its namespace to the Job's pod", async (t) => {
  const set = ["images.node=mirror/node:22", "imagePullSecrets=kube-system-chaos/pull,other/pull2"];
  const text = await printed("kube-dns", { reportsClaim: "chaos-reports", set });
  const { spec } = jobOf(text).job.template;
  t.deepEqual(spec.volumes.at(-1), {
    name: "reports",
    persistentVolumeClaim: { claimName: "chaos-reports" },
  });
  t.deepEqual(spec.containers[0]?.args.slice(-4), ["--set", set[0], "--set", set[1]]);
  t.deepEqual(spec["imagePullSecrets"], [{ name: "pull" }]);
  const secret = { verb: "get", group: "", resource: "secrets", namespace: "other", name: "pull2" };
  t.true(allows(manifestsOf(text), secret));
});

const REFUSED: readonly (readonly [string, Partial<ManifestOptions>, RegExp])[] = [
  ["no image", { image: "" }, /--image is missing/],
  ["a schedule of four fields", { schedule: "0 3 * *" }, /no cron schedule/],
  ["a time zone inside the schedule", { schedule: "TZ=UTC 0 3 * * 1" }, /no cron schedule/],
  [
    "an unknown time zone",
    { schedule: "@daily", timeZone: "Mars/Base" },
    /time-zone "Mars\/Base" is not known/,
  ],
  ["a time zone without a schedule", { timeZone: "Etc/UTC" }, /add a schedule/],
  ["a bad name", { name: "Kube_DNS" }, /cannot be the name of a Job/],
  ["a name that is too long for a CronJob", { name: "a".repeat(53), schedule: "@daily" }, /only 52/],
  ["a bad claim", { reportsClaim: "a/b" }, /--reports-claim/],
  ["a bad setting", { set: ["images.noed=x"] }, /did you mean images\.node/],
  ["a bad account", { serviceAccount: "runner" }, /must be NAMESPACE\/NAME/],
];
for (const [what, options, message] of REFUSED)
  test(`refused: ${what}`, async (t) => {
    await t.throwsAsync(printed("kube-dns", options), { instanceOf: UsageError, message });
  });

async function folderWith(t: ExecutionContext, files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "chaos-manifest-"));
  t.teardown(async () => await rm(folder, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

const experiment = (name: string): string =>
  `apiVersion: kube-system-chaos/v1
kind: Experiment
metadata: { name: ${name} }
target: { component: kube-dns }
attack: { type: delete-workload }
phases: { baseline: 15s, window: 20s }
`;

test("several files: all of them in one ConfigMap, unchanged; two of one name are refused", async (t) => {
  const folder = await folderWith(t, { "a.yaml": experiment("one"), "b.yaml": experiment("two") });
  const files = manifestsOf(await printed(folder)).find(({ kind }) => kind === "ConfigMap") as unknown as {
    data: Record<string, string>;
  };
  t.deepEqual(files.data, { "one.yaml": experiment("one"), "two.yaml": experiment("two") });
  const twice = await folderWith(t, { "a.yaml": experiment("one"), "b.yaml": experiment("one") });
  await t.throwsAsync(printed(twice), {
    instanceOf: UsageError,
    message: /two experiments have the name one/,
  });
});

test("the printed command prints the same again", async (t) => {
  const options = { schedule: "*/5 * * * *", name: "night", deadMan: false, reportsClaim: "claim" };
  const text = await printed("experiments/kube-dns.yaml", options);
  const head = text.slice(0, text.indexOf("---")).replaceAll(/\n# /g, " ");
  t.true(
    head.includes(
      `chaos manifest experiments/kube-dns.yaml --image ${IMAGE} --schedule '*/5 * * * *' --name night --reports-claim claim --no-dead-man`,
    ),
    head,
  );
});

import test, { type ExecutionContext } from "ava";
import { manifestOn, type NodeProcess, processesOn, type Role, unitOf } from "../../../src/nodes/look.js";
import { runningContainers } from "../../../src/nodes/runtime.js";
import { type FakeNodes, fakeNodes } from "../../helpers/fake-node.js";

const POD = { name: "kube-scheduler-a", namespace: "kube-system" };
const MANIFESTS = "/etc/kubernetes/manifests";
const TEXT = `# a comment
apiVersion: v1
kind: Pod
metadata:
  labels:
    name: another
  annotations: {}
  name: kube-scheduler
  namespace: kube-system
`;

async function node(t: ExecutionContext): Promise<FakeNodes> {
  const nodes = await fakeNodes(t, ["a"]);
  // Its text says nothing about a name.
  await nodes.drop("a", "etc/kubernetes/manifests/kube-scheduler.yaml");
  return nodes;
}

const found = async (nodes: FakeNodes, folders: readonly string[] = []): Promise<string> => {
  const manifest = await manifestOn({ access: nodes.access, node: "a" }, { pod: POD, folders });
  return "path" in manifest ? manifest.path.replace(nodes.path("a"), "") : manifest.none;
};

test("processes: those of units, with the arguments of the kubelet; not those of pods and other programs", async (t) => {
  const nodes = await node(t);
  await nodes.process("a", 7, { name: "kubelet", unit: "kubelet.service", args: ["--config", "/x y"] });
  await nodes.process("a", 8, { name: "containerd", unit: "containerd.service", args: ["-l", "debug"] });
  await nodes.process("a", 9, { name: "kubelet", unit: "docker-c0ffee.scope" });
  await nodes.process("a", 10, { name: "sshd", unit: "ssh.service" });
  await nodes.put("a", "proc/11/comm", "containerd\n");
  t.deepEqual(await processesOn({ access: nodes.access, node: "a" }), [
    { name: "kubelet", unit: "kubelet.service", args: ["kubelet", "--config", "/x y"] },
    { name: "containerd", unit: "containerd.service", args: [] },
  ]);
});

test("the manifest: in the folder of the kubelet's configuration file", async (t) => {
  const nodes = await node(t);
  const args = ["--config=/var/lib/kubelet/config.yaml"];
  await nodes.process("a", 7, { name: "kubelet", unit: "kubelet.service", args });
  await nodes.put(
    "a",
    "var/lib/kubelet/config.yaml",
    `kind: KubeletConfiguration\nstaticPodPath: ${nodes.path("a", "etc/other")}\n`,
  );
  await nodes.put("a", "etc/other/50-scheduler.manifest", TEXT);
  await nodes.put("a", "etc/other/broken.yaml", "{ not: [yaml");
  await nodes.put("a", "etc/other/.hidden.yaml", TEXT);
  await nodes.put("a", "etc/other/folder.yaml/x", TEXT);
  t.is(await found(nodes), "/etc/other/50-scheduler.manifest");
});

test("the manifest: a drop-in file counts more than the configuration file, a flag more than both", async (t) => {
  const nodes = await node(t);
  const args = ["--config", "/var/lib/kubelet/config.yaml", "--config-dir", "/etc/kubelet.conf.d"];
  await nodes.process("a", 7, { name: "kubelet", unit: "kubelet.service", args });
  await nodes.put("a", "var/lib/kubelet/config.yaml", `staticPodPath: ${nodes.path("a", "etc/one")}\n`);
  await nodes.put(
    "a",
    "etc/kubelet.conf.d/20-b.conf",
    `{ "staticPodPath": "${nodes.path("a", "etc/three")}" }`,
  );
  await nodes.put("a", "etc/kubelet.conf.d/10-a.conf", `staticPodPath: '${nodes.path("a", "etc/two")}'\n`);
  await nodes.put("a", "etc/kubelet.conf.d/30-c.yaml", `staticPodPath: /etc/ignored\n`);
  for (const folder of ["one", "two", "three", "four"]) await nodes.put("a", `etc/${folder}/x`, TEXT);
  t.is(await found(nodes), "/etc/three/x");
  await nodes.process("a", 7, {
    name: "kubelet",
    unit: "kubelet.service",
    args: [...args, `--pod-manifest-path=${nodes.path("a", "etc/four")}`],
  });
  t.is(await found(nodes), "/etc/four/x");
});

test("the manifest: a kubelet without a folder, an absent folder, and a pod of another namespace", async (t) => {
  const nodes = await node(t);
  await nodes.process("a", 7, { name: "kubelet", unit: "kubelet.service" });
  t.is(await found(nodes, [MANIFESTS]), "the kubelet of a reads no folder of static pods");
  await nodes.process("a", 7, {
    name: "kubelet",
    unit: "kubelet.service",
    args: ["--pod-manifest-path", "/etc/absent"],
  });
  t.is(await found(nodes, [MANIFESTS]), "no file in /etc/absent on a defines the pod kube-scheduler-a");
  await nodes.put("a", "etc/absent/x", TEXT.replace("  namespace: kube-system\n", ""));
  t.is(await found(nodes), "no file in /etc/absent on a defines the pod kube-scheduler-a");
});

test("the manifest: where the kubelet is part of another program, in the usual folders", async (t) => {
  const nodes = await node(t);
  await nodes.process("a", 7, { name: "k3s-server", unit: "k3s.service" });
  await nodes.put(
    "a",
    "etc/kubernetes/manifests/scheduler.json",
    JSON.stringify({ kind: "Pod", metadata: POD }),
  );
  t.regex(await found(nodes, [MANIFESTS]), /^no file in/, "the pod's name has the node's name twice");
  await nodes.put(
    "a",
    "etc/kubernetes/manifests/scheduler.json",
    JSON.stringify({ kind: "Pod", metadata: { ...POD, name: "kube-scheduler" } }),
  );
  t.is(await found(nodes, ["/etc/absent", MANIFESTS]), "/etc/kubernetes/manifests/scheduler.json");
});

test("the manifest: quoted names, comments, another order; not another kind", async (t) => {
  const nodes = await node(t);
  const file = "etc/kubernetes/manifests/x";
  const put = async (text: string): Promise<string> => {
    await nodes.put("a", file, text);
    return await found(nodes, [MANIFESTS]);
  };
  const quoted = `metadata:  # names\n    namespace: "kube-system"\n    # its name\n    name: 'kube-scheduler' # x\nspec:\n  name: y\nkind: Pod\n`;
  t.is(await put(quoted), `/${file}`);
  t.is(await put(TEXT.replaceAll("\n", "\r\n")), `/${file}`);
  t.regex(await put(TEXT.replace("kind: Pod", "kind: PodList")), /^no file/);
  t.regex(await put(TEXT.replace("  name: kube-scheduler\n", "")), /^no file/);
  t.regex(await put(`${TEXT}`.replace("metadata:", "metadatum:")), /^no file/);
  t.regex(await put(""), /^no file/);
});

const process = (name: string, unit: string): NodeProcess => ({ name, unit, args: [] });

/** Title, processes of the node, component, its runtime version, the unit, and why it is shared. */
const UNITS: readonly (readonly [
  string,
  readonly NodeProcess[],
  Role,
  string | undefined,
  object | undefined,
])[] = [
  ["a kubelet", [process("kubelet", "kubelet.service")], "kubelet", undefined, { unit: "kubelet.service" }],
  ["no kubelet", [process("containerd", "containerd.service")], "kubelet", undefined, undefined],
  [
    "k3s: no process of its own",
    [process("k3s-server", "k3s.service"), process("containerd", "k3s.service")],
    "kubelet",
    undefined,
    {
      unit: "k3s.service",
      shared: "it runs k3s, with the kubelet, kube-proxy, containerd and, on a server, the control plane",
    },
  ],
  [
    "k3s's containerd, beside Docker's",
    [
      process("containerd", "containerd.service"),
      process("k3s-agent", "k3s-agent.service"),
      process("containerd", "k3s-agent.service"),
    ],
    "runtime",
    "containerd://1.7.11-k3s2",
    {
      unit: "k3s-agent.service",
      shared: "it runs k3s, with the kubelet, kube-proxy, containerd and, on a server, the control plane",
    },
  ],
  [
    "MicroK8s: the kubelet is in kubelite",
    [
      process("kubelite", "snap.microk8s.daemon-kubelite.service"),
      process("containerd", "snap.microk8s.daemon-containerd.service"),
    ],
    "kubelet",
    undefined,
    {
      unit: "snap.microk8s.daemon-kubelite.service",
      shared:
        "it runs MicroK8s' kubelite, with the kubelet, kube-proxy and, on a control plane, the API server, the scheduler and the controller manager",
    },
  ],
  [
    "MicroK8s: containerd has its own unit",
    [
      process("kubelite", "snap.microk8s.daemon-kubelite.service"),
      process("containerd", "snap.microk8s.daemon-containerd.service"),
    ],
    "runtime",
    "containerd://1.6.28",
    { unit: "snap.microk8s.daemon-containerd.service" },
  ],
  [
    "Docker: its containerd belongs to it",
    [process("dockerd", "docker.service"), process("containerd", "docker.service")],
    "runtime",
    "docker://24.0.7",
    { unit: "docker.service" },
  ],
  [
    "CRI-O beside Docker",
    [process("containerd", "containerd.service"), process("crio", "crio.service")],
    "runtime",
    "cri-o://1.34.1",
    { unit: "crio.service" },
  ],
  [
    "a unit with a kubelet and its runtime",
    [process("kubelet", "node.service"), process("crio", "node.service")],
    "kubelet",
    undefined,
    { unit: "node.service", shared: "it also runs crio" },
  ],
];

for (const [title, processes, role, runtime, expected] of UNITS)
  test(`the unit: ${title}`, (t) =>
    t.deepEqual(
      unitOf(processes, role, runtime === undefined ? {} : { runtime }) as object | undefined,
      expected,
    ));

test("the unit: of several containerds, the one with a usual name", (t) => {
  const processes = [process("containerd", "other.service"), process("containerd", "containerd.service")];
  t.is(unitOf(processes, "runtime", { preferred: ["containerd.service"] })?.unit, "containerd.service");
});

const TARGET = { namespace: "kube-system", labels: { "k8s-app": "kube-dns" } };

/** A crictl that answers for one pod on one socket, and writes down how it was called. */
const CRICTL = `
echo "$@" >> "$STATE/crictl.log"
[ "$2" = "unix://$STATE/run/crio/crio.sock" ] || { echo "wrong socket $2" >&2; exit 1; }
case $3 in
pods) echo sandbox-1; echo sandbox-2 ;;
inspectp) case "$*" in *sandbox-2) exit 1 ;; *) echo coredns-x ;; esac ;;
ps) echo c0ffee ;;
esac`;

test("running containers: CRI-O, through crictl", async (t) => {
  const nodes = await node(t);
  await nodes.put("a", "run/crio/crio.sock", "");
  await nodes.program("a", "var/lib/rancher/rke2/bin/crictl", CRICTL);
  t.deepEqual(await runningContainers(nodes.access, "a", TARGET, 30_000), ["coredns-x c0ffee"]);
  const calls = (nodes.text("a", "crictl.log") ?? "").replaceAll(nodes.path("a"), "");
  t.is(
    calls.split("\n")[0],
    "-r unix:///run/crio/crio.sock pods -q --label io.kubernetes.pod.namespace=kube-system --label k8s-app=kube-dns",
  );
  t.regex(calls, /ps -q --state Running --pod sandbox-1\n/);
});

/** A ctr that knows one running container per socket. */
const CTR = `
socket=$2; shift 4
case "$1 $2" in
"tasks list") printf 'TASK PID STATUS\\nc1 1 RUNNING\\nc2 2 STOPPED\\n' ;;
"containers list") case $4 in *==sandbox,*) echo "s-$(basename "$(dirname "$socket")")" ;; *) echo c1; echo c2 ;; esac ;;
"containers info") echo "\\"io.kubernetes.pod.uid\\": \\"u1\\""; echo "\\"io.kubernetes.pod.name\\": \\"on-$3\\"" ;;
esac`;

test("running containers: every containerd of the node is asked (k3s beside Docker)", async (t) => {
  const nodes = await node(t);
  await nodes.program("a", "var/lib/rancher/rke2/bin/ctr", CTR);
  await nodes.put("a", "run/k3s/containerd/containerd.sock", "");
  await nodes.put("a", "var/snap/microk8s/common/run/containerd.sock", "");
  t.deepEqual(await runningContainers(nodes.access, "a", TARGET, 30_000), [
    "on-s-containerd c1",
    "on-s-run c1",
  ]);
});

test("running containers: a node without a runtime is an error, not an empty answer", async (t) => {
  const nodes = await node(t);
  await t.throwsAsync(runningContainers(nodes.access, "a", TARGET, 30_000), {
    message: /no socket of containerd or CRI-O exists/,
  });
  await nodes.put("a", "run/crio/crio.sock", "");
  await nodes.program("a", "var/lib/rancher/rke2/bin/crictl", "echo broken >&2; exit 1");
  await t.throwsAsync(runningContainers(nodes.access, "a", TARGET, 30_000), { message: /broken/ });
});

import test from "ava";
import { readFileSync } from "node:fs";
import { locality, notLocal, type ThisMachine, thisMachine } from "../../../src/clusters/locality.js";
import type { Node } from "../../../src/kube/objects.js";

const BOOT = "24b17d00-1be1-4c57-b07b-3231277df2a9";
const OTHER_BOOT = "5d6b3a54-0c5f-4e7c-9a0e-0c5b3a2d1f00";
const MACHINE: ThisMachine = { bootId: BOOT, addresses: ["192.168.1.10", "fd00::2", "172.18.0.1"] };
const MAC: ThisMachine = { addresses: ["192.168.1.10"] };

interface Shape {
  readonly id?: string;
  readonly boot?: string;
  readonly address?: string;
  readonly os?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

const nodes = (...shapes: readonly Shape[]): Node[] =>
  shapes.map(({ id, boot, address, os, labels }, index) => ({
    metadata: { name: `n${index}`, labels: labels ?? {} },
    spec: id === undefined ? {} : { providerID: id },
    status: {
      addresses: address === undefined ? [] : [{ type: "InternalIP", address }],
      nodeInfo: { bootID: boot ?? OTHER_BOOT, osImage: os ?? "Ubuntu 24.04" },
    },
  })) as unknown as Node[];

const KIND = { id: "kind://docker/chaos/chaos-control-plane" };
const GCE = { id: "gce://project/zone/instance" };
const AWS = { id: "aws:///eu-central-1a/i-0123" };

const TABLE: readonly (readonly [what: string, Node[], local: boolean, because: RegExp, ThisMachine?])[] = [
  ["kind", nodes(KIND, { id: "kind://podman/chaos/chaos-worker" }), true, /local provider/],
  [
    "Docker Desktop in kind mode",
    nodes({ id: "kind://docker/desktop/desktop-control-plane" }),
    true,
    /local/,
    MAC,
  ],
  ["Docker Desktop in kubeadm mode", nodes({ os: "Docker Desktop" }), true, /local provider/, MAC],
  [
    "a node of a cloud with Docker Desktop's system name",
    nodes({ ...GCE, os: "Docker Desktop" }),
    false,
    /gce/,
  ],
  ["k3d", nodes({ id: "k3s://k3d-a-server-0" }, { id: "k3s://k3d-a-agent-0" }), true, /local provider/],
  ["k3d's own id", nodes({ id: "k3d://a" }), true, /local provider/],
  ["Rancher Desktop", nodes({ id: "k3s://lima-rancher-desktop" }), true, /local provider/, MAC],
  ["OrbStack", nodes({ id: "k3s://orbstack" }), true, /local provider/, MAC],
  ["Colima", nodes({ id: "k3s://colima" }), true, /local provider/, MAC],
  ["a k3s server whose name starts like a tool's", nodes({ id: "k3s://colima-prod" }), false, /n0/],
  ["k3d later in the id", nodes({ id: "k3s://server-k3d-1" }), false, /nothing shows/],
  [
    "minikube in containers of this machine",
    nodes({ boot: BOOT, address: "192.168.49.2" }),
    true,
    /this mach/,
  ],
  [
    "minikube in a virtual machine",
    nodes({ address: "192.168.49.2", labels: { "minikube.k8s.io/name": "minikube" } }),
    false,
    /nothing shows.*n0 \(192\.168\.49\.2\)/,
    MAC,
  ],
  ["MicroK8s on this machine", nodes({ boot: BOOT, address: "192.168.1.10" }), true, /on this machine/],
  ["k3s on this machine", nodes({ id: "k3s://laptop", boot: BOOT }), true, /on this machine/],
  ["k3s elsewhere", nodes({ id: "k3s://server-1" }, { id: "k3s://server-2" }), false, /n0, n1/],
  ["one of two nodes elsewhere", nodes({ boot: BOOT }, { address: "192.168.1.11" }), false, /: n1 \(192/],
  ["an address that another network has, too", nodes({ address: "192.168.1.10" }), false, /192\.168\.1\.10/],
  ["the same for a machine without a boot id", nodes({ address: "192.168.1.10" }), false, /nothing/, MAC],
  ["an address in the network of a local bridge", nodes({ address: "172.18.0.2" }), false, /172\.18\.0\.2/],
  ["no boot id: this machine's address", nodes({ boot: "", address: "fd00::2" }), true, /on this machine/],
  ["no boot id: another address", nodes({ boot: "", address: "fd00::3" }), false, /fd00::3/],
  ["no boot id on either side", nodes({ boot: "" }), false, /nothing shows/, MAC],
  ["a tunnel to GCE", nodes(GCE, GCE), false, /belong to gce: n0, n1$/],
  ["a tunnel to a mixture", nodes(GCE, AWS), false, /belong to gce, aws: n0, n1$/],
  ["a cloud's node on this machine's kernel", nodes({ ...GCE, boot: BOOT }), false, /belong to gce/],
  ["a remote node among kind's", nodes(KIND, GCE), false, /belong to gce: n1$/],
  ["kind among nodes without a provider", nodes(KIND, {}), false, /nothing shows.*: n1$/],
  ["an unknown provider", nodes({ id: "metal3://x" }), false, /metal3/],
  ["a provider whose name starts with kind", nodes({ id: "kindred://x" }), false, /kindred/],
  ["a provider that calls itself local", nodes({ id: "local://x" }), false, /belong to local/],
  ["no nodes", [], false, /lists no nodes/],
  ["five nodes: three are named", nodes({}, {}, {}, {}, {}), false, /: n0, n1, n2 and 2 more$/],
];

for (const [what, list, local, because, machine = MACHINE] of TABLE) {
  test(`${what}: ${local ? "local" : "not local"}`, (t) => {
    const found = locality(list, machine);
    t.is(found.local, local);
    t.regex(found.because, because);
  });
}

test("this machine: its boot id is the one of the nodes in its containers, and loopback is no address of it", async (t) => {
  const machine = await thisMachine();
  if (process.platform === "linux")
    t.is(machine.bootId, readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
  t.false(machine.addresses.includes("127.0.0.1"));
  t.false(machine.addresses.includes("::1"));
});

test("the refusal says what the nodes are, and ends with the command that allows them", (t) => {
  const where = locality(nodes({ address: "10.20.30.1" }), MACHINE);
  t.is(
    notLocal(where, "chaos run kube-dns --context prod --yes"),
    "not a local cluster: nothing shows that the nodes run on this machine: n0 (10.20.30.1). To change it " +
      "nevertheless, name and confirm it: chaos run kube-dns --context prod --yes",
  );
});

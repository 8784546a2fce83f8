import test from "ava";
import { byHand } from "../../../src/commands/by-hand.js";
import type { NodeUndo, Undo } from "../../../src/safety/journal/journal.js";

const metadata = { name: "coredns", namespace: "kube-system", uid: "u", resourceVersion: "1" };
const collection = "/apis/apps/v1/namespaces/kube-system/deployments";
const scaled: Undo = {
  action: "restore-workload",
  path: `${collection}/coredns`,
  collection,
  object: { kind: "Deployment", metadata, spec: { replicas: 3 } },
  onlyReplicas: true,
};
const unit: NodeUndo = {
  action: "start-unit",
  object: { kind: "SystemdUnit", name: "kubelet on w" },
  node: "w",
  unit: "kubelet.service",
  also: ["docker.service"],
  invocation: "i",
  timer: "kube-system-chaos-x-kubelet",
  machineId: "m",
  access: { type: "engine", command: "docker", env: { DOCKER_HOST: "unix:///x y" } },
};
const place = { where: { context: "kind-a" }, file: "/j/deployment.json", foreign: false };

test("what undoes each kind of change by hand", (t) => {
  t.deepEqual(byHand(scaled, place), [
    "Deployment coredns may be missing or changed:",
    "  kubectl --context kind-a -n kube-system scale deployment/coredns --replicas=3",
  ]);
  const object = { kind: "Namespace", name: "kube-system-chaos" };
  const labels = { "app.kubernetes.io/managed-by": "kube-system-chaos" };
  const empty: Undo = { action: "empty", path: "/api/v1/namespaces/kube-system-chaos", object, labels };
  t.deepEqual(byHand(empty, { where: {}, file: "", foreign: false }), [
    "Namespace kube-system-chaos may contain objects of the run:",
    "  kubectl -n kube-system-chaos delete daemonsets,pods,configmaps,secrets -l app.kubernetes.io/managed-by=kube-system-chaos",
  ]);
});

test("an object is removed only with the run's labels, on the run's cluster", (t) => {
  const lock: Undo = {
    action: "remove",
    path: "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-system-chaos",
    object: { kind: "Lease", namespace: "kube-system", name: "kube-system-chaos" },
    labels: { "app.kubernetes.io/managed-by": "kube-system-chaos", "kube-system-chaos/run": "r" },
  };
  const rest =
    "-n kube-system delete lease -l app.kubernetes.io/managed-by=kube-system-chaos,kube-system-chaos/run=r --field-selector=metadata.name=kube-system-chaos";
  const of = (where: object): string | undefined => byHand(lock, { where, file: "", foreign: false })[1];
  t.is(
    of({ context: "a b", kubeconfigPath: "/my files/config" }),
    `  kubectl --kubeconfig '/my files/config' --context 'a b' ${rest}`,
  );
  t.is(of({ context: "a", kubeconfigList: "/x y:/z" }), `  KUBECONFIG='/x y:/z' kubectl --context a ${rest}`);
});

test("a fault on a node: through the same way as the run, quoted for a shell", (t) => {
  t.deepEqual(byHand(unit, place), [
    "kubelet.service on w may be stopped:",
    "  DOCKER_HOST='unix:///x y' docker exec w systemctl start kubelet.service docker.service",
    "  DOCKER_HOST='unix:///x y' docker exec w systemctl stop kube-system-chaos-x-kubelet.timer",
  ]);
  const ssh = { type: "command", argv: ["ssh", "root@{node}", "{command}"] } as const;
  t.is(
    byHand({ ...unit, access: ssh }, place)[1],
    "  ssh root@w 'systemctl start kubelet.service docker.service'",
  );
});

test("a command that a copy in the cluster names is not shown: someone could run it", (t) => {
  const evil = { ...unit, access: { type: "command", argv: ["evil", "{node}"] } } as const;
  const lines = byHand(evil, { where: {}, file: "", foreign: true });
  t.is(lines[1], "  on w: systemctl start kubelet.service docker.service");
  t.notRegex(lines.join(), /evil/);
});

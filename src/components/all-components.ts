import type { ComponentName } from "../experiment/names.js";
import type { ComponentDefinition } from "./component.js";
import { containerRuntime } from "./container-runtime.js";
import { etcd } from "./etcd.js";
import { eventExporter } from "./event-exporter.js";
import { fluentdScaler } from "./fluentd-scaler.js";
import { fluentd } from "./fluentd.js";
import { heapster } from "./heapster.js";
import { kubeApiserver } from "./kube-apiserver.js";
import { kubeControllerManager } from "./kube-controller-manager.js";
import { kubeDnsAutoscaler } from "./kube-dns-autoscaler.js";
import { kubeDns } from "./kube-dns.js";
import { kubeProxy } from "./kube-proxy.js";
import { kubeScheduler } from "./kube-scheduler.js";
import { kubelet } from "./kubelet.js";
import { l7DefaultBackend } from "./l7-default-backend.js";
import { metricsServer } from "./metrics-server.js";

/** Every component that an experiment can name, in the order of the impact matrix. */
export const components: Readonly<Record<ComponentName, ComponentDefinition>> = {
  kubelet,
  "kube-proxy": kubeProxy,
  "kube-dns": kubeDns,
  "kube-dns-autoscaler": kubeDnsAutoscaler,
  fluentd,
  "fluentd-scaler": fluentdScaler,
  "event-exporter": eventExporter,
  "metrics-server": metricsServer,
  heapster,
  "l7-default-backend": l7DefaultBackend,
  "kube-scheduler": kubeScheduler,
  "kube-controller-manager": kubeControllerManager,
  "kube-apiserver": kubeApiserver,
  etcd,
  "container-runtime": containerRuntime,
};

import { staticPod } from "./static-pod.js";

/** The API itself. */
export const kubeApiserver = staticPod({
  name: "kube-apiserver",
  role: "stores and serves every object",
  carriesApi: true,
  functionProbe: "api-stores",
  openshift: {
    namespace: "openshift-kube-apiserver",
    app: "openshift-kube-apiserver",
    manifest: "kube-apiserver-pod.yaml",
  },
});

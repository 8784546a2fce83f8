import { staticPod } from "./static-pod.js";

/** The API server's storage. */
export const etcd = staticPod({
  name: "etcd",
  role: "keeps the API's objects",
  carriesApi: true,
  functionProbe: "api-stores",
  // etcd-manager runs etcd; the manifest's name begins with "etcd-main" (nodeup/pkg/model/manifests.go of kops).
  kops: { label: "etcd-manager-main", manifest: "etcd-main.manifest" },
  openshift: { namespace: "openshift-etcd", app: "etcd", manifest: "etcd-pod.yaml" },
});

import { staticPod } from "./static-pod.js";

/** The API server's storage. */
export const etcd = staticPod({
  name: "etcd",
  role: "keeps the API's objects",
  carriesApi: true,
  functionProbe: "api-stores",
});

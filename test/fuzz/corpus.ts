import { readdirSync, readFileSync } from "node:fs";

/** Keys that none of the experiments in experiments/ uses. */
const MORE_KEYS = `apiVersion: kube-system-chaos/v1
kind: Experiment
metadata:
  name: shop
  title: A workload, and conditions to abort
target:
  kind: DaemonSet
  namespace: shop
  name: web
attack:
  type: delete-pods
  gracePeriod: 0s
  delay: 500ms
  every: 10s
application:
  guestbook:
    namespace: guestbook
abortWhen:
  - failsFor: 10s
    probe: app-write
  - failsFor: 5s
    http: {namespace: shop, service: web, port: 80, path: "/health?deep=1", status: 200-299}
probes:
  external: false
thresholds:
  slowFrom: 100ms
`;

/** The files that inputs are made from: every experiment, every invalid fixture, and a valid file with more keys. */
export function readCorpus(): Buffer[] {
  const folders = [
    "../../experiments/",
    "../../experiments/variants/",
    "../helpers/fixtures/experiments/invalid/",
  ];
  const files = folders
    .map((folder) => new URL(folder, import.meta.url))
    .flatMap((folder) => readdirSync(folder).map((name) => new URL(name, folder)))
    .filter(({ pathname }) => pathname.endsWith(".yaml"));
  return [...files.sort().map((file) => readFileSync(file)), Buffer.from(MORE_KEYS)];
}

/** Kubeconfigs as tools write them, and with what YAML allows. Every secret has SECRET in it. */

export const SECRET = "s3cr3t";

const base64 = (text: string): string => Buffer.from(text).toString("base64");
const CA = base64("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");

const KIND = `apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: ${CA}
    server: https://127.0.0.1:36443
  name: kind-a
contexts:
- context:
    cluster: kind-a
    user: kind-a
  name: kind-a
current-context: kind-a
kind: Config
preferences: {}
users:
- name: kind-a
  user:
    client-certificate-data: ${base64(`cert ${SECRET}`)}
    client-key-data: ${base64(`key ${SECRET}`)}
`;

const CLOUD = `apiVersion: v1
kind: Config
current-context: "arn:aws:eks:eu-central-1:111122223333:cluster/prod"
clusters:
  - name: arn:aws:eks:eu-central-1:111122223333:cluster/prod
    cluster:
      server: https://ABCDEF0123456789.gr7.eu-central-1.eks.amazonaws.com
      certificate-authority-data: ${CA}
  - name: gke_project_europe-west1-b_stage
    cluster: {server: "https://203.0.113.7", certificate-authority-data: "${CA}", proxy-url: "socks5://proxy.example:1080"}
contexts:
  - name: arn:aws:eks:eu-central-1:111122223333:cluster/prod
    context: {cluster: "arn:aws:eks:eu-central-1:111122223333:cluster/prod", user: aws, namespace: shop}
  - name: stage
    context: {cluster: gke_project_europe-west1-b_stage, user: gke}
users:
  - name: aws
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1beta1
        command: aws
        args: [--region, eu-central-1, eks, get-token, --cluster-name, prod]
        env:
          - {name: AWS_PROFILE, value: ops}
  - name: gke
    user:
      exec:
        apiVersion: client.authentication.k8s.io/v1beta1
        command: gke-gcloud-auth-plugin
        installHint: Install gke-gcloud-auth-plugin for use with kubectl
        provideClusterInfo: true
        interactiveMode: IfAvailable
`;

const FILES = `# by hand
apiVersion: v1
kind: Config
clusters:
- name: two
  cluster:
    server: https://api.example.com:6443/k8s/clusters/c-1
    certificate-authority: pki/ca.crt
    tls-server-name: kubernetes
- name: open
  cluster:
    insecure-skip-tls-verify: true
    server: 10.0.0.1:6443
users:
- name: two
  user:
    tokenFile: ./token
    as: ops
    as-uid: "1000"
    as-groups: [admins, "viewers"]
    as-user-extra:
      reason: [drill]
      example.com/scope: ["a", "b"]
- name: basic
  user: {username: admin, password: ${SECRET}}
- name: token
  user:
    token: >-
      ${SECRET}.abc
contexts:
- {name: two, context: {cluster: two, user: two}}
- {name: open, context: {cluster: open, user: nobody}}
- {name: no, context: {cluster: open, user: basic}}
current-context: two
---
apiVersion: v1
current-context: open
`;

const ANCHORS = `apiVersion: v1
kind: Config
common: &common {insecure-skip-tls-verify: true}
clusters:
- name: a
  cluster: &a
    server: https://a.example:6443
    <<: *common
- name: b
  cluster:
    <<: *a
    server: https://b.example:6443
users:
- {name: u, user: &u {token: "${SECRET}"}}
- {name: v, user: *u}
contexts:
- {name: a, context: {cluster: a, user: u}}
- {name: b, context: {cluster: b, user: v}}
current-context: b
`;

const JSON_FILE = JSON.stringify({
  kind: "Config",
  apiVersion: "v1",
  clusters: [{ name: "kind-a", cluster: { server: "http://localhost:8080", extensions: null } }],
  users: [{ name: "kind-a", user: { token: SECRET } }],
  contexts: [{ name: "kind-a", context: { cluster: "kind-a", user: "kind-a" } }],
  "current-context": "kind-a",
});

/** The same names as in the first ones, elsewhere: for a second file. */
const SECOND = KIND.replaceAll("127.0.0.1:36443", "192.0.2.9:6443").replaceAll("kind-a", "two");

export const KUBECONFIGS: readonly Buffer[] = [KIND, CLOUD, FILES, ANCHORS, JSON_FILE, SECOND].map((text) =>
  Buffer.from(text),
);

import test from "ava";
import { locality } from "../../../src/clusters/locality.js";
import type { Node } from "../../../src/kube/objects.js";

const nodes = (...providerIds: (string | undefined)[]): Node[] =>
  providerIds.map(
    (providerID, index) =>
      ({ metadata: { name: `n${index}` }, spec: providerID === undefined ? {} : { providerID } }) as Node,
  );

const KIND = "kind://docker/chaos/chaos-control-plane";
const KIND_WORKER = "kind://podman/chaos/chaos-worker";
const GCE = "gce://project/zone/instance";
const AWS = "aws:///eu-central-1a/i-0123";

const TABLE: readonly (readonly [what: string, server: string, Node[], local: boolean, because: RegExp])[] = [
  ["kind", "https://127.0.0.1:40123", nodes(KIND, KIND_WORKER), true, /local provider/],
  ["kind, reached by its own address", "https://172.18.0.2:6443", nodes(KIND), true, /local provider/],
  ["kind, by name", "https://chaos-control-plane:6443", nodes(KIND), true, /local provider/],
  ["loopback v4, no provider", "https://127.0.0.1:6443", nodes(undefined), true, /127\.0\.0\.1/],
  ["loopback v4, another of its addresses", "https://127.1.2.3:6443", nodes(undefined), true, /127\.1\.2\.3/],
  ["loopback v4, short", "https://127.1:6443", nodes(undefined), true, /127\.0\.0\.1/],
  ["loopback v6", "https://[::1]:6443", nodes(undefined, undefined), true, /::1/],
  ["loopback v6, written long", "https://[0:0:0:0:0:0:0:1]:6443", nodes(undefined), true, /::1/],
  ["localhost", "https://localhost:6443", nodes(""), true, /localhost/],
  ["localhost in capitals", "https://LOCALHOST", nodes(undefined), true, /localhost/],
  ["a tunnel to GCE", "https://127.0.0.1:6443", nodes(GCE, GCE), false, /belong to gce$/],
  ["a tunnel to AWS by v6", "https://[::1]:6443", nodes(AWS), false, /belong to aws$/],
  ["a tunnel to a mixture", "https://localhost:6443", nodes(GCE, AWS), false, /belong to gce, aws$/],
  ["a remote node among kind's", "https://127.0.0.1:6443", nodes(KIND, GCE), false, /belong to gce$/],
  ["a remote node among nodes without a provider", "https://127.0.0.1", nodes(undefined, AWS), false, /aws/],
  [
    "kind among nodes without a provider",
    "https://10.0.0.5:6443",
    nodes(KIND, undefined),
    false,
    /10\.0\.0\.5/,
  ],
  ["the same on loopback", "https://127.0.0.1:6443", nodes(KIND, undefined), true, /127\.0\.0\.1/],
  ["an unknown provider", "https://127.0.0.1:6443", nodes("metal3://x"), false, /metal3/],
  ["a provider whose name starts with kind", "https://10.0.0.5", nodes("kindred://x"), false, /kindred/],
  ["private 10/8", "https://10.0.0.5:6443", nodes(undefined), false, /10\.0\.0\.5/],
  ["private 192.168/16", "https://192.168.1.10:6443", nodes(undefined), false, /192\.168\.1\.10/],
  ["private 172.16/12", "https://172.16.0.1:6443", nodes(undefined), false, /do not say/],
  ["link-local", "https://169.254.1.1:6443", nodes(undefined), false, /do not say/],
  [
    "a name that starts like a loopback address",
    "https://127.0.0.1.example.com",
    nodes(undefined),
    false,
    /example/,
  ],
  ["a name that starts with localhost", "https://localhost.example.com", nodes(undefined), false, /example/],
  ["a public name", "https://api.prod.example.com:6443", nodes(undefined), false, /api\.prod/],
  ["no nodes, remote", "https://10.0.0.5", [], false, /10\.0\.0\.5/],
  ["no nodes, loopback", "https://127.0.0.1", [], true, /127\.0\.0\.1/],
  // Every k3s has such node ids, on a company's servers and on a laptop.
  ["k3s, remote", "https://10.0.0.5:6443", nodes("k3s://server-1", "k3s://server-2"), false, /10\.0\.0\.5/],
  ["k3s on loopback", "https://127.0.0.1:6443", nodes("k3s://laptop"), true, /127\.0\.0\.1/],
  ["k3s among kind's", "https://10.0.0.5:6443", nodes(KIND, "k3s://server-1"), false, /10\.0\.0\.5/],
  ["k3s and a remote node", "https://127.0.0.1:6443", nodes("k3s://laptop", AWS), false, /belong to aws$/],
  ["k3d", "https://172.18.0.3:6443", nodes("k3s://k3d-a-server-0", "k3s://k3d-a-agent-0"), true, /k3d/],
  ["k3d's own id", "https://172.18.0.3:6443", nodes("k3d://a"), true, /local provider/],
  ["k3d among k3s", "https://10.0.0.5", nodes("k3s://k3d-a", "k3s://server-1"), false, /do not say/],
  ["k3d later in the id", "https://10.0.0.5", nodes("k3s://server-k3d-1"), false, /do not say/],
  ["a provider that calls itself local", "https://127.0.0.1", nodes("local://x"), false, /belong to local$/],
];

for (const [what, server, list, local, because] of TABLE) {
  test(`${what}: ${local ? "local" : "not local"}`, (t) => {
    const found = locality(server, list);
    t.is(found.local, local);
    t.regex(found.because, because);
  });
}

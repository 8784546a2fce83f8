import test from "ava";
import {
  architecturesOf,
  differencesOf,
  GUESTBOOK_IMAGES,
  imagesOf,
  missingBuilds,
  ownPods,
} from "../../../src/application/own-pods.js";
import type { Node } from "../../../src/kube/objects.js";
import { PROBER_IMAGE } from "../../../src/own/own-names.js";
import { imagesCheck } from "../../../src/run/phases/preflight.js";

const REDIS = "docker.io/library/redis:6.2.17";

function node(name: string, architecture: string, spec: object = {}): Node {
  return {
    metadata: { name },
    spec,
    status: { nodeInfo: { architecture }, conditions: [{ type: "Ready", status: "True" }] },
  } as unknown as Node;
}

test("the architectures are those of the nodes that pods can run on", (t) => {
  const nodes = [
    node("a", "arm64"),
    node("b", "amd64"),
    node("c", "arm64"),
    node("control-plane", "s390x", { taints: [{ key: "k", effect: "NoSchedule" }] }),
  ];
  t.deepEqual(architecturesOf(nodes), ["amd64", "arm64"]);
});

test("amd64: the public sample, and nothing differs", (t) => {
  const pods = ownPods({}, ["amd64"]);
  t.is(pods.guestbook, "sample");
  t.deepEqual(pods.images, { ...GUESTBOOK_IMAGES, node: PROBER_IMAGE });
  t.deepEqual(differencesOf(pods), []);
});

for (const architectures of [["arm64"], ["amd64", "arm64"], ["ppc64le"]]) {
  test(`${architectures.join(" and ")}: the equivalent on every node, named with its reason`, (t) => {
    const pods = ownPods({}, architectures);
    t.is(pods.guestbook, "equivalent");
    t.deepEqual(pods.images, { frontend: PROBER_IMAGE, leader: REDIS, follower: REDIS, node: PROBER_IMAGE });
    t.deepEqual(imagesOf(pods), [PROBER_IMAGE, REDIS]);
    t.regex(
      differencesOf(pods)[0] ?? "",
      /^an equivalent of .* amd64 only.*: its front end is a program of this project/,
    );
    t.deepEqual(missingBuilds({}, architectures), []);
  });
}

test("the settings decide: which guestbook, which images, from where", (t) => {
  t.is(ownPods({ guestbook: "equivalent" }, ["amd64"]).guestbook, "equivalent");
  t.is(ownPods({ guestbook: "sample" }, ["arm64"]).guestbook, "sample");
  t.is(ownPods({ images: { frontend: "me/web:1" } }, ["arm64"]).guestbook, "sample", "it is the user's own");
  const registries = {
    "docker.io": "mirror.example/hub",
    "docker.io/library": "mirror.example/official",
    "us-docker.pkg.dev": "mirror.example:5000",
  };
  const pods = ownPods({ registries, images: { node: "docker.io/library/node:22" } }, ["amd64"]);
  t.deepEqual(pods.images, {
    frontend: "mirror.example:5000/google-samples/containers/gke/gb-frontend:v5",
    leader: "mirror.example/official/redis:6.0.5",
    follower: "mirror.example:5000/google-samples/containers/gke/gb-redis-follower:v2",
    node: "docker.io/library/node:22", // as it is written
  });
  t.deepEqual(differencesOf(pods), [
    `frontend: ${pods.images.frontend}`,
    `leader: ${pods.images.leader}`,
    `follower: ${pods.images.follower}`,
    "node: docker.io/library/node:22",
  ]);
  const redis = ownPods({ guestbook: "equivalent", images: { leader: "a/r:1", follower: "b/r:2" } }, [
    "amd64",
  ]);
  t.like(redis.images, { leader: "a/r:1", follower: "b/r:2" });
  t.deepEqual(ownPods({ imagePullSecrets: ["team/pull"] }, []).pullSecrets, [
    { namespace: "team", name: "pull" },
  ]);
});

test("an image without a build for a node is refused, through a mirror, too; the user's own is not judged", (t) => {
  const arm = [node("a", "arm64")];
  const registries = { "us-docker.pkg.dev": "mirror.example" };
  const refused = imagesCheck({ guestbook: "sample", registries }, arm);
  t.false(refused.ok);
  t.regex(
    refused.detail,
    /gb-frontend:v5 is not built for arm64; .*gb-redis-follower:v2 is not built for arm64/,
  );
  t.regex(refused.detail, /--set images/);
  t.true(imagesCheck({ images: { frontend: "me/web:1", follower: "me/redis:1" } }, arm).ok);
  t.false(imagesCheck({}, [node("a", "riscv64")]).ok);
  const check = imagesCheck({}, arm);
  t.true(check.ok);
  t.regex(check.detail, /^for arm64; an equivalent of the guestbook: .*; to be pulled: /);
});

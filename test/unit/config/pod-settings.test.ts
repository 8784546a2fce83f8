import test from "ava";
import { UsageError } from "../../../src/common/errors.js";
import { imageProblem, registryProblem } from "../../../src/config/image-reference.js";
import { parseLocalConfig } from "../../../src/config/local-config.js";
import { withSets } from "../../../src/config/pod-settings.js";

const HEX = "0123456789abcdef".repeat(4);

for (const good of [
  "redis",
  "redis:7.2",
  "library/redis",
  "docker.io/library/redis:6.0.5",
  "localhost/x",
  "registry.example:5000/team/a_b__c--d.e/f:V1.0-rc_2",
  "[fd00::1]:5000/x:1",
  "Registry.Example/x",
  `redis@sha256:${HEX}`,
  `registry.example/redis:7.2@sha256:${HEX}`,
  `x@sha512:${HEX}${HEX}`,
  `x:${"t".repeat(128)}`,
])
  test(`an image reference: ${good.slice(0, 60)}`, (t) => t.is(imageProblem(good), undefined));

for (const [bad, reason] of [
  ["", /must be an image reference/],
  ["redis:", /must be an image reference/],
  [" redis", /must be an image reference/],
  ["redis 7", /must be an image reference/],
  ["docker://redis", /must be an image reference/],
  ["https://registry.example/redis", /must be an image reference/],
  ["registry.example/team/Redis", /must be lowercase after the registry/],
  ["a..b/c/../d", /must be an image reference/],
  ["a/-b", /must be an image reference/],
  ["a/b___c", /must be an image reference/],
  [`x:${"t".repeat(129)}`, /must be an image reference/],
  ["x@sha256:abc", /must be an image reference/],
  [`x@sha256:${HEX.slice(1)}`, /64 lowercase hexadecimal digits/],
  [`x@sha256:${HEX.toUpperCase()}`, /64 lowercase hexadecimal digits/],
  [`x@md5:${HEX}`, /digest of sha256, sha384, sha512, not md5/],
  [HEX, /not an image's id/],
  ["a/".repeat(130) + "b", /at most 255 characters/],
  ["a".repeat(100_000), /must be an image reference/],
] as const)
  test(`no image reference: ${JSON.stringify(bad.slice(0, 60))}`, (t) =>
    t.regex(imageProblem(bad) ?? "", reason));

test("a registry needs a dot, a port or localhost, or a runtime would read a path on Docker Hub", (t) => {
  for (const good of [
    "docker.io",
    "mirror.example/dockerhub",
    "mirror:5000/a/b",
    "localhost",
    "[fd00::1]:5000",
  ])
    t.is(registryProblem(good), undefined, good);
  for (const bad of ["", "mirror/dockerhub", "mirror.example/", "mirror.example/A", "https://mirror.example"])
    t.regex(registryProblem(bad) ?? "", /must be a registry/, bad);
});

const FILE = `images:
  node: mirror.example/node:18
registries:
  docker.io: mirror.example/dockerhub
imagePullSecrets: [team/pull]
`;

test("the file's settings, and those of the command line win", (t) => {
  const file = parseLocalConfig(FILE, "c.yaml");
  t.deepEqual(withSets(file, []), file);
  t.deepEqual(
    withSets(file, [
      "images.node=other.example/node:20",
      "images.leader=redis:7.2",
      "registries.registry.k8s.io=mirror.example/k8s",
      "imagePullSecrets=a/one, b/two",
      "guestbook=equivalent",
    ]),
    {
      images: { node: "other.example/node:20", leader: "redis:7.2" },
      registries: { "docker.io": "mirror.example/dockerhub", "registry.k8s.io": "mirror.example/k8s" },
      imagePullSecrets: ["a/one", "b/two"],
      guestbook: "equivalent",
    },
  );
  t.deepEqual(withSets(file, ["imagePullSecrets="]).imagePullSecrets, []);
});

for (const [text, message] of [
  ["images:\n  node: No/Image\n", "c.yaml:2:9: images.node: must be lowercase after the registry"],
  ["images:\n  web: x\n", "c.yaml:2:3: images.web: unknown key"],
  ["registries:\n  docker.io: mirror\n", 'c.yaml:2:14: registries."docker.io": must be a registry'],
  ["registries:\n  hub: mirror.example\n", "c.yaml:2:8: registries.hub: the key must be a registry"],
  ["imagePullSecrets: [pull]\n", "c.yaml:1:20: imagePullSecrets.0: must be NAMESPACE/NAME"],
  [
    "imagePullSecrets: [a/pull, b/pull]\n",
    "c.yaml:1:28: imagePullSecrets.1: must have another name than a/pull",
  ],
  ["imagePullSecrets: a/pull\n", "c.yaml:1:19: imagePullSecrets: must be a list"],
  ["guestbook: arm64\n", "c.yaml:1:12: guestbook: "],
  ["guestbook: equivalent\nimages:\n  frontend: x\n", "c.yaml:3:13: images.frontend: is not used with"],
] as const)
  test(`invalid settings are reported with their position: ${JSON.stringify(text)}`, (t) => {
    const error = t.throws(() => parseLocalConfig(text, "c.yaml"), { instanceOf: UsageError });
    t.true(error.message.startsWith(message), error.message);
  });

for (const [set, message] of [
  ["images.node", /^--set images\.node: must be KEY=VALUE; keys: images\.frontend/],
  ["=x", /^--set =x: must be KEY=VALUE/],
  ["images=x", /^--set images=x: unknown key; keys: /],
  ["nodeAccess.command=x", /^--set nodeAccess\.command=x: unknown key/],
  ["__proto__=x", /^--set __proto__=x: unknown key/],
  ["images.web=x", /^--set images\.web=x: unknown key; keys: /],
  ["images.nope=x", /^--set images\.nope=x: unknown key; did you mean images\.node\?$/],
  ["images.frontend.x=y", /: unknown key; did you mean images\.frontend\?$/],
  ["image.leader=x", /: unknown key; did you mean images\.leader\?$/],
  ["guestbok=sample", /: unknown key; did you mean guestbook\?$/],
  ["images.node=A B", /^--set images\.node=A B: must be an image reference/],
  ["registries.docker.io=mirror", /^--set registries\.docker\.io=mirror: must be a registry/],
  ["imagePullSecrets=pull", /^--set imagePullSecrets=pull: must be NAMESPACE\/NAME/],
] as const)
  test(`an invalid flag is named: ${set}`, (t) => {
    t.throws(() => withSets({}, [set]), { instanceOf: UsageError, message });
  });

test("a front end that would not be used is refused, also when file and flag make it so together", (t) => {
  t.throws(() => withSets({ images: { frontend: "x" } }, ["guestbook=equivalent"]), {
    message: /^--set guestbook=equivalent: images\.frontend is not used/,
  });
});

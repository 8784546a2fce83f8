import test from "ava";
import { ownPods } from "../../../src/application/own-pods.js";
import { guestbookManifests } from "../../../src/application/guestbook.js";

const OPTIONS = {
  namespace: "guestbook",
  nodePort: 30080,
  frontendReplicas: 2,
  controlReplicas: 2,
  followerReplicas: 2,
};

interface Container {
  readonly name: string;
  readonly startupProbe?: { readonly exec: { readonly command: readonly string[] } };
  readonly readinessProbe?: object;
}

test("a follower is ready only after it has copied the leader's data, and no probe takes an endpoint away later", (t) => {
  const manifests = guestbookManifests(OPTIONS, ownPods({}, ["amd64"]), "");
  const containers = manifests.flatMap((each): readonly Container[] => {
    const spec = each["spec"] as { template?: { spec: { containers: Container[] } } } | undefined;
    return spec?.template?.spec.containers ?? [];
  });
  const follower = containers.find(({ name }) => name === "follower");
  t.regex(follower?.startupProbe?.exec.command.join(" ") ?? "", /info replication .*master_link_status:up/);
  t.deepEqual(
    containers.filter(({ readinessProbe }) => readinessProbe !== undefined),
    [],
  );
});

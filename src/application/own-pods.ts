/** Which images the pods of a run use, and which guestbook it deploys. Pure. */
import type { PodSettings } from "../config/pod-settings.js";
import type { Node } from "../kube/objects.js";
import { schedulableNodes } from "../kube/pod-state.js";
import { PROBER_IMAGE } from "../own/own-names.js";
import type { PodSource, PullSecret } from "../own/pod-spec.js";

/** The images of the public sample (kubernetes-engine-samples, quickstarts/guestbook). */
export const GUESTBOOK_IMAGES = {
  frontend: "us-docker.pkg.dev/google-samples/containers/gke/gb-frontend:v5",
  leader: "docker.io/library/redis:6.0.5",
  follower: "us-docker.pkg.dev/google-samples/containers/gke/gb-redis-follower:v2",
} as const;

/** The release that the sample's follower is built from. Redis 6.0.5 does not start on arm64 with pages of 64 KiB. */
const REDIS_IMAGE = "docker.io/library/redis:6.2.17";

const OFFICIAL = ["amd64", "arm64", "arm", "ppc64le", "s390x"];

/**
 * The architectures that a default image is built for. The sample's own are built by `docker build` on amd64 alone (their
 * cloudbuild.yaml); the others are Docker Official Images (docker-library/official-images, library/node and library/redis).
 */
const BUILT_FOR: Readonly<Record<string, readonly string[]>> = {
  [GUESTBOOK_IMAGES.frontend]: ["amd64"],
  [GUESTBOOK_IMAGES.follower]: ["amd64"],
  [GUESTBOOK_IMAGES.leader]: OFFICIAL,
  [REDIS_IMAGE]: OFFICIAL,
  [PROBER_IMAGE]: OFFICIAL,
};

/**
 * `sample`: the public images. `equivalent`: the front end is a program of this project that answers as the sample's does,
 * on the Node image; leader and followers are the official Redis.
 */
type GuestbookKind = "sample" | "equivalent";

export interface OwnPods {
  readonly guestbook: GuestbookKind;
  /** Why it is this guestbook: for the report and --dry-run. */
  readonly because: string;
  readonly images: Readonly<Record<"frontend" | "leader" | "follower" | "node", string>>;
  readonly pullSecrets: readonly PullSecret[];
}

/** Architectures of the nodes that pods can run on, as the kubelets name them; sorted. */
export function architecturesOf(nodes: readonly Node[]): string[] {
  const found = schedulableNodes(nodes).flatMap(({ status }) => status?.nodeInfo?.architecture ?? []);
  return [...new Set(found)].sort();
}

/**
 * Where one node is not amd64, the equivalent runs on all of them: with the sample's images on some nodes only, the
 * nodes would differ in what a fault can hit.
 */
function guestbookOf(
  { guestbook, images }: PodSettings,
  architectures: readonly string[],
): [GuestbookKind, string] {
  if (guestbook !== undefined) return [guestbook, "by the settings"];
  const others = architectures.filter((each) => each !== "amd64");
  if (others.length === 0) return ["sample", ""];
  if (images?.frontend !== undefined) return ["sample", "by the settings: they name a front end"];
  return ["equivalent", `the sample's images exist for amd64 only, and nodes are ${others.join(", ")}`];
}

export function ownPods(settings: PodSettings, architectures: readonly string[]): OwnPods {
  const [guestbook, because] = guestbookOf(settings, architectures);
  const { images = {}, registries = {}, imagePullSecrets = [] } = settings;
  const from = (image: string): string => mirrored(image, registries);
  const node = images.node ?? from(PROBER_IMAGE);
  const redis = from(REDIS_IMAGE);
  return {
    guestbook,
    because,
    images:
      guestbook === "equivalent"
        ? { frontend: node, leader: images.leader ?? redis, follower: images.follower ?? redis, node }
        : {
            frontend: images.frontend ?? from(GUESTBOOK_IMAGES.frontend),
            leader: images.leader ?? from(GUESTBOOK_IMAGES.leader),
            follower: images.follower ?? from(GUESTBOOK_IMAGES.follower),
            node,
          },
    pullSecrets: imagePullSecrets.map((each) => {
      const [namespace = "", name = ""] = each.split("/");
      return { namespace, name };
    }),
  };
}

/** The image at its mirror: the longest key that is the beginning of its name wins. */
function mirrored(image: string, registries: Readonly<Record<string, string>>): string {
  const [key] = Object.keys(registries)
    .filter((each) => image.startsWith(`${each}/`))
    .sort((a, b) => b.length - a.length);
  return key === undefined ? image : `${registries[key] ?? key}${image.slice(key.length)}`;
}

/** The pods of this tool's own programs. */
export function podSource({ images, pullSecrets }: OwnPods): PodSource {
  return { image: images.node, pullSecrets };
}

/** Every image of a run's pods, without duplicates. @param application without the guestbook: only the prober's. */
export function imagesOf(
  { images }: OwnPods,
  application: { readonly guestbook?: unknown } = { guestbook: {} },
): string[] {
  return application.guestbook === undefined ? [images.node] : [...new Set(Object.values(images))];
}

/** What differs from the public sample, in words; empty: nothing does. */
export function differencesOf(pods: OwnPods): string[] {
  const sample = { ...GUESTBOOK_IMAGES, node: PROBER_IMAGE };
  const changed = Object.entries(pods.images).filter(
    ([role, image]) => image !== sample[role as keyof typeof sample],
  );
  return [
    ...(pods.guestbook === "sample"
      ? []
      : [
          `an equivalent of the sample's guestbook (${pods.because}): its front end is a program of this project`,
        ]),
    ...changed.map(([role, image]) => `${role}: ${image}`),
  ];
}

/** Default images that have no build for some nodes' architecture. A mirror has the same builds; other images are unknown. */
export function missingBuilds(
  settings: PodSettings,
  architectures: readonly string[],
  application?: { readonly guestbook?: unknown },
): string[] {
  const pods = ownPods({ ...settings, registries: {} }, architectures);
  return imagesOf(pods, application).flatMap((image) => {
    const missing = architectures.filter((each) => BUILT_FOR[image]?.includes(each) === false);
    return missing.length === 0 ? [] : [`${image} is not built for ${missing.join(", ")}`];
  });
}

/**
 * Where the images of own pods come from, as the user sets it: keys of the local configuration, or --set KEY=VALUE, which
 * wins over the file.
 */
import * as z from "zod";
import { UsageError } from "../common/errors.js";
import { explainIssues } from "../strict-yaml/explain.js";
import { messageOfIssue } from "../strict-yaml/messages.js";
import { didYouMean, nearest } from "../strict-yaml/near.js";
import { imageProblem, registryProblem } from "./image-reference.js";

/** Text that a function finds no problem in. */
const textWithout = (problemOf: (text: string) => string | undefined): z.ZodString =>
  z.string().superRefine((text, context) => {
    const message = problemOf(text);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  });

const image = textWithout(imageProblem);

/** DNS-1123 label and subdomain, as Kubernetes names namespaces and Secrets. */
const SECRET =
  /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\/[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/;

const pullSecrets = z
  .array(textWithout((text) => (SECRET.test(text) ? undefined : "must be NAMESPACE/NAME of a Secret")))
  .superRefine((list, context) => {
    const names = list.map((each) => each.split("/")[1]);
    const index = names.findIndex((name, at) => names.indexOf(name) < at);
    if (index >= 0)
      context.addIssue({
        code: "custom",
        path: [index],
        message: `must have another name than ${list[names.indexOf(names[index])] ?? ""}: the copies are in one namespace`,
      });
  });

const images = z.strictObject({
  frontend: image.optional(),
  leader: image.optional(),
  follower: image.optional(),
  node: image.optional(),
});

/** The keys, as part of the local configuration. */
export const podSettings = {
  images: images
    .optional()
    .describe("Images to use as they are written. `node` runs the probers, canaries and other own pods."),
  registries: z
    .record(z.string(), textWithout(registryProblem))
    .superRefine((map, context) => {
      for (const key of Object.keys(map)) {
        const message = registryProblem(key);
        if (message !== undefined)
          context.addIssue({ code: "custom", path: [key], message: `the key ${message}` });
      }
    })
    .optional()
    .describe("Mirrors: the default images of a registry, or of a path on it, are pulled from there."),
  imagePullSecrets: pullSecrets
    .optional()
    .describe("Secrets (NAMESPACE/NAME) that a run copies into the namespaces that it creates."),
  guestbook: z
    .enum(["sample", "equivalent"])
    .optional()
    .describe("The public sample's images, or the equivalent. Default: by the nodes' architectures."),
};

export type PodSettings = z.output<z.ZodObject<typeof podSettings>>;

/** The settings among the keys of a whole configuration. */
export function podSettingsOf({ images, registries, imagePullSecrets, guestbook }: PodSettings): PodSettings {
  return { images, registries, imagePullSecrets, guestbook };
}

/** The front end of the equivalent is a program on the Node image. */
export function frontendIsUsed({ guestbook, images }: PodSettings): boolean {
  return guestbook !== "equivalent" || images?.frontend === undefined;
}
export const FRONTEND_UNUSED = {
  path: ["images", "frontend"],
  message: "is not used with `guestbook: equivalent`, whose front end runs on images.node",
};

const MAPS = ["images", "registries"] as const;
const IMAGE_KEYS = Object.keys(images.shape).map((key) => `images.${key}`);
const PLAIN_KEYS = ["imagePullSecrets", "guestbook"];
const KEYS = [...IMAGE_KEYS, "registries.REGISTRY", ...PLAIN_KEYS].join(", ");

/**
 * The settings of the file, overridden by those of the command line. Items of a list are separated by commas.
 *
 * @param sets "KEY=VALUE" each.
 * @throws UsageError that names the flag.
 */
export function withSets(file: PodSettings, sets: readonly string[]): PodSettings {
  const all = sets.reduce<PodSettings>((settings, set) => {
    const next = parseSet(set);
    const merged = { ...settings, ...next };
    for (const map of MAPS)
      if (settings[map] !== undefined && next[map] !== undefined)
        Object.assign(merged, { [map]: { ...settings[map], ...next[map] } });
    return merged;
  }, file);
  if (frontendIsUsed(all)) return all;
  throw new UsageError(
    `--set ${sets.join(" --set ")}: ${FRONTEND_UNUSED.path.join(".")} ${FRONTEND_UNUSED.message}`,
  );
}

function parseSet(set: string): PodSettings {
  const refuse = (message: string): UsageError => new UsageError(`--set ${set}: ${message}`);
  const { key, value } = /^(?<key>[^=]+)=(?<value>.*)$/s.exec(set)?.groups ?? {};
  if (key === undefined || value === undefined) throw refuse(`must be KEY=VALUE; keys: ${KEYS}`);
  const map = MAPS.find((each) => key.startsWith(`${each}.`));
  if (map === undefined && (!Object.hasOwn(podSettings, key) || MAPS.some((each) => each === key)))
    throw refuse(unknownKey(key));
  if (map === "images" && !IMAGE_KEYS.includes(key)) throw refuse(unknownKey(key));
  const settings =
    map === undefined ? { [key]: valueOf(key, value) } : { [map]: { [key.slice(map.length + 1)]: value } };
  const parsed = z.strictObject(podSettings).safeParse(settings, { error: messageOfIssue });
  if (parsed.success) return parsed.data;
  throw refuse(
    explainIssues(parsed.error.issues, settings)
      .map(({ message }) => message)
      .join("; "),
  );
}

/** Compared as a whole, as --set has it; of an image's key, the part that differs. */
function unknownKey(key: string): string {
  const image = key.startsWith("images.")
    ? nearest(key.slice("images.".length), Object.keys(images.shape))
    : undefined;
  const near =
    image === undefined ? didYouMean(key, [...IMAGE_KEYS, ...PLAIN_KEYS]) : `; did you mean images.${image}?`;
  return `unknown key${near === "" ? `; keys: ${KEYS}` : near}`;
}

function valueOf(key: string, value: string): unknown {
  if (key !== "imagePullSecrets") return value;
  return value.split(",").flatMap((each) => (each.trim() === "" ? [] : [each.trim()]));
}

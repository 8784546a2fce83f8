/** The add-ons' manifests: read from the package's YAML files, with the cluster-dependent values filled in. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import { packageRoot } from "../common/package-root.js";
import { podProgram } from "../common/pod-program.js";
import { SINK_URL } from "../own/own-names.js";
import { type Manifest } from "../own/manifest.js";
import { shortHash } from "../common/hash.js";

/** Managed by addon-manager: one file per add-on. */
const STUDY_FILES = [
  "kube-dns-autoscaler.yaml",
  "log-agent.yaml",
  "fluentd-gcp-scaler.yaml",
  "event-exporter.yaml",
  "metrics-server.yaml",
  "metrics-agent.yaml",
  "l7-default-backend.yaml",
  "drift.yaml",
] as const;

/** The kinds that addon-manager may prune, as kubectl names them: the prunable kinds that the study's files contain. */
export const PRUNED_KINDS = [
  "core/v1/ConfigMap",
  "core/v1/Service",
  "apps/v1/DaemonSet",
  "apps/v1/Deployment",
];

export interface ManifestOptions {
  /** The cluster's DNS: kube-dns-autoscaler scales it, and addon-manager manages it too. */
  readonly dns: Manifest;
}

export interface AddonManifests {
  /** The objects that addon-manager creates and reconciles, without the cluster's DNS. */
  readonly study: readonly Manifest[];
  /** The sink's objects, in creation order. */
  readonly sink: readonly Manifest[];
  /** The objects of addon-manager itself, including its files, in creation order. */
  readonly manager: readonly Manifest[];
}

/** Everything to install. Reads files only. */
export async function addonManifests({ dns }: ManifestOptions): Promise<AddonManifests> {
  const values = { dnsDeployment: dns.metadata.name, sinkUrl: SINK_URL };
  const texts = await Promise.all(
    STUDY_FILES.map(async (file) => [file, fill(await read(file), values)] as const),
  );
  const files: Record<string, string> = { ...Object.fromEntries(texts), "kube-dns.yaml": stringify(dns) };
  const study = texts.flatMap(([file, text]) => parse(file, text));
  const manager = await ownObjects("kube-addon-manager.yaml", files, {
    pruneAllowlist: PRUNED_KINDS.join(" "),
  });
  const sink = await ownObjects("sink.yaml", { "sink.mjs": await podProgram("sink.mjs") }, {});
  return { study, sink, manager };
}

/** The objects of a file that this tool applies itself, with `data` in its ConfigMap. */
async function ownObjects(
  file: string,
  data: Readonly<Record<string, string>>,
  values: Readonly<Record<string, string>>,
): Promise<Manifest[]> {
  const filesHash = shortHash(JSON.stringify(data));
  const objects = parse(file, fill(await read(file), { ...values, filesHash }));
  return objects.map((object) => (object.kind === "ConfigMap" ? { ...object, data } : object));
}

async function read(file: string): Promise<string> {
  return await readFile(join(packageRoot(), "src/addons/manifests", file), "utf8");
}

/** Replaces each `{{name}}` by its value. A name without a value is an error in the file. Pure. */
export function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{(\w+)\}\}/g, (_all, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for {{${name}}}`);
    return value;
  });
}

function parse(file: string, text: string): Manifest[] {
  return parseAllDocuments(text).map((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`${file}: ${error.message}`);
    return document.toJS() as Manifest;
  });
}

import { writeFile } from "node:fs/promises";
import { join } from "node:path";

/** Writes a kubeconfig with the one context "fake" into the folder. @returns its path. */
export async function kubeconfigOf(
  folder: string,
  server: string,
  { cluster = {}, user = {} }: { readonly cluster?: object; readonly user?: object } = {},
): Promise<string> {
  const path = join(folder, "kubeconfig");
  const kubeconfig = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{ name: "fake", cluster: { server, ...cluster } }],
    users: [{ name: "fake", user }],
    contexts: [{ name: "fake", context: { cluster: "fake", user: "fake" } }],
    "current-context": "fake",
  };
  await writeFile(path, JSON.stringify(kubeconfig));
  return path;
}

/** An image with the built tool, on the nodes of the test cluster: what a user builds with docs/Dockerfile and pushes. */
import { cp, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { packageRoot } from "../../../src/common/package-root.js";
import { schedulableNodes } from "../../../src/kube/pod-state.js";
import { PROBER_IMAGE } from "../../../src/own/own-names.js";
import type { TestCluster } from "./cluster.js";
import type { Workspace } from "./run-cli.js";

/** No registry has this name, so a pod that does not find it on its node fails at once. */
const IMAGE = "localhost/kube-system-chaos-test/runner:1";

/** Builds the image and loads it onto the schedulable nodes. `remove` removes it everywhere. */
export async function runnerImage(
  { handle, nodes }: TestCluster,
  space: Workspace,
): Promise<{ readonly image: string; readonly remove: () => Promise<void> }> {
  const { engineCommand, env } = handle;
  if (engineCommand === undefined) throw new Error("this test needs the cluster's container engine");
  const context = join(space.folder, "image");
  await installInto(join(context, "usr/local"));
  // The nodes have this image. Its own node is too old, so it gets the one that runs the tests.
  const lines = [`FROM ${PROBER_IMAGE}`, "COPY usr/ /usr/", 'ENTRYPOINT ["chaos"]', ""];
  await writeFile(join(context, "Dockerfile"), lines.join("\n"));
  // The lab's engine has no BuildKit.
  const options = { env: { ...env, DOCKER_BUILDKIT: "0" } };
  await execa(engineCommand, ["build", "--network=none", "--quiet", "--tag", IMAGE, context], options);
  const names = schedulableNodes(nodes).map(({ metadata }) => metadata.name);
  // As `kind load docker-image` does it (kind, pkg/cluster/nodeutils/util.go: LoadImageArchive).
  const load = ["ctr", "--namespace=k8s.io", "images", "import", "--digests", "-"];
  await Promise.all(
    names.map(
      async (node) =>
        await execa(engineCommand, ["save", IMAGE], { ...options, encoding: "buffer", buffer: false }).pipe(
          engineCommand,
          ["exec", "-i", node, ...load],
          options,
        ),
    ),
  );
  const remove = async (): Promise<void> => {
    for (const node of names)
      await execa(engineCommand, ["exec", node, "ctr", "--namespace=k8s.io", "images", "rm", IMAGE], {
        ...options,
        reject: false,
      });
    await execa(engineCommand, ["image", "rm", IMAGE], { ...options, reject: false });
  };
  return { image: IMAGE, remove };
}

/** The files of `npm install --global` of the packed tool, which has no dependencies. */
async function installInto(prefix: string): Promise<void> {
  const root = packageRoot();
  const folder = join(prefix, "lib/node_modules/kube-system-chaos");
  const { files } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { files: string[] };
  // The types are made when the tool is packed; to run it needs none.
  const packed = files.filter((path) => !path.startsWith("build/"));
  for (const path of ["package.json", ...packed])
    await cp(join(root, path), join(folder, path), { recursive: true, dereference: true });
  await mkdir(join(prefix, "bin"), { recursive: true });
  await symlink("../lib/node_modules/kube-system-chaos/dist/cli.js", join(prefix, "bin/chaos"));
  await cp(process.execPath, join(prefix, "bin/node"));
}

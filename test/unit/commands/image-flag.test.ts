/** --image is only for a new kind cluster. */
import test from "ava";
import { clusterUp } from "../../../src/commands/cluster-command.js";
import { createProgram, type Handlers } from "../../../src/commands/program.js";
import { imageOf, selectCluster } from "../../../src/commands/select-cluster.js";
import { UsageError } from "../../../src/common/errors.js";
import { silentProgress } from "../../../src/common/progress.js";
import type { RunView } from "../../../src/ui/base.js";

const { signal } = new AbortController();
const image = "kindest/node:v1.36.3";
const REFUSED = {
  instanceOf: UsageError,
  message: "--image is the node image of a new kind cluster: add --cluster kind",
};

test("--image with --cluster kind is passed on, and an empty one is refused", (t) => {
  t.deepEqual(imageOf({ provider: "kind", image }), { image });
  t.deepEqual(imageOf({ provider: "kind" }), {});
  t.deepEqual(imageOf({}), {});
  t.throws(() => imageOf({ provider: "kind", image: "" }), {
    instanceOf: UsageError,
    message: "--image names no image: name one, or omit it for kind's own",
  });
});

test("--image with the lab, with an existing cluster or with no --cluster is refused", async (t) => {
  const progress = silentProgress;
  for (const more of [{ provider: "lab" }, { provider: "current" }, { context: "x" }, {}] as const)
    await t.throwsAsync(selectCluster({ ...more, image, progress, signal }), REFUSED);
  const view = silentProgress as RunView;
  for (const provider of ["lab", undefined] as const) {
    const options = {
      provider,
      image,
      addons: undefined,
      yes: false,
      env: {},
      view,
      signal,
      allowing: String,
    };
    await t.throwsAsync(clusterUp(options), REFUSED);
  }
});

test("run and cluster up have the flag, cluster down and status do not", async (t) => {
  const seen: unknown[] = [];
  const handlers = {
    run: async (_files: string[], flags: { image?: string }) => await Promise.resolve(seen.push(flags.image)),
    cluster: async (_name: string, flags: { image?: string }) =>
      await Promise.resolve(seen.push(flags.image)),
  } as unknown as Handlers;
  const program = createProgram(handlers);
  for (const each of program.commands.flatMap((command) => [command, ...command.commands]))
    each.configureOutput({ writeErr: () => undefined });
  const parse = async (...args: string[]): Promise<unknown> =>
    await program.parseAsync([...args, "--cluster", "kind", "--image", image], { from: "user" });
  await parse("run", "kube-dns");
  await parse("cluster", "up");
  t.deepEqual(seen, [image, image]);
  for (const verb of ["down", "status"])
    await t.throwsAsync(parse("cluster", verb), { message: /unknown option '--image'/ });
});

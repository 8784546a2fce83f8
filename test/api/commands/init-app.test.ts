/** `chaos init --app` on a cluster that is not local. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import test from "ava";
import { initApp } from "../../../src/commands/init-app.js";
import { ExitCode } from "../../../src/common/errors.js";
import { createView } from "../../../src/ui/view.js";
import { cluster, machine } from "../../helpers/restore-bench.js";
import { writes } from "../../helpers/target-fixtures.js";

test("without a confirmation nothing is deployed, and no file is written", async (t) => {
  const { server } = await cluster(t);
  const { kubeconfigPath, env: state } = await machine(t, server);
  server.put("/api/v1/nodes", {
    metadata: { name: "worker-1" },
    spec: { providerID: "gce://p/z/worker-1" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  });
  server.put("/api/v1/namespaces/shop/services", {
    metadata: { name: "api", namespace: "shop" },
    spec: { clusterIP: "10.96.0.5", ports: [{ name: "http", port: 80 }] },
  });
  server.put("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices", {
    metadata: { name: "api-1", namespace: "shop", labels: { "kubernetes.io/service-name": "api" } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints: [{ addresses: ["10.244.0.1"], conditions: { ready: true } }],
  });
  const stream = new PassThrough();
  stream.resume();
  const view = createView({ stream, out: stream, mode: "plain" });
  t.teardown(() => view.close());
  const home = state["XDG_STATE_HOME"] ?? "";
  const folder = join(home, "written");
  let asked = 0;
  const error = await t.throwsAsync(
    async () =>
      await initApp({
        app: "shop/api",
        folder,
        select: { kubeconfigPath, context: "fake" },
        view,
        interrupted: new AbortController().signal,
        env: { ...state, XDG_CONFIG_HOME: home },
        toolVersion: "0.0.0",
        yes: false,
        ask: async () => {
          asked += 1;
          return await Promise.resolve(false);
        },
        allowing: (context) => `chaos init --app shop/api --context ${context} --yes`,
      }),
    { message: /--context fake --yes/ },
  );
  t.like(error, { exitCode: ExitCode.preflightRefused });
  t.is(asked, 1);
  t.deepEqual(writes(server), []);
  await t.throwsAsync(async () => await readdir(folder), { code: "ENOENT" });
});

import test from "ava";
import { copyPullSecrets, pullSecretProblem } from "../../../src/own/pull-secrets.js";
import { serve, writes } from "../../helpers/target-fixtures.js";

const PULL = { namespace: "team", name: "pull" };
const DATA = { ".dockerconfigjson": Buffer.from("{}").toString("base64") };
const TYPE = "kubernetes.io/dockerconfigjson";
const COPY = "/api/v1/namespaces/guestbook/secrets/pull";
const OWN = { "app.kubernetes.io/managed-by": "kube-system-chaos" };

for (const source of [undefined, { type: "Opaque", data: DATA }] as const) {
  test(`a pull secret that ${source === undefined ? "does not exist" : "has another type"} is found in preflight`, async (t) => {
    const { server, transport } = await serve(t);
    if (source !== undefined)
      server.put("/api/v1/namespaces/team/secrets", { metadata: { name: "pull" }, ...source });
    t.regex(
      (await pullSecretProblem(transport, PULL)) ?? "",
      /^Secret team\/pull (does not exist|has type Opaque)/,
    );
    await t.throwsAsync(copyPullSecrets(transport, "guestbook", [PULL]), {
      message: /^cannot copy a pull secret: /,
    });
    t.deepEqual(writes(server), []);
  });
}

test("a pull secret is copied, and again only when it differs", async (t) => {
  const { server, transport } = await serve(t);
  server.put("/api/v1/namespaces/team/secrets", { metadata: { name: "pull" }, type: TYPE, data: DATA });
  t.is(await pullSecretProblem(transport, PULL), undefined);
  await copyPullSecrets(transport, "guestbook", [PULL]);
  t.like(server.object(COPY), { type: TYPE, data: DATA, metadata: { labels: OWN } });
  const before = writes(server).length;
  await copyPullSecrets(transport, "guestbook", [PULL]);
  t.is(writes(server).filter(({ method }) => method === "DELETE").length, 0);
  t.is(writes(server).length, before + 1, "one attempt");
  server.update("/api/v1/namespaces/team/secrets/pull", { data: { ".dockerconfigjson": "e30K" } });
  await copyPullSecrets(transport, "guestbook", [PULL]);
  t.like(server.object(COPY), { data: { ".dockerconfigjson": "e30K" } });
});

test("a foreign Secret of that name is left unchanged; a prepared namespace gets no copies", async (t) => {
  const { server, transport } = await serve(t);
  server.put("/api/v1/namespaces/team/secrets", { metadata: { name: "pull" }, type: TYPE, data: DATA });
  const foreign = server.put("/api/v1/namespaces/guestbook/secrets", {
    metadata: { name: "pull" },
    type: TYPE,
  });
  await t.throwsAsync(copyPullSecrets(transport, "guestbook", [PULL]), { message: /left unchanged/ });
  t.deepEqual(server.object(COPY), foreign);
  const labels = { ...OWN, "kube-system-chaos/prepared": "true" };
  server.put("/api/v1/namespaces", { metadata: { name: "prepared", labels } });
  await copyPullSecrets(transport, "prepared", [PULL]);
  t.is(server.object("/api/v1/namespaces/prepared/secrets/pull"), undefined);
});

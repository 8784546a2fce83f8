/** Which of many probers sample. */
import test from "ava";
import { CONTROL_LABELS, FRONTEND_LABELS, LEADER_LABELS } from "../../../src/application/guestbook.js";
import type { Node } from "../../../src/kube/objects.js";
import { chooseProbers } from "../../../src/run/measuring/probers.js";
import { serve } from "../../helpers/target-fixtures.js";

const name = (index: number): string => `worker-${String(index).padStart(3, "0")}`;

test("of 100 workers 12 sample: attacked ones, those of the application, and one without any pod of it", async (t) => {
  const { server, transport } = await serve(t);
  const pod = (id: string, labels: Readonly<Record<string, string>>, node: number): void =>
    void server.put("/api/v1/namespaces/guestbook/pods", {
      metadata: { name: id, labels },
      spec: { nodeName: name(node) },
      status: { podIP: "10.0.0.1" },
    });
  pod("redis-leader", LEADER_LABELS, 41);
  for (const node of [3, 55, 90]) pod(`frontend-${node}`, FRONTEND_LABELS, node);
  for (const node of [0, 1, 99]) pod(`frontend-env-${node}`, CONTROL_LABELS, node);
  const probers = Array.from({ length: 100 }, (_, index) => ({ node: name(index), pod: `prober-${index}` }));
  const nodes = probers.map(({ node }) => ({ metadata: { name: node } }) as unknown as Node);
  const options = { workers: 12, nodes, namespace: "guestbook" };
  const attacked = Array.from({ length: 50 }, (_, index) => name(index + 20));
  const chosen = await chooseProbers(transport, probers, { ...options, attacked });
  t.is(chosen.length, 12);
  for (const node of [...attacked.slice(0, 6), name(41), name(3), name(2)])
    t.true(
      chosen.some((prober) => prober.node === node),
      node,
    );
  t.deepEqual(
    await chooseProbers(transport, probers, { ...options, attacked }),
    chosen,
    "every time the same",
  );
  t.deepEqual(
    await chooseProbers(transport, probers.slice(0, 12), { ...options, attacked: [] }),
    probers.slice(0, 12),
  );
});

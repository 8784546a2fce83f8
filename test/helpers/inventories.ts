/**
 * What an API server of each platform would list (test/helpers/fixtures/inventories). Files called synthetic-… are made
 * from the public manifests that they cite; the others are from real listings without personal details.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../src/common/package-root.js";
import type { ResolvedExperiment } from "../../src/components/resolve.js";
import type { KubeObject, Node } from "../../src/kube/objects.js";
import { createTransport, type Transport } from "../../src/kube/transport.js";
import { loadAll } from "../../src/load/load-all.js";
import { podAccess } from "../../src/nodes/pod-access.js";
import { planRow, type PlanRow } from "../../src/run/phases/dry-run-table.js";
import { preflight, type PreflightInput } from "../../src/run/phases/preflight.js";
import { type Draft, FakeApiServer } from "./fake-api-server.js";

const FOLDER = join(packageRoot(), "test/helpers/fixtures/inventories");

const COLLECTIONS = {
  deployments: "/apis/apps/v1",
  daemonsets: "/apis/apps/v1",
  services: "/api/v1",
  pods: "/api/v1",
} as const;

export interface Inventory {
  readonly nodes: readonly Node[];
  readonly objects: Partial<Readonly<Record<keyof typeof COLLECTIONS, readonly KubeObject[]>>>;
  /** Public manifests that a synthetic inventory is made from: repository and path, or address. */
  readonly from?: readonly string[];
}

export function inventoryNames(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith(".json"))
    .map((file) => file.slice(0, -".json".length))
    .sort();
}

export function inventory(name: string): Inventory {
  return JSON.parse(readFileSync(join(FOLDER, `${name}.json`), "utf8")) as Inventory;
}

/** Fills the server with an inventory, as a client that may do everything sees it. */
export function putInventory(server: FakeApiServer, { nodes, objects }: Inventory): void {
  server.handle("POST", /selfsubjectaccessreviews$/, () => ({
    status: 201,
    body: { status: { allowed: true } },
  }));
  for (const node of nodes) server.put("/api/v1/nodes", node as unknown as Draft);
  for (const [resource, base] of Object.entries(COLLECTIONS)) {
    for (const object of objects[resource as keyof typeof COLLECTIONS] ?? []) {
      const { namespace = "kube-system" } = object.metadata;
      server.put(`${base}/namespaces/${namespace}/${resource}`, object as unknown as Draft);
    }
  }
}

/** The plan of one experiment on the served inventory, in which every right is granted and the cluster is confirmed. */
export async function planOn(
  transport: Transport,
  { nodes }: Inventory,
  { file, resolved }: { readonly file: string; readonly resolved: ResolvedExperiment },
  nodeAccess: PreflightInput["nodeAccess"] = podAccess(transport),
): Promise<PlanRow> {
  const outcome = await preflight({
    transport,
    context: "inventory",
    version: "v1.36.3",
    nodes,
    resolved,
    nodeAccess,
    unfinished: { runs: [], unreadable: [] },
    canaries: "kube-system-chaos-canary-3f9a",
    confirm: async () => await Promise.resolve(true),
    allowing: () => "chaos run",
    podSettings: {},
    emit: () => undefined,
  });
  return planRow(file, outcome);
}

/** Grants every right without a request: a preflight asks for dozens. */
function granting(transport: Transport): Transport {
  return {
    ...transport,
    request: async (request) => await transport.request(request),
    stream: async (request) => await transport.stream(request),
    json: async <T>(request: Parameters<Transport["json"]>[0]): Promise<T> =>
      request.path.endsWith("/selfsubjectaccessreviews")
        ? ({ status: { allowed: true } } as T)
        : await transport.json<T>(request),
  };
}

/** The dry run of every experiment of the package on an inventory, with node access through privileged pods. */
export async function plansOn(name: string): Promise<readonly PlanRow[]> {
  const wanted = inventory(name);
  const server = await FakeApiServer.start();
  const real = createTransport({ server: server.url, userAgent: "chaos-test/1" });
  const transport = granting(real);
  try {
    putInventory(server, wanted);
    const rows: PlanRow[] = [];
    for (const loaded of await loadAll([join(packageRoot(), "experiments")]))
      rows.push(await planOn(transport, wanted, loaded));
    return rows;
  } finally {
    real.close();
    await server.close();
  }
}

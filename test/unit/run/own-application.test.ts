/** An existing application: its addresses, the probers' plan, and what the run says about it. */
import test from "ava";
import { experimentSchema, type Experiment } from "../../../src/experiment/schema.js";
import type { OwnRequest } from "../../../src/experiment/own-application.js";
import type { EndpointSlice, Service } from "../../../src/kube/objects.js";
import { validatePlan } from "../../../src/probes/prober-plan.js";
import {
  addressOf,
  addsWithEach,
  nodesOf,
  type OwnAddresses,
  ownName,
  ownNotMeasured,
  requestWords,
} from "../../../src/run/measuring/own-application.js";
import { frontEndsOf, proberPlan } from "../../../src/run/measuring/probers.js";

const service = (spec: object = {}): Service =>
  ({
    metadata: { name: "api" },
    spec: { clusterIP: "10.96.0.5", ports: [{ name: "http", port: 80, targetPort: 8080 }], ...spec },
  }) as unknown as Service;

const slice = (pods: Record<string, { node: string; ready?: boolean }>, of: object = {}): EndpointSlice =>
  ({
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints: Object.entries(pods).map(([name, { node, ready = true }], index) => ({
      addresses: [`10.244.0.${index + 1}`],
      conditions: { ready },
      nodeName: node,
      targetRef: { name },
    })),
    ...of,
  }) as unknown as EndpointSlice;

function experiment(existing: object): Experiment {
  return experimentSchema.parse({
    apiVersion: "kube-system-chaos/v1",
    kind: "Experiment",
    metadata: { name: "x" },
    target: { component: "kube-dns" },
    application: { existing },
  });
}

const asked = (change: object = {}): OwnRequest => ({
  service: "api",
  port: "http",
  through: "dns",
  ...change,
});

test("the address of a request: the Service's, and its ready pods, on the port that the slices name", (t) => {
  const slices = [slice({ b: { node: "w2" }, a: { node: "w1" }, gone: { node: "w1", ready: false } })];
  t.deepEqual(addressOf(asked(), "shop", service(), slices), {
    address: {
      ip: "10.96.0.5",
      port: 80,
      family: 4,
      pods: [
        { name: "a", ip: "10.244.0.2", port: 8080, node: "w1" },
        { name: "b", ip: "10.244.0.1", port: 8080, node: "w2" },
      ],
    },
  });
  const byNumber = addressOf(asked({ port: 80 }), "shop", service(), slices);
  t.true("address" in byNumber && byNumber.address.pods.length === 2);
});

test("a headless Service has no address, and the port of its pods; IPv6 takes the slices of its family", (t) => {
  const headless = addressOf(asked(), "shop", service({ clusterIP: "None" }), [slice({ a: { node: "w1" } })]);
  t.like(headless, { address: { ip: "", port: 8080, family: 4 } });
  const six = slice({ a: { node: "w1" } }, { addressType: "IPv6" });
  const both = [slice({ four: { node: "w1" } }), six];
  const found = addressOf(asked(), "shop", service({ clusterIP: "fd00::5" }), both);
  t.true("address" in found && found.address.family === 6 && found.address.pods[0]?.name === "a");
});

test("why an application cannot be measured says what to change", (t) => {
  const problem = (request: OwnRequest, of: Service | undefined, slices: EndpointSlice[] = []): string => {
    const found = addressOf(request, "shop", of, slices);
    return "problem" in found ? found.problem : "";
  };
  t.is(problem(asked(), undefined), "Service shop/api does not exist. Correct the name");
  t.regex(problem(asked({ port: "grpc" }), service()), /has no TCP port grpc; its TCP ports: http \(80\)/);
  t.regex(problem(asked(), service({ type: "ExternalName" })), /ExternalName/);
  const udp = service({ ports: [{ name: "http", port: 80, protocol: "UDP" }] });
  t.regex(problem(asked(), udp), /has no TCP port http; its TCP ports: none/);
  const headless = service({ clusterIP: "None" });
  t.regex(problem(asked({ through: "cluster-ip" }), headless), /is headless/);
  t.regex(problem(asked(), headless), /has no ready pod/);
});

const WRITE = {
  service: "api",
  port: 80,
  http: { method: "PUT", path: "/items/probe?key=secret", headers: { Authorization: "Bearer s3cret" } },
};

const ADDRESSES: OwnAddresses = {
  write: {
    ip: "10.96.0.5",
    port: 80,
    family: 4,
    pods: [
      { name: "a", ip: "10.244.0.1", port: 8080, node: "w1" },
      { name: "b", ip: "10.244.0.2", port: 8080, node: "w2" },
      { name: "c", ip: "10.244.0.3", port: 8080, node: "w2" },
    ],
  },
};

test("the plan: through DNS a name, through pods their addresses, and the layers that exist", (t) => {
  const both = { ...ADDRESSES, read: ADDRESSES.write };
  const read = { service: "api", port: 80, through: "pods", http: { path: "/items/probe" } };
  const plan = validatePlan(proberPlan("r", experiment({ namespace: "shop", write: WRITE, read }), both));
  const good = { status: { from: 200, to: 299 } };
  t.deepEqual(plan.probes["app-write"], {
    endpoints: [],
    host: { name: "api.shop.svc", port: 80 },
    http: {
      method: "PUT",
      path: "/items/probe?key=secret",
      headers: { host: "api.shop.svc", Authorization: "Bearer s3cret" },
      good,
    },
  });
  const asksRead = { method: "GET" as const, path: "/items/probe", headers: { host: "api.shop.svc" }, good };
  t.deepEqual(plan.probes["app-read"], {
    endpoints: ADDRESSES.write.pods.map(({ name, ip, port }) => ({ name, ip, port })),
    http: asksRead,
  });
  t.deepEqual(plan.probes["http-service"], { ip: "10.96.0.5", port: 80, path: "/", http: asksRead });
  t.deepEqual(plan.probes["tcp-pod"], { ip: "10.244.0.1", port: 8080 });
  t.deepEqual(plan.probes["dns-search"], { name: "api.shop" });
  t.deepEqual(
    ownNotMeasured(plan.probes).map(({ probe }) => probe),
    ["app-write-env", "app-read-env", "tcp-long-lived"],
  );
});

test("without a read that has no token there is no HTTP through the Service's address", (t) => {
  const { probes } = proberPlan("r", experiment({ namespace: "shop", write: WRITE }), ADDRESSES);
  t.deepEqual(
    ownNotMeasured(probes).map(({ probe }) => probe),
    ["app-read", "app-write-env", "app-read-env", "http-service", "http-service-reused", "tcp-long-lived"],
  );
});

test("the node with most of the application's pods is the worst one", (t) => {
  t.deepEqual(nodesOf(ADDRESSES), ["w2", "w1"]);
  const reader = { ...ADDRESSES.write, pods: [{ name: "reader", ip: "10.244.0.9", port: 80, node: "w3" }] };
  t.deepEqual(
    frontEndsOf({ ...ADDRESSES, read: reader }).map(({ name, node }) => `${name} on ${node}`),
    ["a on w1", "b on w2", "c on w2", "reader on w3"],
  );
});

test("what a report says of a request has no query, header or body", (t) => {
  const { existing } = experiment({ namespace: "shop", write: WRITE }).application;
  t.truthy(existing);
  if (existing === undefined) return;
  t.is(requestWords(existing.write), "PUT api:80/items/probe through dns");
  t.is(ownName(existing), "shop/api");
});

test("a write that adds something each time is known by its method, or by a token in its path", (t) => {
  const adds = (http: object): string | undefined => {
    const { existing } = experiment({
      namespace: "shop",
      write: { service: "api", port: 80, http },
    }).application;
    return existing === undefined ? undefined : addsWithEach(existing);
  };
  t.is(adds({ method: "POST", body: "x" }), "POST is not idempotent");
  t.is(adds({ method: "PUT", path: "/items/{token}" }), "its path has a token");
  t.is(adds({ method: "PUT", path: "/items/probe", body: "{token}" }), undefined);
  t.is(adds({}), undefined);
});

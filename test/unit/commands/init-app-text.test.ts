/** The experiment that `chaos init --app` writes. */
import test from "ava";
import { parseApp } from "../../../src/commands/init-app.js";
import { experimentText, portOf } from "../../../src/commands/init-app-text.js";
import type { Pod, Service } from "../../../src/kube/objects.js";
import { parseExperiment } from "../../../src/load/parse.js";

type Port = Parameters<typeof experimentText>[0]["port"];

const service = (...ports: object[]): Service =>
  ({ metadata: { namespace: "shop", name: "api" }, spec: { ports } }) as unknown as Service;

const pod = (readinessProbe: object | undefined): Pod =>
  ({
    metadata: { name: "api-1" },
    spec: {
      containers: [
        { name: "sidecar", ports: [{ name: "metrics", containerPort: 9090 }] },
        { name: "api", ports: [{ name: "web", containerPort: 8080 }], readinessProbe },
      ],
    },
  }) as unknown as Pod;

const text = (port: Port, ...pods: Pod[]): string =>
  experimentText({ namespace: "shop", service: "api", port, pods });

test("NAMESPACE/SERVICE, with a port or without", (t) => {
  t.deepEqual(parseApp("shop/api"), { namespace: "shop", service: "api", port: undefined });
  t.deepEqual(parseApp("shop/api:http"), { namespace: "shop", service: "api", port: "http" });
  t.deepEqual(parseApp("shop/api:8080"), { namespace: "shop", service: "api", port: 8080 });
  for (const bad of ["api", "shop/", "shop/api/x", "shop/api:", "Shop/api"])
    t.throws(() => parseApp(bad), { message: /^--app .*must be NAMESPACE\/SERVICE/ }, bad);
});

test("the port: the named one, the only one, or the one that looks like HTTP", (t) => {
  const two = service({ name: "grpc", port: 9000 }, { name: "http", port: 8080 });
  t.like(portOf(service({ port: 80 }), undefined), { port: { port: 80 } });
  t.like(portOf(two, undefined), { port: { port: 8080 } });
  t.like(portOf(two, "grpc"), { port: { port: 9000 } });
  t.regex(JSON.stringify(portOf(two, "x")), /has no TCP port x; its TCP ports: grpc \(9000\), http \(8080\)/);
  const unclear = service({ name: "a", port: 1 }, { name: "b", port: 2 });
  t.regex(
    JSON.stringify(portOf(unclear, undefined)),
    /has several ports: a \(1\), b \(2\)\. Name one: --app/,
  );
  const udp = service({ port: 53, protocol: "UDP" });
  t.regex(JSON.stringify(portOf(udp, undefined)), /has no TCP port/);
});

test("the readiness probe on the Service's port is the request; the values of its headers stay out", (t) => {
  const port = { name: "http", port: 80, targetPort: "web" } as Port;
  const probe = {
    httpGet: { path: "/ready?full=1", port: "web", httpHeaders: [{ name: "X-Key", value: "s3cret" }] },
  };
  const written = text(port, pod(probe));
  t.regex(written, /path: "\/ready\?full=1"/);
  t.regex(written, /The readiness probe sends the header X-Key, too/);
  t.notRegex(written, /s3cret/);
  const parsed = parseExperiment(written, "x.yaml");
  t.true("experiment" in parsed, JSON.stringify(parsed));
  if (!("experiment" in parsed)) return;
  const { existing } = parsed.experiment.application;
  t.like(existing?.write, { service: "api", port: "http", through: "dns" });
  t.is(existing?.read?.http?.path, "/ready?full=1");
});

test("a readiness probe on another port, by HTTPS or by TCP is not the request", (t) => {
  const port = { port: 5432, targetPort: 8080 } as Port;
  for (const probe of [
    undefined,
    { tcpSocket: { port: 8080 } },
    { httpGet: { path: "/ready", port: 9090 } },
    { httpGet: { path: "/ready", port: 8080, scheme: "HTTPS" } },
  ]) {
    const written = text(port, pod(probe));
    t.regex(written, /tcp: \{\}/);
    t.true("experiment" in parseExperiment(written, "x.yaml"));
  }
  t.regex(text({ name: "http", port: 8081 }), /path: "\/"/, "HTTP by its name");
});
